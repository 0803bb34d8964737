"""Functions of the installation's own: copied, bounded in all they take, never trusted."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import trio
import trio.testing

from carillon.messages.errors import BadCommand, FunctionFailed
from carillon.messages.model import Document
from carillon.providers.config import variables
from carillon.providers.registry import TYPES
from carillon.sagas.function_process import ANSWER_BYTES
from carillon.sagas.functions import SagaFunctions
from tests.sagas.function_files import get_data, loaded, written

COMMAND: Document = {"key": "k", "value": {"messageLabel": "l", "messagePayload": {"amount": 7}}}
HANG = r"import re; re.match(r'(a+)+$', 'a' * 60 + 'b')"
"""It never gives the interpreter back, so that nothing inside its process can end it."""


async def refused(file: Path, match: str, seconds: float = 10.0) -> None:
    """Calling the function of a file is refused; calling the process after that is not."""
    async with loaded(data=file, seconds=seconds) as functions:
        with pytest.raises(BadCommand, match=match):
            await functions.data(COMMAND)
        assert await functions.data({"fine": True}) == {"fine": True}


def unless_fine(folder: Path, body: str) -> Path:
    """`get_data` of this body, for every command but one."""
    return get_data(folder, f"if event.get('fine'):\n    return event\n{body}")


async def test_without_functions_the_command_decides() -> None:
    functions = SagaFunctions()
    assert await functions.template_id(COMMAND) is None
    assert await functions.data(COMMAND) is None


async def test_both_get_the_whole_command(tmp_path: Path) -> None:
    both = written(
        tmp_path,
        "def get_template_id(event): return event['key']\ndef get_data(event): return event\n",
    )
    async with loaded(both, both) as functions:
        assert await functions.template_id(COMMAND) == "k"
        assert await functions.data(COMMAND) == COMMAND


async def test_a_function_may_leave_the_template_to_the_command(tmp_path: Path) -> None:
    async with loaded(written(tmp_path, "def get_template_id(event): pass")) as functions:
        assert await functions.template_id(COMMAND) is None


async def test_a_function_that_raises_refuses_the_command_and_says_where(tmp_path: Path) -> None:
    file = unless_fine(tmp_path, "raise LookupError('card 4711 of ada@example.com')")
    told = r"^getData failed on this command: LookupError \(function.py, line 7\)$"
    await refused(file, told)


@pytest.mark.parametrize("error", ["SystemExit", "KeyboardInterrupt", "RecursionError"])
async def test_nothing_that_a_function_raises_gets_further(error: str, tmp_path: Path) -> None:
    await refused(unless_fine(tmp_path, f"raise {error}"), error)


@pytest.mark.parametrize(
    "body",
    [
        "os._exit(0)",
        "os.kill(os.getpid(), 9)",
        "import ctypes; ctypes.string_at(0)",
        "os.closerange(3, 1024); return {}",
    ],
)
async def test_a_function_that_ends_its_process_refuses_its_command(
    body: str, tmp_path: Path
) -> None:
    await refused(unless_fine(tmp_path, body), "^getData ended its process on this command$")


@pytest.mark.parametrize(
    "body",
    [
        "x = 'x' * (1 << 40)",
        "x = [b'x' * (1 << 20) for _ in range(1 << 20)]",
        "import mmap; x = mmap.mmap(-1, 1 << 36)",
    ],
)
async def test_memory_is_bounded(body: str, tmp_path: Path) -> None:
    await refused(unless_fine(tmp_path, body), "^getData failed on this command: ")


async def test_memory_that_earlier_calls_took_is_given_back(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        "HELD = []\ndef get_data(event):\n    HELD.append('x' * (100 << 20))\n"
        "    return {'held': len(HELD)}\n",
    )
    async with loaded(data=file) as functions:
        held = [await functions.data(COMMAND) for _ in range(5)]
    assert held == [{"held": 1}, {"held": 2}, {"held": 1}, {"held": 2}, {"held": 1}]


async def test_a_child_that_a_function_forks_has_no_say(tmp_path: Path) -> None:
    file = get_data(tmp_path, "child = os.fork()\nreturn {'by': 'child' if child == 0 else 'it'}")
    async with loaded(data=file) as functions:
        for _ in range(5):
            assert await functions.data(COMMAND) == {"by": "it"}


async def test_what_a_function_prints_goes_nowhere(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    body = "print('ada' * 100_000, flush=True)\nos.write(1, b'x')\nos.write(2, b'x')\nreturn {}"
    async with loaded(data=get_data(tmp_path, body)) as functions:
        assert await functions.data(COMMAND) == {}
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("value", ["None", "5", "'text'", "[]", "True"])
async def test_data_must_be_an_object(value: str, tmp_path: Path) -> None:
    async with loaded(data=get_data(tmp_path, f"return {value}")) as functions:
        with pytest.raises(FunctionFailed, match="getData must return an object"):
            await functions.data(COMMAND)


@pytest.mark.parametrize("value", ["5", "{}", "['t']"])
async def test_a_template_id_must_be_a_text(value: str, tmp_path: Path) -> None:
    file = written(tmp_path, f"def get_template_id(event): return {value}")
    async with loaded(file) as functions:
        with pytest.raises(FunctionFailed, match="getTemplateId must return a string"):
            await functions.template_id(COMMAND)


@pytest.mark.parametrize(
    "body",
    [
        "return {'a': float('nan')}",
        "return {'a': object()}",
        "return {'a': '\\ud800'}",
        "return {'a': 10 ** 5000}",
        "value = {}\nvalue['itself'] = value\nreturn value",
        "value = []\nfor _ in range(500): value = [value]\nreturn value",
    ],
)
async def test_what_is_not_json_is_refused(body: str, tmp_path: Path) -> None:
    async with loaded(data=get_data(tmp_path, body)) as functions:
        with pytest.raises(FunctionFailed, match="not JSON"):
            await functions.data(COMMAND)


async def test_dates_and_the_like_are_texts(tmp_path: Path) -> None:
    body = (
        "import datetime as d, decimal\nreturn {'a': d.date(2026, 1, 2), 'b': decimal.Decimal(1)}"
    )
    async with loaded(data=get_data(tmp_path, body)) as functions:
        assert await functions.data(COMMAND) == {"a": "2026-01-02", "b": "1"}


async def test_an_answer_has_a_size(tmp_path: Path) -> None:
    async with loaded(data=get_data(tmp_path, "return {'a': 'x' * event['n']}")) as functions:
        with pytest.raises(FunctionFailed, match="getData returned more than 4,194,304 bytes"):
            await functions.data({"n": ANSWER_BYTES})
        large = await functions.data({"n": ANSWER_BYTES - 100})
        assert large is not None
        assert len(str(large["a"])) == ANSWER_BYTES - 100


@pytest.mark.parametrize(
    "body",
    [
        HANG,
        "time.sleep(60)",
        "while True:\n    try:\n        sum(range(9))\n    except BaseException:\n        pass",
        "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, range(1, 64))\ntime.sleep(60)",
        "os.write(1, b'x' * 10_000_000)\ntime.sleep(60)",
    ],
)
async def test_what_hangs_is_killed_and_the_next_call_is_served(body: str, tmp_path: Path) -> None:
    async with loaded(data=unless_fine(tmp_path, body), seconds=0.2) as functions:
        with pytest.raises(FunctionFailed, match="getData took too long"):
            await functions.data(COMMAND)
    async with loaded(data=unless_fine(tmp_path, body)) as functions:
        assert await functions.data({"fine": True}) == {"fine": True}


@pytest.mark.slow
async def test_eight_that_hang_stop_no_others(tmp_path: Path) -> None:
    file = unless_fine(tmp_path, HANG)
    answered: list[Document | None] = []
    async with loaded(data=file, seconds=600) as functions, trio.open_nursery() as nursery:
        for _ in range(8):
            nursery.start_soon(functions.data, COMMAND)
        await trio.testing.wait_all_tasks_blocked()
        answered += [await functions.data({"fine": True}) for _ in range(50)]
        nursery.cancel_scope.cancel()
    assert answered == [{"fine": True}] * 50


async def test_what_computes_for_long_does_so_behind_the_service(tmp_path: Path) -> None:
    body = "time.sleep(event['seconds'])\nreturn {'nice': os.nice(0)}"
    async with loaded(data=get_data(tmp_path, body)) as functions:
        assert await functions.data({"seconds": 0.5}) == {"nice": 10}


@pytest.mark.slow
async def test_more_that_hang_than_there_are_processes_are_all_told(tmp_path: Path) -> None:
    async with loaded(data=unless_fine(tmp_path, HANG), seconds=0.3) as functions:
        told: list[str] = []

        async def one() -> None:
            with pytest.raises(FunctionFailed) as caught:
                await functions.data(COMMAND)
            told.append(str(caught.value))

        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(one)
        assert told == ["getData took too long"] * 20
        assert await functions.data({"fine": True}) == {"fine": True}


async def test_a_process_that_was_killed_between_calls_is_replaced(tmp_path: Path) -> None:
    file = get_data(tmp_path, "return {'pid': os.getpid()}")
    async with loaded(data=file) as functions:
        first = await functions.data(COMMAND)
        assert await functions.data(COMMAND) == first
        assert first is not None
        pid = first["pid"]
        assert isinstance(pid, int)
        os.kill(pid, signal.SIGTERM)  # sent to all of a service as it stops
        assert await functions.data(COMMAND) == first
        os.kill(pid, signal.SIGKILL)
        assert await functions.data(COMMAND) != first


async def test_a_call_that_is_given_up_ends_its_process(tmp_path: Path) -> None:
    file = unless_fine(
        tmp_path, f"open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))\n{HANG}"
    )
    async with loaded(data=file) as functions:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(functions.data, COMMAND)
            while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
                await trio.sleep(0.01)
            nursery.cancel_scope.cancel()
        assert is_gone(int((tmp_path / "pid").read_text()))
        assert await functions.data({"fine": True}) == {"fine": True}


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    state = Path(f"/proc/{pid}/stat")
    return state.exists() and state.read_text().rpartition(")")[2].split()[0] == "Z"


async def test_few_processes_stay(tmp_path: Path) -> None:
    file = get_data(tmp_path, "time.sleep(0.2)\nreturn {'pid': os.getpid()}")
    pids: set[object] = set()
    async with loaded(data=file) as functions:

        async def one() -> None:
            data = await functions.data(COMMAND)
            assert data is not None
            pids.add(data["pid"])

        async with trio.open_nursery() as nursery:
            for _ in range(10):
                nursery.start_soon(one)
        assert len(pids) > 2
        assert sum(not is_gone(int(str(pid))) for pid in pids) <= 2
    assert all(is_gone(int(str(pid))) for pid in pids)


PARENT = """
import json, os, sys, trio
from pathlib import Path
from tests.sagas.function_files import loaded

