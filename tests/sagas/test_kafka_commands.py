"""A stream of commands: order, commits, pressure, and what happens when partitions go."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
import trio
from trio.testing import MockClock

from carillon.kafka.ports import Record
from carillon.messages.events import Event, SagaCommandRead, StreamMoved
from carillon.sagas.kafka_commands import CommandStream
from carillon.sagas.kafka_records import RecordReader
from tests.sagas.kafka_source import FakeSource, Taker, record

HERE = ("c", 0)


@dataclass
class Desk:
    stream: CommandStream
    source: FakeSource
    take: Taker
    seen: list[Event]
    stop: trio.Event

    def trouble(self) -> str | None:
        return self.stream.trouble


@asynccontextmanager
async def reading(*records: Record, in_hand: int = 64) -> AsyncGenerator[Desk]:
    seen: list[Event] = []
    stream = CommandStream(RecordReader(["tell"], 1000), seen.append, in_hand)
    desk = Desk(stream, FakeSource(stream, *records), Taker(), seen, trio.Event())
    stream.granted([HERE])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stream.run, desk.source, desk.take, desk.stop)
        yield desk
        desk.stop.set()


async def test_what_is_decided_is_committed_up_to_the_first_that_is_not(
    autojump_clock: MockClock,
) -> None:
    async with reading(*(record(number, f"S-{number}") for number in range(5, 10))) as desk:
        desk.take.slow = {7: 10.0}
        await trio.sleep(5)
        assert sorted(desk.take.decided) == [5, 6, 8, 9]
        assert desk.source.committed() == 7
        await trio.sleep(6)
        assert desk.source.committed() == 10


async def test_commands_of_one_saga_are_taken_in_their_order(autojump_clock: MockClock) -> None:
    async with reading(*map(record, range(5))) as desk:
        desk.take.slow = {0: 3.0, 1: 1.0}
        await trio.sleep(10)
    assert desk.take.decided == [0, 1, 2, 3, 4]
    assert desk.take.most_open == 1


async def test_no_more_are_fetched_than_are_in_hand(autojump_clock: MockClock) -> None:
    async with reading(*(record(n, f"S-{n}") for n in range(100)), in_hand=8) as desk:
        desk.take.seconds = 1.0
        await trio.sleep(20)
    assert sorted(desk.take.decided) == [*range(100)]
    assert desk.take.most_open == 8
    assert desk.source.most_asked == 8
    assert True in desk.source.holds
    assert desk.source.committed() == 100


async def test_while_nothing_can_be_taken_nothing_is_fetched_and_nothing_dropped(
    autojump_clock: MockClock,
) -> None:
    async with reading(*(record(n, f"S-{n}") for n in range(100)), in_hand=8) as desk:
        desk.take.full = True
        await trio.sleep(60)
        assert (desk.source.holds, len(desk.source.records)) == ([True], 92)
        assert desk.source.committed() is None
        assert desk.trouble() == "Too many dispatches are open"
        desk.take.full = False
        await trio.sleep(30)
    assert sorted(desk.take.decided) == [*range(100)]
    assert desk.trouble() is None
    assert [one for one in desk.seen if isinstance(one, StreamMoved)] == [
        StreamMoved("joined", "1"),
        StreamMoved("troubled", "Too many dispatches are open"),
    ]


@pytest.mark.parametrize(
    ("poison", "reason"),
    [
        (record(1, None), "no-key"),
        (record(1, b"\xff\xfe"), "no-key"),
        (record(1, ""), "no-key"),
        (record(1, "k" * 1001), "no-key"),
        (record(1, "S", b""), "not-json"),
        (record(1, "S", "no JSON"), "not-json"),
        (record(1, "S", b"\xff"), "not-json"),
        (record(1, "S", "[" * 900), "not-json"),
        (record(1, "S", '{"messageLabel": NaN}'), "not-json"),
        (record(1, "S", f'"{"x" * 1000}"'), "too-large"),
        (record(1, "S", "[]"), "no-label"),
        (record(1, "S", "null"), "no-label"),
        (record(1, "S", "{}"), "no-label"),
        (record(1, "S", '{"messageLabel": 5}'), "no-label"),
        (record(1, "S", '{"messageLabel": "other", "messagePayload": {}}'), "other-label"),
    ],
)
async def test_what_is_no_command_is_skipped_counted_and_passed_over(
    poison: Record, reason: str, autojump_clock: MockClock
) -> None:
    async with reading(record(0), poison, record(2)) as desk:
        await trio.sleep(1)
        assert desk.source.committed() == 3
    assert sorted(desk.take.decided) == [0, 2]
    assert SagaCommandRead("c/0/1", "skipped", reason) in desk.seen


async def test_an_empty_record_is_skipped(autojump_clock: MockClock) -> None:
    async with reading(Record("c", 0, 0, b"S", None)) as desk:
        await trio.sleep(1)
        assert desk.source.committed() == 1
    assert desk.take.begun == []


async def test_a_partition_is_given_up_when_what_has_begun_is_decided(
    autojump_clock: MockClock,
) -> None:
    async with reading(*(record(n, key) for n, key in enumerate("AABB"))) as desk:
        desk.take.seconds = 2.0
        await trio.sleep(1)
        offsets = await desk.stream.revoked([HERE])
        assert trio.current_time() == pytest.approx(4.0, abs=0.3)
        await trio.sleep(60)
    # The second of saga A stands before one that has begun, the second of saga B does not.
    assert sorted(desk.take.decided) == [0, 1, 2]
    assert offsets == {HERE: 3}


async def test_what_takes_too_long_is_cancelled_when_its_partition_goes(
    autojump_clock: MockClock,
) -> None:
    async with reading(record(0)) as desk:
        desk.take.seconds = 1000.0
        await trio.sleep(1)
        assert await desk.stream.revoked([HERE]) == {HERE: 0}
        assert trio.current_time() == pytest.approx(11.0, abs=0.3)
    assert desk.take.decided == []


async def test_what_waits_for_room_is_not_begun_once_its_partition_is_gone(
    autojump_clock: MockClock,
) -> None:
    async with reading(record(0)) as desk:
        desk.take.full = True
        await trio.sleep(2)
        assert await desk.stream.revoked([HERE]) == {HERE: 0}
        desk.take.full = False
        await trio.sleep(60)
    assert desk.take.decided == []


async def test_a_lost_partition_ends_at_once_and_commits_nothing(
    autojump_clock: MockClock,
) -> None:
    async with reading(record(0)) as desk:
        desk.take.seconds = 1000.0
        await trio.sleep(1)
        await desk.stream.lost([HERE])
        assert trio.current_time() == pytest.approx(1.0, abs=0.3)
    assert desk.source.commits == {}


async def test_a_partition_that_comes_back_is_read_from_where_it_went_on(
    autojump_clock: MockClock,
) -> None:
    async with reading(record(0)) as desk:
        await trio.sleep(1)
        assert await desk.stream.revoked([HERE]) == {HERE: 1}
        desk.stream.granted([HERE])
        desk.source.records.extend([record(1), record(2)])
        await trio.sleep(1)
        assert desk.source.committed() == 3


async def test_at_the_end_what_has_begun_is_decided_and_committed(
    autojump_clock: MockClock,
) -> None:
    async with reading(record(0), record(1, "other")) as desk:
        desk.take.seconds = 3.0
        await trio.sleep(1)
    assert sorted(desk.take.decided) == [0, 1]
    assert desk.source.committed() == 2
    assert desk.source.is_closed


async def test_one_that_is_cancelled_leaves_its_group(autojump_clock: MockClock) -> None:
    stream = CommandStream(RecordReader(), lambda _: None)
    source, take = FakeSource(stream, record(0)), Taker()
    take.seconds = 100.0
    with trio.move_on_after(2):
        await stream.run(source, take, trio.Event())
    assert source.is_closed
    assert (take.begun, take.decided) == ([0], [])


async def test_it_is_joined_once_it_was_granted_something_and_stays_so() -> None:
    stream = CommandStream(RecordReader(), lambda _: None)
    states = [stream.has_joined]
    stream.granted([])
    states.append(stream.has_joined)
    await stream.lost([])
    states.append(stream.has_joined)
    assert states == [False, True, True]


def test_a_record_has_the_same_name_when_it_comes_again_and_no_other_one() -> None:
    reader = RecordReader()

    def name(one: Record) -> str:
        found = reader.read(one)
        assert not isinstance(found, str)
        return found.name

    assert name(record(1)) == name(record(1))
    others = [record(1), record(2), record(1, "S-2"), record(1, partition=1)]
    again = Record("c", 0, 1, others[0].key, others[0].value, 5)  # the topic was made anew
    assert len({name(one) for one in [*others, again]}) == 5
