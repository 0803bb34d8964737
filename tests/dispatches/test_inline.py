"""Recipients that a request brings with it: their ids, their addresses, and who comes twice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import pytest

from carillon.dispatches.inline import PAGE, InlineFirst, InlineRecipients
from carillon.dispatches.snapshot import Request
from carillon.messages.commands import parse_send
from carillon.messages.document_list import DocumentList
from carillon.messages.errors import BadCommand
from carillon.messages.json_input import LONGEST_ID, as_documents
from carillon.messages.model import Audience, Cursor, Document, Page, Recipient, UserFields
from carillon.messages.offload import Offload
from tests.dispatches.fakes import FakeDirectory

FIELDS = UserFields()
RENAMED = UserFields(id="fiscalCode", email_address="mail", phone_number="mobile")


def inline(*documents: Document, fields: UserFields = FIELDS) -> InlineRecipients:
    return InlineRecipients(documents, fields, checks=True)


def users(found: InlineRecipients) -> list[Recipient]:
    recipients, end = found.page(0)
    assert end == len(found)
    return list(recipients)


def test_without_an_id_a_user_is_known_by_its_place() -> None:
    found = users(inline({"id": "ada"}, {}, {"id": None}, {"id": "bob"}))
    assert [one.user_id for one in found] == ["ada", "to[1]", "to[2]", "bob"]
    assert [(one.key, one.is_inline) for one in found] == [(f"{at:07}", True) for at in range(4)]


def test_of_several_with_one_id_the_first_counts() -> None:
    found = inline({"id": "a", "n": 1}, {"id": "b"}, {"id": "a", "n": 2}, {})
    assert [(one.user_id, one.document.get("n")) for one in users(found)] == [
        *(("a", 1), ("b", None), ("to[3]", None)),
    ]
    assert (len(found), found.users) == (4, 3)


def test_an_object_id_is_the_same_in_either_case_and_other_ids_are_not() -> None:
    found = inline({"id": "5F27E4D3A1B2C3D4E5F60718"}, {"id": "Ada"})
    assert "5f27e4d3a1b2c3d4e5f60718" in found
    assert "Ada" in found
    assert "ada" not in found
    assert "to[0]" not in found


def test_addresses_stand_under_the_configured_names_or_the_standard_ones() -> None:
    [own, standard, both] = users(
        inline(
            {"fiscalCode": "A", "mail": "a@x.test"},
            {"id": "B", "emailAddress": "b@x.test", "phoneNumber": "+391"},
            {"mail": "own@x.test", "emailAddress": "standard@x.test"},
            fields=RENAMED,
        )
    )
    assert (own.user_id, own.document) == ("A", {"fiscalCode": "A", "mail": "a@x.test"})
    assert (standard.user_id, standard.document["fiscalCode"]) == ("B", "B")
    assert (standard.document["mail"], standard.document["mobile"]) == ("b@x.test", "+391")
    assert both.document["mail"] == "own@x.test"


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ({"emailAddress": 5}, "to[1].emailAddress must be a string"),
        ({"phoneNumber": ["+391"]}, "to[1].phoneNumber must be a string"),
        ({"deviceToken": {"a": 1}}, "to[1].deviceToken must be a string"),
        ({"emailAddress": False}, "to[1].emailAddress must be a string"),
        ({"id": 7}, "to[1].id must be a string"),
        ({"id": ""}, "to[1].id must not be empty"),
        ({"id": "x" * (LONGEST_ID + 1)}, "to[1].id must have at most 4,096 characters"),
        ({"mail": 1}, "to[1].mail must be a string"),
        ({"fiscalCode": {}}, "to[1].fiscalCode must be a string"),
    ],
)
def test_a_field_of_the_wrong_type_is_named(document: Document, told: str) -> None:
    with pytest.raises(BadCommand) as refused:
        inline({}, document, fields=RENAMED)
    assert str(refused.value) == told


def test_a_request_that_was_accepted_before_is_judged_no_more() -> None:
    documents: list[Document] = [{"mail": 5}]
    [found] = users(InlineRecipients(documents, RENAMED))
    assert found.user_id == "to[0]"


@pytest.mark.parametrize("size", [0, 1, PAGE - 1, PAGE, PAGE + 1, 3 * PAGE])
def test_pages_join_without_gap_or_repeat(size: int) -> None:
    documents: list[Document] = [{"n": number} for number in range(size)]
    for kept in (documents, cast(DocumentList, as_documents(documents))):
        found, at, places = InlineRecipients(kept, FIELDS), 0, list[str]()
        while at < len(found):
            recipients, at = found.page(at)
            assert len(recipients) <= PAGE
            places += [one.key for one in recipients]
        assert places == sorted(places) == [f"{number:07}" for number in range(size)]


def test_large_documents_come_few_at_a_time() -> None:
    documents: list[Document] = [{"text": "x" * 600_000} for _ in range(5)]
    found = InlineRecipients(cast(DocumentList, as_documents(documents)), FIELDS)
    assert len(found.page(0)[0]) == 1


def test_places_that_are_not_there_are_left_out() -> None:
    found = inline({"id": "a"}, {"id": "b"})
    assert [one.user_id for one in found.at([7, 1, 1, 0, -1])] == ["a", "b"]


class Shared(FakeDirectory):
    """Everybody's id is shared by several users."""

    async def page(self, audience: Audience, cursor: Cursor) -> Page:
        page = await super().page(audience, cursor)
        return Page((), page.missing, page.next, [one.user_id for one in page.recipients])


