"""The configuration file of a running service: whether it has changed, and what it says now."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final, TypeAlias

import trio

from carillon.settings.environment import Environment
from carillon.settings.errors import ConfigurationError, Problems
from carillon.settings.file.opening import read_start
from carillon.settings.file.reading import LARGEST_FILE
from carillon.settings.loading import configuration_path, load
from carillon.settings.model import Settings

EVERY: Final = 1.0
"""Seconds between two looks."""

SETTLE: Final = 0.1
"""Seconds in which a change must stay as it is: an editor may be in the middle of it."""

_Sight: TypeAlias = bytes | int | None


class ConfigurationFile:
    """The file as it was last looked at.

    Its bytes are compared, which takes 0.1 ms: editors replace files, ConfigMaps swap links to
    folders, and two writes within a tick of the file system's clock leave size and time alike.
    """

    def __init__(
        self,
        path: Path,
        environ: Mapping[str, str],
        *,
        every: float = EVERY,
        settle: float = SETTLE,
    ) -> None:
        self.path = path
        self._environ = environ
        self._every = every
        self._settle = settle
        self._seen = _look(path)

    @classmethod
    def of(cls, environ: Mapping[str, str] | None = None) -> ConfigurationFile | None:
        """The one that `load` reads with the same environment; None if none is named.

        Make it before `load`, so that no change between the two is missed.
        """
        known = dict(os.environ if environ is None else environ)
        path = configuration_path(Environment(known, Problems()))
        return None if path is None else cls(path, known)

    async def read(self) -> Settings:
        """What it says now.

        Raises:
            ConfigurationError: With everything that is wrong.
        """
        return await trio.to_thread.run_sync(self._load)

    async def changed(self) -> None:
        """Wait until it holds something else than at the last look, or is gone."""
        while True:
            await trio.sleep(self._every)
            found = await trio.to_thread.run_sync(_look, self.path)
            if found == self._seen:
                continue
            await trio.sleep(self._settle)
            if found == await trio.to_thread.run_sync(_look, self.path):
                self._seen = found
                return

    def _load(self) -> Settings:
        if _is_stream(self.path):
            raise ConfigurationError([f"{self.path} is no regular file: it is read at start only"])
        return load(self._environ, self.path)


def _look(path: Path) -> _Sight:
    """The bytes of the file, the number of the error that it gives, or None for a stream.

    A pipe cannot be read twice, and reading an empty one would never end.
    """
    try:
        if _is_stream(path):
            return None
        return read_start(path, LARGEST_FILE + 1)
    except OSError as error:
        return error.errno
    except ValueError:  # a path that no file can have
        return None


def _is_stream(path: Path) -> bool:
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))
