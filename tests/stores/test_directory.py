"""What every directory in a store promises of users and templates."""

from __future__ import annotations

import pytest

from carillon.messages.errors import TemplateNotFound
from carillon.messages.model import Audience, Cursor, Document, Recipient, UserFields
from carillon.messages.ports.directory import Directory
from carillon.stores.sqlite.directory import PAGE
from tests.stores.shelves import Shelf, filled


async def everybody(it: Directory, audience: Audience) -> tuple[list[Recipient], list[str]]:
    found, missing, ambiguous = await everybody_and(it, audience)
    assert not ambiguous
    return found, missing


async def everybody_and(
    it: Directory, audience: Audience
) -> tuple[list[Recipient], list[str], list[str]]:
    found: list[Recipient] = []
    missing: list[str] = []
    ambiguous: list[str] = []
    cursor: Cursor | None = Cursor()
    while cursor is not None:
        page = await it.page(audience, cursor)
        assert len(page.recipients) + len(page.missing) <= PAGE
        found += page.recipients
        missing += page.missing
        ambiguous += page.ambiguous
        cursor = page.next
    return found, missing, ambiguous


MANY: list[Document] = [
    {"_id": f"u{number:04}", "clusters": ["all", "even" if number % 2 == 0 else "odd"]}
    for number in range(PAGE * 2 + 100)
]


async def test_listed_ids_keep_their_order_and_the_missing_are_told(shelf: Shelf) -> None:
    async with filled(shelf, MANY) as it:
        names = [str(user["_id"]) for user in MANY][::-1]
        found, missing = await everybody(it, Audience([*names, "x", ""]))
    assert [one.user_id for one in found] == names
    assert missing == ["x", ""]


async def test_cluster_members_come_once_a_walk(shelf: Shelf) -> None:
    async with filled(shelf, MANY) as it:
        found, missing = await everybody(it, Audience((), ["even", "all", "odd", "none", "all"]))
    assert [one.key for one in found] == sorted(str(user["_id"]) for user in MANY)
    assert missing == []


async def test_a_list_and_a_cluster_follow_each_other(shelf: Shelf) -> None:
    async with filled(shelf, MANY) as it:
        found, _ = await everybody(it, Audience(["u0001"], ["even"]))
    assert found[0].key == "u0001"
    assert len(found) == 1 + len(MANY) // 2


@pytest.mark.parametrize("fields", [UserFields(), UserFields(id="code")])
async def test_an_id_of_odd_characters_is_that_id_and_no_other(
    shelf: Shelf, fields: UserFields
) -> None:
    odd = ["a", "a\0", "a\0b", "0", "'", '"\\', "\u20ac \U0001f514", "long" * 10_000]
    users: list[Document] = [{"_id": key, "code": key, "clusters": "c"} for key in odd]
    async with filled(shelf, users, fields=fields) as it:
        found, missing = await everybody(it, Audience([*odd, "a\0c", "\0"]))
        assert [(one.user_id, one.key) for one in found] == [(key, key) for key in odd]
        assert missing == ["a\0c", "\0"]
        found, _ = await everybody(it, Audience((), ["c"]))
        assert [one.key for one in found] == sorted(odd)


async def test_only_public_users_are_there(shelf: Shelf) -> None:
    users: list[Document] = [
        {"_id": "draft", "__STATE__": "DRAFT", "clusters": "c"},
        {"_id": "public", "clusters": "c"},
    ]
    async with filled(shelf, users) as it:
        found, missing = await everybody(it, Audience(["draft", "public"], ["c"]))
    assert [one.key for one in found] == ["public", "public"]
    assert missing == ["draft"]


async def test_other_fields_are_indexed_when_the_configuration_names_them(shelf: Shelf) -> None:
    users: list[Document] = [
        {"_id": "1", "code": "A", "groups": ["g"]},
        {"_id": "2", "code": "C"},
        {"_id": "3", "code": 7, "groups": "g"},
    ]
    fields = UserFields(id="code", clusters="groups")
    async with filled(shelf, users, fields=fields) as it:
        found, missing = await everybody(it, Audience(["A", "7", "B"], ["g"]))
    assert [(one.user_id, one.key) for one in found] == [
        ("A", "1"),
        ("7", "3"),
        ("A", "1"),
        ("7", "3"),
    ]
    assert missing == ["B"]


