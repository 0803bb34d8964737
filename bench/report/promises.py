"""The results of the parts that hold a promise of the service against a bar of its own."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Final

from bench.arrivals import WINDOW
from bench.fan_out import OFF, SETTINGS
from bench.report.section import NONE, Bar, Section, table
from bench.results import FanOut, Isolation, Killed, Live, Million, Replicated

_ISOLATION_BAR: Final = 1.2
_MEMORY_BAR: Final = 80.0
_LATENCY_BAR: Final = 1000.0
_CHANGE_BAR: Final = 1.0


def isolation(runs: Sequence[Isolation]) -> Section:
    """Latencies of the mails, phase by phase, and their ratio turn by turn."""
    rows = [
        (
            f"{run.turn + 1}",
            "sms stalled" if run.stalled else "calm",
            f"{run.load.requests:,}",
            f"{run.load.p50_ms:.1f}",
            f"{run.load.p99_ms:.1f}",
            f"{run.load.most_ms:.1f}",
            f"{run.mailbox_depth:,}" if run.stalled else NONE,
            f"{run.others_cores:.1f}",
        )
        for run in runs
    ]
    titles = (
        "turn",
        "phase",
        "mails",
        "p50 ms",
        "p99 ms",
        "most ms",
        "sms waiting",
        "others' cores",
    )
    calm, stalled = ([run for run in runs if run.stalled is which] for which in (False, True))
    ratios = [two.load.p99_ms / one.load.p99_ms for one, two in zip(calm, stalled, strict=True)]
    bar = Bar("p99 with the stall, times that without", median(ratios), "at most", _ISOLATION_BAR)
    title = "Isolation: mails at a fixed pace while the sms provider stalls"
    return Section(title, [table(titles, rows)], runs, [bar])


def million(run: Million) -> Section:
    """Memory of the large dispatch, latencies of the small ones."""
    titles = (
        "users", "messages/s", "idle MB", "peak MB", "CPU µs/message",
        "small dispatches", "p50 ms", "p99 ms", "most ms", "provider's core", "others' cores",
    )  # fmt: skip
    row = (
        f"{run.users:,}",
        f"{run.users / run.cost.seconds:,.0f}",
        f"{run.cost.idle_mb:.0f}",
        f"{run.cost.peak_mb:.0f}",
        f"{run.cost.cpu_seconds / run.users * 1e6:,.0f}",
        f"{run.small.requests:,}",
        f"{run.small.p50_ms:.0f}",
        f"{run.small.p99_ms:.0f}",
        f"{run.small.most_ms:.0f}",
        f"{run.provider_share:.0%}",
        f"{run.others_cores:.1f}",
    )
    bars = (
        Bar("memory above idle", run.grown_mb, "at most", _MEMORY_BAR, " MB"),
        Bar("p99 of small dispatches", run.small.p99_ms, "at most", _LATENCY_BAR, " ms"),
    )
    title = "A very large dispatch, and small ones of high priority meanwhile"
    return Section(title, [table(titles, [row])], [run], bars)


def live(run: Live) -> Section:
    """How long each change took to show, and whether a window was exceeded."""
    rows = [
        (
            f"{change.before} → {change.after}",
            f"{change.at:.1f}",
            f"{change.answered_after * 1000:.0f}",
            NONE if change.shown_after is None else f"{change.shown_after * 1000:.0f}",
            f"{most}",
            _around(run, change.at),
        )
        for change, most in zip(run.changes, run.most_in_a_window[1:], strict=True)
    ]
    titles = (
        "messages/s", "at s", "answered after ms", "shows after ms", "most in a second from then",
        "arrivals in each 100 ms: the second before, the two after",
    )  # fmt: skip
    slowest = max(
        float("inf") if change.shown_after is None else change.shown_after for change in run.changes
    )
    bars = (
        Bar("the slowest change shows", slowest, "at most", _CHANGE_BAR, " s"),
        Bar(f"arrivals beyond the limit of a window of {WINDOW:g} s", run.exceeded, "at most", 0),
    )
    title = f"A rate changed during a dispatch to {run.users:,} users"
    return Section(title, [table(titles, rows)], [run], bars)


def durability(runs: Sequence[FanOut]) -> Section:
    """Speed and CPU with each setting, the best of the turns, and the share that is left."""
    best = {
        setting: max(
            (run for run in runs if run.contender == setting), key=lambda run: run.per_second
        )
        for setting in SETTINGS
    }
    rows = [
        (
            setting if setting == OFF else f"`fsync: {setting}`",
            f"{run.per_second:,.0f}",
            f"{run.per_second / best[OFF].per_second:.2f}",
            f"{run.cost.cpu_seconds / run.users * 1e6:,.0f}",
            f"{run.others_cores:.1f}",
        )
        for setting, run in best.items()
    ]
    titles = (
        "journal", "messages/s", "times without", "CPU µs/message", "others' cores",
    )  # fmt: skip
    by_turn = [
        [run.per_second for run in runs if run.contender == setting] for setting in ("commit", OFF)
    ]
    share = median(one / other for one, other in zip(*by_turn, strict=True))
    bar = Bar("messages a second with the journal, times without", share, "at least", 0.7)
    title = f"Durability: one dispatch to {runs[0].users:,} users"
    return Section(title, [table(titles, rows)], runs, [bar])


def kill(runs: Sequence[Killed]) -> Section:
    """What was lost, doubled and left in doubt, and how soon the service was back."""
    rows = [
        (
            run.title,
            f"{run.users:,}",
            f"{run.points or len(run.kills)}",
            f"{run.lost}",
            f"{run.doubled}",
            f"{run.in_doubt}",
            f"{run.most_open}",
            f"{max(one.slower for one in run.kills):.2f}" if run.kills else NONE,
        )
        for run in runs
    ]
    titles = (
        "kills", "users", "number", "lost", "doubled", "in doubt", "most open calls",
        "slowest start, s more than an empty one",
    )  # fmt: skip
    kills = [one for run in runs for one in run.kills]
    bars = [
        Bar("lost", sum(run.lost for run in runs), "at most", 0),
        Bar("doubled under hold", _held(runs), "at most", 0),
        *(_of(run) for run in runs if len(run.kills) > 1 or run.points),
        Bar("another dispatch for the same key", sum(not one.same for one in kills), "at most", 0),
        Bar("start beside an empty one", max(one.slower for one in kills), "at most", 1, " s"),
    ]
    return Section("kill -9 in the middle of a dispatch", [table(titles, rows)], runs, bars)


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
    rows = [
        (
            run.title,
            f"{run.users:,}",
            f"{run.most_in_a_window} of {run.rate}",
            f"{run.most_open} of {run.concurrency}",
            f"{run.used:.3f}",
            f"{run.lost}",
            f"{run.doubled}",
            f"{run.in_doubt}",
            NONE if run.taken_over is None else f"{run.taken_over:.1f}",
        )
        for run in runs
    ]
    titles = (
        "replicas", "users", "most in a second", "most open calls", "share of the rate used",
        "lost", "doubled", "in doubt", "taken over after s",
    )  # fmt: skip
    bars = _bars_of_replicas(runs)
    return Section("Several replicas on one store", [table(titles, rows)], runs, bars)


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
