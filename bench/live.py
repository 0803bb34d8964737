"""A provider is tuned during a dispatch: what arrives shows when each rate is in force."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import trio

from bench import arrivals
from bench.carillon import Carillon, Keys, provider
from bench.children import ChildError, Server, module, server
from bench.client import Posted, patch_provider, posted, take_arrivals
from bench.report.section import Say
from bench.results import Live
from bench.store import fill_store
from bench.workload import CLUSTER, WrongResultError, dispatch

_NAME: Final = "sms-service"
_SLOW: Final = 10
_FAST: Final = 100
_RATES: Final = (_FAST, _SLOW, _FAST)


Tune = Callable[[dict[str, object]], None]


@dataclass(frozen=True, slots=True)
class LivePlan:
    """What is to be measured; each rate but the last stands for `seconds`."""

    users: int
    seconds: float
    concurrency: int


def measure_live(plan: LivePlan, folder: Path, say: Say) -> Live:
    """One dispatch, from 10 a second to 100, back, and to 100. Raises WrongResultError."""
    filled = folder / "filled.db"
    fill_store(filled, plan.users)
    with server(module("bench.services.provider", "arrivals"), folder / "provider.log") as receiver:
        providers = {_NAME: provider(receiver.url, plan.concurrency, **_rate(_SLOW))}
        carillon = Carillon(folder, providers)
        with carillon.running(filled) as service:
            take_arrivals(receiver.url)
            tune = partial(patch_provider, service.url, carillon.operator_token, _NAME)
            settings = trio.run(_tuned, plan, service, tune, say)
        came = take_arrivals(receiver.url)
    if len(came) != plan.users:
        raise WrongResultError(f"{plan.users} messages were to arrive; arrived: {len(came)}")
    return Live(
        plan.users,
        arrivals.changes(came, settings),
        arrivals.most_between(came, settings),
        arrivals.exceeded(came, settings),
        arrivals.buckets(came, settings[0].asked),
    )


async def _tuned(plan: LivePlan, service: Server, tune: Tune, say: Say) -> list[arrivals.Setting]:
    started = time.monotonic()
    settings = [arrivals.Setting(_SLOW, started, started)]
    async with posted(service.url, dispatch(clusters=[CLUSTER])) as large:
        for limit in _RATES:
            await trio.sleep(plan.seconds)
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
