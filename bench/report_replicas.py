"""The results of several replicas, against the bars that they have to meet."""

from __future__ import annotations

from collections.abc import Sequence

from bench.results import Replicated
from bench.section import Bar, Section
from bench.tables import NONE, table


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
    return Section("Several replicas on one store", [table(titles, rows)], runs, _bars(runs))


def _bars(runs: Sequence[Replicated]) -> list[Bar]:
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
