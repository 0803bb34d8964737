"""What a warm process has imported before it is told what to run; see `tests.warm`."""

from __future__ import annotations

import gc
import importlib

for name in (
    "carillon.app.mongodb_storage",
    "carillon.app.service",
    "carillon.cli.main",
    "carillon.cli.serve",
):
    importlib.import_module(name)

gc.collect()
gc.freeze()  # or to look for garbage would copy all of it
