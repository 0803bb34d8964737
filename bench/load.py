"""What callers see of a server under load, and how to have them call."""

from __future__ import annotations

from dataclasses import dataclass

from bench.children import answer_of, module


@dataclass(frozen=True, slots=True)
class Load:
    """What callers saw; latencies are in milliseconds."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float


def call(url: str, callers: int, seconds: float) -> Load:
    """Let callers in a process of their own post small requests for so long."""
    seen = answer_of(module("bench.caller", url, callers, seconds))
    return Load(int(seen.pop("requests")), **seen)
