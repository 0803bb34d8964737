"""Files of the configuration that others on this machine may read or write.

Who writes keys or a saga's functions decides what the service does, and who reads an account sends
in its name.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from carillon.providers.config import leaves
from carillon.settings.errors import dotted
from carillon.settings.model import FlowManagerSettings, Settings

_CONFIGURATION: Final = "CONFIGURATION_PATH"
_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH


def writable_by_others(settings: Settings) -> Iterator[str]:
    """A sentence for each file that somebody else may change."""
    for name, path in _files(settings).items():
        if (found := _status(path)) is None:
            continue
        if found.st_mode & _WRITE:
            yield _sentence(name, path, found, "change", "go-w")
        elif (folder := _status(path.absolute().parent)) and _lets_others_in(folder):
            yield f"{name}: others can replace {path}, since they can write to its folder"


def readable_by_others(settings: Settings) -> Iterator[str]:
    """A sentence for each secret file that other users may read."""
    for name, path in _files(settings).items():
        if name == _CONFIGURATION and not _holds_secrets(settings):
            continue
        if (found := _status(path)) is not None and found.st_mode & _reading(found):
            yield _sentence(name, path, found, "read", "go-rwx")


def _files(settings: Settings) -> Mapping[str, Path]:
    """The files by the key or variable that names them."""
    found: dict[str, Path | None] = {
        _CONFIGURATION: settings.file,
        "API_KEYS_FILE": settings.access.keys_file,
    }
    for provider in settings.providers.values():
        for leaf in leaves(provider.config, ("providers", provider.name)):
            if isinstance(leaf.value, Path):
                found[leaf.variable or dotted(leaf.place)] = leaf.value
    flow = settings.flow_manager
    if flow is not None:
        found |= _functions(flow)
    return {name: path for name, path in found.items() if path is not None}


def _functions(flow: FlowManagerSettings) -> Mapping[str, Path | None]:
    section = "flowManagerConfiguration"
    return {
        f"{section}.getTemplateIdFilePath": flow.template_id_file,
        f"{section}.getDataFilePath": flow.data_file,
    }


def _holds_secrets(settings: Settings) -> bool:
    """Whether an account may stand in the configuration file itself."""
    return any(
        leaf.variable is None and leaf.is_secret
        for one in settings.providers.values()
        for leaf in leaves(one.config)
    )


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None


def _reading(found: os.stat_result) -> int:
    """The permissions by which others read it; a file of another user is read by our group."""
    return stat.S_IROTH | (stat.S_IRGRP if found.st_uid == os.geteuid() else 0)


def _lets_others_in(folder: os.stat_result) -> bool:
    return bool(folder.st_mode & stat.S_IWOTH) and not folder.st_mode & stat.S_ISVTX


def _sentence(name: str, path: Path, found: os.stat_result, do: str, mode: str) -> str:
    has = f"{stat.S_IMODE(found.st_mode):04o}"
    return f"{name}: others can {do} {path} (mode {has}); chmod {mode} it"
