"""Which station of a message's way a line of code belongs to."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Final

_ROOT: Final = f"{Path(__file__).parent.parent}/"
_PACKAGES: Final = "/site-packages/"

THREADS: Final = {"journal": "journal, writer thread", "reads": "resolve, reading thread"}
# The first match counts. What stands nowhere (h11, pydantic, the standard library) belongs to
# whoever called it.
STATIONS: Final = (
    ("telemetry/", "observers"),
    ("messages/events", "observers"),
    ("prometheus_client/", "observers"),
    ("api/", "api"),
    ("access/", "api"),
    ("messages/commands", "api"),
    ("quart", "api"),
    ("werkzeug/", "api"),
    ("flask/", "api"),
    ("stores/sqlite/journal/", "journal"),
    ("stores/sqlite/reading", "journal"),
    ("stores/", "resolve"),
    ("dispatches/feed", "resolve"),
    ("dispatches/compose", "render"),
    ("dispatches/render", "render"),
    ("messages/addresses", "render"),
    ("handlebars/", "render"),
    ("dispatches/", "dispatch"),
    ("messages/", "dispatch"),
    ("actors/provider/", "guard"),
    ("actors/", "actors"),
    ("supervisor", "actors"),
    ("http_client/", "wire"),
    ("httpx/", "wire"),
    ("httpcore/", "wire"),
    ("anyio/", "wire"),
    ("providers/", "provider"),
    ("trio/_socket", "trio, sockets"),
    ("trio/", "trio, scheduler"),
)
OTHER: Final = "other"
_TRIO: Final = "trio"
_RUN_LOOP: Final = "run loop"
_BELOW_TRIO: Final = ("app/service.py", "bench/")


def place_of(frame: FrameType | None) -> str:
    """`station|module`: the innermost frame that is somewhere, and the innermost of a package.

    Of trio's time the module is the one that called trio: that one can be changed.
    """
    modules = list(_modules(frame))
    station = next(filter(None, map(_station, modules)), OTHER)
    if station.startswith(_TRIO):
        modules = [name for name in modules if not name.startswith((_TRIO, *_BELOW_TRIO))]
        modules = modules or [_RUN_LOOP]
    return f"{station}|{modules[0] if modules else 'python'}"


def _modules(frame: FrameType | None) -> Iterator[str]:
    while frame is not None:
        if name := _module(frame.f_code.co_filename):
            yield name
        frame = frame.f_back


@cache
def _module(filename: str) -> str:
    """A path as it is imported from, or nothing for the standard library and made-up names."""
    if _PACKAGES in filename:
        return filename.rpartition(_PACKAGES)[2]
    return filename.removeprefix(_ROOT) if filename.startswith(_ROOT) else ""


@cache
def _station(module: str) -> str:
    return next((station for prefix, station in STATIONS if module.startswith(prefix)), "")
