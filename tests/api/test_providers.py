"""`/providers` over a socket: what it shows, what it takes, and what it refuses."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import httpx
import trio

from carillon.actors.provider.limits import Limits, Statistics
from carillon.api.openapi import child, openapi_document
from carillon.api.providers import state
from carillon.messages.model import Document, JsonValue
from carillon.settings.file.schema import schema_of
from carillon.tuning.patch import KEYS, LiveKeys
from tests.api.test_documentation import check, validator
from tests.running import Running, running, sandbox_configuration
from tests.tuning.test_patch import EVERYTHING

SMS = "/providers/sms-sandbox"
QUIET = Statistics(
    in_flight=0,
    breaker="closed",
    failures_in_row=0,
    paused_for=0.0,
    hold=None,
    opens_in=0.0,
    windows=(),
    quota_left=None,
    quota_ends=None,
    errors=(),
)


def configuration(**sms: JsonValue) -> Document:
    """Every channel on a sandbox, the one of sms with these keys."""
    base = sandbox_configuration()
    sections = child(base["providers"])
    return {**base, "providers": {**sections, "sms-sandbox": {"type": "sandbox", **sms}}}


async def patch(service: Running, body: JsonValue, path: str = SMS) -> httpx.Response:
    return await service.client.patch(path, json=body)


async def settings_of(service: Running) -> Document:
    return child((await service.client.get(SMS)).json()["settings"])


async def test_a_provider_shows_what_holds_and_how_it_does(tmp_path: Path) -> None:
    quota: JsonValue = {"limit": 5, "zone": "Europe/Rome"}
    rate: JsonValue = [{"limit": 10, "per": "1m"}]
    async with running(tmp_path, configuration(rate=rate, quota=quota)) as service:
        shown = (await service.client.get(SMS)).json()
        listed = (await service.client.get("/providers")).json()

    assert listed["providers"][1] == shown
    assert [one["name"] for one in listed["providers"]] == [
        f"{name}-sandbox" for name in ("email", "sms", "push", "voice")
    ]
    assert (shown["name"], shown["type"], shown["channels"]) == ("sms-sandbox", "sandbox", ["sms"])
    assert shown["state"] == "running"
    assert shown["settings"]["rate"] == {"value": rate, "source": "file"}
    assert shown["settings"]["timeout"] == {"value": "30s", "source": "default"}
    assert shown["waiting"] == {"deliveries": 0, "oldest": 0, "why": None, "opensIn": 0}
    assert shown["rate"] == [{"limit": 10, "per": "1m", "used": 0}]
    assert (shown["quota"]["limit"], shown["quota"]["left"]) == (5, 5)
    assert shown["breaker"] == {"state": "closed", "failures": 0}
    assert listed["configuration"]["error"] is None


async def test_every_answer_is_as_documented(tmp_path: Path) -> None:
    document = openapi_document("1", "")
    one, override = "/providers/{provider}", "/providers/{provider}/override"
    async with running(tmp_path, configuration(weight=None)) as service:
        check(document, "/providers", await service.client.get("/providers"))
        check(document, one, await service.client.get(SMS))
        check(document, one, await service.client.get("/providers/nobody"))
        changed = await patch(service, EVERYTHING)
        assert changed.status_code == 200
        check(document, one, changed, "patch")
        for answer, status in (
            (await patch(service, {}), 400),
            (await patch(service, {}, "/providers/nobody"), 404),
            (await service.client.patch(SMS, content=b"{}"), 415),
        ):
            assert answer.status_code == status
            check(document, one, answer, "patch")
        check(document, override, await service.client.delete(f"{SMS}/override"), "delete")
        nobody = await service.client.delete("/providers/nobody/override")
        assert nobody.status_code == 404
        check(document, override, nobody, "delete")


async def test_a_change_answers_as_the_next_look_does(tmp_path: Path) -> None:
    async with running(tmp_path, configuration(concurrency=7)) as service:
        changed = await patch(service, EVERYTHING)
        shown = await service.client.get(SMS)

        assert changed.json()["settings"] == shown.json()["settings"]
        for key, value in EVERYTHING.items():
            assert shown.json()["settings"][key] == {"value": value, "source": "override"}
        assert shown.json()["state"] == "paused"

        back = await patch(service, {"concurrency": None, "paused": None, "draining": None})
        assert back.json()["settings"]["concurrency"] == {"value": 7, "source": "file"}
        assert back.json()["settings"]["timeout"]["source"] == "override"
        assert back.json()["state"] == "running"

        reset = await service.client.delete(f"{SMS}/override")
        assert {held["source"] for held in reset.json()["settings"].values()} == {
            "default",
            "file",
        }


async def test_windows_may_be_written_in_words(tmp_path: Path) -> None:
    async with running(tmp_path, configuration()) as service:
        changed = await patch(service, {"rate": "10/1s,100/1m"})
        assert changed.json()["settings"]["rate"] == {
            "value": [{"limit": 10, "per": "1s"}, {"limit": 100, "per": "1m"}],
            "source": "override",
        }


async def test_a_change_in_which_a_key_stands_twice_is_refused(tmp_path: Path) -> None:
    async with running(tmp_path, configuration(concurrency=7)) as service:
        answer = await service.client.patch(
            SMS,
            content=b'{"concurrency": 5, "concurrency": 6}',
            headers={"content-type": "application/json"},
        )
        assert answer.status_code == 400
        assert (
            answer.json()["message"] == "The body: concurrency stands there twice; once is allowed"
        )
        shown = (await settings_of(service))["concurrency"]
        assert shown == {"value": 7, "source": "file"}


async def test_what_is_shown_may_be_sent_back(tmp_path: Path) -> None:
    async with running(tmp_path, configuration(concurrency=7, timeout="90s")) as service:
        before = {key: child(held)["value"] for key, held in (await settings_of(service)).items()}
        assert (await patch(service, before)).status_code == 200
        after = {key: child(held)["value"] for key, held in (await settings_of(service)).items()}
    assert before == after


BAD: list[tuple[JsonValue, str]] = [
    ({}, "The body is empty"),
    ([], "must be a JSON object"),
    ({"concurrency": 5, "timeout": 5}, "timeout: 5 is not allowed; it must be a duration"),
    ({"concurrency": 5, "rate": [{"limit": 1}]}, "rate[0].per: is missing"),
    ({"concurrency": 5, "pausd": True}, 'pausd: unknown key; did you mean "paused"?'),
]


async def test_a_bad_change_says_why_and_changes_nothing(tmp_path: Path) -> None:
    async with running(tmp_path, configuration()) as service:
        before = await settings_of(service)
        for body, words in BAD:
            refused = await patch(service, body)
            assert refused.status_code == 400
            assert refused.json()["error"] == "Bad request"
            assert words in refused.json()["message"]
        assert await settings_of(service) == before
        assert (await service.client.get("/audit")).json()["entries"] == []


async def test_what_is_no_json_or_no_route_is_refused(tmp_path: Path) -> None:
    json = {"Content-Type": "application/json"}
    async with running(tmp_path, configuration()) as service:
        broken = await service.client.patch(SMS, content=b'{"paused": tru', headers=json)
        nobody = await patch(service, {"paused": True}, "/providers/nobody")
        wrong = await service.client.post(SMS, json={})
    assert (broken.status_code, nobody.status_code, wrong.status_code) == (400, 404, 405)
    assert "not valid JSON" in broken.json()["message"]
    assert "email-sandbox, sms-sandbox, push-sandbox" in nobody.json()["message"]
    assert wrong.json()["statusCode"] == "405"


async def test_what_was_set_survives_a_restart(tmp_path: Path) -> None:
    async with running(tmp_path, configuration()) as service:
        await patch(service, {"paused": True, "timeout": "5s"})
    async with running(tmp_path, configuration(timeout="9s")) as service:
        shown = await settings_of(service)
        audit = (await service.client.get("/audit")).json()["entries"]
        assert shown["paused"] == {"value": True, "source": "override"}
        assert shown["timeout"] == {"value": "5s", "source": "override"}
        assert len(audit) == 1
        await service.client.delete(f"{SMS}/override")
    async with running(tmp_path, configuration(timeout="9s")) as service:
        assert (await settings_of(service))["timeout"] == {"value": "9s", "source": "file"}


async def test_without_its_store_nothing_changes(tmp_path: Path) -> None:
    async with running(tmp_path, configuration()) as service:
        with sqlite3.connect(tmp_path / "carillon.db") as other:
            other.execute("ALTER TABLE audit RENAME TO elsewhere")
        other.close()
        before = await settings_of(service)
        refused = await patch(service, {"paused": True})
        assert await settings_of(service) == before
        with sqlite3.connect(tmp_path / "carillon.db") as other:
            other.execute("ALTER TABLE elsewhere RENAME TO audit")
        other.close()
        assert (await patch(service, {"timeout": "1s"})).status_code == 200
        assert (await settings_of(service))["paused"] == {"value": False, "source": "default"}
    assert refused.status_code == 503
    assert refused.headers["Retry-After"] == "5"
    check(openapi_document("1", ""), "/providers/{provider}", refused, "patch")


async def test_changes_at_once_are_all_kept(tmp_path: Path) -> None:
    changes: list[Document] = [{"concurrency": 5}, {"timeout": "1s"}, {"weight": 3}]
    async with running(tmp_path, configuration()) as service:
        async with trio.open_nursery() as nursery:
            for change in changes:
                nursery.start_soon(patch, service, change)
        shown = await settings_of(service)
        entries = (await service.client.get("/audit")).json()["entries"]
    for change in changes:
        for key, value in change.items():
            assert shown[key] == {"value": value, "source": "override"}
    assert len(entries) == 3


async def test_a_prefix_is_in_front_of_the_operators_routes(tmp_path: Path) -> None:
    async with running(tmp_path, environ={"SERVICE_PREFIX": "/messaging"}) as service:
        assert (await service.client.get("/messaging/providers")).status_code == 200
        assert (await service.client.get("/messaging/supervisor")).status_code == 200
        assert (await service.client.get("/messaging/audit")).status_code == 200
        assert (await service.client.get("/providers")).status_code == 404


def test_a_state_is_told_in_a_word() -> None:
    limits = Limits()
    assert state(limits, QUIET) == "running"
    assert state(limits, replace(QUIET, quota_left=0)) == "out-of-quota"
    assert state(limits, replace(QUIET, quota_left=0, paused_for=1.0)) == "throttled"
    assert state(limits, replace(QUIET, paused_for=1.0, breaker="half-open")) == "probing"
    opened = replace(QUIET, paused_for=1.0, breaker="open")
    assert state(limits, opened) == "breaker-open"
    assert state(replace(limits, draining=True), opened) == "draining"
    assert state(replace(limits, draining=True, paused=True), opened) == "paused"


BODIES: list[Document] = [
    EVERYTHING,
    dict.fromkeys(KEYS),
    {"breaker": "closed"},
    {"retry": {}},
    {},
    {"concurrency": 0},
    {"concurrency": 10_001},
    {"rate": [{"limit": 10_000_001, "per": "1s"}]},
    {"rate": [{"limit": 1}]},
    {"rate": [{"limit": 1, "per": "1 s"}]},
    {"quota": {}},
    {"quota": {"limit": 1, "resetAt": "24:00"}},
    {"timeout": 30},
    {"retry": {"attempts": 101}},
    {"breaker": "open"},
    {"breaker": {"failures": 0}},
    {"onUnknownOutcome": "hodl"},
    {"weight": 1001},
    {"paused": 1},
    {"nobody": 1},
]


async def test_the_documented_shape_takes_what_the_service_takes(tmp_path: Path) -> None:
    documented = validator("ProviderPatch")
    async with running(tmp_path, configuration()) as service:
        for body in BODIES:
            answer = await patch(service, body)
            assert documented.is_valid(body) == (answer.status_code == 200), body


def test_the_documented_shapes_have_every_key() -> None:
    schemas = child(child(openapi_document("1", "")["components"])["schemas"])
    for name in ("ProviderPatch", "ProviderSettings"):
        assert set(child(child(schemas[name])["properties"])) == set(KEYS)
    described = child(schema_of(LiveKeys)["$defs"])
    for ours, theirs in (("RateLimit", "Rate"), ("DailyQuota", "Quota"), ("Retry", "Retry")):
        keys = child(child(described[f"{theirs}Keys"])["properties"])
        assert set(child(child(schemas[ours])["properties"])) == set(keys)
