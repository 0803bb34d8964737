"""The options of the bench: those that all parts have, and how values are read."""

from __future__ import annotations

import argparse
from pathlib import Path

from bench.store import default_cache


class Options(argparse.Namespace):
    """What was given; a part reads those that it added, and these."""

    json: Path | None
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
    part: str | None


def add_common(parser: argparse.ArgumentParser) -> None:
    """What every part understands."""
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every run to FILE too")
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
