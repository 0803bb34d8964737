"""Clients that tools generate from the OpenAPI document call a running service as they stand.

`./dev test` puts the tools into `.clients-test`: a generator for Python and one for TypeScript, and
two linters of OpenAPI documents.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import httpx
import pytest
import trio

from carillon.access.keys import draw_key
from carillon.api.openapi import openapi_document
from carillon.messages.model import Document
from carillon.settings import key_record
from tests.running import running

ROOT = Path(__file__).parent.parent.parent
TOOLS = ROOT / ".clients-test"
SOURCES = ROOT / "tests" / "neighbours" / "openapi_tools"
TOKEN, KEY = draw_key("tester", ["send", "operate"])
ENVIRON = {"API_KEYS": json.dumps([key_record(KEY)])}

pytestmark = pytest.mark.skipif(
    not (TOOLS / "installed").exists(), reason="./dev test puts the tools into .clients-test"
)

PYTHON_CLIENT = """
import json, sys
from client import AuthenticatedClient
from client.api.messages import send, show_dispatch
from client.api.operators import change_provider, list_audit, list_providers, reset_provider
from client.api.operators import show_provider
from client.models import ProviderPatch, SendCommand

url, token = sys.argv[1:]
api = AuthenticatedClient(base_url=url, token=token, raise_on_unexpected_status=True)
patch = ProviderPatch.from_dict({"concurrency": 7, "rate": [{"limit": 100, "per": "1m"}]})
changed = change_provider.sync("sms-sandbox", client=api, body=patch)
shown = show_provider.sync("sms-sandbox", client=api)
listed = list_providers.sync(client=api)
removed = reset_provider.sync("sms-sandbox", client=api)
message = {"recipients": ["nobody"], "messageTitle": "T", "messageContent": "C"}
sent = send.sync_detailed(
    client=api, body=SendCommand.from_dict({"channels": ["sms"], **message})
)
dispatch = show_dispatch.sync(sent.headers["Dispatch-Id"], client=api)
print(json.dumps({
    "concurrency": changed.to_dict()["settings"]["concurrency"]["value"],
    "rate": shown.to_dict()["settings"]["rate"]["value"],
    "providers": [one.name for one in listed.providers],
    "source": removed.to_dict()["settings"]["concurrency"]["source"],
    "failures": [one.error for one in sent.parsed.failures],
    "state": dispatch.to_dict()["state"],
    "actions": [one.to_dict()["action"] for one in list_audit.sync(client=api).entries],
}))
"""
CALLED: Document = {
    "concurrency": 7,
    "rate": [{"limit": 100, "per": "1m"}],
    "providers": ["email-sandbox", "sms-sandbox", "push-sandbox", "voice-sandbox"],
    "source": "default",
    "failures": ["User not found"],
    "state": "done",
    "actions": ["reset", "change"],
}


async def tool(folder: Path, *command: str | Path) -> str:
    """What a tool says in a folder, once it has ended well."""
    with trio.fail_after(120):
        ended = await trio.run_process(
            [str(word) for word in command],
            cwd=folder,
            capture_stdout=True,
            stderr=subprocess.STDOUT,
            check=False,
        )
    assert ended.returncode == 0, ended.stdout.decode()
    return ended.stdout.decode()


def node(name: str) -> Path:
    return TOOLS / "node_modules" / ".bin" / name


@pytest.fixture(params=[True, False], ids=["keys", "token"])
def document(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The document of a service with API keys, and of one without."""
    told = openapi_document("1.0.0", "", has_keys=request.param)
    (tmp_path / "openapi.json").write_text(json.dumps(told))
    (tmp_path / ".spectral.json").write_text('{"extends": ["spectral:oas"]}')
    return tmp_path


async def test_spectral_finds_no_error(document: Path) -> None:
    ruleset = ("--ruleset", ".spectral.json", "--fail-severity", "error")
    await tool(document, node("spectral"), "lint", "openapi.json", *ruleset)


async def test_redocly_finds_nothing(document: Path) -> None:
    said = await tool(document, node("redocly"), "lint", "openapi.json", "--extends=recommended")
    assert "Your API description is valid" in said
    assert "You have" not in said  # so many warnings


async def served(folder: Path, url: str) -> Path:
    """The document as the service serves it."""
    target = folder / "openapi.json"
    shown = {"Authorization": f"Bearer {TOKEN}"}
    async with httpx.AsyncClient(base_url=url, headers=shown) as client:
        target.write_bytes((await client.get("/documentation/json")).content)
    return target


async def test_a_python_client_calls_the_service(tmp_path: Path) -> None:
    python = TOOLS / "bin" / "python"
    async with running(tmp_path, environ=ENVIRON) as service:
        document = await served(tmp_path, service.url)
        made = ("generate", "--meta", "none", "--output-path", "client", "--path", document)
        await tool(tmp_path, TOOLS / "bin" / "openapi-python-client", *made)
        (tmp_path / "main.py").write_text(PYTHON_CLIENT)
        said = await tool(tmp_path, python, "main.py", service.url, TOKEN)
    assert json.loads(said) == CALLED


async def test_a_typescript_client_calls_the_service(tmp_path: Path) -> None:
    (tmp_path / "node_modules").symlink_to(TOOLS / "node_modules")
    for name in ("client.ts", "package.json"):
        shutil.copy(SOURCES / name, tmp_path)
    async with running(tmp_path, environ=ENVIRON) as service:
        document = await served(tmp_path, service.url)
        await tool(tmp_path, node("openapi-typescript"), document, "-o", "schema.d.ts")
        checked = ("--strict", "--noUncheckedIndexedAccess", "--skipLibCheck")
        modules = ("--module", "es2022", "--moduleResolution", "bundler", "--target", "es2022")
        await tool(tmp_path, node("tsc"), *checked, *modules, "client.ts")
        said = await tool(tmp_path, "node", "client.js", service.url, TOKEN)
    assert json.loads(said) == CALLED