async def test_who_shares_an_id_is_never_reached(shelf: Shelf) -> None:
    users: list[Document] = [
        {"_id": "1", "code": "A", "clusters": ["g"]},
        {"_id": "2", "code": "A", "clusters": ["h"]},
        {"_id": "3", "code": 7, "clusters": ["g", "h"]},
        {"_id": "4", "code": "7"},
        {"_id": "5", "code": "B", "clusters": ["g"]},
        {"_id": "6", "code": "B", "__STATE__": "DRAFT"},
        {"_id": "7", "clusters": ["g"]},
        {"_id": "8", "code": None, "clusters": ["g"]},
    ]
    async with filled(shelf, users, fields=UserFields(id="code")) as it:
        found, missing, ambiguous = await everybody_and(it, Audience(["A", "7", "B", "X"]))
        assert [one.key for one in found] == ["5"]
        assert (missing, sorted(ambiguous)) == (["X"], ["7", "A"])
        found, _, ambiguous = await everybody_and(it, Audience((), ["g"]))
        assert [one.key for one in found] == ["5", "7", "8"]
        assert sorted(ambiguous) == ["7", "A"]


async def test_users_who_share_an_id_are_found_out_however_far_apart(shelf: Shelf) -> None:
    users: list[Document] = [
        {"_id": f"{n:04}", "code": "A" if n % PAGE == 0 else f"c{n}", "clusters": "c"}
        for n in range(PAGE + 1)
    ]
    users += [{"_id": f"x{n:04}", "code": "X", "clusters": "c"} for n in range(PAGE + 1)]
    async with filled(shelf, users, fields=UserFields(id="code")) as it:
        for audience in (
            Audience((), ["c"]),
            Audience([*(f"c{n}" for n in range(PAGE)), "A", "X"]),
        ):
            found, _, ambiguous = await everybody_and(it, audience)
            assert len(found) == PAGE - 1
            assert len({one.key for one in found}) == PAGE - 1
            assert set(ambiguous) == {"A", "X"}


async def test_an_import_beside_a_service_uses_the_fields_of_the_service(shelf: Shelf) -> None:
    fields = UserFields(id="code", clusters="groups")
    async with filled(shelf, fields=fields) as it:
        shelf.add("user", [{"_id": "1", "code": "A", "groups": "g"}])
        shelf.add("user", [{"_id": "1", "code": "B", "groups": "h"}])
        found, missing = await everybody(it, Audience(["A", "B"], ["g", "h"]))
    assert [one.user_id for one in found] == ["B", "B"]
    assert missing == ["A"]


@pytest.mark.slow
@pytest.mark.parametrize("fields", [UserFields(), UserFields(id="code")])
async def test_a_page_of_large_users_is_short(shelf: Shelf, fields: UserFields) -> None:
    small: list[Document] = [
        {"_id": f"s{n:03}", "code": f"s{n:03}", "clusters": "c"} for n in range(300)
    ]
    large: list[Document] = [
        {"_id": f"l{n:03}", "code": f"l{n:03}", "clusters": "c", "photo": "x" * 200_000}
        for n in range(250)
    ]
    names = [str(user["_id"]) for user in (*large, *small)]
    async with filled(shelf, [*small, *large], fields=fields) as it:
        for audience in (Audience(names), Audience((), ["c"])):
            found: list[str] = []
            cursor: Cursor | None = Cursor()
            while cursor is not None:
                page = await it.page(audience, cursor)
                assert sum(len(str(one.document)) for one in page.recipients) < 40_000_000
                assert not page.missing
                assert not page.ambiguous
                found += [one.key for one in page.recipients]
                cursor = page.next
            assert sorted(found) == sorted(names)
            assert len(found) == len(set(found))
        few = await it.page(Audience(names[:15]), Cursor())
        assert [one.key for one in few.recipients] == names[:15]
        assert few.size > 15 * 200_000


