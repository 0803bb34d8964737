from __future__ import annotations

import json
import os
import threading
from contextlib import closing
from pathlib import Path

import pytest

from carillon.messages.model import Document
from carillon.stores.sqlite.database import open_store
from carillon.stores.sqlite.directory import list_documents
from tests.cli.command_line import invoke, script
from tests.running import running


def stored(store: Path, collection: str = "user") -> list[Document]:
    with closing(open_store(store)) as connection:
        return [*list_documents(connection, "user" if collection == "user" else "template")]


def imported(collection: str, content: str | bytes, store: Path) -> str:
    result = invoke(collection, "import", "-", "--store", str(store), stdin=content)
    assert result.exit_code == 0, result.stderr
    return result.stdout


def test_users_come_from_json_lines(tmp_path: Path) -> None:
    store = tmp_path / "s.db"
    content = '{"_id": "ada", "clusters": ["a"]}\n{"name": "nobody"}\n'
    assert imported("users", content, store) == f"Imported 2 users into {store}.\n"
    [drawn] = [user for user in stored(store) if user["_id"] != "ada"]
    assert len(str(drawn["_id"])) == 36
    assert [user["__STATE__"] for user in stored(store)] == ["PUBLIC", "PUBLIC"]


def test_a_known_id_replaces(tmp_path: Path) -> None:
    store = tmp_path / "s.db"
    imported("users", '{"_id": "ada", "name": "Ada", "old": 1}\n', store)
    imported("users", '{"_id": "ada", "name": "Countess", "__STATE__": "DRAFT"}\n', store)
    assert stored(store) == [{"_id": "ada", "name": "Countess", "__STATE__": "DRAFT"}]


@pytest.mark.parametrize("words", [["people.csv"], ["people.txt", "--format", "csv"]])
def test_users_come_from_csv(tmp_path: Path, words: list[str]) -> None:
    file = tmp_path / words[0]
    file.write_text("_id,emailAddress,clusters\nada,ada@example.com,a;b\n")
    store = f"sqlite:///{tmp_path / 's.db'}"
    result = invoke("users", "import", str(file), *words[1:], "--json", STORE_URL=store)
    assert json.loads(result.stdout) == {"imported": 1, "store": str(tmp_path / "s.db")}
    [user] = stored(tmp_path / "s.db")
    assert (user["emailAddress"], user["clusters"]) == ("ada@example.com", ["a", "b"])


def test_a_bad_line_is_named_and_nothing_is_imported(tmp_path: Path) -> None:
    content = "".join(f'{{"_id": "{number}"}}\n' for number in range(5000)) + '{"_id": }\n'
    store = tmp_path / "s.db"
    result = invoke("users", "import", "-", "--store", str(store), stdin=content)
    assert result.exit_code == 2
    assert "stdin, line 5001: not valid JSON" in result.stderr
    assert "nothing was imported" in result.stderr
    assert not store.exists()


def test_a_pipe_is_read_once_and_imported(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=('{"_id": "ada"}\n',))
    writer.start()
    result = invoke("users", "import", str(pipe), "--store", str(tmp_path / "s.db"))
    writer.join()
    assert result.exit_code == 0, result.stderr
    assert [user["_id"] for user in stored(tmp_path / "s.db")] == ["ada"]


@pytest.mark.parametrize("name", ["none.jsonl", "."])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str) -> None:
    result = invoke("users", "import", str(tmp_path / name), "--store", str(tmp_path / "s.db"))
    assert result.exit_code == 2
    assert "cannot be read" in result.stderr


def test_a_store_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    wrong = invoke("users", "import", "-", "--store", "mongodb://x/a.b", stdin="{}")
    assert (wrong.exit_code, "STORE_URL" in wrong.stderr) == (2, True)
    (tmp_path / "text").write_text("no database, but a text of some length, so that it is read")
    broken = invoke("users", "import", "-", "--store", str(tmp_path / "text"), stdin="{}")
    assert (broken.exit_code, "cannot be opened" in broken.stderr) == (1, True)


