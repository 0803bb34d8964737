"""A PATCH is held to the rules of the file; file and override together say what holds."""

from __future__ import annotations

from contextlib import suppress
from datetime import time

import pytest
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st

from carillon.actors.provider.breaker import BreakerSettings
from carillon.actors.provider.limits import Limits, Retry
from carillon.actors.provider.quota import Quota
from carillon.actors.provider.rate_limit import Rate
from carillon.messages.errors import BadCommand
from carillon.messages.model import Document, JsonValue
from carillon.settings import ProviderSettings
from carillon.tuning.patch import KEYS, LiveKeys, Override, in_force, limits, parse_patch, usable
from tests.properties import examples
from tests.settings.examples import settings, sms_provider
from tests.settings.file.test_schema import ANYTHING

EVERYTHING: Document = {
    "concurrency": 5,
    "rate": [{"limit": 10, "per": "1s"}, {"limit": 100, "per": "1m"}],
    "quota": {"limit": 500, "resetAt": "06:30", "zone": "Europe/Rome"},
    "timeout": "2500ms",
    "retry": {"attempts": 2, "firstDelay": "1s", "maxDelay": "2s"},
    "breaker": {"failures": 3, "cooldown": "1m"},
    "onUnknownOutcome": "retry",
    "weight": 3,
    "paused": True,
    "draining": True,
}


def section(**keys: JsonValue) -> ProviderSettings:
    """The section of the SMS service with these keys in the file."""
    return settings(sms_provider(**keys)).providers["sms-service"]


def refused(body: object) -> str:
    with pytest.raises(BadCommand) as raised:
        parse_patch(body)
    return str(raised.value)


def values(section: ProviderSettings, override: Document, weight: int | None = None) -> Document:
    return {
        key: held["value"]
        for key, held in in_force(section, {"sms": weight}, Override(override)).items()
    }


def sources(section: ProviderSettings, override: Document, weight: int | None = None) -> Document:
    return {
        key: held["source"]
        for key, held in in_force(section, {"sms": weight}, Override(override)).items()
    }


def test_every_key_of_a_patch_arrives_at_the_guard() -> None:
    patch = parse_patch(EVERYTHING)

    override = patch.applied_to(Override())
    assert limits(section(), override) == Limits(
        concurrency=5,
        rates=(Rate(10, 1.0), Rate(100, 60.0)),
        quota=Quota(500, time(6, 30), "Europe/Rome"),
        timeout=2.5,
        retry=Retry(2, 1.0, 2.0),
        breaker=BreakerSettings(3, 60.0),
        on_unknown_outcome="retry",
        paused=True,
        draining=True,
    )
    assert override.weight == 3
    assert not patch.closes_breaker


def test_values_are_shown_as_the_file_would_write_them() -> None:
    assert set(KEYS) == set(EVERYTHING)
    assert values(section(), EVERYTHING) == EVERYTHING
    assert set(sources(section(), EVERYTHING).values()) == {"override"}


def test_without_anything_the_defaults_hold() -> None:
    assert values(section(), {}) == {
        "concurrency": 20,
        "rate": [],
        "quota": None,
        "timeout": "30s",
        "retry": {"attempts": 8, "firstDelay": "500ms", "maxDelay": "1m"},
        "breaker": {"failures": 10, "cooldown": "30s"},
        "onUnknownOutcome": "hold",
        "weight": None,
        "paused": False,
        "draining": False,
    }
    assert set(sources(section(), {}).values()) == {"default"}
    assert limits(section(), Override()) == Limits()


def test_a_value_tells_where_it_comes_from() -> None:
    of_file = section(concurrency=20, timeout="10s")

    found = sources(of_file, {"timeout": "30s"}, weight=2)

    assert found["concurrency"] == "file"  # though it is the default's value
    assert found["timeout"] == "override"
    assert found["weight"] == "file"
    assert found["rate"] == "default"
    assert limits(of_file, Override({"concurrency": 3})).timeout == 10.0


