"""This checkout and another one side by side: `python -m bench compare OTHER PART`.

Each turn starts a service anew, on a store that its own command line has filled, and the bench of
this checkout measures both. So the other one may be of before the package: its modules then stand
at its root.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Final

from bench.carillon import Carillon, provider
from bench.children import ChildError, Server, module, server
from bench.client import post_dispatch, take_tally
from bench.load import call
from bench.machine import Meter, family_seconds
from bench.part import Options, Part, amount, number, numbers
from bench.sagas import saga_servers
from bench.section import Row, Say, Section, table
from bench.small_requests import WARM_UP, called
from bench.store import documents
from bench.workload import CLUSTER, TEMPLATE, dispatch

THIS: Final = "this"
OTHER: Final = "other"
_ROOT: Final = Path(__file__).parent.parent


@dataclass(frozen=True, slots=True)
class Compared:
    """One turn of a checkout, `this` or the `other`."""

    checkout: str
    pair: int
    per_second: float
    cpu_us: float


class Checkout:
    """A checkout of Carillon, in either layout; `folder` is for what it is run with."""

    def __init__(self, root: Path, folder: Path) -> None:
        folder.mkdir()
        own = root / ".venv" / "bin" / "python"
        self._python = str(own) if own.exists() else sys.executable
        self.folder = folder
        if (root / "__init__.py").exists():
            (folder / "carillon").symlink_to(root)
            self._module, path = "carillon.cli.main", folder
        elif (root / "cli" / "main.py").exists():
            self._module, path = "cli.main", root
        else:
            raise ChildError(f"{root} is no checkout of Carillon: it has no cli/main.py")
        # Without the last, what stands in the working directory would be found first.
        self.environ = {"PYTHONPATH": str(path), "PYTHONSAFEPATH": "1"}

    def command(self, *arguments: str) -> list[str]:
        """`carillon ARGUMENTS`, of this checkout's code."""
        main = f"from {self._module} import main; main()"
        return [self._python, "-c", main, *arguments]

    def fill(self, users: int) -> Path:
        """A new store with so many users, and the template of the sagas. Raises ChildError."""
        store = self.folder / "filled.db"
        for kind, rows in (("users", documents(users)), ("templates", [TEMPLATE])):
            file = self.folder / f"{kind}.jsonl"
            with file.open("w") as lines:
                lines.writelines(json.dumps(row) + "\n" for row in rows)
            command = self.command(kind, "import", "--store", f"sqlite:///{store}", str(file))
            environ = {**os.environ, **self.environ}
            done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
            if done.returncode:
                raise ChildError(f"{kind} were not imported: {done.stderr[-500:].strip()}")
        return store

    def serving(self, carillon: Carillon) -> Carillon:
        """The same service, of this checkout's code."""
        return replace(
            carillon, folder=self.folder, command=self.command("serve"), environ=self.environ
        )


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("other", type=Path, help="the other checkout, in the old layout too")
    parser.add_argument("work", choices=list(_WORKS), help="the part that is run")
    parser.add_argument("--pairs", type=number, default=5, help="turns of each checkout")
    parser.add_argument("--users", type=number, default=20_000, help="users of a fan-out")
    parser.add_argument("--callers", type=numbers, default="16", help="callers of the others")
    parser.add_argument("--seconds", type=amount, default=3.0, help="length of their turns")


def _measure(options: Options, folder: Path, say: Say) -> Section:
    """Pairs of turns; who begins changes."""
    checkouts = {
        THIS: Checkout(_ROOT, folder / THIS),
        OTHER: Checkout(options.other.resolve(), folder / OTHER),
    }
    users = options.users if options.work == "fan-out" else options.callers[0]
    stores = {name: checkout.fill(users) for name, checkout in checkouts.items()}
    runs: list[Compared] = []
    for pair in range(options.pairs):
        for name in list(checkouts)[:: 1 if pair % 2 == 0 else -1]:
            figures = _WORKS[options.work](options, checkouts[name], stores[name])
            runs.append(Compared(name, pair, *figures))
            say("{}: {:,.0f} a second, {:,.0f} µs of CPU each".format(name, *figures))
    return compared(options.work, runs)


_Figures = tuple[float, float]
"""Messages, requests or commands a second, and microseconds of CPU each."""


def _fan_out(options: Options, checkout: Checkout, store: Path) -> _Figures:
    with _running(options, checkout, store) as (receiver, service):
        meter = Meter(service.pid)
        post_dispatch(service.url, dispatch(clusters=[CLUSTER]))
        cost = meter.stop()
        take_tally(receiver.url).check_each_once(options.users)
    return options.users / cost.seconds, cost.cpu_seconds / options.users * 1e6


def _small(options: Options, checkout: Checkout, store: Path) -> _Figures:
    [callers] = options.callers
    with _running(options, checkout, store) as (receiver, service):
        call(service.url, callers, WARM_UP)
        take_tally(receiver.url)
        load, cpu = called(service, callers, options.seconds, cpu=family_seconds)
        take_tally(receiver.url).check_number(load.requests)
    return load.requests / load.seconds, cpu / load.requests * 1e6


@contextmanager
def _running(options: Options, checkout: Checkout, store: Path) -> Iterator[tuple[Server, Server]]:
    """The provider's stand-in and a warm service, which has sent nothing since."""
    with server(module("bench.services.provider"), checkout.folder / "provider.log") as receiver:
        providers = {"sms-service": provider(receiver.url, options.concurrency)}
        with checkout.serving(Carillon(checkout.folder, providers)).running(store) as service:
            take_tally(receiver.url)
            yield receiver, service


def _sagas(options: Options, checkout: Checkout, store: Path) -> _Figures:
    [callers] = options.callers
    with saga_servers(checkout.folder) as servers:
        carillon = servers.carillon(checkout.folder, options.concurrency)
        with checkout.serving(carillon).running(store) as service:
            run = servers.turn(service, callers, 0, options.seconds)
    return run.per_second, run.cpu_us


_WORKS: Final[Mapping[str, Callable[[Options, Checkout, Path], _Figures]]] = {
    "fan-out": _fan_out,
    "small": _small,
    "sagas": _sagas,
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


def ratios(runs: Sequence[Compared]) -> tuple[list[float], list[float]]:
    """This checkout's rate and CPU in each pair, times the other's."""
    of = {(run.checkout, run.pair): run for run in runs}
    pairs = [(of[THIS, pair], of[OTHER, pair]) for name, pair in of if name == THIS]
    return (
        [one.per_second / other.per_second for one, other in pairs],
        [one.cpu_us / other.cpu_us for one, other in pairs],
    )


def _spread(found: Sequence[float]) -> str:
    return f"{median(found):.3f} ({min(found):.3f} to {max(found):.3f})"


PART: Final = Part("compare", "this checkout beside another one", _options, _measure)
