"""What others wrote for those who call providers: SDKs in Python, and servers in node.

`./dev test` puts them into `.peers-test`.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import httpx
import pytest
import trio

from carillon.messages.model import JsonValue

PEERS: Final = Path(__file__).parent.parent.parent / ".peers-test"
NODE: Final = PEERS / "node_modules"

with_peers = pytest.mark.skipif(
    not (PEERS / "installed").exists(), reason="./dev test puts the peers into .peers-test"
)


async def ask(script: str, given: JsonValue) -> JsonValue:
    """What a script of Python says of `given`, which it finds as `given`; its result is `told`."""
    whole = f"import json, sys\ngiven = json.load(sys.stdin)\n{script}\nprint(json.dumps(told))"
    with trio.fail_after(120):
        ended = await trio.run_process(
            [str(PEERS / "bin" / "python"), "-c", whole],
            stdin=json.dumps(given).encode(),
            capture_stdout=True,
            capture_stderr=True,
            check=False,
        )
    assert ended.returncode == 0, ended.stderr.decode()
    told: JsonValue = json.loads(ended.stdout)
    return told


@asynccontextmanager
async def listening(words: list[str], url: str) -> AsyncGenerator[None]:
    """A server, from when it answers at its address until the end of the block."""
    process = await trio.lowlevel.open_process(
        words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        async with httpx.AsyncClient(trust_env=False, timeout=5) as client:
            with trio.fail_after(120):
                while not await _answers(client, url):
                    assert process.poll() is None, f"{words[0]} ended early"
                    await trio.sleep(0.2)
        yield
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()


async def _answers(client: httpx.AsyncClient, url: str) -> bool:
    try:
        await client.get(url)
    except httpx.TransportError:
        return False
    return True
