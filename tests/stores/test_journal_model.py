"""The journal under chance: whatever is done to it, it says what a simple model says, over crashes.

What was awaited must be there after a crash; what was only handed over may be, in the order in
which it was.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from carillon.messages.model import FAILURES, Cursor, Outcome, Receipt, delivery_id
from carillon.messages.ports.journal import (
    AttemptEnd,
    AttemptStart,
    Enrolment,
    Journal,
    NewDispatch,
    Progress,
)
from carillon.messages.ports.records import PastAttempt, RecordFilter, Result
from carillon.stores.mongodb.client import connected, prepare
from carillon.stores.mongodb.schema import JOURNAL_INDEXES
from tests.neighbours.mongodb import new_database
from tests.properties import examples, is_nightly
from tests.stores.journal_bench import Bench, End, MongoBench, SeverableStore, SqliteBench
from tests.stores.starting import start

DISPATCHES = ("d0", "d0", "d0", "d1")
KEYS = ("user/a", "user/b", "listed/c")
FURTHER = ("user/d", "user/e", "user/f")
OUTCOMES: tuple[Outcome, ...] = ("sent", "failed", "skipped", "in-doubt", "expired", "cancelled")
RESULTS: tuple[Result, ...] = ("unavailable", "throttled", "unanswered", "unstarted")


@dataclass
class Row:
    """What is known of a delivery."""

    outcome: Outcome = "pending"
    attempts: list[PastAttempt] = field(default_factory=list)
    tries_from: int = 0


@dataclass
class Model:
    """What the journal must say."""

    rows: dict[str, dict[str, Row]] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)
    cancelled: set[str] = field(default_factory=set)
    ends_cancelled: set[str] = field(default_factory=set)
    kept: dict[str, str | bytes | None] = field(default_factory=dict)

    def end_attempt(self, dispatch: str, key: str, number: int, result: Result) -> None:
        """As the journal does: the first result counts."""
        attempts = self.rows[dispatch][key].attempts
        for at, one in enumerate(attempts):
            if one.number == number and one.result is None:
                attempts[at] = PastAttempt(number, one.provider, result)

    def answer(self, dispatch: str, key: str, outcome: Outcome) -> None:
        """The outcome of a delivery."""
        self.rows[dispatch][key].outcome = outcome


Change = Callable[[Model], None]


class World:
    """A journal, the model, and what was handed over and may be lost."""

    def __init__(self, bench: Bench) -> None:
        self.model = Model()
        self._bench = bench
        self._soft: list[tuple[End, Change]] = []

    async def open(self) -> None:
        await self._bench.open()

    async def close(self) -> None:
        await self._bench.close()

    @property
    def _journal(self) -> Journal:
        return self._bench.journal

    def _durable(self) -> None:
        for _, change in self._soft:
            change(self.model)
        self._soft.clear()

    def _hand_over(self, end: End, change: Change) -> None:
        self._soft.append((end, change))
        if isinstance(end, Receipt):
            self._journal.record(end)
        else:
            self._journal.end(end)

    async def begin(self, dispatch: str, keys: Sequence[str]) -> None:
        if dispatch in self.model.rows:
            return
        new = NewDispatch(dispatch, ["sms"], f'"{dispatch}"')
        told = await self._journal.open(new, [_enrolment(key) for key in keys])
        self._durable()
        self._enrolled(dispatch, keys, told)
        self.model.kept[dispatch] = new.request

    async def enrol(self, dispatch: str, keys: Sequence[str]) -> None:
        if dispatch in self.model.rows and dispatch not in self.model.ended:
            rows = [_enrolment(key) for key in keys]
            progress = Progress("sms", Cursor(len(keys), "k"))
            self._enrolled(dispatch, keys, await self._journal.enrol(dispatch, rows, progress))

    def _enrolled(self, dispatch: str, keys: Sequence[str], told: Sequence[bool]) -> None:
        rows = self.model.rows.setdefault(dispatch, {})
        expected = []
        for key in keys:
            expected.append(key not in rows)
            rows.setdefault(key, Row())
        assert list(told) == expected

    async def start(self, dispatch: str, key: str) -> None:
        row = self.model.rows.get(dispatch, {}).get(key)
        if row is None or dispatch in self.model.ended or self._is_answered(dispatch, key):
            return
        number = len(row.attempts) + 1
        await start(self._journal, AttemptStart(dispatch, "sms", key, number, "p"))
        self._durable()
        row.attempts.append(PastAttempt(number, "p", None))

    def _is_answered(self, dispatch: str, key: str) -> bool:
        after = deepcopy(self.model)
        for _, change in self._soft:
            change(after)
        return after.rows[dispatch][key].outcome != "pending"

    async def end(self, dispatch: str, key: str, result: Result) -> None:
        row = self.model.rows.get(dispatch, {}).get(key)
        if row is not None and row.attempts:
            number = len(row.attempts)
            self._hand_over(
                AttemptEnd(dispatch, "sms", key, number, result),
                lambda model: model.end_attempt(dispatch, key, number, result),
            )

    async def answer(self, dispatch: str, key: str, outcome: Outcome) -> None:
        known = key in self.model.rows.get(dispatch, {})
        if known and dispatch not in self.model.ended and not self._is_answered(dispatch, key):
            self._hand_over(
                _receipt(dispatch, key, outcome),
                lambda model: model.answer(dispatch, key, outcome),
            )

    async def finish(self, dispatch: str, keeps: bool) -> None:  # noqa: FBT001
        rows = self.model.rows.get(dispatch)
        if rows is None or dispatch in self.model.ended:
            return
        for key in rows:
            await self.answer(dispatch, key, "sent")
        kept = '"kept"' if keeps else None
        await self._journal.close(dispatch, {"sent": 1}, kept)
        self._durable()
        self.model.ended.add(dispatch)
        self.model.kept[dispatch] = kept

    async def cancel(self, dispatch: str) -> None:
        if dispatch in self.model.rows:
            await self._journal.cancel(dispatch)
            if dispatch not in self.model.ended:
                self.model.cancelled.add(dispatch)

    async def redrive(self, dispatch: str, outcomes: Sequence[Outcome]) -> None:
        if dispatch not in self.model.ended:
            return
        number = await self._journal.redrive(dispatch, RecordFilter(outcomes=outcomes))
        wanted = outcomes or set(OUTCOMES) - {"sent"}
        again = [
            row
            for row in self.model.rows[dispatch].values()
            if row.outcome in wanted and row.outcome != "sent"
        ]
        assert number == len(again)
        for row in again:
            row.outcome, row.tries_from = "pending", len(row.attempts)
        if again:
            self.model.ended.discard(dispatch)
            if dispatch in self.model.cancelled:
                self.model.cancelled.discard(dispatch)
                self.model.ends_cancelled.add(dispatch)

    async def crash(self) -> None:
        """Go on with what is durable now."""
        await self._bench.crash()
        await self._bench.open()
        possible: list[Model] = []
        for kept in self._bench.possible([end for end, _ in self._soft]):
            model = deepcopy(self.model)
            for place in kept:
                self._soft[place][1](model)
            possible.append(model)
        self._soft.clear()
        told = await self._told()
        self.model = next(model for model in possible if _expected(model) == told)

    async def check(self) -> None:
        """Reading makes durable what was handed over."""
        told = await self._told()
        self._durable()
        assert told == _expected(self.model)

    async def _told(self) -> dict[str, Any]:
        recovery, told = self._bench.recovery, dict[str, Any]()
        await recovery.unfinished()
        page = await self._bench.records.dispatches(None, "", 100)
        for identity in [one.id for one in page.dispatches]:
            # Whoever takes up what is pending finds what had ended and was still to be told.
            pending = await recovery.pending(identity, "sms", "", 100)
            left = await recovery.find_unfinished(identity)
            record = await self._bench.records.dispatch(identity)
            assert record is not None
            told[record.id] = (
                record.state,
                dict(record.counts),
                _text(await recovery.request(record.id)),
                {one.key: (list(one.attempts), one.starts) for one in pending if not one.ended},
                None if left is None else dict(left.counts),
            )
        return told


def _text(request: str | bytes | None) -> str | None:
    return request.decode() if isinstance(request, bytes) else request


def _expected(model: Model) -> Mapping[str, Any]:
    told = {}
    for dispatch, rows in model.rows.items():
        if dispatch in model.ended:
            was_cancelled = dispatch in model.cancelled | model.ends_cancelled
            state = "cancelled" if was_cancelled else "done"
        else:
            state = "cancelling" if dispatch in model.cancelled else "running"
        counts = Counter(row.outcome for row in rows.values())
        ended = {outcome: number for outcome, number in counts.items() if outcome != "pending"}
        pending = {
            key: ([one for one in row.attempts if one.number > row.tries_from], len(row.attempts))
            for key, row in rows.items()
            if row.outcome == "pending"
        }
        left = None if dispatch in model.ended else ended
        told[dispatch] = (state, dict(counts), model.kept[dispatch], pending, left)
    return told


def _enrolment(key: str) -> Enrolment:
    return Enrolment("sms", key, key.partition("/")[2])


def _receipt(dispatch: str, key: str, outcome: Outcome) -> Receipt:
    reason = "rejected" if outcome in FAILURES else "accepted"
    identity = delivery_id(dispatch, "sms", key)
    return Receipt(identity, dispatch, "sms", key, key, outcome, reason, "", "p", 1)  # type: ignore[arg-type]  # one of two


dispatches, keys = st.sampled_from(DISPATCHES), st.sampled_from(KEYS + FURTHER)
key_lists = st.lists(keys, max_size=3).flatmap(lambda some: st.sampled_from([some, sorted(some)]))
operations = st.one_of(
    st.tuples(st.just("begin"), dispatches, key_lists),
    st.tuples(st.just("enrol"), dispatches, key_lists),
    st.tuples(st.just("start"), dispatches, keys),
    st.tuples(st.just("start"), dispatches, keys),
    st.tuples(st.just("end"), dispatches, keys, st.sampled_from(RESULTS)),
    st.tuples(st.just("answer"), dispatches, keys, st.sampled_from(OUTCOMES)),
    st.tuples(st.just("finish"), dispatches, st.booleans()),
    st.tuples(st.just("cancel"), dispatches),
    st.tuples(st.just("redrive"), dispatches, st.lists(st.sampled_from(OUTCOMES), max_size=3)),
    st.tuples(st.just("crash")),
    st.tuples(st.just("crash")),
    st.tuples(st.just("check")),
)


stories = st.lists(operations, min_size=5, max_size=40)
Story = Sequence[tuple[Any, ...]]


async def _live_through(story: Story, bench: Bench) -> None:
    world = World(bench)
    await world.open()
    try:
        await world.begin("d0", KEYS)
        for operation, *arguments in story:
            await getattr(world, operation)(*arguments)
        await world.check()
    finally:
        await world.close()


@pytest.mark.slow
@given(story=stories)
@settings(
    max_examples=examples(150),
    derandomize=not is_nightly(),
    suppress_health_check=[HealthCheck.too_slow],
)
def test_it_says_what_a_simple_model_says_over_crashes(story: Story) -> None:
    with TemporaryDirectory() as name:
        trio.run(_live_through, story, SqliteBench(Path(name)))


@pytest.mark.servers
@given(story=stories)
@settings(
    max_examples=examples(80),
    derandomize=not is_nightly(),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
def test_mongodb_says_so_too(mongodb_server: str, story: Story) -> None:
    with new_database(mongodb_server) as url, connected(url) as client:
        prepare(client, url, JOURNAL_INDEXES)
        trio.run(_live_through, story, MongoBench(lambda: SeverableStore(client, url.database)))
