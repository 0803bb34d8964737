"""The results of the parts that measure speed, as sections: tables and their bars."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import median
from typing import Final

from bench import fan_out as out
from bench import small_requests
from bench.compare import ratios
from bench.machine import Machine
from bench.report.section import Bar, Row, Section, grouped, of, ratio, table
from bench.results import Compared, FanOut, Profile, Small, Traced

PROFILE: Final = "Where the CPU of one message goes"
_BARE_BAR: Final = 0.45
_NODE_BAR: Final = 1.5
_ROUTE_BAR: Final = 0.5
_SAGAS_BAR: Final = 224.0  # commands a second
_MOST_FILES: Final = {"send": 55, "saga": 62}
_MOST_CHANGES: Final = {"send": 240, "recovery": 650}
_BUSY: Final = 0.9  # of a core: the provider's stand-in was the bottleneck


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
    sizes = grouped(runs, lambda run: run.users)
    rows = [
        _fan_out_row(own, group)
        for group in sizes
        for own in grouped(group, lambda run: run.contender)
    ]
    texts = [table(rows)]
    if no_node is not None:
        texts.append(f"Without Node.js: {no_node}.")
    busy = dict.fromkeys(run.contender for run in runs if run.provider_share > _BUSY)
    texts.extend(f"The provider's stand-in was the bottleneck of: {name}." for name in busy)
    bars = [bar for group in sizes for bar in _fan_out_bars(group)]
    return Section("Fan-out: one dispatch to N users over sms", texts, runs, bars)


def _fan_out_row(own: Sequence[FanOut], group: Sequence[FanOut]) -> Row:
    return {
        "users": own[0].users,
        "contender": own[0].contender,
        "messages/s": max(run.per_second for run in own),
        "times bare trio": ratio(own, of(out.BARE_TRIO, group)),
        "times aiohttp": ratio(own, of(out.AIOHTTP, group)),
        "times Node.js": ratio(own, of(out.NODE, group)),
        "CPU µs/message": min(run.cpu_us for run in own),
        "idle MB": median(run.cost.idle_mb for run in own),
        "peak MB": max(run.cost.peak_mb for run in own),
        "provider's core": max(run.provider_share for run in own),
        "others' cores": median(run.others_cores for run in own),
    }


def _fan_out_bars(runs: Sequence[FanOut]) -> Iterator[Bar]:
    for base, least_ratio in ((out.BARE_TRIO, _BARE_BAR), (out.NODE, _NODE_BAR)):
        found = ratio(of(out.CARILLON, runs), of(base, runs))
        if found is not None:
            yield Bar(f"{runs[0].users:,} users, times {base}", found, "at least", least_ratio)


def small(runs: Sequence[Small]) -> Section:
    """Requests a second and latencies, by the number of callers."""
    title, base = "Small requests: one recipient, one channel", small_requests.BARE_QUART
    groups = grouped(runs, lambda run: run.callers)
    rows: list[Row] = [
        {**_small_row(own), "times bare route": ratio(own, of(base, group))}
        for group in groups
        for own in grouped(group, lambda run: run.contender)
    ]
    found = [
        (group[0].callers, ratio(of(small_requests.CARILLON, group), of(base, group)))
        for group in groups
    ]
    bars = [
        Bar(f"{callers} callers, times bare route", times, "at least", _ROUTE_BAR)
        for callers, times in found
        if times is not None
    ]
    return Section(title, [table(rows)], runs, bars)


def sagas(runs: Sequence[Small]) -> Section:
    """Commands a second and what each costs, by the number of callers."""
    groups = grouped(runs, lambda run: run.callers)
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
    return Section(title, [table(list(map(_small_row, groups)))], runs, bars)


def _small_row(own: Sequence[Small]) -> Row:
    return {
        "callers": own[0].callers,
        "contender": own[0].contender,
        "a second": max(run.per_second for run in own),
        "CPU µs each": min(run.cpu_us for run in own),
        "p50 ms": median(run.load.p50_ms for run in own),
        "p99 ms": median(run.load.p99_ms for run in own),
        "others' cores": median(run.others_cores for run in own),
    }


def compared(name: str, runs: Sequence[Compared]) -> Section:
    """Both checkouts, pair by pair, and the median of the pairs' ratios."""
    rows: list[Row] = [
        {
            "pair": run.pair + 1,
            "checkout": run.checkout,
            "a second": run.per_second,
            "CPU µs each": run.cpu_us,
        }
        for run in runs
    ]
    rate, cpu = ratios(runs)
    text = (
        f"This checkout, times the other one, median of {len(rate)} pairs: "
        f"rate {_spread(rate)}, CPU each {_spread(cpu)}."
    )
    return Section(f"Two checkouts side by side: {name}", [table(rows), text], runs)


def _spread(found: Sequence[float]) -> str:
    return f"{median(found):.3f} ({min(found):.3f} to {max(found):.3f})"


def profiles(found: Sequence[Profile]) -> Section:
    """A table a kind of work."""
    texts = [part for profile in found for part in (f"{profile.work}:", _stations(profile))]
    return Section(PROFILE, texts, found)


def _stations(profile: Profile) -> str:
    rows: list[Row] = [
        {
            "station": station.name,
            "CPU µs/message": station.cpu_us,
            "share": f"{station.cpu_us / profile.cpu_us:.0%}",
            "dearest files": ", ".join(f"{name} {taken:.0f}" for name, taken in station.files),
        }
        for station in profile.stations
    ]
    rate = f"{profile.per_second:,.0f} messages/s"
    rows.append({"station": "all", "CPU µs/message": profile.cpu_us, "dearest files": rate})
    return table(rows)


def files(runs: Sequence[Traced]) -> Section:
    """Files and changes of file on each way, and the pairs whose merging would save most."""
    rows: list[Row] = [
        {
            "way": run.way,
            "files": run.files,
            "changes of file": run.changes,
            "files, all threads": run.all_files,
            "changes, all threads": run.all_changes,
            "changes, first calls only": run.first_changes,
            "most often between": ", ".join(f"{pair} {times}" for pair, times in run.pairs[:3]),
        }
        for run in runs
    ]
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
    return Section(title, [table(rows)], runs, bars)
