"""Where the operator token is: what a service writes at its start and the command line reads.

It stands beside the store. Where that is a MongoDB there is no such place, and several services of
one user may share a machine: the token is in the user's state folder then, in a file named by port.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from carillon.settings.environment import Environment
from carillon.settings.errors import Problems
from carillon.settings.model import TokenPlace
from carillon.settings.urls import store_url
from carillon.stores.mongodb.url import MongoUrl

VARIABLE: Final = "OPERATOR_TOKEN_FILE"
_DEFAULT_STORE: Final = Path("carillon.db")


def token_place(env: Environment) -> TokenPlace:
    """Where a service writes its token."""
    named = env.maybe(VARIABLE, _file)
    store = env.maybe("STORE_URL", store_url) or _DEFAULT_STORE
    if named is None and not isinstance(store, MongoUrl):
        named = _beside(store)
    return TokenPlace(named, _state_folder(env))


def token_files(environ: Mapping[str, str], port: int) -> tuple[Path, ...]:
    """Where the token of a service on this machine may be, likeliest first."""
    env = Environment(environ, Problems())
    if named := env.text(VARIABLE):
        return (Path(named),)
    place = token_place(env)
    places = (place, TokenPlace(None, place.state_folder))
    return tuple(dict.fromkeys(file for one in places if (file := one.at(port)) is not None))


def state_folder(environ: Mapping[str, str] | None = None) -> Path | None:
    """The folder of what a user's programs keep between two runs; None where nothing names one."""
    return _state_folder(Environment(os.environ if environ is None else environ, Problems()))


def _state_folder(env: Environment) -> Path | None:
    # As the XDG Base Directory Specification has it: a relative path does not count.
    for variable, below in (("XDG_STATE_HOME", "carillon"), ("HOME", ".local/state/carillon")):
        base = env.text(variable)
        if base is not None and Path(base).is_absolute():
            return Path(base, below)
    return None


def _beside(store: Path) -> Path:
    return store.with_name(store.name + "-token")


def _file(text: str) -> Path:
    path = Path(text)
    try:
        is_place = path.parent.is_dir() and not path.is_dir()
    except (OSError, ValueError):
        is_place = False
    if not is_place:
        raise ValueError("a file in a folder that exists")
    return path
