"""Users and templates on the command line: in the store, and through a service."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
import trio
from click.testing import Result

from carillon.messages.model import Document
from tests.cli.command_line import invoke
from tests.running import running

ADA = '{"name": "Ada", "clusters": ["staff"]}'
IDS = ["ada", "a/b", "à \U0001f600", "import", "?x#y"]


def written(document: Document) -> str:
    return json.dumps(document, ensure_ascii=False) + "\n"


def stored(name: str) -> str:
    return written({"_id": name, "__STATE__": "PUBLIC", "name": "Ada", "clusters": ["staff"]})


def story(environ: dict[str, str]) -> None:
    """What is the same wherever the documents are."""

    def run(*words: str, stdin: str = "") -> Result:
        return invoke(*words, stdin=stdin, **environ)

    for name in IDS:
        assert run("users", "put", name, "-", stdin=ADA).output == f"Made the user {name}.\n"
        again = run("users", "put", name, "-", "--json", stdin=ADA)
        assert json.loads(again.output) == {"id": name, "new": False}
        assert run("users", "get", name).output == stored(name)
    exported = run("users", "export").output
    assert exported == "".join(stored(name) for name in sorted(IDS))
    assert run("users", "list", "--json", "--cluster", "staff", "--limit", "2").output == "".join(
        stored(name) for name in sorted(IDS)[:2]
    )
    assert run("users", "list", "--cluster", "nobody").output == "No users.\n"
    assert "Ada" in run("users", "list").output
    for name in IDS:
        assert run("users", "delete", name).output == f"Removed the user {name}.\n"
    gone = run("users", "delete", "ada")
    assert (gone.exit_code, "There is no such user" in gone.output) == (2, True)
    assert run("users", "get", "ada").exit_code == 2
    assert run("users", "import", "-", stdin=exported).exit_code == 0
    assert run("users", "export").output == exported
    bad = run("users", "import", "-", stdin=f"{ADA}\n[]\n")
    assert (bad.exit_code, "line 2: not an object" in bad.output) == (2, True)
    assert "nothing was imported" in bad.output
    assert run("users", "export").output == exported

    assert run("templates", "put", "t", "-", stdin='{"smsMessage": "Hi"}').exit_code == 0
    for wrong in ('{"smsMessage": "{{#if}}", "odd": 1}', '{"smsMessage": "{{x", "odd": 1}'):
        refused = run("templates", "put", "t", "-", stdin=wrong)
        assert (refused.exit_code, "has 2 faults" in refused.output) == (2, True), refused.output
    assert json.loads(run("templates", "get", "t").output)["smsMessage"] == "Hi"
    assert "t" in run("templates", "list").output
    assert run("templates", "import", "-", stdin='{"_id": "u", "smsMessage": "Ho"}').exit_code == 0
    assert len(run("templates", "export").output.splitlines()) == 2
    assert run("templates", "delete", "t").exit_code == 0


def test_they_are_in_the_store(tmp_path: Path) -> None:
    story({"STORE_URL": str(tmp_path / "c.db")})


async def test_they_are_changed_through_a_service(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        await trio.to_thread.run_sync(story, service.environ)
        audit = (await service.client.get("/audit")).json()["entries"]
    assert {"put-user", "delete-user", "import-user", "put-template"} <= {
        entry["action"] for entry in audit
    }


async def test_the_store_and_the_service_are_told_apart(tmp_path: Path) -> None:
    other = str(tmp_path / "other.db")
    async with running(tmp_path, users=[{"_id": "here"}]) as service:

        def run(*words: str, **environ: str) -> Result:
            return invoke(*words, **{**service.environ, **environ})

        def all_at_once() -> None:
            assert run("users", "get", "here").exit_code == 0
            assert run("users", "put", "there", "-", STORE_URL=other, stdin=ADA).exit_code == 0
            assert run("users", "get", "here", STORE_URL=other).exit_code == 2
            assert run("users", "get", "there", "--store", other).exit_code == 0
            assert run("users", "get", "here", "--url", service.url, STORE_URL=other).exit_code == 0
            both = run("users", "get", "here", "--url", service.url, "--store", other)
            assert (both.exit_code, "exclude each other" in both.output) == (2, True)

        await trio.to_thread.run_sync(all_at_once)


def test_where_nothing_listens_on_this_machine_it_is_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
    assert invoke("users", "put", "ada", "-", CARILLON_URL=url, stdin=ADA).exit_code == 0
    assert (tmp_path / "carillon.db").exists()
    told = invoke("users", "get", "ada", "--url", url)
    assert (told.exit_code, "No service answers at" in told.output) == (1, True)


@pytest.mark.parametrize(
    ("stdin", "told"),
    [
        ("", "must hold one JSON object"),
        ("{}\n{}", "must hold one JSON object"),
        ("[1]", "not an object"),
        ("{", "not valid JSON"),
        ('{"_id": "bob"}', "_id must be left out"),
    ],
)
def test_what_is_no_document_is_refused(stdin: str, told: str, tmp_path: Path) -> None:
    store = str(tmp_path / "c.db")
    refused = invoke("users", "put", "ada", "-", "--store", store, stdin=stdin)
    assert (refused.exit_code, told in refused.output) == (2, True), refused.output


@pytest.mark.parametrize("words", [["get", "a"], ["delete", "a"], ["export"], ["list"]])
def test_a_store_that_is_not_there_is_told(words: list[str], tmp_path: Path) -> None:
    said = invoke("users", *words, "--store", str(tmp_path / "none.db"))
    assert (said.exit_code, "There is no store at" in said.output) == (1, True)
    assert not (tmp_path / "none.db").exists()
