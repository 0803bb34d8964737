"""What callers see of a server under load, and how to have them call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.children import answer_of, module


@dataclass(frozen=True, slots=True)
class Load:
    """What callers saw; latencies are in milliseconds."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    most_ms: float


def load_of(latencies: Sequence[float], seconds: float) -> Load:
    """What is said of so many latencies, in seconds; there must be one at least."""
    ordered = sorted(latencies)
    marks = (ordered[min(int(len(ordered) * share), len(ordered) - 1)] for share in (0.5, 0.99, 1))
    return Load(len(ordered), seconds, *(mark * 1000 for mark in marks))


def call(url: str, callers: int, seconds: float) -> Load:
    """Let callers in a process of their own post small requests for so long."""
    seen = answer_of(module("bench.caller", url, callers, seconds))
    return Load(int(seen.pop("requests")), **seen)
