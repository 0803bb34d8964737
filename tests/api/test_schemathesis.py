"""What the OpenAPI document promises, tried by Schemathesis on a living service.

It runs as a process of its own: its plug-in for pytest would be loaded by every run of the tests.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
import trio

from carillon.access.keys import SCOPES, draw_key
from carillon.messages.model import Document
from carillon.settings import key_record
from tests.process import heard_process
from tests.running import operator, sandbox_configuration

PROGRAM = Path(sys.executable).with_name("schemathesis")
SECONDS = 12
LEFT_OUT = (
    "positive_data_acceptance",  # no schema says which templates, users and dispatches there are
)
JSON_LINES = "application/x-ndjson"
ADA: Document = {"_id": "ada", "emailAddress": "ada@example.com"}


def readable(text: str) -> Document:
    """The document without bodies of JSON lines, which Schemathesis cannot write."""
    assert JSON_LINES in text
    found: Document = json.loads(
        text, object_hook=lambda one: {key: one[key] for key in one if key != JSON_LINES}
    )
    return found


async def tried(
    url: str, headers: dict[str, str], folder: Path
) -> subprocess.CompletedProcess[bytes]:
    """Every documented operation, with examples, edge cases and chance."""
    async with httpx.AsyncClient(base_url=url, headers=headers) as client:
        document = readable((await client.get("/documentation/json")).text)
    file = trio.Path(folder / "openapi.json")
    await file.write_text(json.dumps(document))
    words = ["run", str(file), "--url", url, "--no-color", "--continue-on-failure"]
    words += ["--phases", "examples,coverage,fuzzing", "--seed", "1", "--max-examples", "20"]
    words += ["--max-time", str(SECONDS), "--request-timeout", "60"]
    words += ["--exclude-checks", ",".join(LEFT_OUT)]
    for name, value in headers.items():
        words += ["--header", f"{name}: {value}"]
    with trio.fail_after(120):
        return await trio.run_process(
            [PROGRAM, *words],
            capture_stdout=True,
            capture_stderr=True,
            check=False,
            cwd=folder,
        )


@pytest.mark.parametrize("with_keys", [False, True], ids=["no keys", "keys"])
async def test_the_service_is_as_it_is_documented(with_keys: bool, tmp_path: Path) -> None:  # noqa: FBT001
    log = bytearray()
    token, key = draw_key("all", SCOPES)
    environ = {"OPERATOR_TOKEN_FILE": str(tmp_path / "token")}
    headers = {"Authorization": f"Bearer {token}"}
    if with_keys:
        environ["API_KEYS"] = json.dumps([key_record(key)])
    configuration = sandbox_configuration(respondWithin="100ms", drain="1s")
    async with heard_process(tmp_path, configuration, [ADA], log.extend, environ) as (it, url):
        if not with_keys:
            headers = operator(tmp_path / "token")
        ran = await tried(url, headers, tmp_path)
        assert ran.returncode == 0, ran.stdout.decode() + ran.stderr.decode()
        assert it.returncode is None
    # A busy machine does not get through all operations in this time.
    found = re.search(rb"Tested: ([1-9]\d*)\s", ran.stdout)
    assert found is not None, ran.stdout.decode()
    errors = [line for line in bytes(log).splitlines() if json.loads(line)["level"] >= 50]
    assert errors == []
