"""This checkout and another one side by side: `python -m bench compare OTHER PART`.

Each turn starts a service anew, on a store that its own command line has filled, and the bench of
this checkout measures both. So the other one may be of before the package: its modules then stand
at its root.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from bench import sagas
from bench.carillon import Carillon, provider
from bench.children import ChildError, module, server
from bench.client import post_dispatch, take_tally
from bench.costs import Meter, family_seconds
from bench.load import call
from bench.report.section import Say
from bench.results import Compared
from bench.store import documents
from bench.workload import CLUSTER, TEMPLATE, dispatch

THIS: Final = "this"
OTHER: Final = "other"
_WARM_UP: Final = 0.5
_ROOT: Final = Path(__file__).parent.parent


@dataclass(frozen=True, slots=True)
class ComparePlan:
    """What is to be measured: `pairs` turns of each checkout; sizes as the part has them."""

    other: Path
    part: str
    pairs: int
    users: int
    callers: int
    seconds: float
    concurrency: int


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


def measure_compare(plan: ComparePlan, folder: Path, say: Say) -> Iterator[Compared]:
    """Pairs of turns; who begins changes. Raises WrongResultError, ChildError."""
    turn_of = COMPARED[plan.part]
    checkouts = {
        THIS: Checkout(_ROOT, folder / THIS),
        OTHER: Checkout(plan.other.resolve(), folder / OTHER),
    }
    number = plan.users if plan.part == "fan-out" else plan.callers
    stores = {name: checkout.fill(number) for name, checkout in checkouts.items()}
    for pair in range(plan.pairs):
        names = list(checkouts)
        for name in names if pair % 2 == 0 else reversed(names):
            per_second, cpu_us = turn_of(plan, checkouts[name], stores[name])
            say(f"{name}: {per_second:,.0f} a second, {cpu_us:,.0f} µs of CPU each")
            yield Compared(name, pair, per_second, cpu_us)


Figures = tuple[float, float]
"""Messages, requests or commands a second, and microseconds of CPU each."""


def _fan_out(plan: ComparePlan, checkout: Checkout, store: Path) -> Figures:
    with server(module("bench.services.provider"), checkout.folder / "provider.log") as receiver:
        providers = {"sms-service": provider(receiver.url, plan.concurrency)}
        with checkout.serving(Carillon(checkout.folder, providers)).running(store) as service:
            take_tally(receiver.url)
            meter = Meter(service.pid)
            post_dispatch(service.url, dispatch(clusters=[CLUSTER]))
            cost = meter.stop()
        take_tally(receiver.url).check_each_once(plan.users)
    return plan.users / cost.seconds, cost.cpu_seconds / plan.users * 1e6


def _small(plan: ComparePlan, checkout: Checkout, store: Path) -> Figures:
    with server(module("bench.services.provider"), checkout.folder / "provider.log") as receiver:
        providers = {"sms-service": provider(receiver.url, plan.concurrency)}
        with checkout.serving(Carillon(checkout.folder, providers)).running(store) as service:
            call(service.url, plan.callers, _WARM_UP)
            take_tally(receiver.url)
            cpu = family_seconds(service.pid)
            load = call(service.url, plan.callers, plan.seconds)
            cpu = family_seconds(service.pid) - cpu
        take_tally(receiver.url).check_number(load.requests)
    return load.requests / load.seconds, cpu / load.requests * 1e6


def _sagas(plan: ComparePlan, checkout: Checkout, store: Path) -> Figures:
    with sagas.saga_servers(checkout.folder) as servers:
        carillon = sagas.saga_service(checkout.folder, servers, plan.concurrency)
        with checkout.serving(carillon).running(store) as service:
            run = sagas.one_turn(service, servers, plan.callers, plan.seconds)
    return run.per_second, run.cpu_us


COMPARED: Final[Mapping[str, Callable[[ComparePlan, Checkout, Path], Figures]]] = {
    "fan-out": _fan_out,
    "small": _small,
    "sagas": _sagas,
}


def ratios(runs: Sequence[Compared]) -> tuple[list[float], list[float]]:
    """This checkout's rate and CPU in each pair, times the other's."""
    of = {(run.checkout, run.pair): run for run in runs}
    pairs = [(of[THIS, pair], of[OTHER, pair]) for name, pair in of if name == THIS]
    return (
        [one.per_second / other.per_second for one, other in pairs],
        [one.cpu_us / other.cpu_us for one, other in pairs],
    )
