"""The results of each part as a section: tables for docs/benchmarks.md, and their bars."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import median
from typing import Final

from bench import fan_out as out
from bench import small_requests
from bench.compare import ratios
from bench.machine import Machine
from bench.report.section import (
    Bar,
    Column,
    Section,
    by_contender,
    least,
    middle,
    most,
    ratio,
    table,
    times,
)
from bench.results import Compared, FanOut, Profile, Small, Traced

PROFILE: Final = "Where the CPU of one message goes"
_BARE_BAR: Final = 0.45
_NODE_BAR: Final = 1.5
_ROUTE_BAR: Final = 0.5
_MOST_FILES: Final = {"send": 55, "saga": 62}
_MOST_CHANGES: Final = {"send": 240, "recovery": 650}
_SAGAS_BAR: Final = 224.0  # commands a second
_BUSY: Final = 0.9  # of a core: the provider's stand-in was the bottleneck
_FAN_OUT: Final[Sequence[Column[FanOut]]] = (
    Column("users", lambda own, _: f"{own[0].users:,}"),
    Column("contender", lambda own, _: own[0].contender),
    most("messages/s", ",.0f", lambda run: run.per_second),
    times(out.BARE_TRIO, "bare trio"),
    times(out.AIOHTTP, "aiohttp"),
    times(out.NODE, "Node.js"),
    least("CPU µs/message", ",.0f", lambda run: run.cpu_us),
    middle("idle MB", ".0f", lambda run: run.cost.idle_mb),
    most("peak MB", ".0f", lambda run: run.cost.peak_mb),
    most("provider's core", ".0%", lambda run: run.provider_share),
    middle("others' cores", ".1f", lambda run: run.others_cores),
)
_SMALL: Final[Sequence[Column[Small]]] = (
    Column("callers", lambda own, _: f"{own[0].callers}"),
    Column("contender", lambda own, _: own[0].contender),
    most("requests/s", ",.0f", lambda run: run.per_second),
    times(small_requests.BARE_QUART, "bare route"),
    least("CPU µs/request", ",.0f", lambda run: run.cpu_us),
    middle("p50 ms", ".1f", lambda run: run.load.p50_ms),
    middle("p99 ms", ".1f", lambda run: run.load.p99_ms),
    middle("others' cores", ".1f", lambda run: run.others_cores),
)


def where(machine: Machine) -> str:
    """What the figures come from, and how to read them."""
    return (
        f"{machine.date}, Python {machine.python}, {machine.cores} cores ({machine.processor}); "
        f"a durable write takes {machine.durable_write_ms:.1f} ms here. Contenders take turns: "
        "speeds and CPU times are the best of the turns, ratios the median of what each turn "
        'gives by itself. "Others\' cores" is what other programs took of the machine meanwhile.'
    )


def fan_out(runs: Sequence[FanOut], no_node: str | None) -> Section:
    """Messages a second, and costs; `no_node` says why there is no Node.js among them."""
    groups = [
        [run for run in runs if run.users == users]
        for users in dict.fromkeys(run.users for run in runs)
    ]
    texts = [by_contender(_FAN_OUT, groups)]
    if no_node is not None:
        texts.append(f"Without Node.js: {no_node}.")
    busy = dict.fromkeys(run.contender for run in runs if run.provider_share > _BUSY)
    texts.extend(f"The provider's stand-in was the bottleneck of: {name}." for name in busy)
    bars = [bar for group in groups for bar in _fan_out_bars(group)]
    return Section("Fan-out: one dispatch to N users over sms", texts, runs, bars)


def _fan_out_bars(runs: Sequence[FanOut]) -> Iterator[Bar]:
    own = [run for run in runs if run.contender == out.CARILLON]
    for base, least_ratio in ((out.BARE_TRIO, _BARE_BAR), (out.NODE, _NODE_BAR)):
        found = ratio(own, [run for run in runs if run.contender == base])
        if found is not None:
            yield Bar(f"{runs[0].users:,} users, times {base}", found, "at least", least_ratio)


def small(runs: Sequence[Small]) -> Section:
    """Requests a second and latencies, by the number of callers."""
    groups = [
        [run for run in runs if run.callers == callers]
        for callers in dict.fromkeys(run.callers for run in runs)
    ]
    bars = [bar for group in groups for bar in _small_bars(group)]
    title = "Small requests: one recipient, one channel"
    return Section(title, [by_contender(_SMALL, groups)], runs, bars)


def _small_bars(runs: Sequence[Small]) -> Iterator[Bar]:
    own = [run for run in runs if run.contender == small_requests.CARILLON]
    found = ratio(own, [run for run in runs if run.contender == small_requests.BARE_QUART])
    if found is not None:
        yield Bar(f"{runs[0].callers} callers, times bare route", found, "at least", _ROUTE_BAR)


def sagas(runs: Sequence[Small]) -> Section:
    """Commands a second and what each costs, by the number of callers."""
    groups = [
        [run for run in runs if run.callers == callers]
        for callers in dict.fromkeys(run.callers for run in runs)
    ]
    columns = [column for column in _SMALL if "bare" not in column.title]
    bars = [
        Bar(
            f"{group[0].callers} callers, commands a second",
            max(run.per_second for run in group),
            "at least",
            _SAGAS_BAR,
        )
        for group in groups
    ]
    title = "Commands of sagas: functions in Python, one message and one event each"
    return Section(title, [by_contender(columns, groups)], runs, bars)


def compared(name: str, runs: Sequence[Compared]) -> Section:
    """Both checkouts, pair by pair, and the median of the pairs' ratios."""
    rows = [
        (f"{run.pair + 1}", run.checkout, f"{run.per_second:,.0f}", f"{run.cpu_us:,.0f}")
        for run in runs
    ]
    rate, cpu = ratios(runs)
    text = (
        f"This checkout, times the other one, median of {len(rate)} pairs: "
        f"rate {_spread(rate)}, CPU each {_spread(cpu)}."
    )
    titles = ("pair", "checkout", "a second", "CPU µs each")
    return Section(f"Two checkouts side by side: {name}", [table(titles, rows), text], runs)


