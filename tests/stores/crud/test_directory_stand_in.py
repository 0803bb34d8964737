"""The stand-in CRUD Service keeps the rules of contracts 1.1 that our directory relies on."""

from __future__ import annotations

import json
from urllib.parse import quote

import httpx
import pytest

from carillon.messages.model import Document, JsonValue
from tests.neighbours.crud import crud_service

USERS: list[Document] = [
    {"_id": f"{n:024x}", "fiscalCode": f"F{n}", "clusters": ["x"]} for n in range(300)
]


async def ask(target: str, headers: dict[str, str] | None = None) -> tuple[int, JsonValue]:
    async with crud_service(users=USERS) as crud, httpx.AsyncClient() as client:
        answer = await client.get(crud.url + target, headers=headers)
        return answer.status_code, answer.json() if answer.content else None


def query(value: JsonValue, rest: str = "") -> str:
    return f"/users/?_q={quote(json.dumps(value))}{rest}"


@pytest.mark.slow
async def test_a_page_is_25_documents_unless_told_and_200_at_most() -> None:
    for target, length in (("/users/", 25), ("/users/?_l=200", 200), ("/users/?_l=1", 1)):
        status, documents = await ask(target)
        assert status == 200
        assert isinstance(documents, list)
        assert len(documents) == length
    assert (await ask("/users/?_l=201"))[0] == (await ask("/users/?_l=0"))[0] == 400


async def test_sorting_skipping_and_projecting() -> None:
    _, documents = await ask("/users/?_s=-_id&_sk=1&_l=2&_p=fiscalCode")
    assert documents == [{"_id": f"{n:024x}", "fiscalCode": f"F{n}"} for n in (298, 297)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"$nor": []}, "Unknown operator: $nor"),
        ({"fiscalCode": {"$foo": 1}}, "Unsupported operator: $foo"),
        ({"nope": 1}, "Unknown field: nope"),
        ({"_id": {"$in": ["0" * 24, "x"]}}, "Invalid objectId"),
        ({"$or": [{"$and": [{"_id": {"$gt": "é"}}]}]}, "Invalid objectId"),
    ],
)
async def test_a_query_is_refused_as_a_whole(value: JsonValue, message: str) -> None:
    error = {"statusCode": 400, "error": "Bad Request", "message": message}
    assert await ask(query(value)) == (400, error)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/users", 404),
        ("/users?_l=1", 404),
        ("/other/", 404),
        ("/users/?clusters=x", 400),
        ("/users/?fiscalCode=F1", 200),
        ("/users/?_p=a&_rawp=%7B%7D", 400),
        ("/users/?_q=%7B", 500),
        ("/users/?_st=DRAFT", 200),
    ],
)
async def test_addresses_and_parameters(target: str, status: int) -> None:
    assert (await ask(target))[0] == status


async def test_a_document_that_is_not_there_has_an_error_of_its_own_shape() -> None:
    assert await ask("/users/not-an-object-id") == (404, {"error": "not found"})


@pytest.mark.slow
async def test_a_head_over_16384_bytes_is_refused() -> None:
    assert (await ask("/users/", {"x": "y" * 16_000}))[0] == 200
    assert (await ask("/users/", {"x": "y" * 16_400}))[0] == 431


async def test_ids_that_no_object_id_could_be_need_string_ids() -> None:
    async with crud_service() as crud:
        with pytest.raises(ValueError, match="string_ids=True"):
            crud.users.add({"_id": "mark"})
