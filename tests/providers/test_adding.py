"""A new type of provider is one module, one line of the registry and one test: in a copy."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from carillon.messages.model import Document
from tests.docs.pages import ROOT

EXAMPLE: Final = ROOT / "docs" / "examples" / "provider"
AFTER: Final = '    "carillon.providers.sandbox:SandboxConfig",\n'
LINE: Final = '    "carillon.providers.webhook:WebhookConfig",\n'
SMS: Final = {"activeChannels": ["sms"], "sender": {"sms": "Shop"}}
CHANNEL: Final = {"sms": {"providers": ["webhook"]}}
HOLDING: Final = (
    "tests/providers/test_webhook.py",
    "tests/providers/test_registry.py",
    "tests/docs/test_types_table.py",
    "tests/cli/providers/test_types.py",
    "tests/settings/test_providers.py",
    "tests/settings/file/test_schema.py",
)

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package with the webhook in it."""
    folder = tmp_path_factory.mktemp("source") / "carillon"
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    tracked = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True).stdout
    for name in filter(None, tracked.decode().split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes((ROOT / name).read_bytes())
    (folder / "providers/webhook.py").write_bytes((EXAMPLE / "webhook.py").read_bytes())
    test = (EXAMPLE / "test_webhook.py").read_bytes()
    (folder / "tests/providers/test_webhook.py").write_bytes(test)
    registry = folder / "providers/registry.py"
    text = registry.read_text()
    assert text.count(AFTER) == 1
    registry.write_text(text.replace(AFTER, AFTER + LINE))
    return folder


def run(copy: Path, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """A module of Python, with the copy in the place of this package."""
    known = {"PATH": os.environ["PATH"], "HOME": str(copy.parent), "PYTHONPATH": str(copy.parent)}
    return subprocess.run(
        [sys.executable, "-m", *words],
        cwd=copy,
        env={**known, **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def configuration(copy: Path, **keys: object) -> dict[str, str]:
    file = copy.parent / "configuration.json"
    file.write_text(json.dumps({**SMS, **keys}))
    file.chmod(0o600)
    store = f"sqlite:///{copy.parent}/carillon.db"
    return {"CONFIGURATION_PATH": str(file), "STORE_URL": store, "HTTP_PORT": "0"}


def test_the_new_test_passes_and_so_do_those_that_hold_types(copy: Path) -> None:
    written = run(copy, "tests.docs.types_table")
    assert written.returncode == 0, written.stderr
    tested = run(copy, "pytest", "-q", "-p", "no:cacheprovider", "-m", "not slow", *HOLDING)
    assert tested.returncode == 0, tested.stdout
    linted = run(copy, "ruff", "check", "-q", "--no-cache", "providers", "tests/providers")
    assert linted.returncode == 0, linted.stdout


def test_it_is_known_everywhere(copy: Path) -> None:
    types = json.loads(run(copy, "carillon", "providers", "types", "--json").stdout)
    assert [one["type"] for one in types][-1] == "webhook"
    schema = json.loads(run(copy, "carillon", "config", "schema").stdout)
    assert "webhook" in schema["properties"]["providers"]["properties"]
    section = {"webhook": {"url": "https://shop.example/in?key=PASS", "rate": "5/1s"}}
    told = run(copy, "carillon", "config", "check", **configuration(copy, providers=section))
    assert "sms goes over webhook" in told.stdout, told.stderr
    assert "PASS" not in told.stdout + told.stderr


def test_without_an_address_neither_check_nor_service_takes_it(copy: Path) -> None:
    sections: list[Document] = [{}, {"webhook": {}}, {"webhook": {"timeout": "5s"}}]
    for section in sections:
        known = configuration(copy, channels=CHANNEL, providers=section)
        checked = run(copy, "carillon", "config", "check", **known)
        served = run(copy, "carillon", "serve", **known)
        assert checked.returncode == served.returncode == 2
        assert checked.stderr == served.stderr
        assert "providers.webhook.url: is missing; webhook needs it" in served.stderr
