"""Why a store cannot be used at all: what stops the start, and no request."""

from __future__ import annotations

from pathlib import Path


class StoreError(Exception):
    """The store cannot be used; the text says why and what to do, and holds no credentials."""


class StoreInUse(StoreError):
    """Another service uses it: it is fine by itself, and may be free soon."""

    @classmethod
    def of(cls, path: Path) -> StoreInUse:
        """What to tell of a file."""
        return cls(
            f"The store {path} is in use by another running Carillon; stop that one, or name "
            "another file in STORE_URL"
        )


def unopened(path: Path, why: object) -> StoreError:
    """The embedded store cannot be opened, with the reason and what STORE_URL may name."""
    return StoreError(
        f"The store {path} cannot be opened: {why}; STORE_URL must name a file that this user may "
        "write, in a folder that it may write to"
    )