def _spread(found: Sequence[float]) -> str:
    return f"{median(found):.3f} ({min(found):.3f} to {max(found):.3f})"


def profiles(found: Sequence[Profile]) -> Section:
    """A table a kind of work."""
    texts = [part for profile in found for part in (f"{profile.work}:", _stations(profile))]
    return Section(PROFILE, texts, found)


def _stations(profile: Profile) -> str:
    rows = [
        (
            station.name,
            f"{station.cpu_us:.1f}",
            f"{station.cpu_us / profile.cpu_us:.0%}",
            ", ".join(f"{name} {taken:.0f}" for name, taken in station.files),
        )
        for station in profile.stations
    ]
    rows.append(("all", f"{profile.cpu_us:.1f}", "100%", f"{profile.per_second:,.0f} messages/s"))
    return table(("station", "CPU µs/message", "share", "dearest files"), rows)


def files(runs: Sequence[Traced]) -> Section:
    """Files and changes of file on each way, and the pairs whose merging would save most."""
    rows = [
        (
            run.way,
            f"{run.files}",
            f"{run.changes}",
            f"{run.all_files}",
            f"{run.all_changes}",
            f"{run.first_changes}",
            ", ".join(f"{pair} {times}" for pair, times in run.pairs[:3]),
        )
        for run in runs
    ]
    titles = (
        "way", "files", "changes of file", "files, all threads", "changes, all threads",
        "changes, first calls only", "most often between",
    )  # fmt: skip
    bars = [
        Bar(f"{run.way}: {what}", figure, "at most", most[run.way])
        for run in runs
        for what, figure, most in (
            ("files", run.files, _MOST_FILES),
            ("changes of file", run.changes, _MOST_CHANGES),
        )
        if run.way in most
    ]
    title = "What a reader of the code passes with one recipient"
    return Section(title, [table(titles, rows)], runs, bars)
