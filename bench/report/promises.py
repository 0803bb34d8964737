"""The results of the parts that hold a promise of the service against a bar of its own."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Final

from bench.arrivals import WINDOW
from bench.fan_out import OFF, SETTINGS
from bench.report.section import Bar, Row, Section, of, ratio, table
from bench.results import FanOut, Isolation, Killed, Live, Million, Replicated

_ISOLATION_BAR: Final = 1.2
_MEMORY_BAR: Final = 80.0
_LATENCY_BAR: Final = 1000.0
_CHANGE_BAR: Final = 1.0


def isolation(runs: Sequence[Isolation]) -> Section:
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
    calm, stalled = ([run for run in runs if run.stalled is which] for which in (False, True))
    ratios = [two.load.p99_ms / one.load.p99_ms for one, two in zip(calm, stalled, strict=True)]
    bar = Bar("p99 with the stall, times that without", median(ratios), "at most", _ISOLATION_BAR)
    title = "Isolation: mails at a fixed pace while the sms provider stalls"
    return Section(title, [table(rows)], runs, [bar])


def million(run: Million) -> Section:
    """Memory of the large dispatch, latencies of the small ones."""
    row: Row = {
        "users": run.users,
        "messages/s": run.users / run.cost.seconds,
        "idle MB": run.cost.idle_mb,
        "peak MB": run.cost.peak_mb,
        "CPU µs/message": run.cost.cpu_seconds / run.users * 1e6,
        "small dispatches": run.small.requests,
        "p50 ms": run.small.p50_ms,
        "p99 ms": run.small.p99_ms,
        "most ms": run.small.most_ms,
        "provider's core": run.provider_share,
        "others' cores": run.others_cores,
    }
    bars = (
        Bar("memory above idle", run.grown_mb, "at most", _MEMORY_BAR, " MB"),
        Bar("p99 of small dispatches", run.small.p99_ms, "at most", _LATENCY_BAR, " ms"),
    )
    title = "A very large dispatch, and small ones of high priority meanwhile"
    return Section(title, [table([row])], [run], bars)


def live(run: Live) -> Section:
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
    slowest = max(
        float("inf") if change.shown_after is None else change.shown_after for change in run.changes
    )
    bars = (
        Bar("the slowest change shows", slowest, "at most", _CHANGE_BAR, " s"),
        Bar(f"arrivals beyond the limit of a window of {WINDOW:g} s", run.exceeded, "at most", 0),
    )
    title = f"A rate changed during a dispatch to {run.users:,} users"
    return Section(title, [table(rows)], [run], bars)


def durability(runs: Sequence[FanOut]) -> Section:
    """Speed and CPU with each setting, the best of the turns, and the share that is left."""
    best = {setting: max(of(setting, runs), key=lambda run: run.per_second) for setting in SETTINGS}
    rows: list[Row] = [
        {
            "journal": setting if setting == OFF else f"`fsync: {setting}`",
            "messages/s": run.per_second,
            "times without": run.per_second / best[OFF].per_second,
            "CPU µs/message": run.cpu_us,
            "others' cores": run.others_cores,
        }
        for setting, run in best.items()
    ]
    share = ratio(of("commit", runs), of(OFF, runs)) or 0.0
    bar = Bar("messages a second with the journal, times without", share, "at least", 0.7)
    title = f"Durability: one dispatch to {runs[0].users:,} users"
    return Section(title, [table(rows)], runs, [bar])


def kill(runs: Sequence[Killed]) -> Section:
    """What was lost, doubled and left in doubt, and how soon the service was back."""
    slowest = "slowest start, s more than an empty one"
    rows: list[Row] = [
        {
            "kills": run.title,
            "users": run.users,
            "number": run.points or len(run.kills),
            "lost": run.lost,
            "doubled": run.doubled,
            "in doubt": run.in_doubt,
            "most open calls": run.most_open,
            slowest: max((one.slower for one in run.kills), default=None),
        }
        for run in runs
    ]
    kills = [one for run in runs for one in run.kills]
    bars = [
        Bar("lost", sum(run.lost for run in runs), "at most", 0),
        Bar("doubled under hold", _held(runs), "at most", 0),
        *(_of(run) for run in runs if len(run.kills) > 1 or run.points),
        Bar("another dispatch for the same key", sum(not one.same for one in kills), "at most", 0),
        Bar("start beside an empty one", max(one.slower for one in kills), "at most", 1, " s"),
    ]
    return Section("kill -9 in the middle of a dispatch", [table(rows)], runs, bars)


def _held(runs: Sequence[Killed]) -> int:
    return sum(run.doubled for run in runs if run.title.startswith("hold"))


def _of(run: Killed) -> Bar:
    """A kill leaves no more in doubt, or doubled, than there were calls open."""
    if run.points:
        name = f"{run.title}: in doubt or doubled by one kill"
        return Bar(name, run.worst, "at most", run.concurrency)
    name = f"{run.title}: in doubt or doubled"
    most = run.concurrency * len(run.kills)
    return Bar(name, max(run.in_doubt, run.doubled), "at most", most)


def _around(run: Live, at: float) -> str:
    middle = round(at * 10)
    before, after = run.buckets[max(0, middle - 10) : middle], run.buckets[middle : middle + 20]
    return f"{' '.join(map(str, before))} \\| {' '.join(map(str, after))}"


def replicas(runs: Sequence[Replicated]) -> Section:
    """Whether the limits held over all replicas, and what became of the deliveries."""
    rows: list[Row] = [
        {
            "replicas": run.title,
            "users": run.users,
            "most in a second": f"{run.most_in_a_window} of {run.rate}",
            "most open calls": f"{run.most_open} of {run.concurrency}",
            "share of the rate used": run.used,
            "lost": run.lost,
            "doubled": run.doubled,
            "in doubt": run.in_doubt,
            "taken over after s": run.taken_over,
        }
        for run in runs
    ]
    bars = _bars_of_replicas(runs)
    return Section("Several replicas on one store", [table(rows)], runs, bars)


def _bars_of_replicas(runs: Sequence[Replicated]) -> list[Bar]:
    bars = [
        Bar("lost", sum(run.lost for run in runs), "at most", 0),
        Bar("doubled", sum(run.doubled for run in runs), "at most", 0),
    ]
    for run in runs:
        bars += [
            Bar(f"{run.title}: calls in a second", run.most_in_a_window, "at most", run.rate),
            Bar(f"{run.title}: open calls", run.most_open, "at most", run.concurrency),
        ]
        if run.taken_over is None:
            bars.append(Bar(f"{run.title}: share of the rate used", run.used, "at least", 0.95))
        else:
            bars += [
                Bar(f"{run.title}: taken over", run.taken_over, "at most", 10, " s"),
                Bar(f"{run.title}: in doubt", run.in_doubt, "at most", run.concurrency),
            ]
    return bars
