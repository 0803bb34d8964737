"""Isolation: mails at a fixed pace, with and without an SMS provider that stalls, in turns.

A stalled provider accepts connections and answers nothing: its process is stopped. Dispatches
over sms then fill the channel's mailbox before the mails begin: several, since one alone may not
be given all of it.
"""

from __future__ import annotations

import argparse
import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from statistics import median
from typing import Final

import trio

from bench.carillon import Carillon, provider
from bench.children import ChildError, Server, module, server
from bench.client import mailbox_depth, posted
from bench.load import Load, at_pace, for_seconds
from bench.machine import Bystanders
from bench.part import Options, Part, amount, number
from bench.section import Bar, Row, Say, Section, table
from bench.store import fill_store
from bench.workload import dispatch, user_id

_MOST: Final = 1.2  # times the p99 without the stall
_MARGIN: Final = 60.0  # calls outlast the stall, so the mailbox stays full until its end
_LOOKS: Final = 5
_LOOK_EVERY: Final = 0.1
_PATIENCE: Final = 20.0
_SETTLE: Final = 1.0
_DISPATCHES: Final = 20


@dataclass(frozen=True, slots=True)
class Isolation:
    """What callers of one channel saw, while the other channel's provider stalled or without."""

    turn: int
    stalled: bool
    load: Load
    mailbox_depth: int
    others_cores: float


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seconds", type=amount, default=30.0, help="length of a stall")
    parser.add_argument("--repeat", type=number, default=3, help="turns, each without and with")
    parser.add_argument("--pace", type=amount, default=100.0, help="mails a second")
    parser.add_argument("--backlog", type=number, default=10_000, help="messages that get stuck")


def _measure(options: Options, folder: Path, say: Say) -> Section:
    """Without and with the stall, in turns."""
    filled = folder / "filled.db"
    fill_store(filled, options.backlog)
    runs: list[Isolation] = []
    with (
        server(module("bench.services.provider"), folder / "sms.log") as sms,
        server(module("bench.services.provider"), folder / "mail.log") as mail,
        _carillon(options, folder, sms, mail).running(filled) as service,
    ):
        scene = _Scene(options, service, sms, mail)
        for turn in range(options.repeat):
            for what, phase in (
                ("without a stall", scene.calm),
                ("while sms stalled", scene.stalled),
            ):
                runs.append(trio.run(phase, turn))
                load = runs[-1].load
                say(f"{what}: p99 {load.p99_ms:.1f} ms of {load.requests:,} mails")
    return _section(runs)


def _carillon(options: Options, folder: Path, sms: Server, mail: Server) -> Carillon:
    timeout = f"{round(options.seconds + _MARGIN)}s"
    providers = {
        "sms-service": provider(sms.url, options.concurrency, timeout=timeout),
        "mail-service": provider(mail.url, options.concurrency),
    }
    return Carillon(folder, providers, channels=("sms", "email"))


@dataclass(frozen=True, slots=True)
class _Scene:
    """The service and its two providers."""

    options: Options
    service: Server
    sms: Server
    mail: Server

    async def calm(self, turn: int) -> Isolation:
        """Mails, and nothing else."""
        await trio.sleep(_SETTLE)
        load, others = await self._mails()
        return Isolation(turn, False, load, 0, others)

    async def stalled(self, turn: int) -> Isolation:
        """Mails while the other channel is stuck; ends when that has caught up."""
        await trio.sleep(_SETTLE)
        async with posted(self.service.url, *self._backlog()) as backlog:
            with _stopped(self.sms):
                depth = await self._full_mailbox()
                load, others = await self._mails()
                if backlog.open < _DISPATCHES:
                    raise ChildError("the sms provider did not stall")
        return Isolation(turn, True, load, depth, others)

    async def _mails(self) -> tuple[Load, float]:
        bystanders = Bystanders(self.service.pid, self.sms.pid, self.mail.pid)
        ids = cycle(range(self.options.backlog))
        bodies = (dispatch("email", recipients=[user_id(one)]) for one in ids)
        enough = for_seconds(self.options.seconds)
        load = await at_pace(self.service.url, bodies, self.options.pace, enough)
        return load, bystanders.stop()

    def _backlog(self) -> Iterator[dict[str, object]]:
        for first in range(_DISPATCHES):
            numbers = range(first, self.options.backlog, _DISPATCHES)
            yield dispatch(recipients=[user_id(number) for number in numbers])

    async def _full_mailbox(self) -> int:
        """Wait until no more gets into the mailbox, though there is more; how much is in it."""
        depths: list[int] = []
        while len(depths) < _LOOKS or len(set(depths[-_LOOKS:])) > 1 or not depths[-1]:
            if len(depths) * _LOOK_EVERY > _PATIENCE:
                raise ChildError(f"the sms mailbox was not full within {_PATIENCE:g} s")
            await trio.sleep(_LOOK_EVERY)
            depths.append(mailbox_depth(self.service.url, "sms"))
        if depths[-1] + self.options.concurrency >= self.options.backlog:
            raise ChildError(
                f"{self.options.backlog:,} messages do not fill the mailbox; --backlog must be more"
            )
        return depths[-1]


@contextmanager
def _stopped(process: Server) -> Iterator[None]:
    """Let a provider stall: the kernel goes on accepting, and nobody answers."""
    os.kill(process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process.pid, signal.SIGCONT)


def _section(runs: Sequence[Isolation]) -> Section:
    """Latencies of the mails, phase by phase, and their ratio turn by turn."""
    rows: list[Row] = [
        {
            "turn": run.turn + 1,
            "phase": "sms stalled" if run.stalled else "calm",
            "mails": run.load.requests,
            "p50 ms": run.load.p50_ms,
            "p99 ms": run.load.p99_ms,
            "most ms": run.load.most_ms,
            "sms waiting": run.mailbox_depth if run.stalled else None,
            "others' cores": run.others_cores,
        }
        for run in runs
    ]
    ratios = [
        stalled.load.p99_ms / calm.load.p99_ms
        for calm, stalled in zip(runs[::2], runs[1::2], strict=True)
    ]
    bar = Bar("p99 with the stall, times that without", median(ratios), "at most", _MOST)
    title = "Isolation: mails at a fixed pace while the sms provider stalls"
    return Section(title, [table(rows)], runs, [bar])


PART: Final = Part("isolation", "one channel while the other's provider stalls", _options, _measure)
