"""Answers to the type `http`: what they mean by its rules, and by those of all without them."""

from __future__ import annotations

import json
from base64 import b64encode
from urllib.parse import quote

import pytest

from carillon.http_client.client import Http1Wire
from carillon.http_client.httpx_client import HttpxWire
from carillon.http_client.ports import NotAnswered, NotSent, Reply, Response
from carillon.messages.model import (
    Accepted,
    Attempt,
    Cause,
    Document,
    JsonValue,
    Postponed,
    Refused,
    Unanswered,
    Unavailable,
)
from tests.neighbours.http import Answer, Fault, json_answer
from tests.providers.deliveries import ADDRESSES, ScriptedWire, Starts, sms
from tests.providers.http.sections import BODY, KEY, answered, built

ID: Document = {"accepted": {"messageId": "/data/0/id"}}


def rules(*given: Document) -> Document:
    return {"rules": [*given]}


BY_STATUS: list[tuple[Answer, Attempt]] = [
    (Answer(200), Accepted()),
    (json_answer({"error": "no"}, 201), Accepted()),
    (Answer(204), Accepted()),
    (Answer(302, headers={"location": "/x"}), Refused("any answered 302")),
    (Answer(401), Refused("any answered 401")),
    (Answer(408), Unavailable("any answered 408")),
    (Answer(425), Unavailable("any answered 425")),
    (Answer(429), Unavailable("any answered 429", throttled=True)),
    (
        Answer(429, headers={"retry-after": "7"}),
        Unavailable("any answered 429", 7.0, throttled=True),
    ),
    (Answer(500), Unavailable("any answered 500")),
    (Answer(503, headers={"retry-after": "7"}), Unavailable("any answered 503", 7.0)),
    (Answer(504), Unanswered("any answered 504")),
]


@pytest.mark.parametrize(("answer", "made"), BY_STATUS)
async def test_without_rules_the_status_decides(
    answer: Answer, made: Attempt, wire: HttpxWire
) -> None:
    assert await answered({}, wire, answer) == made


async def test_no_connection_and_no_answer_are_told_apart() -> None:
    replies: list[Reply] = [NotSent("dns"), NotSent("busy", 0.25), NotAnswered("lost")]
    made = [
        await built({"url": "http://h"}, ScriptedWire([one])).send(sms(), Starts())
        for one in replies
    ]
    assert made == [Unavailable("any: dns"), Postponed("any: busy", 0.25), Unanswered("any: lost")]


@pytest.mark.parametrize("fault", ["disconnect", "reset", "cut-head", "garbage"])
async def test_an_answer_that_breaks_off_is_none(fault: Fault, wire: HttpxWire) -> None:
    assert isinstance(await answered({}, wire, Answer(fault=fault)), Unanswered)


@pytest.mark.parametrize(
    ("body", "place", "found"),
    [
        ({"data": [{"id": "m-1"}]}, "/data/0/id", "m-1"),
        ({"id": 25}, "/id", "25"),
        (["m-1"], "/0", "m-1"),
        ("m-1", "", "m-1"),
        ({"a/b": {"c~d": "m-1"}}, "/a~1b/c~0d", "m-1"),
        ({"id": "two words"}, "/id", None),
        ({"id": "x" * 201}, "/id", None),
        ({"id": True}, "/id", None),
        ({"id": {"a": 1}}, "/id", None),
        ({"data": []}, "/data/0/id", None),
        ({"data": [1]}, "/data/00", None),
        ({"data": [1]}, "/data/-", None),
        (None, "/id", None),
        ({"id": f"a{KEY}"}, "/id", None),
    ],
)
async def test_the_message_id_stands_where_the_section_says(
    body: JsonValue, place: str, found: str | None, wire: HttpxWire
) -> None:
    section: Document = {"accepted": {"messageId": place}}
    assert await answered(section, wire, json_answer(body)) == Accepted(found)


async def test_the_message_id_may_stand_in_a_header(wire: HttpxWire) -> None:
    section: Document = {"accepted": {"statuses": [202], "messageId": {"header": "X-Message-Id"}}}
    answer = Answer(202, headers={"x-message-id": "m-1"})
    assert await answered(section, wire, answer) == Accepted("m-1")
    assert await answered(section, wire, Answer(202)) == Accepted(None)