async def walk(directory: InlineFirst, audience: Audience) -> tuple[Sequence[str], Sequence[str]]:
    """Who is found, and which ids are not."""
    found, not_found = list[str](), list[str]()
    cursor: Cursor | None = Cursor()
    while cursor is not None:
        page = await directory.page(audience, cursor)
        found += [one.user_id for one in page.recipients]
        not_found += [*page.missing, *page.ambiguous]
        cursor = page.next
    return found, not_found


async def test_a_user_who_is_listed_or_in_a_cluster_too_is_read_from_the_request() -> None:
    own = FakeDirectory({"all": ["a", "b", "c"]})
    directory = InlineFirst(inline({"id": "b"}, {"id": "x1"}, {}), own, Offload())
    found, missing = await walk(directory, Audience(["x1", "b", "d", "x2"], ["all"]))
    assert found == ["b", "x1", "to[2]", "d", "a", "c"]
    assert missing == ["x2"]


async def test_an_id_that_several_users_share_is_the_one_of_the_request() -> None:
    directory = InlineFirst(inline({"id": "b"}), Shared(), Offload())
    assert await walk(directory, Audience(["a", "b"])) == (["b"], ["a"])


@pytest.mark.parametrize("audience", [Audience(), Audience([], [])])
async def test_without_other_recipients_the_directory_is_not_asked(audience: Audience) -> None:
    own = FakeDirectory()
    own.failures = 1000
    assert await walk(InlineFirst(inline({}, {}), own, Offload()), audience) == (
        *(["to[0]", "to[1]"], []),
    )
    assert own.reads == []


@pytest.mark.parametrize(
    ("more", "size"),
    [
        ({}, 3),
        ({"recipients": ["a", "a", "c"]}, 4),
        ({"recipients": ["c"], "clusters": ["all"]}, None),
        ({"recipients": [], "clusters": []}, 3),
    ],
)
def test_an_audience_is_counted_without_repeats(more: dict[str, object], size: int | None) -> None:
    documents: list[Document] = [{"id": "a"}, {}, {"id": "a"}, {"id": "b"}]
    texts = {"channels": ["sms"], "messageTitle": "", "messageContent": ""}
    command = parse_send({**texts, "to": documents, **more})
    assert Request(command, inline=InlineRecipients(documents, FIELDS)).audience_size == size
