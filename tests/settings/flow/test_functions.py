"""Files with functions are loaded at the start; what is wrong with them is told with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from carillon.sagas import function_pool
from carillon.settings import ConfigurationError, FlowManagerSettings, MetadataSchema
from carillon.settings.flow.functions import flow_functions

KEYS = "flowManagerConfiguration."


def flow(template_id: Path | None = None, data: Path | None = None) -> FlowManagerSettings:
    schema = MetadataSchema(channels=("channels",))
    return FlowManagerSettings(schema, template_id_file=template_id, data_file=data)


def written(folder: Path, text: str) -> Path:
    file = folder / "function.py"
    file.write_text(text)
    return file


async def problem(path: Path) -> str:
    with pytest.raises(ConfigurationError) as caught:
        await flow_functions(flow(data=path))
    (said,) = caught.value.problems
    assert said.startswith(f"{KEYS}getDataFilePath: {path}")
    return said.removeprefix(f"{KEYS}getDataFilePath: {path}")


async def test_functions_are_found_with_all_that_stands_around_them(tmp_path: Path) -> None:
    both = written(
        tmp_path,
        "import math\n"
        "LABELS = {'tell': 'visit-moved'}\n"
        "def get_template_id(event): return LABELS[event['value']['messageLabel']]\n"
        "def get_data(event): return {'pi': round(math.pi), 'file': __file__, 'name': __name__}\n",
    )
    functions = await flow_functions(flow(both, both))
    command = {"key": "k", "value": {"messageLabel": "tell", "messagePayload": None}}
    assert await functions.template_id(command) == "visit-moved"  # type: ignore[arg-type]
    assert await functions.data({}) == {"pi": 3, "file": str(both), "name": "function"}
    await functions.aclose()


async def test_none_need_be_configured() -> None:
    assert await (await flow_functions(flow())).data({}) is None


async def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert await problem(tmp_path / "none.py") == " cannot be read: No such file or directory"


async def test_a_file_with_a_mistake(tmp_path: Path) -> None:
    said = await problem(written(tmp_path, "import math\n\ndef get_data(event)\n    return 1\n"))
    assert said.startswith(", line 3: ")


async def test_a_file_that_fails_as_it_is_loaded(tmp_path: Path) -> None:
    text = "def broken():\n    return {}['x']\n\nbroken()\n"
    assert await problem(written(tmp_path, text)) == ", line 4: KeyError: 'x'"
    assert (
        await problem(written(tmp_path, "import sys\nsys.exit(3)\n")) == ", line 2: SystemExit: 3"
    )


@pytest.mark.parametrize("text", ["", "get_data = 5\n", "def get_template_id(event): ...\n"])
async def test_a_file_without_the_function(text: str, tmp_path: Path) -> None:
    assert await problem(written(tmp_path, text)) == " has no function get_data(event)"


async def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    file = tmp_path / "function.py"
    file.write_bytes(b"\x00\xff")
    assert await problem(file)


@pytest.mark.parametrize("text", ["while True: pass\n", "import os\nos._exit(0)\n"])
async def test_a_file_that_never_comes_back(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(function_pool, "LONGEST_WAIT", 0.5)
    said = await problem(written(tmp_path, text))
    assert said == " is not loaded within 0.5 seconds, or ends its process"


async def test_other_text_than_utf_8_says_so(tmp_path: Path) -> None:
    file = tmp_path / "function.py"
    file.write_bytes(b"# -*- coding: latin-1 -*-\ndef get_data(event): return {'a': '\xe8'}\n")
    functions = await flow_functions(flow(data=file))
    assert await functions.data({}) == {"a": "è"}
    await functions.aclose()
    file.write_bytes(b"def get_data(event): return {'a': '\xe8'}\n")
    assert await problem(file)


async def test_everything_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        await flow_functions(flow(tmp_path / "a.py", tmp_path / "b.py"))
    assert [one.split(":")[0] for one in caught.value.problems] == [
        f"{KEYS}getTemplateIdFilePath",
        f"{KEYS}getDataFilePath",
    ]
