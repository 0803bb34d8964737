"""`python -m carillon` is the command `carillon`."""

from __future__ import annotations

from carillon.cli.main import main

main()
