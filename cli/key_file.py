"""The file of API keys: read as the service reads it, and added to as a whole or not at all."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkstemp

from carillon.access.keys import ApiKey
from carillon.cli.failure import BadInput, Failure
from carillon.settings import ConfigurationError, key_record, parse_keys
from carillon.settings.errors import nearest
from carillon.settings.file.opening import read_start
from carillon.settings.file.reading import LARGEST_FILE


def read_file(file: Path) -> tuple[ApiKey, ...]:
    """The keys in a file. Raises BadInput where it holds anything else."""
    try:
        return _parsed(read_start(file, LARGEST_FILE + 1), file)
    except OSError as error:
        raise BadInput(f"{file}: {error.strerror}") from None


def add_to_file(file: Path, key: ApiKey) -> None:
    """Add a key, in a file for its owner only; one that is not there is made.

    Raises:
        BadInput: the file holds something else, or a key with this id.
        Failure: it cannot be written.
    """
    target = file.resolve()  # the file itself is replaced, not a link to it
    try:
        with _locked(target.parent):
            there = _present(target, file)
            if any(key.id == other.id for other in there):
                raise BadInput(f"{file} has a key with the id {key.id} already; choose another id")
            _replace(target, [*there, key])
    except OSError as error:
        raise Failure(f"{file}: {error.strerror}") from None


def remove_from_file(file: Path, key_id: str) -> int:
    """Remove a key; how many are left.

    Raises:
        BadInput: the file holds something else, no key with this id, or no other one.
        Failure: it cannot be written.
    """
    target = file.resolve()
    try:
        with _locked(target.parent):
            there = read_file(file)
            left = [key for key in there if key.id != key_id]
            if len(left) == len(there):
                hint = nearest(key_id, [key.id for key in there])
                raise BadInput(f"{file} has no key with the id {key_id}; {hint}")
            if not left:  # keeping the old keys is safer than running without any
                raise BadInput(
                    f"{key_id} is the last key in {file}: a service refuses a file without any, "
                    "and goes on with the keys it has; add another one first, or remove the file"
                )
            _replace(target, left)
    except OSError as error:
        raise Failure(f"{file}: {error.strerror}") from None
    return len(left)


def _present(target: Path, file: Path) -> tuple[ApiKey, ...]:
    if not target.exists():
        return ()
    if not target.is_file():
        raise BadInput(f"{file} is no regular file")
    content = target.read_bytes()
    return _parsed(content, file) if content.strip() else ()


def _parsed(content: bytes, file: Path) -> tuple[ApiKey, ...]:
    try:
        return parse_keys(content, str(file))
    except ConfigurationError as error:
        raise BadInput("; ".join(error.problems)) from None


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One command at a time: the folder is locked, since the file is another one afterwards."""
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
        os.fsync(lock)
    finally:
        os.close(lock)


def _replace(target: Path, keys: list[ApiKey]) -> None:
    lines = ",\n".join(f"  {json.dumps(key_record(key))}" for key in keys)
    handle, name = mkstemp(prefix=f".{target.name}.", dir=target.parent)  # 0600 from the start
    new = Path(name)
    try:
        with open(handle, "w", encoding="utf-8") as stream:  # noqa: PTH123 - a descriptor
            stream.write(f"[\n{lines}\n]\n")
            stream.flush()
            _keep_owner(stream.fileno(), target)
            os.fsync(stream.fileno())
        new.replace(target)
    except BaseException:
        new.unlink(missing_ok=True)
        raise


def _keep_owner(handle: int, target: Path) -> None:
    """What root adds to must stay readable for the service."""
    with suppress(FileNotFoundError, PermissionError):
        owner = target.stat()
        os.fchown(handle, owner.st_uid, owner.st_gid)
