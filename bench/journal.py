"""What the journal takes of a busy loop, and what it costs by itself; all in µs a message.

`python -m bench.journal [MESSAGES]`: the bare loop of `bench.peers.bare_trio`, without a journal
and with one, and then enrolments and outcomes with nothing beside them, where the time outside
SQLite's statements is what holds the GIL.
"""

from __future__ import annotations

import sqlite3
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from threading import enumerate as all_threads
from typing import Final

import trio

from bench.by_hand import Connection, request_head
from bench.children import module, server
from bench.workload import message_bytes, user_id
from carillon.messages.model import Cursor, Receipt
from carillon.messages.ports.journal import AttemptStart, Enrolment, NewDispatch, Progress
from carillon.stores.sqlite.database import open_store
from carillon.stores.sqlite.journal.journal import SqliteJournal
from carillon.stores.sqlite.journal.sql import enrol, open_dispatch, record, start

_MESSAGES: Final = 20_000
_SLICE: Final = 100
_CONNECTIONS: Final = 20
_TURNS: Final = 5
_DISPATCH: Final = "0f8fad5b-d9cb-469f-a165-70867728950e"


def _enrolments(first: int) -> list[Enrolment]:
    names = [user_id(index) for index in range(first, first + _SLICE)]
    return [Enrolment("sms", f"user/{name}", name) for name in names]


def _receipt(row: Enrolment) -> Receipt:
    return Receipt("", _DISPATCH, "sms", row.key, row.user_id, "sent", "accepted", "", "sms", 1)


def _start(row: Enrolment) -> AttemptStart:
    return AttemptStart(_DISPATCH, "sms", row.key, 1, "sms")


async def _send_all(url: str, messages: int, journal: SqliteJournal | None) -> None:
    head = request_head(url, "/send")
    inbox, mailbox = trio.open_memory_channel[tuple[int, Enrolment]](2 * _SLICE)

    async def feed() -> None:
        with inbox:
            for first in range(0, messages, _SLICE):
                rows = _enrolments(first)
                if journal is not None:
                    await journal.enrol(_DISPATCH, rows, Progress("sms", Cursor()))
                for index, row in enumerate(rows, first):
                    try:  # each await would be a turn of the loop
                        inbox.send_nowait((index, row))
                    except trio.WouldBlock:
                        await inbox.send((index, row))

    async def work() -> None:
        connection = Connection(url)
        await connection.open()
        async for index, row in mailbox:
            body = message_bytes(index)
            if journal is not None:
                await journal.start(_start(row))
            await connection.exchange(b"%b%d\r\n\r\n%b" % (head, len(body), body))
            receipt = _receipt(row)
            if journal is not None:
                journal.record(receipt)
        connection.close()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(feed)
        for _ in range(_CONNECTIONS):
            nursery.start_soon(work)


async def _turn(url: str, messages: int, store: Path | None) -> tuple[float, float, float]:
    """Wall clock, CPU of the loop and CPU of the writer."""
    if store is None:
        started, cpu = time.perf_counter(), time.thread_time()
        await _send_all(url, messages, None)
        return time.perf_counter() - started, time.thread_time() - cpu, 0.0
    journal = SqliteJournal(store)
    async with journal.running():
        await journal.open(NewDispatch(_DISPATCH, ["sms"], "{}"))
        [writer] = [one for one in all_threads() if one.name == "journal-writer"]
        started, cpu, before = time.perf_counter(), time.thread_time(), _cpu_of(writer)
        await _send_all(url, messages, journal)
        await journal.close(_DISPATCH, {"sent": messages}, None)
        taken = time.perf_counter() - started
        return taken, time.thread_time() - cpu, _cpu_of(writer) - before


def _cpu_of(thread: Thread) -> float:
    assert thread.ident is not None
    return time.clock_gettime(time.pthread_getcpuclockid(thread.ident))


class _Timed(sqlite3.Connection):
    """Knows how much CPU its statements took."""

    seconds = 0.0

    def execute(self, *arguments: object) -> sqlite3.Cursor:
        started = time.thread_time()
        try:
            return super().execute(*arguments)  # type: ignore[arg-type]
        finally:
            self.seconds += time.thread_time() - started


def _alone(store: Path, messages: int) -> tuple[float, float]:
    """Seconds in SQLite's statements and outside them, for a commit a slice."""
    connection = sqlite3.connect(store, isolation_level=None, factory=_Timed)
    number = open_dispatch(connection, NewDispatch(_DISPATCH, ["sms"], "{}"), 1)
    assert number is not None
    slices = [_enrolments(first) for first in range(0, messages, _SLICE)]
    receipts = [[_receipt(row) for row in rows] for rows in slices]
    connection.seconds, started = 0.0, time.thread_time()
    for rows, ended in zip(slices, receipts, strict=True):
        connection.execute("BEGIN IMMEDIATE")
        enrol(connection, [(number, row) for row in rows], 1)
        start(connection, [(number, _start(row)) for row in rows], 1)
        record(connection, [(number, one) for one in ended], 2)
        connection.execute("COMMIT")
    whole = time.thread_time() - started
    connection.close()
    return connection.seconds, whole - connection.seconds


def main() -> None:
    """Measure and print."""
    messages = int(sys.argv[1]) if len(sys.argv) > 1 else _MESSAGES
    with TemporaryDirectory() as name:
        folder = Path(name)
        with server(module("bench.provider"), folder / "provider.log") as provider:
            for turn in range(_TURNS):
                for title, store in (("without", None), ("with", _store(folder / f"{turn}.db"))):
                    wall, loop, writer = trio.run(_turn, provider.url, messages, store)
                    _say(title, messages, {"wall": wall, "loop": loop, "writer": writer})
        inside, outside = _alone(_store(folder / "alone.db"), messages)
        _say("alone", messages, {"in SQLite": inside, "outside": outside})


def _say(title: str, messages: int, seconds: Mapping[str, float]) -> None:
    figures = (f"{name} {value / messages * 1e6:6.1f}" for name, value in seconds.items())
    print(f"{title:8} {'   '.join(figures)}")


def _store(path: Path) -> Path:
    open_store(path).close()
    return path


if __name__ == "__main__":
    main()