async def test_a_template_is_found_by_its_id(shelf: Shelf) -> None:
    templates: list[Document] = [
        {"_id": "t", "smsMessage": "x"},
        {"_id": "d", "__STATE__": "TRASH"},
    ]
    async with filled(shelf, templates=templates) as it:
        assert (await it.template("t"))["smsMessage"] == "x"
        for name in ("d", "none"):
            with pytest.raises(TemplateNotFound, match=name):
                await it.template(name)


async def test_users_are_found_by_their_keys(shelf: Shelf) -> None:
    users: list[Document] = [*MANY, {"_id": "draft", "__STATE__": "DRAFT"}]
    async with filled(shelf, users, fields=UserFields(id="code")) as it:
        keys = [str(user["_id"]) for user in users]
        found = await it.users([*keys, "nobody"])
        assert sorted(one.key for one in found) == sorted(str(user["_id"]) for user in MANY)
        assert await it.users([]) == []


async def test_a_read_may_begin_anywhere_and_ends_at_the_end(shelf: Shelf) -> None:
    async with filled(shelf, MANY) as it:
        page = await it.page(Audience(["u0001"], ["even"]), Cursor(1))
        assert page.recipients[0].key == "u0000"
        page = await it.page(Audience(["u0001"]), Cursor())
        assert page.next is None


async def test_the_needed_fields_of_a_user_are_read(shelf: Shelf) -> None:
    users: list[Document] = [
        {"_id": "1", "code": "A", "clusters": ["c"], "a.b": 1, "address": {"city": "Rome"}}
    ]
    async with filled(shelf, users, fields=UserFields(id="code")) as it:
        for fields in (None, frozenset({"address"}), frozenset({"address", "a.b"})):
            for audience in (Audience(["A"], (), fields), Audience((), ["c"], fields)):
                (one,), missing = await everybody(it, audience)
                assert (one.user_id, one.document["_id"], missing) == ("A", "1", [])
                assert one.document["address"] == {"city": "Rome"}
                if fields is None or "a.b" in fields:
                    assert one.document["a.b"] == 1


async def test_an_id_nobody_can_have_is_missing(shelf: Shelf) -> None:
    async with filled(shelf, MANY[:1]) as it:
        found, missing = await everybody(it, Audience(["u0000", "7", "0" * 24, "9" * 40]))
    assert [one.key for one in found] == ["u0000"]
    assert missing == ["7", "0" * 24, "9" * 40]


async def test_a_directory_that_can_be_read_is_well(shelf: Shelf) -> None:
    async with filled(shelf) as it:
        await it.check()


def test_documents_get_an_id_and_a_state_and_are_replaced_by_their_id(shelf: Shelf) -> None:
    shelf.add("user", [{"name": "new"}, {"_id": "a", "name": "old"}])
    shelf.add("user", [{"_id": "a", "name": "newer"}])
    found = shelf.documents("user")
    assert sorted(str(one["name"]) for one in found) == ["new", "newer"]
    assert all(one["_id"] and one["__STATE__"] == "PUBLIC" for one in found)


def test_the_last_of_a_file_with_the_same_id_stays(shelf: Shelf) -> None:
    shelf.add("template", [{"_id": "a", "n": 1}, {"_id": "b"}, {"_id": "a", "n": 2}])
    assert [(one["_id"], one.get("n")) for one in shelf.documents("template")] == [
        ("a", 2),
        ("b", None),
    ]


def test_what_is_listed_can_be_imported_again(shelf: Shelf) -> None:
    documents: list[Document] = [{"_id": "65f0c0ffee65f0c0ffee65f0", "n": 1}, {"_id": 7}, {}]
    shelf.add("user", documents)
    listed = shelf.documents("user")
    shelf.add("user", listed)
    assert shelf.documents("user") == listed
    assert {"7", "65f0c0ffee65f0c0ffee65f0"} < {one["_id"] for one in listed}
