"""Users that a request brings with it in `to`: who gets what, what is told, what is kept."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from carillon.messages.model import Document, EmailContent, JsonValue
from tests.neighbours.mongodb import MongoServer
from tests.running import Running, operator, running, sandbox_configuration
from tests.scenarios.sagas.saga_desk import PATHS, TEXT, carried_out, refused, saga_desk
from tests.scenarios.test_asynchronous import begin, ended, redrive
from tests.scenarios.test_waiting import slow
from tests.stores.shelves import MongoShelf

ADA: Document = {"_id": "ada", "name": "Ada", "emailAddress": "ada@directory.test"}
BOB: Document = {
    "_id": "bob",
    "name": "Bob",
    "emailAddress": "bob@directory.test",
    "clusters": ["all"],
}
GREETING = {"messageTitle": "T", "messageContent": "Dear {{user.name}} of {{user.town.name}}"}


def whom(service: Running) -> list[tuple[str, str]]:
    """Who was sent something, and where, in the order of ids."""
    return sorted((one.user_id, one.address) for one in service.sent)


def texts(service: Running) -> list[str]:
    contents = [one.content for one in service.sent]
    return sorted(one.text or "" for one in contents if isinstance(one, EmailContent))


async def test_nobody_needs_a_directory(tmp_path: Path) -> None:
    to: list[JsonValue] = [
        {"emailAddress": "zoe@x.test", "name": "Zoë", "town": {"name": "Forlì"}},
        {"phoneNumber": "+39 333 1234567", "name": "Ugo"},
    ]
    async with running(tmp_path) as service:
        answer = await service.send(channels=["email", "sms"], to=to, **GREETING)
        address = f"/dispatches/{answer.headers['Dispatch-Id']}"
        record = (await service.client.get(address)).json()
        listed = (await service.client.get(f"{address}/deliveries?userId=to[0]")).json()
    assert (answer.status_code, answer.json()) == (200, {"failures": []})
    assert whom(service) == [("to[0]", "zoe@x.test"), ("to[1]", "+393331234567")]
    assert texts(service) == ["Dear Zoë of Forlì"]
    assert (record["counts"]["sent"], record["counts"]["skipped"]) == (2, 2)
    assert record["audience"] == {"read": 2, "total": 2, "complete": True}
    assert {one["userId"] for one in listed["deliveries"]} == {"to[0]"}


async def test_who_is_listed_or_in_a_cluster_too_counts_once_as_in_the_request(
    tmp_path: Path,
) -> None:
    to: list[JsonValue] = [
        {"id": "ada", "emailAddress": "ada@inline.test"},
        {"id": "bob", "emailAddress": "bob@inline.test"},
        {"id": "nobody", "emailAddress": "nobody@inline.test"},
        {"id": "ada", "emailAddress": "again@inline.test"},
    ]
    async with running(tmp_path, users=[ADA, BOB]) as service:
        answer = await service.send(recipients=["ada", "nobody"], clusters=["all"], to=to)
    assert answer.json() == {"failures": []}
    assert whom(service) == [(name, f"{name}@inline.test") for name in ("ada", "bob", "nobody")]


async def test_a_renamed_id_counts_once_too(tmp_path: Path) -> None:
    configuration = sandbox_configuration(userFields={"id": "code", "emailAddress": "mail"})
    users: list[Document] = [{"_id": "1", "code": "A", "mail": "a@directory.test"}]
    to: list[JsonValue] = [
        {"id": "A", "mail": "a@inline.test"},
        {"_id": "1", "emailAddress": "b@inline.test"},
    ]
    async with running(tmp_path, configuration, users=users) as service:
        await service.send(recipients=["A"], to=to)
    assert whom(service) == [("A", "a@inline.test"), ("to[1]", "b@inline.test")]


async def test_a_bad_address_fails_alone_and_is_told_nowhere(tmp_path: Path) -> None:
    to: list[JsonValue] = [
        {"emailAddress": "se cret@@x.test"},
        {"emailAddress": "good@x.test"},
        {"emailAddress": ""},
        {},
    ]
    async with running(tmp_path) as service:
        answer = await service.send(to=to)
    assert answer.json() == {
        "failures": [{"userId": "to[0]", "channel": "email", "error": "Invalid emailAddress"}]
    }
    assert whom(service) == [("to[1]", "good@x.test")]
    assert service.outcomes()["to[2]", "email"] == ("skipped", "no-address")
    told = service.log.getvalue() + answer.text + str(service.events)
    assert "se cret" not in told
    assert "good@x.test" not in service.log.getvalue()


@pytest.mark.parametrize(
    ("to", "told"),
    [
        ("a@x.test", "to must be an array"),
        (["a@x.test"], "to[0] must be an object"),
        ([{}, None], "to[1] must be an object"),
        ([{}, {}, {}, {"emailAddress": 5}], "to[3].emailAddress must be a string"),
        ([{"phoneNumber": 39}], "to[0].phoneNumber must be a string"),
        ([{"id": 42}], "to[0].id must be a string"),
        ([{"id": ""}], "to[0].id must not be empty"),
    ],
)
@pytest.mark.parametrize("padding", [0, 10_000, 300_000])
async def test_a_wrong_one_refuses_all(
    to: JsonValue, told: str, padding: int, tmp_path: Path
) -> None:
    async with running(tmp_path) as service:
        answer = await service.send(to=to, data={"padding": "x" * padding})
        assert (await service.client.get("/dispatches")).json()["dispatches"] == []
    assert (answer.status_code, answer.json()["message"]) == (400, told)
    assert service.sent == []


@pytest.mark.parametrize("body", [{}, {"to": None}])
async def test_somebody_must_be_named(body: dict[str, JsonValue], tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        answer = await service.send(**body)
        nobody = await service.send(to=[])
    assert answer.json()["message"] == "recipients, clusters or to is required"
    assert (nobody.status_code, nobody.json()) == (200, {"failures": []})


@pytest.mark.parametrize(
    "document",
    [
        {"name": "é\x00\U0001f600", "town": {"name": "\n\t"}},
        {"name": {"a": [{"b": 1}]}, "constructor": "x", "hasOwnProperty": 1, "toString": "y"},
        {"__class__": "a", "name": "n", "prototype": {"name": "p"}},
        {"": "empty", "a.b": 1, "name": "x" * 200_000},
    ],
)
async def test_any_other_field_is_fine(document: Document, tmp_path: Path) -> None:
    text = "{{user.name}}{{user.constructor.name}}{{user.__class__.x}}{{user.toString.length}}"
    async with running(tmp_path) as service:
        answer = await service.send(
            to=[{**document, "emailAddress": "a@x.test"}], messageTitle="T", messageContent=text
        )
    assert answer.json() == {"failures": []}
    assert len(service.sent) == 1


@pytest.mark.parametrize(
    "key", ['"__proto__": {}', '"a": {"constructor": {"prototype": 1}}', '"a": [{"__proto__": 1}]']
)
async def test_a_dangerous_key_is_refused_at_any_depth(key: str, tmp_path: Path) -> None:
    body = '{"channels":["email"],"messageTitle":"","messageContent":"","to":[{KEY}]}'
    body = body.replace("KEY", key)
    async with running(tmp_path) as service:
        answer = await service.client.post(
            "/send", content=body, headers={"Content-Type": "application/json"}
        )
    assert answer.status_code == 400
    assert "forbidden key" in answer.json()["message"]


async def test_many_are_read_and_counted(tmp_path: Path) -> None:
    to: list[JsonValue] = [
        {"emailAddress": f"u{number}@x.test", "name": "n" * 50} for number in range(5000)
    ]
    async with running(tmp_path) as service:
        answer = await service.send(to=to)
        address = f"/dispatches/{answer.headers['Dispatch-Id']}"
        await ended(service, address)
        record = (await service.client.get(address)).json()
    assert record["audience"] == {"read": 5000, "total": 5000, "complete": True}
    assert {one.user_id: one.address for one in service.sent} == {
        f"to[{number}]": f"u{number}@x.test" for number in range(5000)
    }


async def test_more_values_than_are_allowed_name_the_limit(tmp_path: Path) -> None:
    configuration = sandbox_configuration(limits={"values": 1000})
    async with running(tmp_path, configuration) as service:
        answer = await service.send(to=[{"emailAddress": "a@x.test"}] * 600)
    assert answer.status_code == 400
    assert "limits.values" in answer.json()["message"]


def kept(folder: Path, words: str) -> list[str]:
    """The tables that hold these words somewhere."""
    found: list[str] = []
    with closing(sqlite3.connect(folder / "carillon.db")) as connection:
        names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for (name,) in names:
            rows = connection.execute(f"SELECT * FROM {name}").fetchall()
            found += [name] * any(
                words
                in (value.decode(errors="replace") if isinstance(value, bytes) else str(value))
                for row in rows
                for value in row
            )
    return found


def crowd(number: int) -> list[JsonValue]:
    return [
        {"id": f"u{at}" if at % 2 else None, "emailAddress": f"u{at}@inline.test", "name": f"N{at}"}
        for at in range(number)
    ]


@pytest.mark.parametrize("padding", [0, 400])
async def test_they_are_sent_after_a_restart_and_then_erased(padding: int, tmp_path: Path) -> None:
    to: list[JsonValue] = [
        {**user, "padding": "x" * padding} for user in crowd(900) if isinstance(user, dict)
    ]
    configuration = slow("1ms", drain="1ms", limits={"values": 100_000})
    async with running(tmp_path, configuration, users=[ADA]) as service:
        await service.client.patch("/providers/email-sandbox", json={"paused": True})
        answer = await begin(service, recipients=["ada"], to=to)
        assert answer.status_code == 202
    assert service.sent == []
    assert kept(tmp_path, "u7@inline.test") == ["request"]
    async with running(tmp_path, configuration) as service:
        await service.client.delete("/providers/email-sandbox/override")
        done = await ended(service, answer.headers["Location"])
        assert done["counts"]["sent"] == 901
    names = {(f"u{at}" if at % 2 else f"to[{at}]"): f"u{at}@inline.test" for at in range(900)}
    assert {one.user_id: one.address for one in service.sent} == {
        **names,
        "ada": "ada@directory.test",
    }
    assert kept(tmp_path, "@inline.test") == []


async def test_a_template_of_inline_recipients_is_not_sent_again(tmp_path: Path) -> None:
    template: Document = {"_id": "t", "emailTitle": "T", "emailMessage": "M"}
    async with running(tmp_path, templates=[template]) as service:
        to: list[JsonValue] = [{"emailAddress": "a+refuse@x.test"}, {"emailAddress": "b@x.test"}]
        answer = await service.send(templateId="t", to=to)
        address = f"/dispatches/{answer.headers['Dispatch-Id']}"
        assert (await ended(service, address))["counts"]["failed"] == 1
        again = await redrive(service, address, {})
    assert again.status_code == 409
    assert "inline recipients were erased" in again.json()["message"]


async def test_what_is_kept_is_sent_again_to_those_that_failed_and_to_nobody_else(
    tmp_path: Path,
) -> None:
    """What a cancelled dispatch had not read stays unsent, as with any other recipient."""
    configuration = slow(journal={"keepContent": True})
    provider: Document = {"type": "sandbox", "concurrency": 1, "options": {"latency": "20ms"}}
    configuration["providers"] = {"email-sandbox": provider}
    async with running(tmp_path, configuration) as service:
        answer = await begin(service, recipients=None, to=crowd(2500))
        address = answer.headers["Location"]
        await service.until(lambda: service.sent)
        await service.client.delete(address)
        done = await ended(service, address)
        read = sum(done["counts"].values())
        assert 0 < done["counts"]["sent"] < read < 2500
        faster = await service.client.patch("/providers/email-sandbox", json={"concurrency": 500})
        assert faster.is_success
        assert (await redrive(service, address, {"outcome": "cancelled"})).is_success
        service.sent.clear()
        after = await ended(service, address)
    assert after["counts"]["sent"] == read == sum(after["counts"].values())
    assert {one.address for one in service.sent} <= {f"u{at}@inline.test" for at in range(read)}


async def test_the_deepest_request_that_is_taken_is_sent_after_a_restart(tmp_path: Path) -> None:
    deep = '{"a":' * 197 + "1" + "}" * 197
    body = (
        '{"channels":["email"],"messageTitle":"T","messageContent":"C","to":'
        f'[{{"emailAddress":"a@x.test","deep":{deep}}}]}}'
    )
    headers = {"Content-Type": "application/json", "Prefer": "respond-async"}
    async with running(tmp_path, slow("1ms", drain="1ms")) as service:
        await service.client.patch("/providers/email-sandbox", json={"paused": True})
        answer = await service.client.post("/send", content=body, headers=headers)
        assert answer.status_code == 202
    async with running(tmp_path, slow("1ms")) as service:
        await service.client.delete("/providers/email-sandbox/override")
        assert (await ended(service, answer.headers["Location"]))["counts"]["sent"] == 1
    assert whom(service) == [("to[0]", "a@x.test")]


@pytest.mark.parametrize("size", [1, 3000])
async def test_a_repeat_is_the_same_and_another_document_is_another_request(
    size: int, tmp_path: Path
) -> None:
    to: list[JsonValue] = [{"emailAddress": "a@x.test", "n": number} for number in range(size)]
    turned: list[JsonValue] = [{"n": number, "emailAddress": "a@x.test"} for number in range(size)]
    changed: list[JsonValue] = [*to[:-1], {"emailAddress": "b@x.test", "n": size - 1}]
    headers = {"Idempotency-Key": "k"}
    body = {"channels": ["email"], "messageTitle": "T", "messageContent": "C"}
    async with running(tmp_path) as service:
        for users, status in ((to, 200), (turned, 200), (changed, 422)):
            answer = await service.client.post("/send", json={**body, "to": users}, headers=headers)
            assert answer.status_code == status, answer.text
    assert len(service.sent) == size


async def test_a_saga_brings_its_users(tmp_path: Path) -> None:
    payload: Document = {
        "channels": "email",
        "buyer": {"emailAddress": "buyer@x.test", "name": "Zoe"},
        "others": [{"id": "bob", "emailAddress": "bob@x.test"}, None],
        **TEXT,
        "content": "Dear {{user.name}}",
    }
    paths: Document = {**PATHS, "to": ["buyer", "others", "nothing"]}
    async with saga_desk(tmp_path, paths=paths, users=[]) as at:
        carried_out(await at.command("S-1", payload))
        await at.until_told()
        wrong = await at.command("S-2", {**payload, "others": ["bob"]})
        refused(wrong, 400, "to[1] must be an object", "value.messagePayload.buyer")
        mails = sorted(at.around.mail.mails, key=lambda mail: mail.recipients, reverse=True)
    assert [(mail.recipients, mail.message) for mail in mails] == [
        (["buyer@x.test"], "Dear Zoe"),
        (["bob@x.test"], "Dear "),
    ]
    assert [event.label for event in at.flow_manager.events] == ["done", "failed"]


@pytest.mark.servers
async def test_mongodb_keeps_them_until_the_end_too(tmp_path: Path) -> None:
    configuration = slow("1ms", drain="1ms")
    with MongoServer(tmp_path) as server:
        shelf = MongoShelf(server.url("shop"))
        shelf.add("user", [ADA, BOB])
        token = tmp_path / "token"
        environ = {"STORE_URL": server.url("shop").text, "OPERATOR_TOKEN_FILE": str(token)}
        to = [*crowd(300), {"id": "bob", "emailAddress": "bob@inline.test"}]
        async with running(tmp_path, configuration, environ=environ) as service:
            service.client.headers.update(operator(token))
            paused = await service.client.patch("/providers/email-sandbox", json={"paused": True})
            assert paused.is_success
            answer = await begin(service, recipients=["ada"], clusters=["all"], to=to)
            assert answer.status_code == 202
        assert service.sent == []
        async with running(tmp_path, configuration, environ=environ) as service:
            service.client.headers.update(operator(token))
            await service.client.delete("/providers/email-sandbox/override")
            done = await ended(service, answer.headers["Location"])
        assert done["counts"]["sent"] == 302
        assert len(set(whom(service))) == 302
        assert ("bob", "bob@inline.test") in whom(service)
