"""A part of the bench: its command, its options, and how it comes to its section."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.section import FIGURES, Say, Section
from bench.store import default_cache


class Options(argparse.Namespace):
    """What was given; a part reads those that it added, and these."""

    json: Path | None
    write: Path | None
    folder: Path | None
    cache: Path
    concurrency: int
    # Of some parts only.
    users: int
    sizes: list[int]
    callers: list[int]
    repeat: int
    seconds: float
    pace: float
    backlog: int
    kills: int
    points: int
    seed: int
    rate: int
    replicas: int
    no_node: bool
    other: Path
    work: str
    pairs: int
    part: str | None


@dataclass(frozen=True, slots=True)
class Part:
    """One part; `measure` has a folder of its own and raises WrongResultError and ChildError."""

    name: str
    summary: str
    add_options: Callable[[argparse.ArgumentParser], object]
    measure: Callable[[Options, Path, Say], Section]


def add_common(parser: argparse.ArgumentParser) -> None:
    """What every part understands."""
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every run to FILE too")
    parser.add_argument(
        "--write",
        type=Path,
        metavar="PAGE",
        nargs="?",
        const=FIGURES,
        help="write tables and bars between their marks in PAGE, docs/benchmarks.md unless named",
    )
    parser.add_argument("--folder", type=Path, help="where stores are made; else in TMPDIR")
    parser.add_argument(
        "--cache", type=Path, default=default_cache(), help="where large stores and packages stay"
    )
    parser.add_argument("--concurrency", type=number, default=20, help="calls open at once")


def number(text: str) -> int:
    """A whole number from 1 on."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 on")
    return int(text)


def numbers(text: str) -> list[int]:
    """Such numbers, with commas between."""
    return [number(part) for part in text.split(",")]


def amount(text: str) -> float:
    """More than nothing, fractions too."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number above 0")
    return value