def test_an_object_replaces_that_of_the_file_as_a_whole() -> None:
    of_file = section(retry={"attempts": 9, "maxDelay": "5s"})

    assert limits(of_file, Override({"retry": {"attempts": 2}})).retry == Retry(2, 0.5, 60.0)


def test_weights_that_differ_by_channel_are_told_by_channel() -> None:
    found = in_force(section(), {"sms": 3, "voice": None}, Override())["weight"]
    assert found == {"value": {"sms": 3, "voice": None}, "source": "file"}
    assert (
        in_force(section(), {"sms": 3, "voice": None}, Override({"weight": 7}))["weight"]["value"]
        == 7
    )
    assert in_force(section(), {}, Override())["weight"] == {"value": None, "source": "default"}


def test_null_takes_a_key_away_and_the_others_stay() -> None:
    before = Override({"concurrency": 3, "paused": True})

    assert parse_patch({"paused": None, "timeout": "1s"}).applied_to(before).written == {
        "concurrency": 3,
        "timeout": "1s",
    }
    assert parse_patch({"rate": None}).applied_to(before) == before


def test_null_inside_an_object_counts_as_not_written() -> None:
    override = parse_patch({"retry": {"attempts": 2, "firstDelay": None}}).applied_to(Override())

    assert override.written == {"retry": {"attempts": 2}}
    assert limits(section(), override).retry == Retry(2, 0.5, 60.0)


def test_closing_the_breaker_is_done_and_not_kept() -> None:
    patch = parse_patch({"breaker": "closed", "paused": False})

    assert patch.closes_breaker
    settings_of_breaker: Document = {"breaker": {"failures": 3}}
    assert patch.applied_to(Override(settings_of_breaker)) == Override(
        {**settings_of_breaker, "paused": False}
    )


@pytest.mark.parametrize("body", [[], "x", 1, None, True])
def test_a_body_that_is_no_object_is_refused(body: JsonValue) -> None:
    assert refused(body).startswith("The body must be a JSON object with any of concurrency, rate")


def test_a_body_without_a_key_is_refused() -> None:
    assert refused({}).startswith("The body is empty; it may have any of concurrency, rate")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"concurrency": 0}, "concurrency: 0 is not allowed; it must be a whole number from 1 to"),
        ({"concurrency": "5"}, 'concurrency: "5" is not allowed; it must be a whole number'),
        ({"concurrency": True}, "concurrency: true is not allowed"),
        ({"concurrency": 5.0}, "concurrency: 5.0 is not allowed"),
        ({"rate": {"limit": 1}}, "rate: an object is not allowed; it must be a list"),
        ({"rate": [{"limit": 1}]}, "rate[0].per: is missing"),
        ({"rate": [{"limit": 1, "per": "1s", "burst": 1}]}, "rate[0].burst: unknown key; known"),
        ({"rate": [None]}, "rate[0]: null is not allowed"),
        ({"rate": [{"limit": 1, "per": "1s"}] * 101}, "rate: a list is not allowed"),
        ({"quota": {"resetAt": "00:00"}}, "quota.limit: is missing"),
        ({"quota": {"limit": 1, "zone": "Mars"}}, 'quota.zone: "Mars" is not allowed'),
        ({"timeout": 30}, "timeout: 30 is not allowed; it must be a duration such as"),
        ({"retry": {"firstDelay": "2m"}}, "an object whose firstDelay is at most its maxDelay"),
        ({"breaker": {"failures": 0}}, "breaker.failures: 0 is not allowed"),
        ({"breaker": "open"}, 'breaker: "open" is not allowed; it must be an object, or "closed"'),
        ({"onUnknownOutcome": "hodl"}, "it must be one of hold, retry"),
        ({"weight": 0}, "weight: 0 is not allowed; it must be a whole number from 1 to 1000"),
        ({"paused": "yes"}, 'paused: "yes" is not allowed; it must be true or false'),
        ({"draining": 1}, "draining: 1 is not allowed; it must be true or false"),
        ({"concurency": 5}, 'concurency: unknown key; did you mean "concurrency"?'),
        ({"concurency": None}, 'concurency: unknown key; did you mean "concurrency"?'),
        ({"on_unknown_outcome": "hold"}, 'did you mean "onUnknownOutcome"?'),
        ({"url": "http://x"}, "url: unknown key; known here: breaker, concurrency"),
        ({"type": "sandbox"}, "type: unknown key"),
        ({"timeout": "\ud800"}, "half of a surrogate pair"),
        ({"\ud800": 1}, "half of a surrogate pair"),
    ],
)
def test_what_the_file_would_refuse_is_refused(body: Document, message: str) -> None:
    assert message in refused(body)


