"""The configuration file of a running service: followed, refused, and what has to wait."""

from __future__ import annotations

from dataclasses import replace

import pytest
import trio
from trio.testing import MockClock

from carillon.access.keys import ApiKey, draw_key
from carillon.actors.provider.limits import Limits
from carillon.actors.provider.rate_limit import Rate
from carillon.messages.errors import JournalUnavailable
from carillon.settings import AccessSettings, ConfigurationError, Settings, from_document
from carillon.tuning.live import ANOTHER_TRY, reload
from tests.settings.examples import sms
from tests.tuning.tuning_office import Memory, configured, office


async def test_a_file_that_changed_is_followed_under_the_overrides() -> None:
    at = office()
    await at.tuning.change("first", {"concurrency": 5}, "a")
    new = configured(
        ["second", {"name": "first", "weight": 2}],
        "10m",
        concurrency=9,
        rate=[{"limit": 1, "per": "1s"}],
    )
    await at.tuning.follow(new, "SIGHUP")

    assert at.limits().concurrency == 5
    assert at.limits().rates == (Rate(1, 1.0),)
    assert at.order() == [("second", None), ("first", 2)]
    assert at.tuning.times_to_live == {"sms": 600.0}
    assert [(one.who, one.provider, one.after) for one in at.store.entries[1:]] == [
        ("SIGHUP", "first", {"rate": [{"limit": 1, "per": "1s"}], "weight": 2}),
        (
            "SIGHUP",
            None,
            {"channels.sms.providers": ["second", "first"], "channels.sms.timeToLive": "10m"},
        ),
    ]
    assert at.tuning.file_status().at_next_start == []
    await at.tuning.reset("first", "a")
    assert at.limits().concurrency == 9


async def test_times_to_live_go_as_they_came() -> None:
    at = office(ttl="10m")
    held = at.tuning.times_to_live
    assert held == {"sms": 600.0}
    await at.tuning.follow(configured(), "SIGHUP")

    assert held == {}


async def test_what_waits_for_the_next_start_is_named_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    at = office()
    new = from_document(
        sms(
            providers={"third": {"type": "sandbox"}},
            channels={"sms": {"providers": ["third"]}},
            drain="1s",
        ),
        {},
    )
    await at.tuning.follow(new, "SIGHUP")

    assert at.tuning.file_status().at_next_start == ["drain", "channels.sms.providers"]
    told = [one.getMessage() for one in caplog.records if "next start" in one.getMessage()]
    assert told == ["these keys take effect at the next start: drain, channels.sms.providers"]
    assert at.order() == [("first", None), ("second", None)]
    assert at.store.entries == []

    await at.tuning.follow(at.settings, "SIGHUP")
    assert at.tuning.file_status().at_next_start == []


def with_keys(settings: Settings, *keys: ApiKey) -> Settings:
    return replace(settings, access=AccessSettings(keys))


async def test_keys_that_come_and_go_are_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    at = office()
    token, shop = draw_key("shop", ["send", "read"])
    _, desk = draw_key("desk", ["read"], expires_at=1_900_000_000.0)
    again, exchanged = draw_key("shop", ["send", "read"])
    shop_only = with_keys(at.settings, shop)
    for new in (shop_only, shop_only, with_keys(at.settings, exchanged, desk), shop_only):
        await at.tuning.follow(new, "SIGHUP")

    assert [(one.who, one.action, one.before, one.after) for one in at.store.entries] == [
        ("SIGHUP", "reload", {"apiKeys.shop": None}, {"apiKeys.shop": "send read"}),
        (
            "SIGHUP",
            "reload",
            {"apiKeys.shop": "send read", "apiKeys.desk": None},
            {
                "apiKeys.shop": "send read, another secret",
                "apiKeys.desk": "read until 2030-03-17T17:46:40Z",
            },
        ),
        (
            "SIGHUP",
            "reload",
            {"apiKeys.shop": "send read", "apiKeys.desk": "read until 2030-03-17T17:46:40Z"},
            {"apiKeys.shop": "send read, another secret", "apiKeys.desk": None},
        ),
    ]
    told = [one.getMessage().partition("changed: ")[2] for one in caplog.records]
    assert told == [
        "apiKeys.shop (let in)",
        "nothing",
        "apiKeys.shop, apiKeys.desk (let in)",
        "apiKeys.shop, apiKeys.desk (shut out)",
    ]
    kept = caplog.text + repr(at.store.entries)
    for secret in (token, again):
        assert secret.partition(".")[2] not in kept


async def test_keys_that_cannot_be_audited_are_not_let_in() -> None:
    at = office(Memory(fails=True))
    token, key = draw_key("shop", ["send"])
    with pytest.raises(JournalUnavailable):
        await at.tuning.follow(with_keys(at.settings, key), "SIGHUP")
    assert at.keys.find(token) is None


async def test_keys_that_are_all_gone_stay_and_nothing_is_told_of_them() -> None:
    _, key = draw_key("shop", ["send"])
    at = office()
    at.keys.replace([key])
    await at.tuning.follow(at.settings, "SIGHUP")
    assert at.store.entries == []
    assert at.keys.by_id == {"shop": key}


async def test_a_change_of_the_file_that_cannot_be_audited_is_tried_again(
    autojump_clock: MockClock,
) -> None:
    at = office(Memory(fails=True))

    async def read() -> Settings:
        await trio.lowlevel.checkpoint()
        return configured(concurrency=7)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(reload, read, at.tuning, "configuration file")
        await trio.sleep(ANOTHER_TRY * 1.5)
        assert at.limits() == Limits()
        assert at.tuning.file_status().error == "The live settings cannot be written"
        at.store.fails = False

    assert at.limits().concurrency == 7
    assert at.tuning.file_status().error is None


async def test_a_bad_file_is_refused_and_the_old_one_holds(
    caplog: pytest.LogCaptureFixture,
) -> None:
    at = office(concurrency=7)

    async def read() -> Settings:
        await trio.lowlevel.checkpoint()
        raise ConfigurationError(["drain: no"])

    await reload(read, at.tuning, "SIGHUP")

    assert at.limits().concurrency == 7
    assert at.tuning.file_status().error == "The configuration is wrong: drain: no"
    assert "drain: no" in caplog.text
