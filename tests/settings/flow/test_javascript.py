"""JavaScript files of the reference run as they are, within bounds of time, memory and stack."""

from __future__ import annotations

import sys
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
import trio

from carillon.messages.errors import BadCommand, FunctionFailed
from carillon.messages.model import Document
from carillon.sagas.functions import SagaFunctions
from carillon.settings import ConfigurationError
from tests.sagas.function_files import PATIENCE, loaded

COMMAND: Document = {
    "key": "S-7",
    "value": {"messageLabel": "visit-moved", "messagePayload": {"amount": 7, "name": "Zoë"}},
}
EXAMPLE = """'use strict'

const { format } = (() => ({ format: n => n.toFixed(2) }))()

module.exports = function getData(event) {
  console.log(event)
  return { ...event.value.messagePayload, amount: format(event.value.messagePayload.amount) }
}
"""


def written(folder: Path, text: str) -> Path:
    file = folder / "getData.js"
    file.write_text(text)
    return file


def functions(
    folder: Path, text: str, seconds: float = PATIENCE
) -> AbstractAsyncContextManager[SagaFunctions]:
    return loaded(data=written(folder, text), seconds=seconds)


async def problem(path: Path) -> str:
    with pytest.raises(ConfigurationError) as caught:
        async with loaded(data=path):
            pass
    (said,) = caught.value.problems
    return said.removeprefix(f"flowManagerConfiguration.getDataFilePath: {path}")


async def test_a_function_of_the_reference_runs_as_it_is(tmp_path: Path) -> None:
    async with functions(tmp_path, EXAMPLE) as run:
        assert await run.data(COMMAND) == {"amount": "7.00", "name": "Zoë"}


async def test_an_arrow_may_choose_the_template(tmp_path: Path) -> None:
    async with loaded(written(tmp_path, "module.exports = e => e.value.messageLabel")) as run:
        assert await run.template_id(COMMAND) == "visit-moved"
    async with loaded(written(tmp_path, "module.exports = () => undefined")) as run:
        assert await run.template_id(COMMAND) is None


async def test_nothing_is_left_for_the_next_call(tmp_path: Path) -> None:
    text = (
        "let calls = 0; module.exports = e => { Object.prototype.y = 1; return {calls: ++calls} }"
    )
    async with functions(tmp_path, text) as counting:
        assert await counting.data(COMMAND) == await counting.data(COMMAND) == {"calls": 1}


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("return event.missing.more", "TypeError (getData.js, line 2)"),
        ("throw new RangeError('card 4711')", "RangeError (getData.js, line 2)"),
        ("throw 'ada@example.com'", "an exception (getData.js)"),
        ("return require('fs')", "ReferenceError (getData.js, line 2)"),
        ("return Promise.resolve({})", "TypeError (getData.js"),
        ("const f = () => f() + 1; return f()", "RangeError (getData.js, line 2)"),
        ("const a = []; for (;;) a.push('x'.repeat(1e6) + a.length)", "InternalError (getData.js"),
    ],
)
async def test_a_failure_says_what_and_where_and_no_more(
    body: str, told: str, tmp_path: Path
) -> None:
    text = f"module.exports = function (event) {{\n{body}\n}}"
    async with functions(tmp_path, text) as run:
        with pytest.raises(BadCommand) as caught:
            await run.data(COMMAND)
    assert str(caught.value).startswith(f"getData failed on this command: {told}")
    assert "4711" not in str(caught.value)


@pytest.mark.parametrize(
    "body",
    [
        "for (;;) ;",
        "return {a: /(a+)+$/.test('a'.repeat(60) + 'b')}",
        "const o = {toString() { return 'x'.repeat(1e6) }}; for (;;) String(o)",
        "return {a: 'a'.repeat(2e7).split('').sort().reverse().join('').split('').sort()}",
    ],
)
async def test_a_function_that_takes_too_long_is_killed(body: str, tmp_path: Path) -> None:
    text = f"module.exports = event => {{ if (event.fine) return event; {body} }}"
    async with functions(tmp_path, text, 0.2) as slow:
        with pytest.raises(FunctionFailed, match="getData took too long"):
            await slow.data(COMMAND)
    async with functions(tmp_path, text) as next_one:
        assert await next_one.data({"fine": True}) == {"fine": True}


async def test_many_calls_at_once_do_not_meet(tmp_path: Path) -> None:
    found: list[object] = []
    async with functions(tmp_path, "module.exports = e => ({n: e.n * 2})") as doubling:

        async def one(number: int) -> None:
            data = await doubling.data({"n": number})
            assert data is not None
            found.append(data["n"])

        async with trio.open_nursery() as nursery:
            for number in range(200):
                nursery.start_soon(one, number)
    assert sorted(found, key=str) == sorted([2 * n for n in range(200)], key=str)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("\n\nlet x = ;", ", line 3: SyntaxError"),
        ("\nnull.x", ", line 2: TypeError"),
        ("for (;;) ;", ", line 1: InternalError"),
        ("exports.getData = e => e", " exports no function"),
        ("", " exports no function"),
        ("export default e => e", ", line 1: SyntaxError"),
    ],
)
async def test_what_cannot_be_loaded_is_told_at_the_start(
    text: str, said: str, tmp_path: Path
) -> None:
    assert (await problem(written(tmp_path, text))).startswith(said)


async def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert await problem(tmp_path / "none.js") == " cannot be read: No such file or directory"


async def test_without_the_extra_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "quickjs", None)
    said = await problem(written(tmp_path, EXAMPLE))
    assert "pip install 'carillon-messaging[javascript]'" in said
    assert "get_data(event)" in said
