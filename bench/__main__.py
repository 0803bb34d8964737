"""The command line of the bench: `python -m bench`, or one part of it."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from bench.children import ChildError
from bench.machine import this_machine
from bench.part import Options, Part, add_common
from bench.parts import COMPARE, PARTS
from bench.section import NoMarksError, say, write_between_marks
from bench.workload import WrongResultError

_ALL: Final = "all"
_EXPECTED: Final = (ChildError, NoMarksError, WrongResultError)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print Markdown, and write JSON when asked."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given or (given[0].startswith("-") and given[0] not in {"-h", "--help"}):
        given.insert(0, _ALL)
    jobs = _jobs(given)
    try:
        _run(jobs)
    except (BaseExceptionGroup, KeyboardInterrupt, *_EXPECTED) as error:
        _give_up(error)


def _run(jobs: Sequence[tuple[Part, Options]]) -> None:
    common = jobs[0][1]
    with TemporaryDirectory(prefix="carillon-bench-", dir=common.folder) as name:
        folder = Path(name)
        machine = this_machine(folder)
        print(machine)
        if common.write is not None:
            write_between_marks(common.write, "machine", str(machine))
        found: dict[str, object] = {"machine": asdict(machine)}
        for part, options in jobs:
            section = part.measure(options, folder, say)
            print(f"\n{section.markdown()}", flush=True)
            if common.write is not None:  # after each part: a later one may fail
                write_between_marks(common.write, part.name, section.figures())
            found[part.name.replace("-", "_")] = section.as_json()
            if common.json is not None:
                common.json.write_text(json.dumps(found, indent=2) + "\n")


def _give_up(error: BaseException) -> None:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, KeyboardInterrupt):
        sys.exit(130)
    if isinstance(error, _EXPECTED):
        sys.exit(f"bench: {error}")
    raise error


def _jobs(given: Sequence[str]) -> list[tuple[Part, Options]]:
    """Each part that is asked for with its options; with `all`, those that it adds stay default."""
    options = _parser().parse_args(given, namespace=Options())
    if options.part is not None:
        return [(part, options) for part in (*PARTS, COMPARE) if part.name == options.part]
    return list(_every(options))


def _every(common: Options) -> Iterator[tuple[Part, Options]]:
    for part in PARTS:
        parser = argparse.ArgumentParser()
        part.add_options(parser)
        yield part, parser.parse_args([], namespace=Options(**vars(common)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="bench", description="The benchmarks of docs/benchmarks.md."
    )
    commands = parser.add_subparsers(required=True)
    every = _command(commands, _ALL, "everything one after the other, which is the default")
    every.set_defaults(part=None)
    for part in (*PARTS, COMPARE):
        command = _command(commands, part.name, part.summary)
        part.add_options(command)
        command.set_defaults(part=part.name)
    return parser


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, summary: str
) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        name,
        help=summary,
        description=f"Measures {summary}.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add_common(parser)
    return parser


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that children are ended
    main()
