"""`carillon users import`: who a user is, and what a file may look like."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from carillon.messages.model import Audience, Document, UserFields
from carillon.stores.mongodb.url import MongoUrl
from tests.cli.command_line import invoke
from tests.stores.shelves import MongoShelf, Shelf, SqliteShelf, filled
from tests.stores.test_directory import everybody_and

STAFF = "code,emailAddress\nAAA,a@example.com\nBBB,b@example.com\n"


class Desk:
    """A store, a configuration, and the command."""

    def __init__(self, folder: Path, shelf: Shelf, store: str) -> None:
        self.folder = folder
        self.shelf = shelf
        self.store = store
        self.configure(id="code")

    def configure(self, **fields: str) -> None:
        # The rest of the file does not matter to an import.
        (self.folder / "c.json").write_text(json.dumps({"userFields": fields}))

    def run(self, content: str, name: str = "users.jsonl", collection: str = "users") -> str:
        code, said = self.tried(content, name, collection)
        assert code == 0, said
        return said

    def refused(self, content: str, name: str = "users.jsonl", collection: str = "users") -> str:
        before = self.shelf.documents("user")
        code, said = self.tried(content, name, collection)
        assert code == 2
        assert said.endswith("; nothing was imported\n")
        assert self.shelf.documents("user") == before
        return said.removeprefix(f"carillon: {self.folder / name}, ").partition("; nothing")[0]

    def tried(self, content: str, name: str, collection: str) -> tuple[int, str]:
        file = self.folder / name
        file.write_text(content)
        environ = {"STORE_URL": self.store, "CONFIGURATION_PATH": str(self.folder / "c.json")}
        result = invoke(collection, "import", str(file), **environ)
        return result.exit_code, result.stdout + result.stderr

    def users(self) -> list[Document]:
        return [{k: v for k, v in one.items() if k != "__STATE__"} for one in self.documents()]

    def documents(self) -> list[Document]:
        return self.shelf.documents("user")


@pytest.fixture(params=["sqlite", "mongodb"])
def desk(request: pytest.FixtureRequest, tmp_path: Path) -> Desk:
    if request.param == "sqlite":
        shelf: Shelf = SqliteShelf(tmp_path / "s.db")
        return Desk(tmp_path, shelf, f"sqlite:///{tmp_path / 's.db'}")
    url: MongoUrl = request.getfixturevalue("mongodb")
    return Desk(tmp_path, MongoShelf(url), url.text)


@pytest.fixture
def plain(tmp_path: Path) -> Desk:
    return Desk(tmp_path, SqliteShelf(tmp_path / "s.db"), f"sqlite:///{tmp_path / 's.db'}")


@contextmanager
def served(desk: Desk) -> Iterator[None]:
    """As if a service with the same configuration had run on the store."""
    with desk.shelf.directory(UserFields(id="code")):
        yield


@pytest.mark.parametrize("was_served", [False, True])
def test_without_an_id_of_the_store_the_configured_one_is_the_key(
    desk: Desk, *, was_served: bool
) -> None:
    if was_served:
        with served(desk):
            pass
    for _ in range(2):
        desk.run(STAFF, "staff.csv")
    desk.run('{"code": "AAA", "emailAddress": "new@example.com"}\n')
    assert desk.users() == [
        {"_id": "AAA", "code": "AAA", "emailAddress": "new@example.com"},
        {"_id": "BBB", "code": "BBB", "emailAddress": "b@example.com"},
    ]


def test_whoever_has_the_id_is_replaced_and_keeps_their_key(desk: Desk) -> None:
    desk.shelf.add("user", [{"_id": "k1", "code": "AAA", "old": 1}, {"_id": "k2", "code": 7}])
    desk.run('{"code": "AAA"}\n{"code": "7"}\n')
    assert desk.users() == [{"_id": "k1", "code": "AAA"}, {"_id": "k2", "code": "7"}]


async def test_doubles_of_an_earlier_import_become_one(desk: Desk) -> None:
    doubled: list[Document] = [{"code": code, "emailAddress": f"{code}@x"} for code in "AAB"]
    async with filled(desk.shelf, doubled, fields=UserFields(id="code")) as it:
        _, _, ambiguous = await everybody_and(it, Audience(["A", "B"]))
        assert list(ambiguous) == ["A"]
        said = desk.run("".join(json.dumps(one) + "\n" for one in doubled[1:]))
        assert "Imported 2 users" in said
        assert "1 double of them was removed" in said
        found, _, ambiguous = await everybody_and(it, Audience(["A", "B"]))
        assert [one.user_id for one in found] == ["A", "B"]
        assert not ambiguous
    assert len(desk.documents()) == 2


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            '{"code": "A"}\n{"code": "B"}\n{"code": "A"}',
            "line 3: _id 'A' is that of line 1 already",
        ),
        (
            '{"_id": "k", "code": "A"}\n{"_id": "l", "code": "A"}',
            "line 2: code 'A' is that of line 1",
        ),
        ('{"_id": "k"}\n\n{"_id": "k"}', "line 3: _id 'k' is that of line 1 already"),
        ('{"_id": 7}\n{"_id": "7"}', "line 2: _id '7' is that of line 1 already"),
        ('{"code": 7}\n{"code": "7"}', "line 2: _id '7' is that of line 1 already"),
        ('{"_id": "new", "code": "X"}', "line 1: code 'X' is that of the user 'old' in the store"),
        (
            '{"code": "old"}',
            "line 1: code 'old' is the _id of a user in the store whose code is 'X'",
        ),
    ],
)
def test_two_users_of_one_id_are_an_error(desk: Desk, content: str, said: str) -> None:
    desk.shelf.add("user", [{"_id": "old", "code": "X"}, {"_id": "draft", "__STATE__": "DRAFT"}])
    assert desk.refused(content).startswith(said)


def test_a_draft_may_have_the_id_of_a_user(desk: Desk) -> None:
    desk.run('{"_id": "a", "code": "A"}\n{"_id": "b", "code": "A", "__STATE__": "DRAFT"}\n')
    desk.run('{"_id": "c", "code": "A", "__STATE__": "DRAFT"}\n{"_id": "a", "code": "A", "n": 1}\n')
    assert [one["_id"] for one in desk.documents()] == ["a", "b", "c"]


def test_who_has_no_id_at_all_gets_one(desk: Desk) -> None:
    desk.run('{"emailAddress": "a@x"}\n{"emailAddress": "b@x", "code": ""}\n{"code": null}\n')
    assert len({str(one["_id"]) for one in desk.documents()}) == 3


def test_one_template_twice_is_an_error(plain: Desk) -> None:
    content = (
        '{"_id": "t", "smsMessage": "a"}\n{"smsMessage": "b"}\n{"_id": "t", "smsMessage": "c"}\n'
    )
    said = plain.refused(content, "t.jsonl", "templates")
    assert said == "line 3: _id 't' is that of line 1 already"


def test_a_configuration_that_cannot_be_read_stops_it(plain: Desk) -> None:
    for content, said in (("{", "not JSON"), ('{"userFields": {"id": 5}}', "userFields.id")):
        (plain.folder / "c.json").write_text(content)
        code, told = plain.tried("{}", "u.jsonl", "users")
        assert (code, said in told) == (2, True)


def test_without_a_configuration_the_fields_of_the_service_are_taken(plain: Desk) -> None:
    with plain.shelf.directory(UserFields(id="code", clusters="groups")):
        pass
    file = plain.folder / "u.csv"
    file.write_text("code,groups\nA,x;y\n")
    for _ in range(2):
        result = invoke("users", "import", str(file), STORE_URL=plain.store)
        assert result.exit_code == 0, result.stderr
    assert plain.users() == [{"_id": "A", "code": "A", "groups": ["x", "y"]}]


def test_the_column_that_the_configuration_names_holds_clusters(plain: Desk) -> None:
    plain.configure(clusters="groups")
    plain.run("_id,groups,clusters\nada,vip; milan,a;b\n", "u.csv")
    assert plain.users() == [{"_id": "ada", "groups": ["vip", "milan"], "clusters": "a;b"}]


LISTS = {
    "a list": '[{"_id": "a"}, {"_id": "b"}]',
    "a list of lines": '[\n{"_id": "a"},\n{"_id": "b"}\n]\n',
    "a list that is pretty": json.dumps([{"_id": "a"}, {"_id": "b"}], indent=2),
    "documents that are pretty": '\ufeff{\n  "_id": "a"\n}\n\n{\n  "_id": "b"\n}\n',
    "lines": '{"_id": "a"}\n\n{"_id": "b"}\n',
}


@pytest.mark.parametrize("content", LISTS.values(), ids=LISTS)
def test_documents_come_in_any_shape(plain: Desk, content: str) -> None:
    plain.run(content)
    assert plain.users() == [{"_id": "a"}, {"_id": "b"}]
    plain.run(content, "t.json", "templates")
    assert [one["_id"] for one in plain.shelf.documents("template")] == ["a", "b"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('[{"_id": "a"}, 5]', "line 1: not an object"),
        ('[\n  {"_id": "a"}\n  {"_id": "b"}\n]', "line 3: not valid JSON: a comma"),
        ('[\n{"_id": "a"},\n]', "line 3: not an object"),
        ('[\n{"_id": "a"}\n', "line 3: not valid JSON: the list has no end"),
        ('[{"_id": "a"}]\n[]', "line 2: not valid JSON: something stands behind the list"),
        ('{\n  "_id": "a",\n  "b": }\n', "line 3: not valid JSON"),
        ('{\n  "_id": "a"\n', "line 1: not valid JSON: the document that begins here has no end"),
        ('{\n"a": 1\n}\nx', "line 4: not an object"),
        ('[{"_id": "a"},\n {"_id": "a"}]', "line 2: _id 'a' is that of line 1 already"),
        ('[\n{"_id": [1]}]', "line 2: _id must be"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(plain: Desk, content: str, said: str) -> None:
    assert plain.refused(content).startswith(said)


@pytest.mark.parametrize("value", ["true", "1.5", '["AAA"]', '{"$oid": "5df8"}'])
def test_without_its_own_id_a_user_has_one_that_recipients_can_name(
    plain: Desk, value: str
) -> None:
    bad = '{"code": "AAA"}\n{"code": ' + value + "}\n"
    said = plain.refused(bad)
    assert said.startswith(
        "line 2: code must be a string or a whole number where a user has no _id"
    )
    assert said.endswith(value)
    plain.run('{"_id": "a", "code": ' + value + '}\n{"code": null, "name": "nobody"}\n')
