"""Runs a part of the bench as the command line does, and gives what it wrote."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bench.__main__ import main


def measured(part: str, folder: Path, *options: str) -> dict[str, Any]:
    """The section of a part as JSON, measured with everything kept in a folder."""
    output = folder / "results.json"
    where = ["--json", str(output), "--folder", str(folder), "--cache", str(folder / "cache")]
    main([part, *options, *where])
    found: dict[str, dict[str, Any]] = json.loads(output.read_text())
    return found[part.replace("-", "_")]
