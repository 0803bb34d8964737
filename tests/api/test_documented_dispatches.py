"""Real answers about dispatches have the statuses, headers and bodies that are documented."""

from __future__ import annotations

import json
from pathlib import Path

import httpx

from carillon.api.openapi import openapi_document
from carillon.messages.model import CHANNELS, OUTCOMES, REASONS
from tests.api.test_documentation import check, pointed_at
from tests.running import Running, running, sandbox_configuration
from tests.scenarios.test_asynchronous import MIXED, TEMPLATE, begin, ended, failed_once, redrive
from tests.scenarios.test_waiting import USERS, slow

ONE = "/dispatches/{dispatchId}"


def documented(answer: httpx.Response, status: int, path: str, method: str = "get") -> None:
    assert answer.status_code == status, answer.text
    check(openapi_document("1", ""), path, answer, method)


async def test_lists_and_redrives(tmp_path: Path) -> None:
    async with running(tmp_path, users=MIXED, templates=[TEMPLATE]) as service:
        address = await failed_once(service)
        erased = await failed_once(service, data={"a": 1})
        for query, status in (("", 200), ("?state=done&limit=1", 200), ("?state=x", 400)):
            documented(await service.client.get(f"/dispatches{query}"), status, "/dispatches")
        query = "?reason=rejected&provider=email-sandbox&outcome=failed&outcome=in-doubt"
        shown = await service.client.get(f"{address}/deliveries{query}")
        documented(shown, 200, f"{ONE}/deliveries")
        for where, body, status in (
            (address, {}, 202),
            (address, {"outcome": "skipped"}, 200),
            (address, {"outcome": "sent"}, 400),
            (erased, {}, 409),
            ("/dispatches/nobody", {}, 404),
        ):
            await ended(service, address)
            answer = await redrive(service, where, body)
            documented(answer, status, f"{ONE}/redrive", "post")
        wrong = await service.client.post(f"{address}/redrive", content=b"x")
        documented(wrong, 415, f"{ONE}/redrive", "post")


async def test_cancelling(tmp_path: Path) -> None:
    async with running(tmp_path, slow(), users=USERS) as service:
        address = (await begin(service)).headers["Location"]
        for _ in range(2):
            documented(await service.client.delete(address), 200, ONE, "delete")
        none = (await begin(service, "", recipients=[])).headers["Dispatch-Id"]
        await ended(service, f"/dispatches/{none}")
        documented(await service.client.delete(f"/dispatches/{none}"), 409, ONE, "delete")
        documented(await service.client.delete("/dispatches/nobody"), 404, ONE, "delete")


async def keyed(service: Running, prefer: str = "", **body: object) -> httpx.Response:
    whole = {"channels": ["email"], "recipients": ["u1"], "messageTitle": "T", **body}
    headers = {"Idempotency-Key": "k", "Prefer": prefer}
    whole = {"messageContent": "C", **whole}
    return await service.client.post("/send", json=whole, headers=headers)


async def test_repeats(tmp_path: Path) -> None:
    async with running(tmp_path, slow(), users=USERS) as service:
        documented(await keyed(service, "respond-async"), 202, "/send", "post")
        again = await keyed(service, "respond-async, wait=0")
        documented(again, 202, "/send", "post")
        assert again.headers["Idempotency-Replayed"] == "true"
        documented(await keyed(service), 200, "/send", "post")
        documented(await keyed(service, messageContent="another"), 422, "/send", "post")


VALUES: dict[str, list[object]] = {
    "outcome": [*OUTCOMES, [], None, "", "lost", 1, True, {}, [None], [["failed"]], ["sent"]],
    "reason": [*REASONS, [], None, "", "x", 0, ["exhausted", "x"], ["exhausted", "rejected"]],
    "channel": [*CHANNELS, None, "", "fax", ["sms"], 1],
    "provider": [None, "", "nobody", "email-sandbox", 1, ["a"]],
    "user": ["x", None],
}
BODIES: list[object] = [
    {},
    *({name: value} for name, values in VALUES.items() for value in values),
    *[[], "failed", 1, None],
]


async def test_a_redrive_takes_what_its_schema_allows_and_nothing_else(tmp_path: Path) -> None:
    described = pointed_at(openapi_document("1", ""), "#/components/schemas/Redrive")
    async with running(tmp_path, users=MIXED, templates=[TEMPLATE]) as service:
        address = await failed_once(service)
        for body in BODIES:
            answer = await service.client.post(
                f"{address}/redrive",
                content=json.dumps(body),
                headers={"Content-Type": "application/json"},
            )
            assert answer.status_code in {200, 202, 400}, (body, answer.text)
            assert described.is_valid(body) is (answer.status_code != 400), (body, answer.text)
            documented(answer, answer.status_code, f"{ONE}/redrive", "post")
            await ended(service, address)


async def test_an_id_that_nobody_knows_is_told_with_how_long_rows_are_kept(tmp_path: Path) -> None:
    configuration = sandbox_configuration(journal={"retention": "2d"})
    async with running(tmp_path, configuration) as service:
        for method, path in (
            ("GET", "/dispatches/none"),
            ("GET", "/dispatches/none/deliveries"),
            ("DELETE", "/dispatches/none"),
            ("GET", "/events/none"),
        ):
            answer = await service.client.request(method, path)
            thing = {"dispatches": "dispatch", "events": "event"}[path.split("/")[1]]
            assert answer.status_code == 404
            assert answer.json() == {
                "statusCode": "404",
                "error": "Not found",
                "message": f"No {thing} with this id is known here (rows are kept 2 days)",
            }
            pattern = path.replace("none", "{eventId}" if "events" in path else "{dispatchId}")
            documented(answer, 404, pattern, method.lower())


async def test_dispatches_are_found_by_how_their_ids_begin(tmp_path: Path) -> None:
    async with running(tmp_path, users=USERS) as service:
        ids = [(await begin(service, "")).headers["Dispatch-Id"] for _ in range(3)]
        for prefix in (*ids, ids[0][:8], "", "x"):
            answer = await service.client.get("/dispatches", params={"idPrefix": prefix})
            documented(answer, 200, "/dispatches")
            found = [one["id"] for one in answer.json()["dispatches"]]
            assert sorted(found) == sorted(one for one in ids if one.startswith(prefix))
