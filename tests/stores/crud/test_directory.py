"""Who is read from the CRUD Service: contracts 1.1, *Reading by ids and by clusters*."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import httpx
import pytest

from carillon.messages.errors import DirectoryUnavailable, TemplateNotFound
from carillon.messages.model import Audience, Cursor, Document, Page, UserFields
from carillon.stores.crud.directory import CrudDirectory
from tests.neighbours.crud import CrudService, crud_service

FISCAL = UserFields(id="fiscalCode")


@asynccontextmanager
async def directory(
    crud: CrudService,
    fields: UserFields | None = None,
    *,
    templates: bool = True,
) -> AsyncIterator[CrudDirectory]:
    async with httpx.AsyncClient() as client:
        yield CrudDirectory(
            client,
            crud.url,
            users=crud.users.name,
            templates=crud.templates.name if templates else None,
            fields=fields or UserFields(),
            timeout=5,
        )


async def pages(reader: CrudDirectory, audience: Audience) -> list[Page]:
    read: list[Page] = []
    cursor: Cursor | None = Cursor()
    while cursor is not None:
        read.append(await reader.page(audience, cursor))
        cursor = read[-1].next
    return read


def keys(read: Sequence[Page]) -> list[str]:
    return [recipient.key for page in read for recipient in page.recipients]


def user_ids(read: Sequence[Page]) -> list[str]:
    return [recipient.user_id for page in read for recipient in page.recipients]


def missing(read: Sequence[Page]) -> list[str]:
    return [user_id for page in read for user_id in page.missing]


def people(count: int, **same: str) -> list[Document]:
    return [
        {"_id": f"{n:024x}", "fiscalCode": f"F{n}", "clusters": ["all", f"c{n % 7}"], **same}
        for n in range(count)
    ]


@pytest.mark.slow
async def test_listed_ids_arrive_exactly_once_and_the_head_stays_small() -> None:
    everybody = people(450)
    ids = [str(user["_id"]) for user in everybody]
    async with crud_service(users=everybody) as crud, directory(crud) as reader:
        read = await pages(reader, Audience(ids))
        assert keys(read) == user_ids(read) == ids
        assert missing(read) == []
        assert len(crud.requests) == 3
        for request in crud.requests:
            assert request.path == "/users/"
            assert (request.query["_l"], request.query["_s"]) == (["200"], ["_id"])
            assert len(crud.url) + len(request.target) <= 6000
            assert len(request.target) + len(str(request.headers)) < 8000


@pytest.mark.slow
async def test_members_of_a_cluster_arrive_exactly_once() -> None:
    everybody = people(450)
    async with crud_service(users=everybody) as crud, directory(crud) as reader:
        read = await pages(reader, Audience(clusters=["all", "c1"]))
        assert keys(read) == [user["_id"] for user in everybody]
        assert [len(page.recipients) for page in read] == [200, 200, 50]
        assert crud.queries[1] == {
            "$and": [{"clusters": {"$in": ["all", "c1"]}}, {"_id": {"$gt": f"{199:024x}"}}]
        }


@pytest.mark.slow
async def test_a_cluster_of_exactly_one_page_ends_with_an_empty_one() -> None:
    async with crud_service(users=people(200)) as crud, directory(crud) as reader:
        read = await pages(reader, Audience(clusters=["all"]))
        assert [len(page.recipients) for page in read] == [200, 0]


@pytest.mark.slow
async def test_a_cluster_nobody_is_in_is_an_empty_page() -> None:
    async with crud_service(users=people(3)) as crud, directory(crud) as reader:
        assert await reader.page(Audience(clusters=["none"]), Cursor()) == Page([], (), None)


@pytest.mark.slow
async def test_listed_ids_come_before_the_members_of_clusters() -> None:
    async with crud_service(users=people(9)) as crud, directory(crud, FISCAL) as reader:
        read = await pages(reader, Audience(["F8", "F3"], ["c1", "c2"]))
        assert user_ids(read) == ["F3", "F8", "F1", "F2", "F8"]
        assert [page.next for page in read] == [Cursor(2), None]


@pytest.mark.slow
async def test_more_clusters_than_a_url_holds_are_asked_in_chunks_that_can_be_resumed() -> None:
    everybody = people(250)
    clusters = [f"a-cluster-with-a-rather-long-name-{n:06}" for n in range(320)]
    for number, user in enumerate(everybody):
        user["clusters"] = [clusters[0] if number < 210 else clusters[-1]]
    async with crud_service(users=everybody) as crud, directory(crud) as reader:
        audience = Audience([f"{0:024x}", "f" * 24], clusters)
        read = await pages(reader, audience)
        assert sorted(keys(read)[1:]) == [user["_id"] for user in everybody]
        positions = [page.next.position for page in read if page.next]
        assert positions[:2] == [2, 2]
        assert positions == sorted(positions)
        assert max(positions) < 322
        assert all(len(request.target) < 6000 for request in crud.requests)


async def test_members_without_the_id_field_go_by_their_own_id() -> None:
    user: Document = {"_id": "a" * 24, "clusters": ["x"]}
    async with crud_service(users=[user, *people(1)]) as crud, directory(crud, FISCAL) as reader:
        assert user_ids(await pages(reader, Audience(clusters=["x"]))) == ["a" * 24]


async def test_ids_nobody_has_are_missing_once_on_a_page() -> None:
    async with crud_service(users=people(3)) as crud, directory(crud, FISCAL) as reader:
        page = await reader.page(Audience(["F1", "no", "F1", "gone", "no"]), Cursor())
        assert [recipient.user_id for recipient in page.recipients] == ["F1"]
        assert (page.missing, page.next) == (("no", "gone"), None)


@pytest.mark.slow
async def test_an_id_that_very_many_share_reaches_none_of_them() -> None:
    team = [{**user, "team": "blue" if n < 420 else f"t{n}"} for n, user in enumerate(people(430))]
    async with (
        crud_service(users=team) as crud,
        directory(crud, UserFields(id="team")) as reader,
    ):
        read = await pages(reader, Audience(["blue", "green", "t421", "t429"]))
        assert user_ids(read) == ["t421", "t429"]
        assert missing(read) == ["green"]
        assert {user_id for page in read for user_id in page.ambiguous} == {"blue"}


@pytest.mark.slow
async def test_ids_past_the_first_full_page_are_looked_for_before_they_are_missing() -> None:
    team = [{**user, "team": f"t{n // 210}"} for n, user in enumerate(people(840))]
    asked = ["t3", "t2", "t1", "t0", "none"]
    async with (
        crud_service(users=team) as crud,
        directory(crud, UserFields(id="team")) as reader,
    ):
        first = await reader.page(Audience(asked), Cursor())
        assert first.missing == ("none",)
        assert all("_p" in request.query for request in crud.requests[1:])
        assert keys(await pages(reader, Audience(asked))) == []


@pytest.mark.slow
async def test_users_who_share_an_id_are_found_out_on_different_pages() -> None:
    users = people(450)
    users[449]["fiscalCode"] = users[3]["fiscalCode"]
    users[230]["fiscalCode"] = users[229]["fiscalCode"] = users[228]["fiscalCode"]
    async with crud_service(users=users) as crud, directory(crud, FISCAL) as reader:
        read = await pages(reader, Audience(clusters=["all"]))
        assert len(set(keys(read))) == 445
        assert {user_id for page in read for user_id in page.ambiguous} == {"F3", "F228"}
        assert all(len(request.target) < 6000 for request in crud.requests)


@pytest.mark.slow
async def test_one_value_that_is_no_object_id_does_not_spoil_the_others() -> None:
    ids = ["auth0|mark12", f"{1:024x}", "RSSMRA80A01H501U", "", "12 character", f"{2:024x}"]
    async with crud_service(users=people(3)) as crud, directory(crud) as reader:
        for _ in range(2):
            read = await pages(reader, Audience(ids))
            assert user_ids(read) == [f"{1:024x}", f"{2:024x}"]
            assert missing(read) == ["auth0|mark12", "RSSMRA80A01H501U", "", "12 character"]
        # Asked whole once, split, and remembered the second time.
        assert len(crud.requests) == 3


async def test_only_bad_object_ids_are_all_missing() -> None:
    async with crud_service(users=people(3)) as crud, directory(crud) as reader:
        assert missing(await pages(reader, Audience(["x", "y"]))) == ["x", "y"]


async def test_string_ids_are_asked_as_they_are() -> None:
    users: list[Document] = [{"_id": "auth0|mark12"}, {"_id": ""}, {"_id": "b" * 24}]
    async with crud_service(users=users, string_ids=True) as crud, directory(crud) as reader:
        read = await pages(reader, Audience(["auth0|mark12", "", "b" * 24, "nobody"]))
        assert user_ids(read) == ["", "auth0|mark12", "b" * 24]
        assert missing(read) == ["nobody"]
        assert len(crud.requests) == 1


async def test_an_object_id_in_capitals_is_found_and_named_as_asked() -> None:
    users: list[Document] = [{"_id": "5df8aff66498d30011b19e4d"}]
    async with crud_service(users=users) as crud, directory(crud) as reader:
        asked = "5DF8AFF66498D30011B19E4D"
        page = await reader.page(Audience([asked]), Cursor())
        assert [(r.user_id, r.key) for r in page.recipients] == [(asked, asked.lower())]
        assert page.missing == ()


async def test_an_id_field_that_is_a_list_answers_each_of_its_ids() -> None:
    users: list[Document] = [{"_id": "a" * 24, "emails": ["one", "two"]}]
    fields = UserFields(id="emails")
    async with crud_service(users=users) as crud, directory(crud, fields) as reader:
        page = await reader.page(Audience(["two", "three"]), Cursor())
        assert [recipient.user_id for recipient in page.recipients] == ["two"]
        assert page.missing == ("three",)


async def test_absurd_ids_are_missing_and_break_no_query() -> None:
    absurd = ["\ud800", "\x00", "💥" * 400, "x" * 10_000, '"]}}', "%00&_l=1", "\u2028", " "]
    async with crud_service(users=people(2)) as crud, directory(crud, FISCAL) as reader:
        read = await pages(reader, Audience(["F0", *absurd, "F1"]))
        assert user_ids(read) == ["F0", "F1"]
        assert sorted(missing(read)) == sorted(absurd)
        assert all(len(request.target) < 6000 for request in crud.requests)


@pytest.mark.slow
async def test_long_ids_make_smaller_chunks() -> None:
    users = [{**user, "fiscalCode": f"{n:03}" + "é" * 300} for n, user in enumerate(people(20))]
    ids = [str(user["fiscalCode"]) for user in users]
    async with crud_service(users=users) as crud, directory(crud, FISCAL) as reader:
        assert user_ids(await pages(reader, Audience(ids))) == ids
        assert len(crud.requests) > 5
        assert all(len(request.target) < 6000 for request in crud.requests)


async def test_an_empty_audience_asks_nothing() -> None:
    async with crud_service() as crud, directory(crud) as reader:
        assert await reader.page(Audience(), Cursor()) == Page((), (), None)
        assert crud.requests == []


async def test_drafts_are_invisible() -> None:
    async with crud_service() as crud, directory(crud) as reader:
        draft = crud.users.add({"clusters": ["x"]}, state="DRAFT")
        page = await reader.page(Audience([draft], ["x"]), Cursor())
        assert (list(page.recipients), page.missing) == ([], (draft,))
        crud.users.publish(draft)
        assert keys(await pages(reader, Audience([draft]))) == [draft]


async def test_a_template_is_the_bare_document() -> None:
    template: Document = {"_id": "b5e5c0a2-1f5d-4a59-9a63-7c3f5b0a8f6e", "smsMessage": "hi"}
    async with crud_service(templates=[template]) as crud, directory(crud) as reader:
        assert await reader.template(str(template["_id"])) == {**template, "__STATE__": "PUBLIC"}


async def test_a_template_id_is_one_part_of_the_path() -> None:
    template: Document = {"_id": "a/b?c=é #1%", "smsMessage": "hi"}
    async with crud_service(templates=[template]) as crud, directory(crud) as reader:
        assert (await reader.template("a/b?c=é #1%"))["smsMessage"] == "hi"


@pytest.mark.parametrize("state", ["DRAFT", "TRASH", None])
async def test_a_template_that_is_not_public_is_not_found_and_the_text_says_why(
    state: str | None,
) -> None:
    async with crud_service() as crud, directory(crud) as reader:
        template_id = "c" * 24
        if state is not None:
            crud.templates.add({"_id": template_id}, state=state)
        with pytest.raises(TemplateNotFound, match=f"Template {template_id} .* not PUBLIC .*DRAFT"):
            await reader.template(template_id)


@pytest.mark.parametrize(
    "template_id", ["", ".", "..", "count", "export", "schema", "\ud800", "x" * 7000]
)
async def test_an_id_that_names_another_route_is_not_asked(template_id: str) -> None:
    async with crud_service() as crud, directory(crud) as reader:
        with pytest.raises(TemplateNotFound) as caught:
            await reader.template(template_id)
        assert len(str(caught.value)) < 300
        assert crud.requests == []


async def test_without_a_templates_collection_the_text_names_the_setting() -> None:
    async with crud_service() as crud, directory(crud, templates=False) as reader:
        with pytest.raises(TemplateNotFound, match="TEMPLATES_CRUD_NAME"):
            await reader.template("a" * 24)


async def test_check_reads_one_user() -> None:
    async with crud_service(users=people(2)) as crud, directory(crud) as reader:
        await reader.check()
        assert crud.requests[0].query["_l"] == ["1"]
        crud.fail_next()
        with pytest.raises(DirectoryUnavailable):
            await reader.check()
