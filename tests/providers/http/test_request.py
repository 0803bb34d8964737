"""Requests of the type `http`: each value escaped for the place it stands in."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import replace
from functools import cache

import pytest
import trio
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st

from carillon.http_client.client import Http1Wire
from carillon.http_client.httpx_client import HttpxWire
from carillon.http_client.ports import NotSent, Response
from carillon.messages.model import (
    Attachment,
    Delivery,
    Document,
    EmailContent,
    MailExtras,
    PushContent,
    Refused,
)
from carillon.providers.http.request import LONG, LONGEST_URL
from carillon.providers.ports import Provider, Reachable
from tests.properties import examples
from tests.providers.deliveries import ScriptedWire, Starts, delivery, email, push, sms, voice
from tests.providers.http.sections import KEY, built, called

HOSTILE = 'a"b\\c\r\nX-Evil: 1\r\n\r\nd\0é€😀 &=+#?%/{{to}}'


async def test_texts_of_json_are_templates_and_all_else_stays(wire: HttpxWire) -> None:
    body: Document = {
        "to": [{"number": "{{to}}", "n": 7}],
        "on": True,
        "none": [],
        "ratio": 0.5,
        "{{to}}": "{{sender}}: {{text}} ({{deliveryId}}, {{dispatchId}})",
    }
    request = await called({"json": body}, wire, sms(HOSTILE))
    assert request.method == "POST"
    assert request.headers["content-type"] == "application/json"
    assert request.json() == {
        "to": [{"number": "+393331234567", "n": 7}],
        "on": True,
        "none": [],
        "ratio": 0.5,
        "{{to}}": f"Shop: {HOSTILE} ({'d' * 32}, dispatch-1)",
    }


async def test_fields_of_a_form_are_templates_and_may_be_repeated(wire: HttpxWire) -> None:
    form: Document = {"text": "{{text}}", "to": ["{{to}}", "{{sender}}"], "o:tag": "a&b"}
    request = await called({"form": form, "method": "PUT"}, wire, sms(HOSTILE))
    assert request.method == "PUT"
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert request.form() == {
        "text": [HOSTILE],
        "to": ["+393331234567", "Shop"],
        "o:tag": ["a&b"],
    }


@pytest.mark.parametrize(
    ("media_type", "text", "sent"),
    [
        (None, "{{text}}", '<"&\n>'),
        ("text/markdown", "{{text}}", '<"&\n>'),
        ("application/json", '["{{text}}"]', '["<\\"&\\n>"]'),
        ("application/vnd.api+json; charset=utf-8", '["{{text}}"]', '["<\\"&\\n>"]'),
        ("application/xml", "<a>{{text}}</a>", "<a>&lt;&quot;&amp;\n&gt;</a>"),
        ("application/soap+xml", "<a>{{text}}</a>", "<a>&lt;&quot;&amp;\n&gt;</a>"),
    ],
)
async def test_a_text_is_escaped_as_its_media_type_needs(
    media_type: str | None, text: str, sent: str, wire: HttpxWire
) -> None:
    headers: Document = {} if media_type is None else {"Content-Type": media_type}
    request = await called({"text": text, "headers": headers}, wire, sms('<"&\n>'))
    assert request.body.decode() == sent
    assert request.headers["content-type"] == media_type or "text/plain; charset=utf-8"


async def test_a_header_stays_in_its_line_and_is_left_out_when_empty(wire: HttpxWire) -> None:
    headers: Document = {
        "Title": "{{text}}",
        "X-Empty": "{{user.nobody}}",
        "X-Word": "été 😀",
        "Idempotency-Key": "{{deliveryId}}",
    }
    request = await called({"json": "", "headers": headers}, wire, sms(HOSTILE))
    assert "x-evil" not in request.headers
    assert "x-empty" not in request.headers
    assert request.headers["idempotency-key"] == "d" * 32
    in_utf8 = request.headers["title"].encode("latin-1").decode()
    assert in_utf8 == 'a"b\\c X-Evil: 1 d é€😀 &=+#?%/{{to}}'
    assert request.headers["x-word"].encode("latin-1").decode() == "été 😀"


async def test_a_value_in_a_url_stays_in_its_segment_or_its_part_of_the_query(
    wire: HttpxWire,
) -> None:
    section: Document = {"method": "GET", "url": "/v1/{{text}}/send/?to={{to}}&text={{{text}}}"}
    request = await called(section, wire, sms(HOSTILE))
    assert request.path.count("/") == len(["", "v1", "x", "send", ""]) - 1
    assert request.query == {"to": ["+393331234567"], "text": [HOSTILE]}
    assert request.body == b""
    assert "content-type" not in request.headers


@pytest.mark.parametrize("value", ["", ".", "..", "x/../.."])
async def test_no_value_changes_the_path_of_a_url(value: str, wire: HttpxWire) -> None:
    scripted = ScriptedWire([Response(200, {}, b"")])
    provider = built({"url": "https://h.example/a/{{user.x}}/send", "json": 1}, scripted)
    made = await provider.send(replace(sms(), context={"user": {"x": value}}), Starts())
    if "/" in value:
        assert scripted.urls == ["https://h.example/a/x%2F..%2F../send"]
    else:
        assert isinstance(made, Refused)
        assert made.reason == "not-renderable"
        assert scripted.urls == []


@cache
def everywhere() -> tuple[ScriptedWire, Provider]:
    """A provider with the text in all places, and its wire."""
    scripted = ScriptedWire([Response(200, {}, b"")])
    url = "https://h.example:8443/a/{{text}}/b?c={{text}}&d=1"
    section: Document = {"url": url, "json": "{{text}}", "headers": {"T": "{{text}}"}}
    return scripted, built(section, scripted)


@profile(max_examples=examples(100))
@given(st.text())
def test_whatever_a_value_is_the_host_and_the_segments_stay(value: str) -> None:
    scripted, provider = everywhere()
    made = trio.run(provider.send, sms(value), Starts())
    if isinstance(made, Refused):
        assert value in {"", ".", ".."} or len(value) > LONGEST_URL // 24
        return
    sent = scripted.urls.pop()
    path, _, query = sent.removeprefix("https://h.example:8443/").partition("?")
    assert [part for at, part in enumerate(path.split("/")) if at != 1] == ["a", "b"]
    assert query.count("&") == 1
    assert query.endswith("&d=1")
    assert sent.isascii()


async def test_a_url_that_no_server_takes_is_not_sent() -> None:
    scripted = ScriptedWire([Response(200, {}, b"")])
    provider = built({"url": "https://h.example/a?text={{text}}", "method": "GET"}, scripted)
    made = await provider.send(sms("x" * LONGEST_URL), Starts())
    assert isinstance(made, Refused)
    assert "longer than 8,192" in made.error
    assert scripted.urls == []


async def test_a_whole_url_may_be_a_secret(wire: HttpxWire) -> None:
    scripted = ScriptedWire([Response(200, {}, b"")])
    environ = {"HOOK": "https://hooks.example/services/T0/B0/xyz?a=b"}
    section: Document = {"url": "{{secret.HOOK}}", "secrets": ["HOOK"], "json": {}}
    await built(section, scripted, environ).send(sms(), Starts())
    assert scripted.urls == ["https://hooks.example/services/T0/B0/xyz?a=b"]


async def test_basic_authentication_is_coded_from_user_and_password(wire: HttpxWire) -> None:
    section: Document = {"json": "", "auth": {"user": "api", "password": "{{secret.KEY}}"}}
    request = await called(section, wire)
    assert request.headers["authorization"] == f"Basic {b64encode(f'api:{KEY}'.encode()).decode()}"
    section["auth"] = {"user": "{{secret.KEY}}"}
    request = await called(section, wire)
    assert request.headers["authorization"] == f"Basic {b64encode(f'{KEY}:'.encode()).decode()}"
    section["auth"] = {"user": "{{text}}", "password": "p"}
    scripted = ScriptedWire([Response(200, {}, b"")])
    made = await built({**section, "url": "http://h"}, scripted).send(sms("a:b"), Starts())
    assert isinstance(made, Refused)


ALL = "{{title}}|{{text}}|{{html}}"
CONTENTS: list[tuple[Delivery, str]] = [
    (sms("Hi"), "|Hi|"),
    (voice("Hi"), "|Hi|"),
    (push(PushContent("T", "S", "M")), "T|M|"),
    (push(PushContent(None, None, "M")), "|M|"),
    (delivery("email", EmailContent("S", text="a < b\nc")), "S|a < b\nc|a &lt; b<br>\nc"),
    (
        delivery("email", EmailContent("S", html="<p>a &lt; <b>b</b></p><p>c")),
        "S|a < b\n\nc|<p>a &lt; <b>b</b></p><p>c",
    ),
]


@pytest.mark.parametrize(("message", "sent"), CONTENTS)
async def test_each_channel_gives_title_text_and_html(
    message: Delivery, sent: str, wire: HttpxWire
) -> None:
    section: Document = {"channels": [message.channel], "text": ALL}
    assert (await called(section, wire, message)).body.decode() == sent


@pytest.mark.parametrize(
    "message",
    [
        email(mail=MailExtras(attachments=[Attachment("a", b"a")])),
        email(mail=MailExtras(carbon_copies=["a@example.com"])),
        email(mail=MailExtras(blind_carbon_copies=["a@example.com"])),
        push(PushContent(android={"a": "b"})),
    ],
)
async def test_what_it_cannot_carry_whole_is_refused_and_not_sent(message: Delivery) -> None:
    scripted = ScriptedWire([Response(200, {}, b"")])
    section: Document = {"channels": [message.channel], "url": "http://h", "text": ALL}
    starts = Starts()
    made = await built(section, scripted).send(message, starts)
    assert isinstance(made, Refused)
    assert made.reason == "not-renderable"
    assert made.error.startswith("any cannot carry this message: it ")
    assert (scripted.urls, starts.times) == ([], [])


async def test_user_and_data_are_those_of_the_request(wire: HttpxWire) -> None:
    body = "{{user.name}} {{#each data.items}}{{this}},{{/each}}"
    context = {"user": {"name": "Zoë"}, "data": {"items": [1, 2]}}
    request = await called({"json": body}, wire, replace(sms(), context=context))
    assert request.json() == "Zoë 1,2,"
    assert (await called({"json": body}, wire)).json() == " "


async def test_a_failing_template_is_no_request_and_shows_no_secret() -> None:
    scripted = ScriptedWire([Response(200, {}, b"")])
    beginning = "any cannot carry this message: its request cannot be rendered"
    for failing, told in (
        ("{{#compare text secret.KEY 1}}{{/compare}}", beginning),
        ("{{parseJSON text}}", f"{beginning}: the helper `parseJSON` failed: Expecting value"),
        (
            "{{#compare 1 to 1}}{{/compare}}",
            f"{beginning}: the helper `compare` failed",
        ),
    ):
        section: Document = {"url": "http://h", "secrets": ["KEY"], "json": failing}
        made = await built(section, scripted).send(sms(), Starts())
        assert isinstance(made, Refused)
        assert made.error.startswith(told)
        assert KEY[:4] not in made.error
        assert "+39" not in made.error
    assert scripted.urls == []


async def test_what_takes_long_to_render_does_not_hold_the_loop(wire: HttpxWire) -> None:
    turns = 0

    async def take_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await trio.lowlevel.checkpoint()

    html = "<p>word</p>" * 20_000
    assert len(html) > LONG
    async with trio.open_nursery() as nursery:
        nursery.start_soon(take_turns)
        section: Document = {"channels": ["email"], "text": "{{text}}"}
        message = delivery("email", EmailContent("S", html=html))
        request = await called(section, wire, message)
        nursery.cancel_scope.cancel()
    assert request.body.decode().count("word") == 20_000
    assert turns > 10


async def test_a_wire_of_ours_takes_what_is_made_in_any_language() -> None:
    fast = Http1Wire()
    request = await called({"json": "{{text}}", "headers": {"T": "{{text}}"}}, fast, sms("日本語"))
    assert request.json() == "日本語"
    assert request.headers["t"].encode("latin-1").decode() == "日本語"
    await fast.aclose()


async def test_reach_connects_and_asks_for_nothing(wire: HttpxWire) -> None:
    scripted = ScriptedWire([NotSent("connection refused")])
    provider = built(
        {"url": "https://h.example/a?key={{secret.KEY}}", "secrets": ["KEY"]}, scripted
    )
    assert isinstance(provider, Reachable)
    assert await provider.reach() == "any: connection refused"
    assert scripted.urls == ["https://h.example"]
    await provider.aclose()
