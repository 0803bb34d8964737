"""Two checkouts take turns, whatever their layout, and what is compared is pairs."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from bench.children import ChildError
from bench.compare import OTHER, THIS, Checkout, Compared, compared, ratios
from tests.bench.running import measured

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.parametrize("module", ["carillon.cli.main", "cli.main"])
def test_a_checkout_runs_its_own_code_in_either_layout(tmp_path: Path, module: str) -> None:
    root = tmp_path / "checkout"
    (root / "cli").mkdir(parents=True)
    (root / "cli" / "__init__.py").touch()
    (root / "cli" / "main.py").write_text(
        "import sys\n\n\ndef main():\n    print(__name__, __file__, *sys.argv[1:])\n"
    )
    if module.startswith("carillon."):
        (root / "__init__.py").touch()
    checkout = Checkout(root, tmp_path / "run")
    environ = {**os.environ, **checkout.environ}
    # The working directory is one with rooms of the same names.
    said = subprocess.check_output(checkout.command("serve"), cwd=ROOT, env=environ, text=True)
    name, file, argument = said.split()
    assert (name, argument) == (module, "serve")
    assert Path(file).resolve() == root / "cli" / "main.py"


def test_what_is_no_checkout_is_named(tmp_path: Path) -> None:
    with pytest.raises(ChildError, match=f"{tmp_path} is no checkout of Carillon"):
        Checkout(tmp_path, tmp_path / "run")


def test_ratios_are_of_pairs_and_the_median_is_told() -> None:
    runs = [
        Compared(THIS, 0, 200, 10),
        Compared(OTHER, 0, 100, 40),
        Compared(OTHER, 1, 1000, 5),
        Compared(THIS, 1, 1000, 10),
        Compared(THIS, 2, 300, 30),
        Compared(OTHER, 2, 200, 30),
    ]
    assert ratios(runs) == ([2, 1, 1.5], [0.25, 2, 1])
    assert (
        "median of 3 pairs: rate 1.500 (1.000 to 2.000), CPU each 1.000 (0.250 to 2.000)"
        in compared("small", runs).markdown()
    )


def test_a_checkout_beside_itself_is_measured_in_turns(tmp_path: Path) -> None:
    found = measured("compare", tmp_path, str(ROOT), "fan-out", "--pairs", "2", "--users", "300")
    assert [(run["checkout"], run["pair"]) for run in found["runs"]] == [
        (THIS, 0),
        (OTHER, 0),
        (OTHER, 1),
        (THIS, 1),
    ]
    assert all(run["per_second"] > 0 and run["cpu_us"] > 0 for run in found["runs"])
