"""Why a store cannot be used at all: what stops the start, and no request."""

from __future__ import annotations


class StoreError(Exception):
    """The store cannot be used; the text says why and what to do, and holds no credentials."""
