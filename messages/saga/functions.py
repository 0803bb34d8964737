"""`getTemplateId` and `getData`: functions of the installation's own, run within bounds.

They run in worker threads, on copies, and never for longer than their time: Python code is
interrupted when it is over; what cannot be interrupted keeps its thread, and the command goes on
without it.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from traceback import extract_tb
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Final

import trio
from pydantic_core import PydanticSerializationError, from_json, to_json

from messages.errors import BadCommand, FunctionFailed
from messages.model import Document, JsonValue

if TYPE_CHECKING:
    from _typeshed import TraceFunction

Function = Callable[[Document], object]
"""Takes a whole command as `{key, value: {messageLabel, messagePayload}}`."""

SECONDS: Final = 1.0
"""How long one call may take."""
AT_ONCE: Final = 8
"""So many calls run side by side; those that hang and cannot be interrupted count."""


class TooLong(BaseException):
    """Ends a function whose time is over, past its own `except Exception`."""


class Failed(Exception):
    """A function failed that is not of Python; the text is the kind of its error and where."""


class SagaFunctions:
    """Calls the functions that are configured; without one `template_id` and `data` are None."""

    def __init__(
        self,
        get_template_id: Function | None = None,
        get_data: Function | None = None,
        seconds: float = SECONDS,
    ) -> None:
        self._template_id = get_template_id
        self._data = get_data
        self._seconds = seconds
        self._limiter = trio.CapacityLimiter(AT_ONCE)

    async def template_id(self, command: Document) -> str | None:
        """The template that the function chooses, None when it leaves that to the command.

        Raises:
            BadCommand: the function failed on this command.
            FunctionFailed: it took too long, or returned something else than a text or None.
        """
        if self._template_id is None:
            return None
        found = await self._call("getTemplateId", self._template_id, command)
        if found is None or isinstance(found, str):
            return found
        raise FunctionFailed("getTemplateId must return a string")

    async def data(self, command: Document) -> Document | None:
        """What the function makes of a command for its templates.

        Raises:
            BadCommand: the function failed on this command.
            FunctionFailed: it took too long, or returned something else than a JSON object.
        """
        if self._data is None:
            return None
        found = await self._call("getData", self._data, command)
        if isinstance(found, dict):
            return found
        raise FunctionFailed("getData must return an object")

    async def _call(self, name: str, function: Function, command: Document) -> JsonValue:
        until = time.monotonic() + self._seconds
        call = _Call(name, function, to_json(command), until, _folder(function))
        with trio.move_on_after(self._seconds):
            return await trio.to_thread.run_sync(
                call.run, abandon_on_cancel=True, limiter=self._limiter
            )
        raise call.too_slow()


@dataclass(frozen=True, slots=True)
class _Call:
    """One call in its thread; `until` is on the monotonic clock."""

    name: str
    function: Function
    command: bytes
    until: float
    folder: str

    def run(self) -> JsonValue:
        """What the function returns, as plain JSON: nothing is shared with it afterwards."""
        try:
            returned = self._bounded()
        except TooLong:
            raise self.too_slow() from None
        except BaseException as error:
            where = str(error) if isinstance(error, Failed) else _place(error)
            raise BadCommand(f"{self.name} failed on this command: {where}") from None
        try:
            value: JsonValue = from_json(to_json(returned), allow_inf_nan=False)
        except (ValueError, TypeError, RecursionError, PydanticSerializationError):
            raise FunctionFailed(f"{self.name} returned something that is not JSON") from None
        return value

    def too_slow(self) -> FunctionFailed:
        """What to tell of a call whose time is over."""
        return FunctionFailed(f"{self.name} took too long")

    def _bounded(self) -> object:
        before = sys.gettrace()
        sys.settrace(self._watch)
        try:
            return self.function(from_json(self.command))
        finally:
            sys.settrace(before)

    def _watch(self, frame: FrameType, _what: str, _argument: object) -> TraceFunction | None:
        """Called before each line of the function and of what stands in files beside its own.

        Not of others: a finalizer that happens to run in this thread would swallow the exception,
        and with it the watch would end.
        """
        if not frame.f_code.co_filename.startswith(self.folder):
            return None
        if time.monotonic() > self.until:
            raise TooLong
        return self._watch


def _folder(function: Function) -> str:
    """Where the code of a function stands."""
    code = getattr(function, "__code__", None)
    return f"{Path(code.co_filename).parent}{os.sep}" if isinstance(code, CodeType) else "<none>"


def _place(error: BaseException) -> str:
    """The kind of an exception and where it was raised; its own words may hold personal data."""
    frames = extract_tb(error.__traceback__)
    at = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}{at}"
