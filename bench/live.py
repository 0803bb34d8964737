"""A provider is tuned during a dispatch: what arrives shows when each rate is in force."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import trio

from bench import arrivals
from bench.carillon import Carillon, Keys, provider
from bench.children import ChildError, Server, module, server
from bench.client import Posted, patch_provider, posted, take_arrivals
from bench.part import Options, Part, amount, number
from bench.section import Bar, Row, Say, Section, table
from bench.store import fill_store
from bench.workload import CLUSTER, WrongResultError, dispatch

_NAME: Final = "sms-service"
_SLOW: Final = 10
_FAST: Final = 100
_RATES: Final = (_FAST, _SLOW, _FAST)

Tune = Callable[[dict[str, object]], None]


@dataclass(frozen=True, slots=True)
class Live:
    """A dispatch whose provider was tuned; `buckets` are arrivals in each 100 ms."""

    users: int
    changes: Sequence[arrivals.Change]
    most_in_a_window: Sequence[int]
    exceeded: int
    buckets: Sequence[int]


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--users", type=number, default=2000, help="users of the dispatch")
    parser.add_argument("--seconds", type=amount, default=4.0, help="how long a rate stands")


def _measure(options: Options, folder: Path, say: Say) -> Section:
    """One dispatch, from 10 a second to 100, back, and to 100."""
    filled = folder / "filled.db"
    fill_store(filled, options.users)
    with server(module("bench.services.provider", "arrivals"), folder / "provider.log") as receiver:
        section = provider(receiver.url, options.concurrency, **_rate(_SLOW))
        carillon = Carillon(folder, {_NAME: section})
        with carillon.running(filled) as service:
            take_arrivals(receiver.url)
            tune = partial(patch_provider, service.url, carillon.operator_token, _NAME)
            settings = trio.run(_tuned, options.seconds, service, tune, say)
        came = take_arrivals(receiver.url)
    if len(came) != options.users:
        raise WrongResultError(f"{options.users} messages were to arrive; arrived: {len(came)}")
    return _section(
        Live(
            options.users,
            arrivals.changes(came, settings),
            arrivals.most_between(came, settings),
            arrivals.exceeded(came, settings),
            arrivals.buckets(came, settings[0].asked),
        )
    )


async def _tuned(seconds: float, service: Server, tune: Tune, say: Say) -> list[arrivals.Setting]:
    started = time.monotonic()
    settings = [arrivals.Setting(_SLOW, started, started)]
    async with posted(service.url, dispatch(clusters=[CLUSTER])) as large:
        for limit in _RATES:
            await trio.sleep(seconds)
            settings.append(await _set(tune, limit, large))
            say(f"{limit} messages a second from now on")
    return settings


async def _set(tune: Tune, limit: int, large: Posted) -> arrivals.Setting:
    if not large.open:
        raise ChildError("the dispatch ended before all rates were set; --users must be more")
    asked = time.monotonic()
    await trio.to_thread.run_sync(tune, dict(_rate(limit)))
    return arrivals.Setting(limit, asked, time.monotonic())


def _rate(limit: int) -> Keys:
    return {"rate": [{"limit": limit, "per": f"{arrivals.WINDOW:g}s"}]}


def _section(run: Live) -> Section:
    """How long each change took to show, and whether a window was exceeded."""
    around = "arrivals in each 100 ms: the second before, the two after"
    rows: list[Row] = [
        {
            "messages/s": f"{change.before} → {change.after}",
            "at s": change.at,
            "answered after ms": change.answered_after * 1000,
            "shows after ms": None if change.shown_after is None else change.shown_after * 1000,
            "most in a second from then": most,
            around: _around(run, change.at),
        }
        for change, most in zip(run.changes, run.most_in_a_window[1:], strict=True)
    ]
    shown = [one.shown_after for one in run.changes]
    slowest = max(float("inf") if after is None else after for after in shown)
    beyond = f"arrivals beyond the limit of a window of {arrivals.WINDOW:g} s"
    bars = (
        Bar("the slowest change shows", slowest, "at most", 1.0, " s"),
        Bar(beyond, run.exceeded, "at most", 0),
    )
    title = f"A rate changed during a dispatch to {run.users:,} users"
    return Section(title, [table(rows)], [run], bars)


def _around(run: Live, at: float) -> str:
    middle = round(at * 10)
    before, after = run.buckets[max(0, middle - 10) : middle], run.buckets[middle : middle + 20]
    return f"{' '.join(map(str, before))} \\| {' '.join(map(str, after))}"


PART: Final = Part("live", "a rate that is changed during a dispatch", _options, _measure)
