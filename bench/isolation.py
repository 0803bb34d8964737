"""Isolation: mails at a fixed pace, with and without an SMS provider that stalls, in turns.

A stalled provider accepts connections and answers nothing: its process is stopped. Dispatches
over sms then fill the channel's mailbox before the mails begin: several, since one alone may not
be given all of it.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Final

import trio

from bench.carillon import Carillon, provider
from bench.children import ChildError, Server, module, server
from bench.client import mailbox_depth, posted
from bench.load import Load, at_pace, for_seconds
from bench.machine import Bystanders
from bench.report.section import Say
from bench.results import Isolation
from bench.store import fill_store
from bench.workload import dispatch, user_id

_MARGIN: Final = 60.0  # calls outlast the stall, so the mailbox stays full until its end
_LOOKS: Final = 5
_LOOK_EVERY: Final = 0.1
_PATIENCE: Final = 20.0
_SETTLE: Final = 1.0
_DISPATCHES: Final = 20


@dataclass(frozen=True, slots=True)
class IsolationPlan:
    """What is to be measured: `seconds` is the length of a phase, `pace` the mails a second."""

    seconds: float
    repeat: int
    pace: float
    backlog: int
    concurrency: int


def measure_isolation(plan: IsolationPlan, folder: Path, say: Say) -> Iterator[Isolation]:
    """Without and with the stall, in turns. Raises WrongResultError, ChildError."""
    filled = folder / "filled.db"
    fill_store(filled, plan.backlog)
    with (
        server(module("bench.services.provider"), folder / "sms.log") as sms,
        server(module("bench.services.provider"), folder / "mail.log") as mail,
        _carillon(plan, folder, sms, mail).running(filled) as service,
    ):
        scene = _Scene(plan, service, sms, mail)
        for turn in range(plan.repeat):
            for stalled in (False, True):
                run = trio.run(scene.stalled if stalled else scene.calm, turn)
                what = "while sms stalled" if stalled else "without a stall"
                say(f"{what}: p99 {run.load.p99_ms:.1f} ms of {run.load.requests:,} mails")
                yield run


def _carillon(plan: IsolationPlan, folder: Path, sms: Server, mail: Server) -> Carillon:
    timeout = f"{round(plan.seconds + _MARGIN)}s"
    providers = {
        "sms-service": provider(sms.url, plan.concurrency, timeout=timeout),
        "mail-service": provider(mail.url, plan.concurrency),
    }
    return Carillon(folder, providers, channels=("sms", "email"))


@dataclass(frozen=True, slots=True)
class _Scene:
    """The service and its two providers."""

    plan: IsolationPlan
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
        bystanders = Bystanders([self.service.pid, self.sms.pid, self.mail.pid])
        ids = cycle(range(self.plan.backlog))
        bodies = (dispatch("email", recipients=[user_id(one)]) for one in ids)
        enough = for_seconds(self.plan.seconds)
        load = await at_pace(self.service.url, bodies, self.plan.pace, enough)
        return load, bystanders.stop()

    def _backlog(self) -> Iterator[dict[str, object]]:
        for first in range(_DISPATCHES):
            numbers = range(first, self.plan.backlog, _DISPATCHES)
            yield dispatch(recipients=[user_id(number) for number in numbers])

    async def _full_mailbox(self) -> int:
        """Wait until no more gets into the mailbox, though there is more; how much is in it."""
        depths: list[int] = []
        while len(depths) < _LOOKS or len(set(depths[-_LOOKS:])) > 1 or not depths[-1]:
            if len(depths) * _LOOK_EVERY > _PATIENCE:
                raise ChildError(f"the sms mailbox was not full within {_PATIENCE:g} s")
            await trio.sleep(_LOOK_EVERY)
            depths.append(mailbox_depth(self.service.url, "sms"))
        if depths[-1] + self.plan.concurrency >= self.plan.backlog:
            raise ChildError(
                f"{self.plan.backlog:,} messages do not fill the mailbox; --backlog must be more"
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
