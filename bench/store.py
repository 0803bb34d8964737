"""Stores filled with users; the large ones are kept, since filling them takes minutes."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, cast

from bench.section import Say
from bench.workload import user
from carillon.messages.model import Document
from carillon.stores.sqlite.database import open_store
from carillon.stores.sqlite.directory import import_documents

_WARMS_UP: Final = 9_999_999
_SAY_EVERY: Final = 100_000
_ROOT: Final = Path(__file__).parent.parent
_MAKERS: Final = ("bench/store.py", "bench/workload.py", "stores/sqlite*.py", "stores/*.sql")


def default_cache() -> Path:
    """Where kept things are, for this user alone; the next start of the machine clears it."""
    return Path(tempfile.gettempdir()) / f"carillon-bench-{os.getuid()}"


def fill_store(
    path: Path,
    users: int,
    strangers: int = 0,
    say: Say | None = None,
    templates: Sequence[Mapping[str, str]] = (),
) -> None:
    """Make a store with so many users in one cluster, then some in none, and one to warm up with.

    Users and strangers are numbered in one row.
    """
    for left in path.parent.glob(f"{path.name}*"):
        left.unlink()
    connection = open_store(path)
    try:
        said = 0
        for written in import_documents(connection, "user", documents(users, strangers)):
            if say is not None and written >= said + _SAY_EVERY:
                said = written
                say(f"{written:,} users are in the store")
        for _ in import_documents(connection, "template", cast(Sequence[Document], templates)):
            pass
    finally:
        connection.close()


def kept_store(cache: Path, users: int, strangers: int, say: Say) -> Path:
    """The same, out of the cache when it is there and code and users are those of today."""
    cache.mkdir(mode=0o700, parents=True, exist_ok=True)
    kept = cache / f"users-{users}-{strangers}-{_digest()}.db"
    if not kept.exists():
        for outdated in cache.glob(f"users-{users}-{strangers}-*"):
            outdated.unlink()
        say(f"filling a store with {users:,} users, kept in {cache}")
        unfinished = kept.with_suffix(".part")
        fill_store(unfinished, users, strangers, say)
        unfinished.rename(kept)
    return kept


def documents(users: int, strangers: int = 0) -> Iterator[Document]:
    """The users of such a store."""
    numbers = range(users + strangers)
    yield from (cast(Document, user(one) if one < users else user(one, ())) for one in numbers)
    yield cast(Document, user(_WARMS_UP, ("apart",)))


def _digest() -> str:
    makers = (path for pattern in _MAKERS for path in sorted(_ROOT.glob(pattern)))
    whole = b"".join(path.read_bytes() for path in makers)
    return hashlib.sha256(whole).hexdigest()[:12]
