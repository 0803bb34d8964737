"""Who is read from the CRUD Service, and what it is asked (contracts 1.1)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from carillon.messages.model import Document, JsonValue
from tests.neighbours.http import Request
from tests.scenarios.neighbourhood import (
    ADA,
    ADA_ID,
    ANGELO,
    ANGELO_ID,
    accepted,
    asked_ids,
    failure,
    neighbourhood,
    numbered,
    people,
    refused,
)

GREETING: Document = {"_id": numbered(77), "smsMessage": "Hi {{user.name}}"}


def head_bytes(request: Request) -> int:
    headers = sum(len(f"{name}: {value}\r\n") for name, value in request.headers.items())
    return headers + len(f"{request.method} {request.target} HTTP/1.1\r\n\r\n")


WHOM = {
    "by cluster": {"clusters": ["all"]},
    "by list": {"recipients": [numbered(number) for number in reversed(range(450))]},
}


@pytest.mark.parametrize("how", WHOM)
async def test_450_users_arrive_exactly_once(how: str, tmp_path: Path) -> None:
    async with neighbourhood(tmp_path, users=people(450)) as at:
        accepted(await at.send("sms", **WHOM[how]))
    receivers = sorted(message.receiver for message in at.sms.messages)
    assert receivers == [f"+39333{number:07}" for number in range(450)]
    assert len(at.crud.lists) == 3
    for request in at.crud.lists:
        assert set(request.query) == {"_q", "_l", "_s", "_p"}
        assert int(request.query["_l"][0]) <= 200
        assert request.query["_s"] == ["_id"]
        assert head_bytes(request) < 8000


async def test_an_id_listed_twice_far_apart_counts_once(tmp_path: Path) -> None:
    ids = [numbered(number) for number in range(450)]
    async with neighbourhood(tmp_path, users=people(449, every=100)) as at:
        answer = await at.send("sms", recipients=[*ids, *ids[::-1]])
        accepted(answer, failure(ids[449], "sms", "User not found"))
    assert len(at.sms.messages) == 5
    assert max(len(list(asked_ids(query))) for query in at.crud.queries) <= 200


async def test_long_custom_ids_are_asked_in_heads_that_gateways_take(tmp_path: Path) -> None:
    names = [f"città-{number}-{'è' * 60}" for number in range(60)]
    users: list[Document] = [
        {"_id": numbered(number), "code": name, "phoneNumber": f"+39333{number:07}"}
        for number, name in enumerate(names)
    ]
    async with neighbourhood(tmp_path, users=users, userFields={"id": "code"}) as at:
        accepted(await at.send("sms", recipients=names))
    assert len(at.sms.messages) == 60
    assert len(at.crud.lists) > 1
    assert max(map(head_bytes, at.crud.lists)) < 8000


async def test_listed_and_in_two_clusters_is_one_message(tmp_path: Path) -> None:
    ada: Document = {**ADA, "clusters": ["staff", "nurses"]}
    async with neighbourhood(tmp_path, users=[ada, ANGELO]) as at:
        accepted(await at.send(recipients=[ADA_ID], clusters=["staff", "nurses"]))
    assert sorted(mail.recipients[0] for mail in at.mail.mails) == [
        "ada@example.com",
        "angelo@example.com",
    ]


async def test_listed_far_from_the_cluster_page_is_one_message(tmp_path: Path) -> None:
    users = people(450, every=30)
    ids = [numbered(number) for number in range(0, 450, 30)]
    async with neighbourhood(tmp_path, users=users) as at:
        accepted(await at.send("sms", recipients=ids, clusters=["all"]))
    assert sorted(sms.receiver for sms in at.sms.messages) == [
        f"+39333{number:07}" for number in range(0, 450, 30)
    ]


async def test_members_of_more_clusters_than_one_url_holds_get_one_message(
    tmp_path: Path,
) -> None:
    names = ['sales & "co"', *(f"città-{number}-{'x' * 40}" for number in range(300)), "last"]
    users: list[Document] = [
        {"_id": numbered(1), "phoneNumber": "+391111", "clusters": [names[0], "last"]},
        {"_id": numbered(2), "phoneNumber": "+392222", "clusters": ["last"]},
        {"_id": numbered(3), "phoneNumber": "+393333", "clusters": ["other"]},
    ]
    async with neighbourhood(tmp_path, users=users) as at:
        accepted(await at.send("sms", clusters=names))
    assert sorted(sms.receiver for sms in at.sms.messages) == ["+391111", "+392222"]
    assert max(map(head_bytes, at.crud.lists)) < 8000


async def test_an_object_id_in_capitals_is_the_same_user_under_the_name_asked(
    tmp_path: Path,
) -> None:
    user: Document = {"_id": "a" * 24, "emailAddress": "no address", "phoneNumber": "+391234"}
    async with neighbourhood(tmp_path, users=[user]) as at:
        answer = await at.send("email", "sms", recipients=["A" * 24])
        accepted(answer, failure("A" * 24, "email", "Invalid emailAddress"))
        accepted(await at.send("sms", recipients=["A" * 24, "a" * 24]))
    assert len(at.sms.messages) == 2


async def test_renamed_fields_are_asked_for_and_reported(tmp_path: Path) -> None:
    fields: JsonValue = {
        "id": "fiscalCode",
        "emailAddress": "mail",
        "phoneNumber": "mobile",
        "clusters": "wards",
    }
    users: list[Document] = [
        {"_id": numbered(1), "fiscalCode": "AAA", "mail": "a@x.test", "mobile": "+391111"},
        {"_id": numbered(2), "fiscalCode": "BBB", "mail": "bad", "wards": ["w1"]},
        {"_id": numbered(3), "mail": "worse", "wards": ["w1", "w2"]},
    ]
    async with neighbourhood(tmp_path, users=users, userFields=fields) as at:
        answer = await at.send("email", "sms", recipients=["AAA", "CCC"], clusters=["w1"])
    accepted(
        answer,
        failure("BBB", "email", "Invalid mail"),
        failure(numbered(3), "email", "Invalid mail"),
        failure("CCC", "email", "User not found"),
        failure("CCC", "sms", "User not found"),
    )
    assert [mail.recipients for mail in at.mail.mails] == [["a@x.test"]]
    assert [sms.receiver for sms in at.sms.messages] == ["+391111"]
    assert {"fiscalCode": {"$in": ["AAA", "CCC"]}} in at.crud.queries
    assert {"wards": {"$in": ["w1"]}} in at.crud.queries


async def test_ids_that_are_no_object_ids_do_not_spoil_the_others(tmp_path: Path) -> None:
    bad = ["auth0|mark12", "", "RSSMRA80A01H501U", "twelve chars", "../templates/"]
    async with neighbourhood(tmp_path, users=[ADA, ANGELO]) as at:
        for _ in range(2):  # the second dispatch knows the field's type
            answer = await at.send("email", "sms", recipients=[ADA_ID, *bad, ANGELO_ID])
            accepted(
                answer,
                *(failure(name, "email", "User not found") for name in bad),
                *(failure(name, "sms", "User not found") for name in bad),
            )
    assert (len(at.mail.mails), len(at.sms.messages)) == (4, 4)


async def test_only_bad_object_ids_are_failures_too(tmp_path: Path) -> None:
    async with neighbourhood(tmp_path) as at:
        accepted(
            await at.send(recipients=["mario", "luigi"]),
            failure("mario", "email", "User not found"),
            failure("luigi", "email", "User not found"),
        )
    assert at.silent


async def test_a_collection_may_have_string_ids(tmp_path: Path) -> None:
    users: list[Document] = [
        {"_id": name, "emailAddress": f"u{number}@x.test"}
        for number, name in enumerate(["auth0|mark12", "città 5", 'quo"te&co'])
    ]
    async with neighbourhood(tmp_path, users=users, string_ids=True) as at:
        names = [str(user["_id"]) for user in users]
        answer = await at.send(recipients=[*names, "nobody", ADA_ID])
    accepted(
        answer,
        failure("nobody", "email", "User not found"),
        failure(ADA_ID, "email", "User not found"),
    )
    assert sorted(mail.recipients[0] for mail in at.mail.mails) == [
        "u0@x.test",
        "u1@x.test",
        "u2@x.test",
    ]


async def test_a_user_who_is_not_public_is_not_there(tmp_path: Path) -> None:
    async with neighbourhood(tmp_path, users=[ADA]) as at:
        at.crud.users.add(ANGELO, "DRAFT")
        for state in ("DRAFT", "TRASH", "DELETED"):
            at.crud.users.publish(ANGELO_ID, state)
            answer = await at.send(recipients=[ADA_ID, ANGELO_ID], clusters=["staff"])
            accepted(answer, failure(ANGELO_ID, "email", "User not found"))
        at.crud.users.publish(ANGELO_ID)
        accepted(await at.send(recipients=[ANGELO_ID]))
    receivers = [mail.recipients[0] for mail in at.mail.mails]
    assert receivers == [*["ada@example.com"] * 3, "angelo@example.com"]


async def test_a_template_is_read_once_a_dispatch_whatever_its_id(tmp_path: Path) -> None:
    ids = [numbered(77), "2a1c7a08-89e2-4a0e-8c1b-7fc4fbcd8c7b", "orders/shipped è?&"]
    templates: list[Document] = [{**GREETING, "_id": name} for name in ids]
    async with neighbourhood(tmp_path, users=[ADA, ANGELO], templates=templates) as at:
        for name in ids:
            answer = await at.send(
                "sms", clusters=["staff"], templateId=name, messageTitle="T", messageContent="C"
            )
            accepted(answer)
    assert [sms.body for sms in at.sms.messages].count("Hi Ada") == 3
    assert {sms.body for sms in at.sms.messages} == {"Hi Ada", "Hi D'Angelo & <b>"}
    paths = [call.path for call in at.calls("crud") if call.path.startswith("/message_templates/")]
    assert len(paths) == 3


async def test_a_template_that_is_not_there_is_refused_with_a_hint(tmp_path: Path) -> None:
    async with neighbourhood(tmp_path, templates=[GREETING]) as at:
        for name in (numbered(78), "nobody", "", ".", "..", "count", "export"):
            answer = await at.send("sms", recipients=[ADA_ID], templateId=name)
            refused(answer, 400, f"Template {name} not found", "PUBLIC", "DRAFT")
        assert at.silent
        assert at.crud.lists == []


async def test_a_draft_template_is_refused_with_a_hint(tmp_path: Path) -> None:
    async with neighbourhood(tmp_path) as at:
        at.crud.templates.add(GREETING, "DRAFT")
        answer = await at.send("sms", recipients=[ADA_ID], templateId=numbered(77))
        refused(answer, 400, numbered(77), "PUBLIC", "DRAFT")
        assert at.silent
        at.crud.templates.publish(numbered(77))
        accepted(await at.send("sms", recipients=[ADA_ID], templateId=numbered(77)))


async def test_without_a_templates_collection_a_template_is_refused(tmp_path: Path) -> None:
    environ = {"TEMPLATES_CRUD_NAME": ""}
    async with neighbourhood(tmp_path, templates=[GREETING], environ=environ) as at:
        answer = await at.send("sms", recipients=[ADA_ID], templateId=numbered(77))
        refused(answer, 400, "TEMPLATES_CRUD_NAME")
        assert at.calls("crud") == []
        accepted(await at.send("sms", recipients=[ADA_ID]))
    assert [sms.body for sms in at.sms.messages] == ["Content"]


CALLERS = {
    "Authorization": "Bearer callers-secret",
    "Cookie": "sid=callers-secret",
    "miauserid": "callers-secret",
    "miauserproperties": json.dumps({"a": "callers-secret"}),
    "miausergroups": "callers-secret",
    "client-key": "callers-secret",
    "client-type": "callers-secret",
    "isbackoffice": "1",
    "acl_rows": '[{"_id":"callers-secret"}]',
    "acl_read_columns": "callers-secret",
    "X-Forwarded-For": "10.9.8.7",
    "X-Own": "callers-secret",
}


async def test_the_callers_headers_go_to_no_neighbour(tmp_path: Path) -> None:
    async with neighbourhood(tmp_path) as at:
        at.files.add("bill.pdf", b"%PDF-")
        at.service.client.headers.update(CALLERS)
        accepted(
            await at.send(
                "email", "sms", "voice", "push", recipients=[ADA_ID], emailAttachments=["bill.pdf"]
            )
        )
    for name in at.servers:
        assert at.calls(name), name
        for request in at.calls(name):
            seen = {header.lower(): value for header, value in request.headers.items()}
            bearer = seen.pop("authorization", "")
            assert bearer == "" or (name == "push" and bearer.startswith("Bearer ya29.token-"))
            assert not {header.lower() for header in CALLERS} & set(seen)
            assert "callers-secret" not in str(request)
