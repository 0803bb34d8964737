"""Users and templates over HTTP, where the directory is ours."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
import trio

from carillon.access.keys import SCOPES, draw_key
from carillon.api.directory import receiving
from carillon.messages.model import Document, JsonValue
from tests.neighbours.mongodb import MongoServer
from tests.running import Running, operator, running, sandbox_configuration
from tests.scenarios.test_access import with_keys
from tests.scenarios.test_waiting import slow

ADA: Document = {"name": "Ada", "emailAddress": "ada@x.test", "clusters": ["staff", "all"]}
HI: Document = {"smsMessage": "Hi {{user.name}}", "emailTitle": "Hi", "emailMessage": "Dear"}
LINES = {"Content-Type": "application/x-ndjson"}
IDS = [
    "a/b",
    "/a",
    "a//b/",
    "%2F",
    "à\U0001f600 ",
    "?x=1#y",
    "import",
    "a\nb",
    "..;/",
    "'\"",
    "+ &",
]


def at(kind: str, name: str) -> str:
    return f"/{kind}/{quote(name, safe='')}"


@pytest.mark.parametrize("kind", ["users", "templates"])
async def test_a_document_is_made_read_replaced_and_removed(kind: str, tmp_path: Path) -> None:
    one, other = (ADA, {"name": "Eve"}) if kind == "users" else (HI, {"smsMessage": "Bye"})
    async with running(tmp_path) as service:
        client = service.client
        made = await client.put(f"/{kind}/x", json=one)
        assert (made.status_code, made.json()) == (201, {"_id": "x", "__STATE__": "PUBLIC", **one})
        assert (await client.get(f"/{kind}/x")).json() == made.json()
        changed = await client.put(f"/{kind}/x", json={"_id": "x", **other})
        assert changed.status_code == 200
        assert changed.json() == {"_id": "x", "__STATE__": "PUBLIC", **other}
        gone = await client.delete(f"/{kind}/x")
        assert (gone.status_code, gone.content) == (204, b"")
        assert "Content-Length" not in gone.headers
        for method in ("GET", "DELETE"):
            missing = await client.request(method, f"/{kind}/x")
            assert (missing.status_code, missing.json()["error"]) == (404, "Not found")
        assert (await client.get(f"/{kind}")).json() == {kind: [], "next": None}


@pytest.mark.parametrize("name", IDS)
async def test_an_id_may_hold_any_character(name: str, tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        for kind, one in (("users", ADA), ("templates", HI)):
            made = await service.client.put(at(kind, name), json=one)
            assert (made.status_code, made.json()["_id"]) == (201, name)
            assert (await service.client.get(at(kind, name))).json()["_id"] == name
        sent = await service.send(recipients=[name], templateId=name)
        assert sent.json() == {"failures": []}
        assert (await service.client.delete(at("users", name))).status_code == 204
        assert (await service.client.get("/users")).json()["users"] == []
    assert len(service.sent) == 1


async def test_who_a_user_is_stays_out_of_log_and_audit(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        for method in ("PUT", "GET", "POST", "PATCH", "DELETE", "DELETE"):
            await service.client.request(method, "/users/secret-id", json={"name": "secret-name"})
        audit = (await service.client.get("/audit")).json()["entries"]
    assert "secret" not in service.log.getvalue() + json.dumps(audit)
    assert [entry["action"] for entry in audit] == ["delete-user", "put-user"]


@pytest.mark.parametrize(
    ("path", "body", "status", "told"),
    [
        ("users/x", "[]", 400, "must be an object"),
        ("users/x", "5", 400, "must be an object"),
        ("users/x", '{"_id": "y"}', 400, "_id must be left out"),
        ("users/x", '{"_id": 1.5}', 400, "_id must be a text or a whole number"),
        ("users/x", '{"__STATE__": "ODD"}', 400, "__STATE__ must be one of"),
        ("users/x", '{"a": 1, "a": 2}', 400, "stands there twice"),
        ("users/x", '{"__proto__": 1}', 400, "forbidden key"),
        ("users/x", '{"a": NaN}', 400, "not valid JSON"),
        ("users/x", '{"a":' * 201 + "1" + "}" * 201, 400, "JSON"),
        ("users/" + "x" * 4097, "{}", 400, "4,096 characters"),
        ("users/%ff", "{}", 400, "not UTF-8"),
        ("templates/x", '{"smsMessage": "{{#if}}", "oops": 1, "pushTitle": "t"}', 422, "3 faults"),
        ("templates/x", '{"emailTitle": 5}', 422, "emailTitle must be a text"),
    ],
)
async def test_what_cannot_be_taken_is_refused(
    path: str, body: str, status: int, told: str, tmp_path: Path
) -> None:
    async with running(tmp_path) as service:
        headers = {"Content-Type": "application/json"}
        answer = await service.client.put(f"/{path}", content=body, headers=headers)
        assert (answer.status_code, list(answer.json())) == (
            *(status, ["statusCode", "error", "message"]),
        )
        assert told in answer.json()["message"], answer.text
        for kind in ("users", "templates"):
            assert (await service.client.get(f"/{kind}")).json()[kind] == []


async def test_every_fault_of_a_template_is_in_one_answer(tmp_path: Path) -> None:
    template: Document = {
        "smsMessage": "{{#if x}}",
        "voiceMessage": "{{nobody 1}}",
        "emailTitle": "",
    }
    async with running(tmp_path) as service:
        answer = await service.client.put("/templates/t", json=template)
    assert answer.status_code == 422
    for part in ("smsMessage, 1:", "voiceMessage, 1:"):
        assert part in answer.json()["message"]


async def test_the_largest_document_is_taken_and_a_larger_one_is_not(tmp_path: Path) -> None:
    configuration = sandbox_configuration(limits={"bodyBytes": 1_000_000})
    async with running(tmp_path, configuration) as service:
        fits = await service.client.put("/users/a", json={"text": "x" * 990_000})
        assert fits.status_code == 201
        assert (
            await service.client.put("/users/b", json={"text": "x" * 1_000_000})
        ).status_code == 413
        listed = (await service.client.get("/users")).json()["users"]
    assert [one["_id"] for one in listed] == ["a"]


async def test_pages_join_and_clusters_choose(tmp_path: Path) -> None:
    users: list[Document] = [
        {"_id": f"u{number:03}", "clusters": ["odd" if number % 2 else "even", "all"]}
        for number in range(57)
    ]
    async with running(tmp_path, users=users) as service:

        async def walk(query: str) -> list[str]:
            found: list[str] = []
            cursor: str | None = ""
            while cursor is not None:
                page = await service.client.get(f"/users?limit=10&cursor={cursor}{query}")
                assert page.status_code == 200, page.text
                assert len(page.json()["users"]) <= 10
                found += [one["_id"] for one in page.json()["users"]]
                cursor = page.json()["next"]
            return found

        everybody = [str(one["_id"]) for one in users]
        assert await walk("") == everybody
        assert await walk("&cluster=odd") == everybody[1::2]
        assert await walk("&cluster=nobody") == await walk("&cluster=%00'") == []


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=x", "cursor=x", "cursor=WzFd", "cursor=W251bGxd", "cursor=WyJhIiwiYiJd"],
)
async def test_a_forged_cursor_is_refused(query: str, tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        for kind in ("users", "templates"):
            assert (await service.client.get(f"/{kind}?{query}")).status_code == 400


def lines(*documents: Mapping[str, JsonValue]) -> bytes:
    return b"".join(json.dumps(one).encode() + b"\n" for one in documents)


async def post(
    service: Running, content: object, kind: str = "users", headers: Mapping[str, str] = LINES
) -> httpx.Response:
    return await service.client.post(f"/{kind}/import", content=content, headers=headers)  # type: ignore[arg-type]


@pytest.mark.parametrize("headers", [LINES, {"Content-Type": "application/json"}])
@pytest.mark.parametrize("form", ["lines", "list"])
async def test_a_file_is_imported(form: str, headers: dict[str, str], tmp_path: Path) -> None:
    users: list[Document] = [{"_id": f"u{number}", "clusters": "all"} for number in range(5000)]
    content = lines(*users) if form == "lines" else json.dumps(users, indent=1).encode()
    async with running(tmp_path, users=[{"_id": "u7", "old": True}]) as service:
        answer = await post(service, content, headers=headers)
        assert (answer.status_code, answer.json()) == (200, {"imported": 5000})
        seventh = (await service.client.get("/users/u7")).json()
        assert seventh == {"_id": "u7", "__STATE__": "PUBLIC", "clusters": "all"}
        sent = await service.send(clusters=["all"])
        assert sent.json() == {"failures": []}
        audit = (await service.client.get("/audit")).json()["entries"]
    assert service.outcomes()["u4999", "email"] == ("skipped", "no-address")
    assert [(one["action"], one["after"]) for one in audit] == [("import-user", {"users": 5000})]


async def test_nothing_of_a_bad_file_is_imported_and_its_lines_are_told(tmp_path: Path) -> None:
    content = lines({"_id": "a"}, {"_id": "b"}) + b'{"_id": \n\n[]\n' + lines({"_id": "a"})
    async with running(tmp_path) as service:
        answer = await post(service, content)
        assert answer.status_code == 400
        for part in ("line 3: not valid JSON", "line 5: not an object", "line 6: _id 'a'"):
            assert part in answer.json()["message"]
        assert answer.json()["message"].endswith("nothing was imported")
        assert (await service.client.get("/users")).json()["users"] == []
        bad = await post(service, lines(HI, {"smsMessage": "{{#x}}"}, {"odd": 1}), "templates")
        assert (bad.status_code, bad.json()["error"]) == (422, "Unprocessable content")
        assert "line 2: smsMessage" in bad.json()["message"]
        assert "line 3: there is no field" in bad.json()["message"]
        assert (await service.client.get("/templates")).json()["templates"] == []
        assert (await service.client.get("/audit")).json()["entries"] == []
        many = await post(service, b"x\n" * 1000)
    assert "and 980 more" in many.json()["message"]
    assert "_id 'a'" not in service.log.getvalue()


async def test_an_import_of_another_media_type_is_refused(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        for headers in ({"Content-Type": "text/csv"}, {**LINES, "Content-Encoding": "gzip"}):
            assert (await post(service, b"{}", headers=headers)).status_code == 415
        assert (await post(service, b"")).json() == {"imported": 0}


async def test_a_file_longer_than_any_body_is_streamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configuration = sandbox_configuration(limits={"bodyBytes": 100_000})

    async def content() -> object:
        for number in range(3000):
            yield lines({"_id": f"u{number}", "text": "x" * 100})

    async with running(tmp_path, configuration) as service:
        answer = await post(service, content())
        assert answer.json() == {"imported": 3000}
        whole = lines(*({"_id": f"v{number}", "text": "x" * 100} for number in range(3000)))
        assert (await post(service, whole)).json() == {"imported": 3000}
        monkeypatch.setattr(receiving, "MOST_BYTES", 200_000)
        assert (await post(service, whole)).status_code == 413
        assert (await post(service, content())).status_code == 413


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_who_hangs_up_in_the_middle_has_imported_nothing(tmp_path: Path) -> None:
    begun = trio.Event()

    async def content() -> object:
        for number in range(2000):
            yield lines({"_id": f"u{number}", "text": "x" * 100})
        begun.set()
        await trio.sleep_forever()

    async with running(tmp_path) as service:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(post, service, content())
            await begun.wait()
            while (second := await post(service, lines({"_id": "b"}))).status_code != 503:
                await trio.sleep(0.01)
            assert second.json()["message"] == "Another import is under way"
            nursery.cancel_scope.cancel()
        with trio.fail_after(10):
            while (await post(service, lines({"_id": "a"}))).status_code == 503:
                await trio.sleep(0.01)
        listed = (await service.client.get("/users")).json()["users"]
    assert {one["_id"] for one in listed} <= {"a", "b"}


async def test_an_import_that_brings_nothing_gives_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receiving, "SILENCE", 0.2)

    async def content() -> object:
        yield b'{"_id": "a"}\n' * 20_000
        await trio.sleep(30)

    async with running(tmp_path) as service:
        assert (await post(service, content())).status_code == 408
        assert (await service.client.get("/users")).json()["users"] == []


async def test_puts_deletes_and_imports_at_once_leave_whole_documents(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        statuses: set[int] = set()

        async def one(number: int) -> None:
            path = f"/users/u{number % 5}"
            if number % 3 == 0:
                answer = await service.client.delete(path)
            elif number % 3 == 1:
                answer = await service.client.put(path, json={"n": number, "clusters": ["all"]})
            else:
                answer = await post(service, lines({"_id": f"u{number % 5}", "n": number}))
            statuses.add(answer.status_code)

        async with trio.open_nursery() as nursery:
            for number in range(60):
                nursery.start_soon(one, number)
        listed = (await service.client.get("/users")).json()["users"]
        members = (await service.client.get("/users?cluster=all")).json()["users"]
    assert statuses <= {200, 201, 204, 404, 503}
    assert members == [one for one in listed if "clusters" in one]


async def test_a_user_goes_by_the_id_that_callers_know(tmp_path: Path) -> None:
    configuration = sandbox_configuration(userFields={"id": "code"})
    twins: list[Document] = [{"_id": f"t{number}", "code": "T"} for number in range(2)]
    async with running(
        tmp_path, configuration, users=[{"_id": "1", "code": "A"}, *twins]
    ) as service:
        client = service.client
        changed = await client.put("/users/A", json={"n": 1})
        assert (changed.status_code, changed.json()["_id"], changed.json()["code"]) == (
            200,
            "1",
            "A",
        )
        made = await client.put("/users/B", json={"emailAddress": "b@x.test"})
        assert (made.status_code, made.json()["_id"], made.json()["code"]) == (201, "B", "B")
        by_key = await client.get("/users/1")
        assert by_key.json()["code"] == "A"
        assert (await client.put("/users/A", json={"code": "Z"})).status_code == 400
        assert (await client.put("/users/A", json={"_id": "9"})).status_code == 400
        assert (await client.put("/users/C", json={"_id": "1"})).status_code == 409
        assert (await client.put("/users/1", json={"code": "B"})).status_code == 409
        for method in ("GET", "PUT", "DELETE"):
            assert (await client.request(method, "/users/T", json={})).status_code == 409
        assert (await client.delete("/users/t0")).status_code == 204
        assert (await client.get("/users/T")).json()["_id"] == "t1"
        double = await post(service, lines({"code": "A", "n": 2}, {"_id": "7", "code": "B"}))
        assert (double.status_code, "line 2" in double.json()["message"]) == (400, True)
        assert (await client.get("/users/A")).json()["n"] == 1
        again = await post(service, lines({"code": "A", "n": 2}))
        assert again.json() == {"imported": 1}
        assert (await client.get("/users/A")).json() == {
            "_id": "1",
            "__STATE__": "PUBLIC",
            "code": "A",
            "n": 2,
        }
        sent = await service.send(recipients=["B"])
    assert sent.json() == {"failures": []}


async def test_a_directory_of_the_crud_service_is_changed_there(tmp_path: Path) -> None:
    environ = {"CRUD_SERVICE_URL": "http://127.0.0.1:9", "USERS_CRUD_NAME": "users"}
    async with running(tmp_path, environ=environ) as service:
        for kind in ("users", "templates"):
            for method, path in (
                *(("GET", ""), ("GET", "/x"), ("PUT", "/x"), ("DELETE", "/x"), ("POST", "/import")),
            ):
                answer = await service.client.request(method, f"/{kind}{path}", json={})
                assert answer.status_code == 409, (method, path)
                assert "CRUD Service" in answer.json()["message"]


async def test_a_key_needs_the_scope_and_no_other_opens_the_routes(tmp_path: Path) -> None:
    drawn = {scope: draw_key(scope, [scope]) for scope in SCOPES}
    environ = with_keys(*(key for _, key in drawn.values()))
    async with running(tmp_path, environ=environ) as service:
        for scope, (token, _) in drawn.items():
            headers = {"Authorization": f"Bearer {token}"}
            for path in ("/users", "/templates", "/users/x"):
                answer = await service.client.get(path, headers=headers)
                assert (answer.status_code == 403) == (scope != "directory"), (scope, path)


async def test_a_dispatch_keeps_the_template_that_it_began_with(tmp_path: Path) -> None:
    users: list[Document] = [{"_id": f"u{n}", "emailAddress": f"u{n}@x.test"} for n in range(50)]
    template: Document = {"emailTitle": "Old", "emailMessage": "M"}
    async with running(tmp_path, slow("50ms"), users=users) as service:
        await service.client.put("/templates/t", json=template)
        body = {
            "channels": ["email"],
            "templateId": "t",
            "recipients": [f"u{n}" for n in range(50)],
        }
        await service.client.post("/send", json=body, headers={"Prefer": "respond-async"})
        await service.client.put("/templates/t", json={**template, "emailTitle": "New"})
        await service.client.post("/send", json={**body, "recipients": ["u0"]})
        await service.until(lambda: len(service.sent) == 51)
    subjects = [getattr(one.content, "subject", "") for one in service.sent]
    assert (subjects.count("Old"), subjects.count("New")) == (50, 1)


@contextmanager
def mongodb(tmp_path: Path) -> Iterator[dict[str, str]]:
    with MongoServer(tmp_path) as server:
        yield {
            "STORE_URL": server.url("shop").text,
            "OPERATOR_TOKEN_FILE": str(tmp_path / "token"),
        }


@pytest.mark.servers
async def test_mongodb_is_edited_in_the_same_way(tmp_path: Path) -> None:
    hexadecimal = "5f27e4d3a1b2c3d4e5f60718"
    with mongodb(tmp_path) as environ:
        async with running(tmp_path, environ=environ) as service:
            client = service.client
            client.headers.update(operator(tmp_path / "token"))
            for name in (*IDS, hexadecimal, "42"):
                assert (await client.put(at("users", name), json=ADA)).status_code == 201
                assert (await client.put(at("users", name), json=ADA)).status_code == 200
                assert (await client.get(at("users", name))).json()["_id"] == name
            page = (await client.get("/users?cluster=staff&limit=5")).json()
            rest = (await client.get(f"/users?cluster=staff&cursor={page['next']}")).json()
            names = [one["_id"] for one in [*page["users"], *rest["users"]]]
            assert sorted(names) == sorted([*IDS, hexadecimal, "42"])
            assert (len(page["users"]), rest["next"]) == (5, None)
            for name in (*IDS, hexadecimal, "42"):
                assert (await client.delete(at("users", name))).status_code == 204
            assert (await client.get("/users")).json() == {"users": [], "next": None}
            for bad in ('{"$a": 1}', '{"a":' * 150 + "1" + "}" * 150):
                refused = await client.put(
                    "/users/x", content=bad, headers={"Content-Type": "application/json"}
                )
                assert (refused.status_code, "MongoDB" in refused.text) == (400, True)
            bad_file = await post(service, lines({"_id": "a"}, {"$b": 1}))
            assert (bad_file.status_code, "line 2" in bad_file.text) == (400, True)
            assert (await post(service, lines({"_id": "a"}, {"_id": "b"}))).json() == {
                "imported": 2
            }
            assert (
                await client.get("/users?cursor=WyIjOTk5OTk5OTk5OTk5OTk5OTk5OSJd")
            ).status_code == 400
            sent = await service.send(recipients=["a", "b", "x"])
    assert [one["userId"] for one in sent.json()["failures"]] == ["x"]