def test_everything_wrong_stands_in_one_message() -> None:
    found = refused({"paused": False, "concurrency": 0, "timeout": 5, "nonsense": 1})

    assert found.startswith("nonsense: unknown key; ")
    assert "; concurrency: 0 is not allowed" in found
    assert "; timeout: 5 is not allowed" in found


def test_a_message_shows_values_short_and_printable() -> None:
    found = refused({"\x1b[31m" * 500: 1, "timeout": "\x1b" + "x" * 9000})

    assert found.isprintable()
    assert len(found) < 1500


def test_an_override_that_is_not_valid_any_more_is_left_out_key_by_key() -> None:
    kept, reasons = usable({"concurrency": 0, "paused": True, "gone": 1})

    assert kept == Override({"paused": True})
    assert kept.keys.paused
    assert [reason.split(":")[0] for reason in reasons] == ["concurrency", "gone"]


@pytest.mark.slow
@profile(max_examples=examples(200))
@given(body=ANYTHING | st.dictionaries(st.sampled_from(KEYS), ANYTHING, max_size=3))
def test_no_body_raises_anything_else(body: JsonValue) -> None:
    with suppress(BadCommand):
        assert usable(parse_patch(body).applied_to(Override()).written)[1] == []


WHOLE = st.integers(1, 1000)
DURATIONS = st.sampled_from(["1ms", "0.5ms", "999ms", "1.5s", "61s", "1m", "36h", "3650d"])
VALID = st.fixed_dictionaries(
    {},
    optional={
        "concurrency": WHOLE,
        "rate": st.lists(st.fixed_dictionaries({"limit": WHOLE, "per": DURATIONS}), max_size=3),
        "quota": st.fixed_dictionaries(
            {"limit": WHOLE}, optional={"resetAt": st.just("23:59"), "zone": st.just("Asia/Tokyo")}
        ),
        "timeout": DURATIONS,
        "retry": st.fixed_dictionaries({}, optional={"attempts": st.integers(1, 100)}),
        "breaker": st.fixed_dictionaries({}, optional={"cooldown": DURATIONS}),
        "onUnknownOutcome": st.sampled_from(["hold", "retry"]),
        "weight": WHOLE,
        "paused": st.booleans(),
        "draining": st.booleans(),
    },
)


@pytest.mark.slow
@given(override=VALID)
def test_what_is_shown_may_be_sent_back_and_changes_nothing(override: Document) -> None:
    shown = values(section(), override)
    back: Document = {key: shown[key] for key in override}

    assert limits(section(), Override(back)) == limits(section(), Override(override))
    assert values(section(), back) == shown
    assert usable(back) == (Override(back), [])


@pytest.mark.parametrize("rate", ["10/1s,100/1m", ["10/1s", {"limit": 100, "per": "1m"}]])
def test_windows_in_words_are_kept_as_every_replica_reads_them(rate: JsonValue) -> None:
    expected = [{"limit": 10, "per": "1s"}, {"limit": 100, "per": "1m"}]

    assert parse_patch({"rate": rate}).settings == {"rate": expected}


def test_windows_in_wrong_words_are_refused() -> None:
    assert refused({"rate": "10 a second"}).startswith('rate: "10 a second" is not allowed; it mu')


def test_an_override_is_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    override = Override(EVERYTHING)
    before = limits(section(), override)
    monkeypatch.setattr(LiveKeys, "model_validate", None)

    assert limits(section(), override) == before
    assert values_of(override)["timeout"] == "2500ms"
    assert override.weight == 3


def values_of(override: Override) -> Document:
    return {key: one["value"] for key, one in in_force(section(), {}, override).items()}
