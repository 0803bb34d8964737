"""What goes wrong when the CRUD Service is read: contracts 1.1, *Streaming and failure*."""

from __future__ import annotations

import gzip
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import httpx
import pytest
import trio

from carillon.messages.errors import DirectoryUnavailable
from carillon.messages.model import Audience, Cursor, Document, JsonValue, UserFields
from carillon.stores.crud import client as crud_client
from carillon.stores.crud.answer import parsed_list
from carillon.stores.crud.directory import CrudDirectory
from tests.neighbours.crud import CrudService, crud_service, fastify_error
from tests.neighbours.http import Answer, json_answer
from tests.stores.crud.test_directory import FISCAL, directory, keys, pages, people

SECRET = "RSSMRA80A01H501U"


async def failure(
    crud: CrudService, fields: UserFields | None = None, audience: Audience | None = None
) -> str:
    async with directory(crud, fields) as reader:
        with pytest.raises(DirectoryUnavailable) as caught:
            await reader.page(audience or Audience([SECRET], ["all"]), Cursor())
    assert SECRET not in str(caught.value)
    return str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize("documents", [0, 1, 100, 199])
async def test_a_list_that_is_cut_is_never_a_short_page(documents: int) -> None:
    async with crud_service(users=people(450)) as crud, directory(crud) as reader:
        first = await reader.page(Audience(clusters=["all"]), Cursor())
        assert first.next is not None
        crud.cut_after(documents)
        with pytest.raises(DirectoryUnavailable, match=r"\(what came is no whole HTTP answer\)"):
            await reader.page(Audience(clusters=["all"]), first.next)
        again = await reader.page(Audience(clusters=["all"]), first.next)
        assert len(keys([first, again])) == 400


@pytest.mark.parametrize(
    "body",
    [b"", b"[", b'[{"_id":"a"}', b"{}", b'"x"', b"[1]", b'[{"a":1}]', b"[NaN]", b"[" * 9000],
)
async def test_an_answer_of_another_shape_is_a_failed_read(body: bytes) -> None:
    async with crud_service() as crud:
        crud.answer_next(Answer(200, body, framing="close"))
        assert "cannot be read" in await failure(crud, FISCAL)


@pytest.mark.slow
async def test_a_template_of_another_shape_is_a_failed_read() -> None:
    async with crud_service() as crud, directory(crud) as reader:
        shapes: list[JsonValue] = [[], 3, None, {"error": "?"}]
        for shape in shapes:
            crud.answer_next(json_answer(shape))
            with pytest.raises(DirectoryUnavailable):
                await reader.template("a" * 24)


@pytest.mark.parametrize("status", [500, 502, 503, 504, 302, 429, 401])
async def test_any_other_status_is_unavailable(status: int) -> None:
    async with crud_service(users=people(1)) as crud:
        crud.fail_next(1, status)
        assert str(status) in await failure(crud, FISCAL)
        assert len(crud.requests) == 1


@pytest.mark.parametrize(
    "answer",
    [
        Answer(fault="disconnect"),
        Answer(fault="reset"),
        Answer(fault="garbage"),
        Answer(200, b"[]", fault="cut-head"),
        Answer(200, b"[]", fault="cut-body"),
    ],
)
async def test_a_connection_that_breaks_is_unavailable(answer: Answer) -> None:
    async with crud_service() as crud:
        crud.answer_next(answer)
        assert "could not be read" in await failure(crud, FISCAL)


async def test_a_refused_connection_is_unavailable() -> None:
    async with crud_service() as crud:
        crud.stop()
        await trio.sleep(0.01)
        assert "(connection refused)" in await failure(crud)


@pytest.mark.parametrize("fault", ["hang", "stalled-body"])
async def test_the_time_limit_holds_for_the_whole_read(fault: str) -> None:
    async with crud_service(users=people(1)) as crud, httpx.AsyncClient() as client:
        crud.answer_next(Answer(200, b"[", fault="hang" if fault == "hang" else "stalled-body"))
        reader = partial(
            CrudDirectory, client, crud.url, users="users", templates=None, fields=UserFields()
        )
        with pytest.raises(DirectoryUnavailable, match=r"within 0\.05 seconds"):
            await reader(timeout=0.05).page(Audience([f"{0:024x}"]), Cursor())
        again = reader(timeout=5.0)
        assert keys(await pages(again, Audience([f"{0:024x}"]))) == [f"{0:024x}"]


ENDLESS = Answer(200, b" " * 1_000_000, framing="chunked", fault="endless-body")


def bomb() -> Answer:
    zipped = gzip.compress(b"[" + b" " * (80 << 20), compresslevel=1)
    return Answer(200, zipped, {"content-encoding": "gzip"})


@pytest.mark.slow
@pytest.mark.parametrize("make", [lambda: ENDLESS, bomb], ids=["endless", "bomb"])
async def test_an_answer_has_a_size(make: Callable[[], Answer]) -> None:
    async with crud_service() as crud:
        crud.answer_next(make())
        said = await failure(crud, FISCAL)
        assert said == "The CRUD Service gave an answer for users of more than 67,108,864 bytes"


