"""Users and templates in MongoDB from the command line: as in the embedded store."""

from __future__ import annotations

import json
import socket

import pytest

from carillon.messages.model import Document
from carillon.stores.mongodb.client import ABOUT, SCHEMA_VERSION, connected
from carillon.stores.mongodb.url import MongoUrl
from tests.cli.command_line import invoke
from tests.stores.shelves import MongoShelf


def test_users_are_imported_and_listed(mongodb: MongoUrl) -> None:
    lines = '{"_id": {"$oid": "65f0c0ffee65f0c0ffee65f0"}}\n{"_id": "ada", "clusters": "a"}\n'
    told = invoke("users", "import", "-", stdin=lines, STORE_URL=mongodb.text)
    assert (told.exit_code, told.stderr) == (0, "")
    assert told.stdout == f"Imported 2 users into {mongodb.shown}.\n"
    listed = invoke("users", "list", "--json", "--store", mongodb.text).stdout.splitlines()
    assert [json.loads(line) for line in listed] == [
        {"_id": "ada", "__STATE__": "PUBLIC", "clusters": "a"},
        {"_id": "65f0c0ffee65f0c0ffee65f0", "__STATE__": "PUBLIC"},
    ]
    assert "ada" in invoke("users", "list", STORE_URL=mongodb.text).stdout


def test_templates_are_imported_and_listed(mongodb: MongoUrl) -> None:
    template = '{"_id": "hi", "smsMessage": "Hi {{user.name}}"}\n'
    told = invoke("templates", "import", "-", "--json", stdin=template, STORE_URL=mongodb.text)
    assert json.loads(told.stdout) == {"imported": 1, "store": mongodb.shown}
    assert "sms" in invoke("templates", "list", STORE_URL=mongodb.text).stdout


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"_id": }', "not valid JSON"),
        ('{"_id": "b", "$set": 1}', "begins with $"),
        ('{"_id": "b", "n": 99999999999999999999}', "MongoDB cannot hold it"),
        ('{"_id": "b", "a\\u0000b": 1}', "MongoDB cannot hold it"),
    ],
)
def test_a_bad_line_is_named_and_nothing_is_imported(
    mongodb: MongoUrl, line: str, reason: str
) -> None:
    content = "".join(f'{{"_id": "{number}"}}\n' for number in range(1000)) + line
    result = invoke("users", "import", "-", stdin=content, STORE_URL=mongodb.text)
    assert result.exit_code == 2
    assert "stdin, line 1001: " in result.stderr
    assert reason in result.stderr
    assert "nothing was imported" in result.stderr
    assert MongoShelf(mongodb).documents("user") == []


def test_many_documents_go_in_and_come_out(mongodb: MongoUrl) -> None:
    documents: list[Document] = [{"_id": f"{number:04}"} for number in range(1234)]
    content = "\n".join(json.dumps(document) for document in documents)
    assert invoke("users", "import", "-", stdin=content, STORE_URL=mongodb.text).exit_code == 0
    listed = invoke("users", "list", "--json", "--limit", "0", STORE_URL=mongodb.text)
    assert len(listed.stdout.splitlines()) == 1234


def test_listing_makes_no_store(mongodb: MongoUrl) -> None:
    assert invoke("users", "list", STORE_URL=mongodb.text).stdout == "No users.\n"
    with connected(mongodb) as client:
        assert client[mongodb.database].list_collection_names() == []


@pytest.mark.parametrize("words", [("list",), ("import", "-")])
def test_a_newer_store_is_left_alone(mongodb: MongoUrl, words: tuple[str, ...]) -> None:
    with connected(mongodb) as client:
        newer = {"_id": "schema", "version": SCHEMA_VERSION + 1}
        client[mongodb.database][ABOUT].insert_one({**newer})
    result = invoke("users", *words, stdin="{}", STORE_URL=mongodb.text)
    assert (result.exit_code, "made by a newer Carillon" in result.stderr) == (1, True)


def test_a_store_that_cannot_be_reached_is_named_without_its_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("carillon.stores.mongodb.client.START_SECONDS", 0.5)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        store = f"mongodb://ada:hunter2@127.0.0.1:{taken.getsockname()[1]}/shop"
        result = invoke("users", "list", STORE_URL=store)
    assert result.exit_code == 1
    assert "no server that can be written to answered" in result.stderr
    assert "hunter2" not in result.output
    assert result.stderr.count("\n") == 1


def test_a_refused_password_is_told_as_that_of_the_url_that_was_given(mongodb: MongoUrl) -> None:
    url = mongodb.text.replace("://", "://ada:secret@")
    told = invoke("users", "list", "--store", url)
    assert told.exit_code == 1
    assert "it refuses the user or the password of its URL" in told.stderr
    assert "secret" not in told.stderr
    assert "STORE_URL" not in told.stderr