async def test_a_success_that_is_not_named_is_in_doubt_and_a_named_failure_is_none(
    wire: HttpxWire,
) -> None:
    section: Document = {"accepted": {"statuses": [202, 409]}}
    made = await answered(section, wire, Answer(200))
    assert made == Unanswered("any answered 200, which `accepted` does not name")
    assert await answered(section, wire, Answer(409)) == Accepted()
    assert isinstance(await answered(section, wire, Answer(400)), Refused)


VONAGE = rules(
    {"pointer": "/messages/0/status", "values": ["1"], "means": "throttled", "wait": "/wait"},
    {"pointer": "/messages/0/status", "values": ["5", "10"], "means": "unavailable"},
    {"pointer": "/messages/0/status", "values": ["0"], "means": "accepted"},
    {"pointer": "/messages/0/status", "means": "refused"},
)


def vonage(status: str, **more: JsonValue) -> Answer:
    return json_answer({"messages": [{"status": status}], "message": "why", **more})


@pytest.mark.parametrize(
    ("answer", "made"),
    [
        (vonage("0"), Accepted()),
        (vonage("1"), Unavailable("any answered 200: why", throttled=True)),
        (vonage("1", wait=2), Unavailable("any answered 200: why", 2.0, throttled=True)),
        (vonage("1", wait="2.5"), Unavailable("any answered 200: why", 2.5, throttled=True)),
        (vonage("1", wait=1e300), Unavailable("any answered 200: why", 3600.0, throttled=True)),
        (vonage("1", wait=-3), Unavailable("any answered 200: why", 0.0, throttled=True)),
        (vonage("1", wait="soon"), Unavailable("any answered 200: why", throttled=True)),
        (vonage("1", wait=True), Unavailable("any answered 200: why", throttled=True)),
        (vonage("5"), Unavailable("any answered 200: why")),
        (vonage("7"), Refused("any answered 200: why")),
        (json_answer({"messages": []}), Accepted()),
        (Answer(429), Unavailable("any answered 429", throttled=True)),
        (Answer(200, b"<html>proxy</html>"), None),
        (Answer(200, b""), Accepted()),
        (Answer(204), Accepted()),
        (Answer(200, b'{"messages": [{"status": "0"'), None),
        (Answer(200, '{"messages": [{"status": "0", "é": "é"}]}'.encode("latin-1")), None),
        (Answer(200, b'{"messages": [{"status": "0"}]}', fault="stalled-body"), None),
        (Answer(200, b"\xef\xbb\xbf" + json.dumps({"messages": [{"status": "7"}]}).encode()), "no"),
    ],
)
async def test_a_body_decides_where_rules_say_so_and_else_nothing_is_guessed(
    answer: Answer, made: Attempt | str | None, wire: HttpxWire
) -> None:
    found = await answered(VONAGE, wire, answer)
    if made is None and answer.fault is None:
        assert found == Unanswered("any answered 200, and what decides could not be read")
    elif made == "no":
        assert isinstance(found, Refused)
    elif made is not None:
        assert found == made


@pytest.mark.parametrize("size", [100_000, 3_000_000])
async def test_of_a_huge_answer_little_is_read_and_nothing_is_guessed(
    size: int, wire: HttpxWire
) -> None:
    answer = json_answer({"padding": "x" * size, "messages": [{"status": "0"}]})
    assert isinstance(await answered(VONAGE, wire, answer), Unanswered)
    assert await answered(ID, wire, answer) == Accepted(None)
    endless = Answer(200, b"x" * 65_536, fault="endless-body")
    assert isinstance(await answered(VONAGE, wire, endless), Unanswered)


async def test_a_deep_answer_is_not_read(wire: HttpxWire) -> None:
    answer = Answer(200, b"[" * 30_000 + b"]" * 30_000)
    assert isinstance(await answered(VONAGE, wire, answer), Unanswered)
    assert await answered(ID, wire, answer) == Accepted(None)


