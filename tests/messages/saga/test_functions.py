"""Functions of the installation's own: copied, bounded in time, never trusted with a result."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
import trio

from messages.errors import BadCommand, FunctionFailed
from messages.model import Document
from messages.saga.functions import SagaFunctions

COMMAND: Document = {"key": "k", "value": {"messageLabel": "l", "messagePayload": {"amount": 7}}}


def data(function: Callable[[Document], object], seconds: float = 1.0) -> SagaFunctions:
    return SagaFunctions(get_data=function, seconds=seconds)


async def test_without_functions_the_command_decides() -> None:
    functions = SagaFunctions()
    assert await functions.template_id(COMMAND) is None
    assert await functions.data(COMMAND) is None


async def test_both_get_the_whole_command() -> None:
    functions = SagaFunctions(lambda event: event["key"], lambda event: event)
    assert await functions.template_id(COMMAND) == "k"
    assert await functions.data(COMMAND) == COMMAND


async def test_a_function_may_leave_the_template_to_the_command() -> None:
    assert await SagaFunctions(lambda _: None).template_id(COMMAND) is None


async def test_what_a_function_does_to_its_command_stays_there() -> None:
    def greedy(event: Document) -> Document:
        taken: Document = {"mine": event.pop("value")}
        return taken

    before = {**COMMAND}
    assert await data(greedy).data(COMMAND) == {"mine": before["value"]}
    assert before == COMMAND


async def test_a_function_that_raises_refuses_the_command_and_says_where() -> None:
    def picky(event: Document) -> Document:
        raise LookupError("card 4711 of ada@example.com")

    with pytest.raises(BadCommand) as caught:
        await data(picky).data(COMMAND)
    said = str(caught.value)
    assert said.startswith("getData failed on this command: LookupError (test_functions.py, line ")
    assert "ada" not in said


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, GeneratorExit, RecursionError])
async def test_nothing_that_a_function_raises_gets_further(error: type[BaseException]) -> None:
    def wild(_: Document) -> object:
        raise error

    with pytest.raises(BadCommand, match=error.__name__):
        await data(wild).data(COMMAND)


@pytest.mark.parametrize("value", [None, 5, "text", [], True])
async def test_data_must_be_an_object(value: object) -> None:
    with pytest.raises(FunctionFailed, match="getData must return an object"):
        await data(lambda _: value).data(COMMAND)


@pytest.mark.parametrize("value", [5, {}, ["t"]])
async def test_a_template_id_must_be_a_text(value: object) -> None:
    with pytest.raises(FunctionFailed, match="getTemplateId must return a string"):
        await SagaFunctions(lambda _: value).template_id(COMMAND)


def endless() -> dict[str, object]:
    value: dict[str, object] = {}
    value["itself"] = value
    return value


@pytest.mark.parametrize(
    "value", [{"a": float("nan")}, {"a": object()}, {"a": "\ud800"}, endless()], ids=str
)
async def test_what_is_not_json_is_refused(value: object) -> None:
    with pytest.raises(FunctionFailed, match="not JSON"):
        await data(lambda _: value).data(COMMAND)


LONG_ENOUGH = 1.5
"""Seconds in which a thread begins on any machine; one that begins later is not let in at all."""


async def test_an_endless_loop_is_interrupted() -> None:
    ended = trio.Event()
    token = trio.lowlevel.current_trio_token()

    def loop(_: Document) -> object:
        try:
            while True:
                try:
                    sum(range(100))
                except Exception:  # noqa: BLE001, S112, PERF203, RUF100 - as somebody may write
                    continue
        finally:
            token.run_sync_soon(ended.set)

    with pytest.raises(FunctionFailed, match="getData took too long"):
        await data(loop, LONG_ENOUGH).data(COMMAND)
    with trio.fail_after(2):
        await ended.wait()


async def test_a_finalizer_in_the_thread_does_not_end_the_watch() -> None:
    scope: dict[str, type[object]] = {}
    text = "class Swallowing:\n  def __del__(self):\n    for _ in range(1000):\n      pass\n"
    exec(compile(text, "/elsewhere/finalizer.py", "exec"), scope)
    swallowing = scope["Swallowing"]
    ended = trio.Event()
    token = trio.lowlevel.current_trio_token()

    def loop(_: Document) -> object:
        try:
            while True:
                swallowing()
        finally:
            token.run_sync_soon(ended.set)

    with pytest.raises(FunctionFailed, match="getData took too long"):
        await data(loop, LONG_ENOUGH).data(COMMAND)
    with trio.fail_after(2):
        await ended.wait()


async def test_what_cannot_be_interrupted_is_left_behind() -> None:
    functions = data(lambda _: time.sleep(1.5), 0.05)
    started = time.monotonic()
    with pytest.raises(FunctionFailed, match="getData took too long"):
        await functions.data(COMMAND)
    assert time.monotonic() - started < 1


async def test_while_every_thread_hangs_others_are_told_in_time() -> None:
    functions = data(lambda _: time.sleep(1.5), 0.05)

    async def one() -> None:
        with pytest.raises(FunctionFailed):
            await functions.data(COMMAND)

    started = time.monotonic()
    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(one)
    assert time.monotonic() - started < 1
