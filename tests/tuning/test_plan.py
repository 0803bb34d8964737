"""File and overrides together: what holds, what changes, and what waits for the next start."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from carillon.actors.provider.rate_limit import Rate
from carillon.messages.model import Document, JsonValue
from carillon.settings import ProviderChoice, Settings, from_document
from carillon.tuning.patch import Override
from carillon.tuning.plan import Plan, changes_of, changes_of_channels
from carillon.tuning.reload import at_next_start
from tests.settings.examples import settings, sms

BOTH: Document = {
    "first": {"type": "sandbox"},
    "second": {"type": "sandbox", "concurrency": 7},
}


def two(
    providers: Document | None = None,
    order: Sequence[JsonValue] = ("first", "second"),
    **keys: JsonValue,
) -> Settings:
    """Sms over two providers."""
    channel: Document = {"providers": [*order]}
    if "timeToLive" in keys:
        channel["timeToLive"] = keys.pop("timeToLive")
    return from_document(
        sms(channels={"sms": channel}, providers={**BOTH, **(providers or {})}, **keys), {}
    )


def plan(found: Settings, **overrides: Document) -> Plan:
    return Plan(found.providers, found.channels, {k: Override(v) for k, v in overrides.items()})


def test_an_override_wins_over_the_file_until_it_is_taken_away() -> None:
    of_file = plan(two())
    overridden = of_file.overriding("second", Override({"concurrency": 3}))

    assert overridden.limits("second").concurrency == 3
    assert overridden.limits("first") == of_file.limits("first")
    assert overridden.overriding("second", Override({})).limits("second").concurrency == 7


def test_a_weight_from_an_override_goes_into_the_order() -> None:
    weighed = plan(two(order=["first", {"name": "second", "weight": 3}]), first={"weight": 2})

    assert weighed.order("sms") == [ProviderChoice("first", 2), ProviderChoice("second", 3)]
    assert weighed.channels_of("first") == ["sms"]


def test_an_override_of_a_provider_that_is_not_there_is_kept_and_unused() -> None:
    kept = plan(two(), gone={"concurrency": 3}).following(two({"first": {"type": "sandbox"}}))

    assert kept.override("gone") == Override({"concurrency": 3})
    assert [*kept.providers] == ["first", "second"]


def test_limits_order_weights_and_time_to_live_follow_the_file() -> None:
    new = two(
        {"first": {"type": "sandbox", "rate": [{"limit": 5, "per": "1s"}]}},
        order=[{"name": "second", "weight": 2}, "first"],
        timeToLive="5m",
    )
    followed = plan(two()).following(new)

    assert followed.limits("first").rates == (Rate(5, 1.0),)
    assert followed.order("sms") == [ProviderChoice("second", 2), ProviderChoice("first")]
    assert followed.channels["sms"].time_to_live == 300.0
    assert at_next_start(two(), new) == []


def test_what_an_override_holds_does_not_follow_the_file() -> None:
    held = plan(two(), second={"concurrency": 3})
    followed = held.following(two({"second": {"type": "sandbox", "concurrency": 9}}))

    assert followed.limits("second").concurrency == 3
    assert changes_of("second", held, followed) == ({}, {})


def test_a_provider_that_left_every_channel_keeps_its_limits_and_may_come_back() -> None:
    alone = plan(two()).following(two(order=["first"]))
    assert alone.order("sms") == [ProviderChoice("first")]
    assert alone.channels_of("second") == []
    assert alone.limits("second").concurrency == 7

    assert len(alone.following(two()).order("sms")) == 2


def test_a_channel_waits_for_the_next_start_with_a_provider_that_is_not_running() -> None:
    new = two({"third": {"type": "sandbox"}}, order=["third", "first"], timeToLive="5m")
    followed = plan(two()).following(new)

    assert followed.order("sms") == plan(two()).order("sms")
    assert followed.channels["sms"].time_to_live == 300.0
    assert at_next_start(two(), new) == ["channels.sms.providers"]


def test_a_provider_of_another_type_waits_whole() -> None:
    new = two({"second": {"type": "sms-service", "url": "http://x", "concurrency": 1}})
    followed = plan(two()).following(new)

    assert followed.limits("second").concurrency == 7
    assert at_next_start(two(), new)[:2] == ["providers.second.type", "providers.second.url"]


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"respondWithin": "1s"}, "respondWithin"),
        ({"drain": "1s"}, "drain"),
        ({"escaping": "everywhere"}, "escaping"),
        ({"limits": {"failures": 1}}, "limits"),
        ({"directory": {"attempts": 1}}, "directory"),
        ({"templates": {"steps": 1}}, "templates"),
        ({"idempotency": {"expiry": "1h"}}, "idempotency"),
        ({"journal": {"retention": "1h"}}, "journal"),
        ({"userFields": {"id": "x"}}, "userFields"),
        ({"androidIntentAction": "x"}, "androidIntentAction"),
        ({"sender": {"sms": "Other"}}, "sender"),
        ({"flowManagerConfiguration": {"metadataSchema": {"channels": "c"}}}, "flowManagerConfi"),
        ({"providers": {"sms-service": {"url": "http://x"}}}, "providers.sms-service.url"),
        ({"activeChannels": ["sms", "email"], "sender": {"sms": "S", "email": "a@b.it"}}, "active"),
    ],
)
def test_what_a_running_service_cannot_change_is_named(keys: Document, expected: str) -> None:
    environ = {"SMS_SERVICE_NAME": "sms-service", "MAIL_SERVICE_NAME": "mail"}

    found = at_next_start(settings(environ=environ), settings(sms() | keys, environ))

    assert found[0].startswith(expected)
    assert at_next_start(settings(sms() | keys, environ), settings(sms() | keys, environ)) == []


def test_changes_are_told_before_and_after_and_no_others() -> None:
    old = plan(two())
    new = old.overriding("second", Override({"concurrency": 3, "weight": 2}))

    assert changes_of("second", old, new) == (
        {"concurrency": 7, "weight": None},
        {"concurrency": 3, "weight": 2},
    )
    assert changes_of("first", old, new) == ({}, {})
    assert changes_of_channels(old, new) == ({}, {})


def test_a_value_that_is_only_pinned_is_a_change() -> None:
    old = plan(two())

    assert changes_of("second", old, old.overriding("second", Override({"concurrency": 7}))) == (
        {"concurrency": 7},
        {"concurrency": 7},
    )


def test_changes_of_channels_are_told_with_their_keys() -> None:
    old = plan(two())

    assert changes_of_channels(old, old.following(two(order=["second"], timeToLive="1m"))) == (
        {"channels.sms.providers": ["first", "second"], "channels.sms.timeToLive": None},
        {"channels.sms.providers": ["second"], "channels.sms.timeToLive": "1m"},
    )
