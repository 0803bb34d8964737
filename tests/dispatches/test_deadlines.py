"""How long a message stays worth sending: what the request says, else what its channel says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from math import inf

import pytest
import trio
from trio.testing import MockClock

from carillon.dispatches.planner import DispatchPolicy, Ports
from carillon.dispatches.service import DispatchService
from carillon.handlebars import Engine
from carillon.messages.commands import parse_send
from carillon.messages.errors import AttachmentRefused
from carillon.messages.events import DispatchEnded, Event
from carillon.messages.model import Attachment, AttachmentReference, Channel, UserFields
from tests.dispatches.fakes import FakeDirectory, FakeJournal, FakePost, FakeRecovery

START = 100.0


class NoFiles:
    async def fetch(self, reference: AttachmentReference) -> Attachment:
        raise AttachmentRefused(reference.file)

    async def check(self) -> None:
        pass


async def posted(lives: dict[Channel, float], **asked: object) -> tuple[FakePost, list[Event]]:
    """What a request brings to the post, `START` seconds after the process began."""
    await trio.sleep(START)
    events, post = list[Event](), FakePost()
    rooms = Ports(
        FakeDirectory(), NoFiles(), FakeJournal(), FakeRecovery(), post, Engine(), events.append
    )
    rules = DispatchPolicy(
        active_channels=["email", "push"],
        senders={},
        user_fields=UserFields(email_address="_id", device_token="_id"),
        times_to_live=lives,
    )
    body = {
        "channels": ["email", "push"],
        "recipients": ["a@x"],
        "messageTitle": "t",
        "messageContent": "c",
        **asked,
    }
    async with trio.open_nursery() as nursery:
        await DispatchService(rooms, rules, nursery).accept(parse_send(body))
    return post, events


def ends(post: FakePost) -> dict[Channel, float]:
    return {one.delivery.channel: one.expires_at - START for one in post.envelopes}


async def test_without_a_word_nothing_expires(autojump_clock: MockClock) -> None:
    post, _ = await posted({})
    assert ends(post) == {"email": inf, "push": inf}


async def test_a_channel_has_a_time_of_its_own(autojump_clock: MockClock) -> None:
    post, _ = await posted({"push": 60.0})
    assert ends(post) == {"email": inf, "push": 60.0}


async def test_a_request_decides_for_all_its_channels(autojump_clock: MockClock) -> None:
    post, _ = await posted({"push": 60.0}, timeToLive="5m")
    assert ends(post) == {"email": 300.0, "push": 300.0}


async def test_a_moment_counts_from_the_wall_clock(autojump_clock: MockClock) -> None:
    moment = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    post, _ = await posted({}, expiresAt=moment)
    assert ends(post) == {name: pytest.approx(3600, abs=60) for name in ("email", "push")}


async def test_a_moment_in_the_past_ends_every_delivery_without_a_call(
    autojump_clock: MockClock,
) -> None:
    post, events = await posted({}, expiresAt="2020-01-01T00:00:00Z")
    assert post.envelopes == []
    [end] = [event for event in events if isinstance(event, DispatchEnded)]
    assert end.counts == {"expired": 2}


async def test_a_priority_reaches_the_post(autojump_clock: MockClock) -> None:
    post, _ = await posted({}, priority="high")
    assert {one.priority for one in post.envelopes} == {"high"}
