"""The version, in its one place: packaging, logs and output read it here."""

from __future__ import annotations

from typing import Final

VERSION: Final = "0.1.0"
"""Follows Semantic Versioning."""
