"""The command line of the bench: `python -m bench`, or one part of it."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from bench import profiling
from bench.children import ChildError
from bench.fan_out import FanOutPlan, measure_fan_out
from bench.machine import this_machine
from bench.report import markdown
from bench.results import Profile, Results
from bench.small_requests import SmallPlan, measure_small
from bench.tally import WrongResultError

_CALLERS: Final = 16
_SECONDS: Final = 5.0  # of small requests under the sampler


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print Markdown, and write JSON when asked."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given or given[0] not in {"all", "fan-out", "small", "profile", "-h", "--help"}:
        given.insert(0, "all")
    options = _parser().parse_args(given)
    with TemporaryDirectory(prefix="carillon-bench-", dir=options.folder) as folder:
        try:
            results = _measure(options, Path(folder))
        except KeyboardInterrupt:
            sys.exit(130)
        except (ChildError, WrongResultError) as error:
            sys.exit(f"bench: {error}")
    print(markdown(results))
    if options.json is not None:
        options.json.write_text(json.dumps(asdict(results), indent=2) + "\n")


def _measure(options: argparse.Namespace, folder: Path) -> Results:
    parts = options.parts
    machine = this_machine(folder)
    fan_out, small, profiles = [], [], []
    if "fan-out" in parts:
        plan = FanOutPlan(options.sizes, options.repeat, options.concurrency)
        fan_out = list(measure_fan_out(plan, folder, _say))
    if "small" in parts:
        load = SmallPlan(options.callers, options.repeat, options.seconds, options.concurrency)
        small = list(measure_small(load, folder, _say))
    if "profile" in parts:
        profiles = list(_profiles(options, folder))
    return Results(machine, fan_out, small, profiles)


def _profiles(options: argparse.Namespace, folder: Path) -> Iterator[Profile]:
    works = {
        f"one dispatch to {options.users:,} users": profiling.fan_out(options.users),
        f"small requests of {_CALLERS} callers": profiling.small_requests(_CALLERS, _SECONDS),
    }
    for name, work in works.items():
        _say(f"sampling {name}")
        yield profiling.measure_profile(name, work, options.users, options.concurrency, folder)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _numbers(text: str) -> list[int]:
    return [_number(part) for part in text.split(",")]


def _number(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 on")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bench", description="The benchmarks of the README.")
    commands = parser.add_subparsers()
    _command(commands, "all", "everything, which is the default", _fan_out, _small, _profile)
    _command(commands, "fan-out", "one dispatch to many users", _fan_out)
    _command(commands, "small", "many requests for one user each", _small)
    _command(commands, "profile", "where the CPU of one message goes", _profile)
    return parser


Options = Callable[[argparse.ArgumentParser], str]


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    summary: str,
    *parts: Options,
) -> None:
    parser = commands.add_parser(
        name,
        help=summary,
        description=f"Measures {summary}.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every run to FILE too")
    parser.add_argument("--folder", type=Path, help="where stores are made; else in TMPDIR")
    if set(parts) != {_profile}:
        parser.add_argument("--repeat", type=_number, default=3, help="turns of each contender")
    parser.add_argument("--concurrency", type=_number, default=20, help="calls open at once")
    parser.set_defaults(parts=[add(parser) for add in parts])


def _fan_out(parser: argparse.ArgumentParser) -> str:
    parser.add_argument(
        "--sizes",
        type=_numbers,
        default="1000,20000,200000",
        help="numbers of users; from 100,000 on there is one turn only",
    )
    return "fan-out"


def _small(parser: argparse.ArgumentParser) -> str:
    parser.add_argument("--callers", type=_numbers, default="1,16,64", help="callers at once")
    parser.add_argument("--seconds", type=float, default=3.0, help="length of one turn")
    return "small"


def _profile(parser: argparse.ArgumentParser) -> str:
    parser.add_argument("--users", type=_number, default=20_000, help="users of the one dispatch")
    return "profile"


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that children are ended
    main()
