"""The results as Markdown, for the README."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Generic, NamedTuple, TypeVar

from bench import fan_out, small_requests
from bench.machine import Machine
from bench.results import FanOut, Profile, Results, Small, middle, ratio

Run = TypeVar("Run", FanOut, Small)


class _Column(NamedTuple, Generic[Run]):
    """A title, and what stands under it for the runs of one contender among those of all."""

    title: str
    cell: Callable[[Sequence[Run], Sequence[Run]], str]


def _figure(title: str, form: str, figure: Callable[[Run], float]) -> _Column[Run]:
    return _Column(title, lambda own, _: format(middle(own, figure), form))


def _times(base: str, name: str) -> _Column[Run]:
    def cell(own: Sequence[Run], all_runs: Sequence[Run]) -> str:
        return f"{ratio(own, [run for run in all_runs if run.contender == base]):.2g}"

    return _Column(f"times {name}", cell)


_FAN_OUT: Final[Sequence[_Column[FanOut]]] = (
    _Column("users", lambda own, _: f"{own[0].users:,}"),
    _Column("contender", lambda own, _: own[0].contender),
    _figure("messages/s", ",.0f", lambda run: run.per_second),
    _times(fan_out.BARE_TRIO, "bare trio"),
    _times(fan_out.AIOHTTP, "aiohttp"),
    _figure("CPU µs/message", ",.0f", lambda run: run.cpu_us),
    _figure("idle MB", ".0f", lambda run: run.cost.idle_mb),
    _Column("peak MB", lambda own, _: f"{max(run.cost.peak_mb for run in own):.0f}"),
    _figure("others' cores", ".1f", lambda run: run.others_cores),
)
_SMALL: Final[Sequence[_Column[Small]]] = (
    _Column("callers", lambda own, _: f"{own[0].callers}"),
    _Column("contender", lambda own, _: own[0].contender),
    _figure("requests/s", ",.0f", lambda run: run.per_second),
    _times(small_requests.BARE_QUART, "bare route"),
    _figure("CPU µs/request", ",.0f", lambda run: run.cpu_us),
    _figure("p50 ms", ".1f", lambda run: run.load.p50_ms),
    _figure("p99 ms", ".1f", lambda run: run.load.p99_ms),
    _figure("others' cores", ".1f", lambda run: run.others_cores),
)


def markdown(results: Results) -> str:
    """Every table that there are figures for."""
    parts = [_where(results.machine)]
    if results.fan_out:
        parts += ["### Fan-out: one dispatch to N users over sms", _fan_out(results.fan_out)]
    if results.small:
        parts += ["### Small requests: one recipient, one channel", _small(results.small)]
    for profile in results.profiles:
        parts += [f"### Where the CPU of one message goes: {profile.work}", _profile(profile)]
    return "\n\n".join(parts)


def _where(machine: Machine) -> str:
    return (
        f"{machine.date}, Python {machine.python}, {machine.cores} cores ({machine.processor}); "
        f'a durable write takes {machine.durable_write_ms:.1f} ms here. "Others\' cores" is what '
        "other programs took of the machine meanwhile."
    )


def _fan_out(runs: Sequence[FanOut]) -> str:
    rows = []
    for users in dict.fromkeys(run.users for run in runs):
        rows += _rows(_FAN_OUT, [run for run in runs if run.users == users])
    return _table([column.title for column in _FAN_OUT], rows)


def _small(runs: Sequence[Small]) -> str:
    rows = []
    for callers in dict.fromkeys(run.callers for run in runs):
        rows += _rows(_SMALL, [run for run in runs if run.callers == callers])
    return _table([column.title for column in _SMALL], rows)


def _rows(columns: Sequence[_Column[Run]], runs: Sequence[Run]) -> list[list[str]]:
    contenders = dict.fromkeys(run.contender for run in runs)
    groups = [[run for run in runs if run.contender == name] for name in contenders]
    return [[column.cell(own, runs) for column in columns] for own in groups]


def _profile(profile: Profile) -> str:
    rows = [
        (
            station.name,
            f"{station.cpu_us:.1f}",
            f"{station.cpu_us / profile.cpu_us:.0%}",
            ", ".join(f"{name} {taken:.0f}" for name, taken in station.modules),
        )
        for station in profile.stations
    ]
    rows.append(("all", f"{profile.cpu_us:.1f}", "100%", f"{profile.per_second:,.0f} messages/s"))
    return _table(("station", "CPU µs/message", "share", "dearest modules"), rows)


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