@pytest.mark.slow
async def test_one_large_answer_at_a_time_is_in_memory() -> None:
    users = [{**user, "text": "x" * 20_000} for user in people(200)]
    held: list[int] = []
    async with crud_service(users=users) as crud, directory(crud) as reader:

        def parsing(body: bytearray) -> list[JsonValue]:
            held.append(1)
            time.sleep(0.02)  # in a thread: another answer would come in between
            assert held == [1]
            held.pop()
            return parsed_list(body)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(crud_client, "parsed_list", parsing)
            async with trio.open_nursery() as nursery:
                for _ in range(5):
                    nursery.start_soon(reader.page, Audience(clusters=["all"]), Cursor())
        small = await reader.page(Audience([f"{0:024x}"]), Cursor())
        assert len(small.recipients) == 1
        assert 20_000 < small.size < 30_000


@pytest.mark.parametrize("body", [ENDLESS, Answer(400, b"x" * 100_000)], ids=["endless", "long"])
async def test_a_refusal_is_read_as_far_as_a_reason_goes(body: Answer) -> None:
    async with crud_service() as crud:
        crud.answer_next(replace(body, status=400))
        assert await failure(crud, FISCAL) == (
            "The CRUD Service refuses to read users (400: Stand-in)"
        )


async def test_the_same_page_again_and_again_is_a_failed_read() -> None:
    async with crud_service(users=people(450)) as crud, directory(crud) as reader:
        first = await reader.page(Audience(clusters=["all"]), Cursor())
        assert first.next is not None
        second = await reader.page(Audience(clusters=["all"]), first.next)
        assert second.next is not None
        for again, place in ((first, first.next), (first, second.next), (second, second.next)):
            crud.answer_next(json_answer([one.document for one in again.recipients]))
            with pytest.raises(DirectoryUnavailable, match="users again that came before"):
                await reader.page(Audience(clusters=["all"]), place)


async def test_what_was_not_asked_for_is_not_kept() -> None:
    async with crud_service() as crud, directory(crud) as reader:
        crud.answer_next(json_answer([{"_id": "a" * 24, "name": "Ada", "photo": "x" * 1000}]))
        page = await reader.page(Audience(["a" * 24], fields=frozenset({"_id", "name"})), Cursor())
    assert [one.document for one in page.recipients] == [{"_id": "a" * 24, "name": "Ada"}]


async def test_a_field_the_collection_lacks_is_told_with_the_services_own_words() -> None:
    async with crud_service(users=people(1)) as crud:
        text = await failure(crud, UserFields(id="fiscal"))
        assert text == "The CRUD Service refuses to read users (400: Unknown field: fiscal)"


async def test_a_smaller_maximum_of_the_service_is_told() -> None:
    async with crud_service(users=people(1), page_maximum=100) as crud:
        assert "users (400: querystring/_l must be <= 100)" in await failure(crud, FISCAL)


async def test_a_collection_that_does_not_exist_is_told_without_the_query() -> None:
    async with crud_service() as crud, httpx.AsyncClient() as client:
        reader = CrudDirectory(
            client, crud.url, users="userz", templates=None, fields=FISCAL, timeout=5
        )
        with pytest.raises(DirectoryUnavailable, match=r"userz \(404: Route GET:/userz/\)"):
            await reader.page(Audience([SECRET]), Cursor())


async def test_what_a_gateway_says_is_bounded() -> None:
    async with crud_service() as crud:
        crud.answer_next(fastify_error(400, "x" * 5000))
        assert len(await failure(crud)) < 300
        crud.answer_next(Answer(403, b"<html>" + SECRET.encode()))
        assert "403" in await failure(crud)


async def test_a_head_that_is_too_large_is_unavailable() -> None:
    async with crud_service() as crud, httpx.AsyncClient(headers={"x": "y" * 17_000}) as client:
        reader = CrudDirectory(
            client, crud.url, users="users", templates=None, fields=UserFields(), timeout=5
        )
        with pytest.raises(DirectoryUnavailable, match="431"):
            await reader.check()


async def test_a_bad_object_id_that_cannot_be_split_off_is_told() -> None:
    fields = UserFields(clusters="group")
    async with (
        crud_service(fields={"group": "ObjectId"}) as crud,
        directory(crud, fields) as reader,
    ):
        assert (await reader.page(Audience(clusters=["nurses"]), Cursor())).recipients == []
        crud.answer_next(fastify_error(400, "Invalid objectId"))
        with pytest.raises(DirectoryUnavailable, match="Invalid objectId"):
            await reader.page(Audience(clusters=["a" * 24]), Cursor())


async def test_a_place_that_is_no_object_id_never_empties_a_cluster() -> None:
    async with crud_service(users=people(3)) as crud, directory(crud) as reader:
        with pytest.raises(DirectoryUnavailable, match="Invalid objectId"):
            await reader.page(Audience(clusters=["all"]), Cursor(0, "not-hex"))
        assert len(keys(await pages(reader, Audience(clusters=["all"])))) == 3


async def test_a_collation_that_ignores_case_makes_nobody_both_found_and_missing() -> None:
    found: Document = {"_id": "a" * 24, "fiscalCode": SECRET.lower()}
    async with crud_service() as crud, directory(crud, FISCAL) as reader:
        crud.answer_next(json_answer([found]))
        page = await reader.page(Audience([SECRET]), Cursor())
        assert ([r.user_id for r in page.recipients], page.missing) == ([SECRET], ())


async def test_no_header_of_ours_and_no_redirect_goes_along() -> None:
    async with crud_service() as crud:
        crud.answer_next(Answer(307, headers={"location": f"{crud.url}/users/?_l=1"}))
        assert "307" in await failure(crud)
        assert len(crud.requests) == 1
        assert not {"acl_rows", "userid", "miauserid"} & set(crud.requests[0].headers)
