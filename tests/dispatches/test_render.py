"""What one recipient gets over one channel: escaping for its place, and nothing that is empty."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carillon.dispatches.render import NoContent, NotRenderable, Texts
from carillon.handlebars import Engine
from carillon.messages.errors import BadCommand
from carillon.messages.model import Channel, Document, EmailContent, PushContent, TextContent

PUSH = '{"android": {"data": {"title": "Hi {{user.name}}", "action": "open"}}}'


def content(
    channel: Channel,
    source: Mapping[str, object],
    user: Document,
    *,
    everywhere: bool = False,
) -> object:
    texts = Texts(Engine(), source, [channel], {"a": "<b>"}, everywhere=everywhere)
    return texts.renderer(channel)(user)


def test_both_bodies_are_rendered_only_for_those_that_carry_both() -> None:
    source = {"emailTitle": "T", "emailMessage": "Hi {{user.name}}", "emailHtmlMessage": "<p>"}
    both = Texts(Engine(), source, ["email"], None, both_bodies=True)
    assert both.renderer("email")({"name": "<a>"}) == EmailContent("T", "Hi <a>", "<p>")
    broken = {**source, "emailMessage": "{{#if"}
    assert content("email", broken, {}) == EmailContent("T", None, "<p>")
    with pytest.raises(BadCommand, match="emailMessage"):
        Texts(Engine(), broken, ["email"], None, both_bodies=True)


def android(source: str, user: Document, *, everywhere: bool = False) -> object:
    made = content("push", {"pushData": source}, user, everywhere=everywhere)
    assert isinstance(made, PushContent)
    assert made.android is not None
    return made.android["data"]


@pytest.mark.slow
@pytest.mark.parametrize("everywhere", [False, True])
@given(name=st.text(st.characters(exclude_categories=["Cs"])))
def test_a_value_ends_no_string_of_push_data(everywhere: bool, name: str) -> None:  # noqa: FBT001
    data = android(PUSH, {"name": name}, everywhere=everywhere)
    assert data == {"title": f"Hi {name}", "action": "open"}


def test_a_crafted_name_does_not_rewrite_a_push() -> None:
    crafted = 'x", "action": "https://evil.example", "y": "'
    assert android(PUSH, {"name": crafted}) == {"title": f"Hi {crafted}", "action": "open"}


def test_what_a_helper_calls_safe_html_is_not_safe_in_json() -> None:
    source = '{"android": {"data": {"t": "{{lowercase user.name}} {{{_raw}}}{{ul user.tags}}"}}}'
    data = android(source, {"name": '"A"', "tags": ['"']})
    assert data == {"t": '"a" <ul ><li>"</li></ul>'}


def test_three_braces_put_json_into_push_data() -> None:
    source = '{"android": {"data": {{{JSONstringify user.data}}} }}'
    assert android(source, {"data": {"k": 'a"b'}}) == {"k": 'a"b'}


def test_a_quote_in_three_braces_is_a_failure_of_that_push() -> None:
    with pytest.raises(NotRenderable, match="pushData is not JSON"):
        android('{"android": {"data": {"t": "{{{user.name}}}"}}}', {"name": '"'})


def test_push_data_is_escaped_as_json_and_never_as_html() -> None:
    assert android(PUSH, {"name": "D'Angelo & <co>"}, everywhere=True) == {
        "title": "Hi D'Angelo & <co>",
        "action": "open",
    }


def test_html_is_escaped_in_html_alone() -> None:
    source = {"emailTitle": "{{data.a}}", "emailHtmlMessage": "{{data.a}}"}
    assert content("email", source, {}) == EmailContent("<b>", None, "&lt;b&gt;")
    assert content("sms", {"smsMessage": "{{data.a}}"}, {}) == TextContent("<b>")
    everywhere = content("sms", {"smsMessage": "{{data.a}}"}, {}, everywhere=True)
    assert everywhere == TextContent("&lt;b&gt;")


@pytest.mark.parametrize("text", ["{{user.no}}", " \n", "{{#if user.no}}x{{/if}}", "\u00a0"])
@pytest.mark.parametrize(("channel", "field"), [("sms", "smsMessage"), ("voice", "voiceMessage")])
def test_a_text_that_renders_to_nothing_is_not_sent(
    channel: Channel, field: str, text: str
) -> None:
    with pytest.raises(NoContent, match="empty once it is rendered"):
        content(channel, {field: text}, {})


@pytest.mark.parametrize(
    "source",
    [
        {"pushTitle": "{{user.no}}", "pushMessage": " "},
        {"pushTitle": "", "pushMessage": "", "pushSubtitle": "{{user.no}}"},
        {"pushData": "{}"},
        {"pushData": json.dumps({"android": {}, "apns": None})},
        {"pushData": json.dumps({"other": 1}), "pushTitle": " "},
    ],
)
def test_a_push_that_shows_and_carries_nothing_is_not_sent(source: Mapping[str, object]) -> None:
    with pytest.raises(NoContent):
        content("push", source, {})


def test_a_push_with_data_alone_or_a_title_alone_is_sent() -> None:
    assert android('{"android": {"data": {"k": "v"}}}', {}) == {"k": "v"}
    made = content("push", {"pushTitle": "T", "pushMessage": "{{user.no}}"}, {})
    assert made == PushContent("T", None, "", None, None)