async def main():
    async with loaded(data=Path(sys.argv[1]), seconds=600) as functions, trio.open_nursery() as n:
        n.start_soon(functions.data, {"key": 1})
        await trio.sleep_forever()

trio.run(main)
"""


@pytest.mark.servers
def test_a_process_ends_with_the_service_however_that_ends(tmp_path: Path) -> None:
    told = tmp_path / "pids"
    body = f"child = os.fork()\nopen({str(told)!r}, 'a').write(f'{{os.getpid()}} ')\n{HANG}"
    file = get_data(tmp_path, body)
    with subprocess.Popen([sys.executable, "-c", PARENT, str(file)]) as parent:
        while not told.exists() or len(told.read_text().split()) < 2:
            assert parent.poll() is None
            time.sleep(0.05)
        parent.kill()
    end = time.monotonic() + 10
    pids = [int(pid) for pid in told.read_text().split()]
    while not all(map(is_gone, pids)):
        assert time.monotonic() < end
        time.sleep(0.05)


async def test_secrets_of_ours_are_not_in_its_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets = {
        "API_KEYS": "[]",
        "CARILLON_API_KEY": "s",
        "CRUD_SERVICE_URL": "http://ada:secret@crud",
        "KAFKA_PASSWORD": "s",
        **{one.name: "s" for kind in TYPES.values() for one in variables(kind) if one.secret},
        "STORE_URL": "mongodb://ada:secret@db/x",
    }
    seen = {"SHOP": "Milan", "MAIL_SERVICE_NAME": "mail", "SHOP_MAIL": "shop@example.com"}
    for name, value in {**secrets, **seen}.items():
        monkeypatch.setenv(name, value)
    async with loaded(data=get_data(tmp_path, "return dict(os.environ)")) as functions:
        found = await functions.data(COMMAND)
    assert found is not None
    assert not secrets.keys() & found.keys()
    assert {name: found[name] for name in seen} == seen


async def test_siblings_are_found_and_names_of_ours_disturb_nothing(tmp_path: Path) -> None:
    for name in ("settings", "cli", "json", "messages", "struct"):
        written(tmp_path, f"NAME = 'mine: {name}'\n", f"{name}.py")
    (tmp_path / "api").mkdir()
    written(tmp_path / "api", "NAME = 'mine: api'\n", "__init__.py")
    file = written(
        tmp_path,
        "import settings, cli, api, messages\n"
        "def get_data(event): return {'names': [m.NAME for m in (settings, cli, api, messages)]}\n",
    )
    async with loaded(data=file) as functions:
        found = await functions.data(COMMAND)
    assert found == {"names": [f"mine: {name}" for name in ("settings", "cli", "api", "messages")]}
    assert not (tmp_path / "__pycache__").exists()


async def test_files_of_two_folders_have_modules_of_their_own(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        written(tmp_path / name, f"NAME = {name!r}\n", "helpers.py")
        text = "import helpers\ndef get_template_id(event): return helpers.NAME\n"
        written(tmp_path / name, text + "def get_data(event): return {'name': helpers.NAME}\n")
    async with loaded(tmp_path / "a/function.py", tmp_path / "b/function.py") as functions:
        assert await functions.template_id(COMMAND) == "a"
        assert await functions.data(COMMAND) == {"name": "b"}


async def test_it_starts_without_the_service(tmp_path: Path) -> None:
    file = get_data(tmp_path, "return {'modules': sorted(sys.modules)}")
    async with loaded(data=file) as functions:
        found = await functions.data(COMMAND)
    ours = {"messages", "settings", "trio", "pydantic", "asyncio", "importlib.metadata", "ctypes"}
    assert found is not None
    assert not ours & set(json.loads(json.dumps(found["modules"])))
