"""`getTemplateId` and `getData`: the installation's own functions, run within bounds.

They run in separate processes (`function_pool.py`), on copies, and never longer than their timeout:
a function that hangs is killed, however it hangs, and disturbs nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass

from pydantic_core import to_json

from carillon.messages.errors import FunctionFailed
from carillon.messages.model import Document, JsonValue
from carillon.sagas.function_pool import FunctionPool


@dataclass(frozen=True, slots=True)
class Function:
    """One function: its place in a pool, and its name in errors."""

    pool: FunctionPool
    place: int
    name: str

    async def __call__(self, command: Document) -> JsonValue:
        """What it returns for a whole command, `{key, value: {messageLabel, messagePayload}}`.

        Raises:
            BadCommand, FunctionFailed, TryLater: as `FunctionPool.call` does.
        """
        return await self.pool.call(self.place, self.name, to_json(command))


class SagaFunctions:
    """Calls the functions that are configured; without one `template_id` and `data` are None."""

    def __init__(
        self, get_template_id: Function | None = None, get_data: Function | None = None
    ) -> None:
        self._template_id = get_template_id
        self._data = get_data

    async def template_id(self, command: Document) -> str | None:
        """The template that the function chooses; None if it leaves the choice to the command.

        Raises:
            BadCommand: the function failed on this command.
            FunctionFailed: it took too long, or returned neither a text nor None.
            TryLater: too many calls wait.
        """
        if self._template_id is None:
            return None
        found = await self._template_id(command)
        if found is None or isinstance(found, str):
            return found
        raise FunctionFailed("getTemplateId must return a string")

    async def data(self, command: Document) -> Document | None:
        """The template data that the function makes of a command; None without a function.

        Raises:
            BadCommand: the function failed on this command.
            FunctionFailed: it took too long, or did not return a JSON object.
            TryLater: too many calls wait.
        """
        if self._data is None:
            return None
        found = await self._data(command)
        if isinstance(found, dict):
            return found
        raise FunctionFailed("getData must return an object")

    async def aclose(self) -> None:
        """End the processes in which the functions run."""
        for function in (self._template_id, self._data):
            if function is not None:
                await function.pool.aclose()