def test_templates_are_compiled_before_they_are_imported(tmp_path: Path) -> None:
    store = tmp_path / "s.db"
    told = imported("templates", '{"_id": "t", "smsMessage": "Hi {{user.name}}"}\n', store)
    assert told == f"Imported 1 template into {store}.\n"
    assert [template["_id"] for template in stored(store, "template")] == ["t"]


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ({"smsMessage": "Hi {{user.name"}, "smsMessage, 1:4:"),
        ({"emailHtmlMessage": "{{#if a}}"}, "emailHtmlMessage, 1:"),
        ({"emailTitle": 1}, "emailTitle must be a text"),
        ({"name": ["a"]}, "name must be a text"),
        ({"pushData": {"android": {}}}, "pushData must be a text"),
        ({"emailAttachments": "a.pdf"}, "emailAttachments must be a list"),
        ({"emailAttachments": ["a.pdf"]}, "emailAttachments must be an object"),
    ],
)
def test_a_template_that_could_never_be_sent_is_refused(
    tmp_path: Path, template: Document, reason: str
) -> None:
    store = tmp_path / "s.db"
    content = '{"_id": "fine"}\n' + json.dumps(template)
    result = invoke("templates", "import", "-", "--store", str(store), stdin=content)
    assert result.exit_code == 2
    assert f"stdin, line 2: {reason}" in result.stderr.replace("each of ", "")
    assert not store.exists()


def test_users_are_listed_as_a_table(tmp_path: Path) -> None:
    store = tmp_path / "s.db"
    imported("users", '{"_id": "b", "name": "B\\u001b[31m"}\n{"_id": "a", "x": {"y": 1}}\n', store)
    shown = invoke("users", "list", "--store", str(store)).stdout.splitlines()
    assert [line.split()[0] for line in shown] == ["_id", "a", "b"]
    assert '{"y": 1}' in shown[1]
    assert "B\\x1b[31m" in shown[2]


def test_a_table_is_short_and_json_is_whole(tmp_path: Path) -> None:
    store = tmp_path / "s.db"
    imported("users", "".join(f'{{"_id": "{n:03}"}}\n' for n in range(120)), store)
    table = invoke("users", "list", "--store", str(store))
    assert len(table.stdout.splitlines()) == 51
    assert "and more" in table.stderr
    assert (
        len(invoke("users", "list", "--store", str(store), "--limit", "0").stdout.split("\n"))
        == 122
    )
    lines = invoke("users", "list", "--store", str(store), "--json").stdout.splitlines()
    assert [json.loads(line)["_id"] for line in lines] == [f"{n:03}" for n in range(120)]
    few = invoke("users", "list", "--store", str(store), "--json", "--limit", "2").stdout
    assert len(few.splitlines()) == 2


def test_templates_are_listed_with_their_channels(tmp_path: Path) -> None:
    store = tmp_path / "s.db"
    imported("templates", '{"_id": "t", "smsMessage": "x", "pushData": "{}"}\n', store)
    shown = invoke("templates", "list", "--store", str(store)).stdout
    assert "sms, push" in shown
    assert "email" not in shown


def test_listing_makes_no_store(tmp_path: Path) -> None:
    result = invoke("users", "list", "--store", str(tmp_path / "none.db"))
    assert (result.exit_code, "There is no store" in result.stderr) == (1, True)
    assert not (tmp_path / "none.db").exists()


def test_an_empty_collection_is_said_to_be_empty(tmp_path: Path) -> None:
    store = tmp_path / "s.db"
    imported("users", "", store)
    assert invoke("templates", "list", "--store", str(store)).stdout == "No templates.\n"


async def test_what_is_imported_beside_a_running_service_is_reached(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        user = b'{"_id": "new", "emailAddress": "new@example.com"}\n'
        ran = await script(tmp_path, "users", "import", "-", stdin=user)
        assert (ran.returncode, ran.stderr) == (0, b"")
        answer = await service.send(recipients=["new"])
        assert answer.json() == {"failures": []}
    assert [delivery.address for delivery in service.sent] == ["new@example.com"]
