"""Templates against Handlebars.js in Node, side by side: `python -m bench.templates`.

Two templates: a greeting of one line, and an HTML e-mail of 2.7 KB with 10 items and 33 calls of
helpers. Node runs if it is there; its packages come from `--node-modules`, or are installed into
a folder that is removed afterwards. The two take turns, and each figure is the best of its turns:
what else the machine does can only make them slower.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from bench.machine import this_machine
from bench.section import Bar, Row, Section, table
from carillon.handlebars import Engine

GREETING: Final = "Hello, {{user.name}}! Your appointment is dated {{data.appointmentDate}}"
EMAIL: Final = Path(__file__).with_name("email.html").read_text()
CONTEXT: Final[dict[str, object]] = json.loads(Path(__file__).with_name("context.json").read_text())
_PEER: Final = Path(__file__).parents[1] / "peers" / "handlebars.js"
_PACKAGES: Final = ("handlebars@4.7.10", "handlebars-helpers@0.10.0")
_BARS: Final = {"greeting": 10.0, "email": 0.4}
_TURN_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Speed:
    """What one engine does with one template."""

    renders_per_second: float
    compile_ms: float
    text: str


Speeds = Mapping[str, Speed]


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(prog="python -m bench.templates", description=__doc__)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--node-modules", type=Path, help="a folder that has the npm packages")
    options = parser.parse_args()
    with TemporaryDirectory(prefix="carillon-bench-") as folder:
        modules = options.node_modules or _installed(Path(folder))
        ours, theirs = _measure(options.turns, modules)
        machine = this_machine(Path(folder))
    print(f"{machine.date}, {machine.processor}, {machine.cores} cores, Python {machine.python}\n")
    print(_section(ours, theirs).markdown())


def _installed(folder: Path) -> Path | None:
    """Install the npm packages, if that can be done here."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        return None
    command = [npm, "install", "--silent", "--prefix", str(folder), *_PACKAGES]
    done = subprocess.run(command, capture_output=True, check=False)
    return folder / "node_modules" if done.returncode == 0 else None


def _measure(turns: int, modules: Path | None) -> tuple[Speeds, Speeds | None]:
    ours: list[Speeds] = []
    theirs: list[Speeds] = []
    for _ in range(turns):
        ours.append(_our_turn())
        if modules is not None:
            theirs.append(_node_turn(modules))
    return _best(ours), _best(theirs) if theirs else None


def _our_turn() -> Speeds:
    speeds = {}
    for name, source in (("greeting", GREETING), ("email", EMAIL)):
        compiles = _rate(partial(_compile, source), _TURN_SECONDS / 4)
        making = _rate(Engine, _TURN_SECONDS / 4)
        template = Engine().compile(source)
        rate = _rate(partial(template.render, CONTEXT), _TURN_SECONDS)
        speeds[name] = Speed(rate, 1000 / compiles - 1000 / making, template.render(CONTEXT))
    return speeds


def _compile(source: str) -> object:
    return Engine().compile(source)


def _rate(work: Callable[[], object], seconds: float) -> float:
    work()
    count, round_size, start = 0, 1, time.perf_counter()
    while (elapsed := time.perf_counter() - start) < seconds:
        for _ in range(round_size):
            work()
        count += round_size
        # So many at a time that looking at the clock does not count.
        round_size = max(1, int(count / max(elapsed, 1e-3) / 100))
    return count / elapsed


def _node_turn(modules: Path) -> Speeds:
    given = {
        "templates": {"greeting": GREETING, "email": EMAIL},
        "context": CONTEXT,
        "seconds": _TURN_SECONDS,
    }
    command = ["node", str(_PEER), str(modules.resolve())]
    done = subprocess.run(
        command, input=json.dumps(given), capture_output=True, text=True, check=True
    )
    return {name: Speed(**found) for name, found in json.loads(done.stdout).items()}


def _best(turns: Sequence[Speeds]) -> Speeds:
    return {
        name: Speed(
            max(turn[name].renders_per_second for turn in turns),
            min(turn[name].compile_ms for turn in turns),
            turns[0][name].text,
        )
        for name in turns[0]
    }


def _section(ours: Speeds, theirs: Speeds | None) -> Section:
    rows: list[Row] = []
    bars = []
    for name, our in ours.items():
        node = theirs[name] if theirs else None
        times = our.renders_per_second / node.renders_per_second if node else None
        rows.append(
            {
                "template": name,
                "ours, per s": our.renders_per_second,
                "Node, per s": node.renders_per_second if node else None,
                "ours / Node": times,
                "compile ms": our.compile_ms,
                "Node's": node.compile_ms if node else None,
                "same text": _same(our, node) if node else None,
            }
        )
        if times is not None:
            bars.append(Bar(f"{name}, times Node", times, "at least", _BARS[name]))
    return Section("Templates beside Handlebars.js", [table(rows)], rows, bars)


def _same(our: Speed, node: Speed) -> str:
    return "yes" if our.text == node.text else "NO"


if __name__ == "__main__":
    main()