async def test_rules_are_asked_in_their_order_and_the_first_counts(wire: HttpxWire) -> None:
    first: Document = {"statuses": [400], "pointer": "/code", "values": [7], "means": "unavailable"}
    second: Document = {
        "statuses": ["4xx"],
        "means": "throttled",
        "wait": {"header": "X-Wait", "unit": "ms"},
    }
    section = rules(first, second, {"statuses": [400], "means": "accepted"})
    seven = json_answer({"code": 7}, 400)
    assert await answered(section, wire, seven) == Unavailable("any answered 400")
    others: list[JsonValue] = ["7", True, 7.5, None, [7], {"7": 7}]
    for code in others:
        answer = json_answer({"code": code}, 400, X_Wait="1500")
        made = await answered(section, wire, answer)
        assert made == Unavailable("any answered 400", 1.5, throttled=True), code
    # A failure that is no JSON is none of the first rule's, and no doubt either.
    page = Answer(400, b"<html>")
    assert await answered(section, wire, page) == Unavailable("any answered 400", throttled=True)


async def test_true_is_not_one(wire: HttpxWire) -> None:
    section = rules({"pointer": "/ok", "values": [1], "means": "refused"})
    assert await answered(section, wire, json_answer({"ok": True})) == Accepted()
    assert isinstance(await answered(section, wire, json_answer({"ok": 1})), Refused)


async def test_a_text_decides_as_a_whole(wire: HttpxWire) -> None:
    section = rules(
        {"statuses": [200], "pointer": "", "values": ["ok"], "means": "accepted"},
        {"statuses": [200], "means": "refused"},
    )
    assert await answered(section, wire, Answer(200, b"ok\n")) == Accepted()
    assert await answered(section, wire, Answer(200, b"no_text")) == Refused(
        "any answered 200: no_text"
    )


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"message": "why"}, ": why"),
        ({"Message": "why", "ErrorCode": 300}, ": why"),
        ({"error": "why"}, ": why"),
        ({"error": {"message": "why"}}, ": why"),
        ({"errors": [{"message": "why"}]}, ": why"),
        ({"errors": [{"title": "why", "detail": "all of it"}]}, ": all of it"),
        ({"errors": [{"description": "why"}]}, ": why"),
        ({"code": 1}, ""),
        ({"message": f"{ADDRESSES['sms']} said Your order left."}, ": [address] said [text]"),
        ({"message": f"key {KEY} is not valid"}, ": key [secret] is not valid"),
        ({"message": f"url …/{quote(KEY, safe='')}"}, ": url …/[secret]"),
        ({"message": b64encode(f"api:{KEY}".encode()).decode()}, ": [secret]"),
    ],
)
async def test_why_is_told_without_what_nobody_may_see(
    body: JsonValue, told: str, wire: HttpxWire
) -> None:
    section: Document = {"auth": {"user": "api", "password": "{{secret.KEY}}"}}
    made = await answered(section, wire, json_answer(body, 400))
    assert made == Refused(f"any answered 400{told}")


async def test_a_plain_text_tells_why_and_a_page_does_not(wire: HttpxWire) -> None:
    assert await answered({}, wire, Answer(400, b"no_text")) == Refused("any answered 400: no_text")
    assert await answered({}, wire, Answer(400, b"<!doctype html>")) == Refused("any answered 400")


async def test_a_cause_is_of_the_message_where_a_success_refuses_it(wire: HttpxWire) -> None:
    section = rules({"pointer": "/bad", "means": "refused"})
    made = await answered(section, wire, json_answer({"bad": 1}))
    assert isinstance(made, Refused)
    assert made.cause == Cause("http-4xx", 200, of_message=True)
    made = await answered(section, wire, json_answer({"bad": 1}, 401))
    assert isinstance(made, Refused)
    assert made.cause == Cause("http-4xx", 401)


async def test_an_id_that_was_another_messages_is_doubted() -> None:
    wire = ScriptedWire([Response(200, {}, b'{"id": "m-1"}', lambda _: False)])
    section: Document = {"url": "http://h", "json": BODY, "accepted": {"messageId": "/id"}}
    made = await built(section, wire).send(sms(), Starts())
    assert made == Unanswered("any: the answer may be to another request")


async def test_our_own_wire_reads_the_same() -> None:
    wire = Http1Wire()
    assert await answered(VONAGE, wire, vonage("7")) == Refused("any answered 200: why")
    assert await answered(ID, wire, json_answer({"data": [{"id": "m"}]})) == Accepted("m")
    await wire.aclose()
