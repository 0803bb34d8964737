"""The texts as the neighbours get them: escaping, missing fields, helpers, data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from carillon.messages.model import Document, JsonValue
from tests.scenarios.neighbourhood import (
    ADA,
    ADA_ID,
    ANGELO,
    ANGELO_ID,
    Neighbourhood,
    accepted,
    failure,
    neighbourhood,
    numbered,
)

TEMPLATE_ID = numbered(77)
CHANNELS = ("email", "sms", "push", "voice")
BARE = "D'Angelo & <b>"
ESCAPED = "D&#x27;Angelo &amp; &lt;b&gt;"


def everything(text: str) -> Document:
    """A template that says one thing in every field; HTML is in `html`."""
    return {
        "_id": TEMPLATE_ID,
        "emailTitle": text,
        "emailMessage": text,
        "smsMessage": text,
        "pushTitle": text,
        "pushSubtitle": text,
        "pushMessage": text,
        "voiceMessage": text,
    }


def heard(at: Neighbourhood) -> set[str | None]:
    """All that the neighbours were told."""
    said: set[str | None] = {sms.body for sms in at.sms.messages}
    for mail in at.mail.mails:
        said |= {mail.subject, mail.message or mail.html_message}
    for message in at.push.messages:
        apns, shown = message["apns"], message["notification"]
        assert isinstance(apns, dict)
        assert isinstance(shown, dict)
        payload = apns.get("payload", {"aps": {"alert": {}}})
        alert: JsonValue = payload["aps"]["alert"]  # type: ignore[index,call-overload]  # as FCM's shapes have it
        assert isinstance(alert, dict)
        said |= {str(text) for text in (*shown.values(), *alert.values())}
    return said | {call["target"] for call in at.voice.calls}


async def test_only_html_is_escaped(tmp_path: Path) -> None:
    html: Document = {
        "_id": "html",
        "emailTitle": "{{user.name}}",
        "emailHtmlMessage": "{{user.name}}",
    }
    stored = [everything("{{user.name}}"), html]
    async with neighbourhood(tmp_path, users=[ANGELO], templates=stored) as at:
        accepted(await at.send(*CHANNELS, recipients=[ANGELO_ID], templateId=TEMPLATE_ID))
        assert heard(at) == {BARE}
        accepted(await at.send(recipients=[ANGELO_ID], templateId="html"))
        assert (at.mail.mails[-1].subject, at.mail.mails[-1].html_message) == (BARE, ESCAPED)


async def test_texts_of_the_request_are_not_escaped(tmp_path: Path) -> None:
    text = "{{user.name}} {{data.x}}"
    async with neighbourhood(tmp_path, users=[ANGELO]) as at:
        body: Document = {"messageTitle": text, "messageContent": text, "data": {"x": "<'>"}}
        accepted(await at.send(*CHANNELS, recipients=[ANGELO_ID], **body))
    assert heard(at) == {f"{BARE} <'>"}


async def test_triple_braces_are_never_escaped(tmp_path: Path) -> None:
    stored: Document = {**everything("{{{user.name}}}"), "emailHtmlMessage": "{{{user.name}}}"}
    for number, escaping in enumerate(("html", "everywhere")):
        folder = tmp_path / str(number)
        folder.mkdir()
        async with neighbourhood(
            folder, users=[ANGELO], templates=[stored], escaping=escaping
        ) as at:
            accepted(await at.send(*CHANNELS, recipients=[ANGELO_ID], templateId=TEMPLATE_ID))
            assert heard(at) == {BARE}


async def test_everything_is_escaped_where_the_references_way_is_wanted(tmp_path: Path) -> None:
    stored = everything("{{user.name}}")
    async with neighbourhood(
        tmp_path, users=[ANGELO], templates=[stored], escaping="everywhere"
    ) as at:
        accepted(await at.send(*CHANNELS, recipients=[ANGELO_ID], templateId=TEMPLATE_ID))
        assert heard(at) == {ESCAPED}
        text = "{{user.name}}"
        body: Document = {"messageTitle": text, "messageContent": text}
        accepted(await at.send(*CHANNELS, recipients=[ANGELO_ID], **body))
        assert heard(at) == {ESCAPED}


NEEDED: Mapping[str, tuple[str, str]] = {
    "email": (
        "emailMessage",
        "The template has no emailTitle, or neither emailMessage nor emailHtmlMessage",
    ),
    "sms": ("smsMessage", "The template has no smsMessage"),
    "push": ("pushTitle", "The template has neither pushData nor both pushTitle and pushMessage"),
    "voice": ("voiceMessage", "The template has no voiceMessage"),
}


@pytest.mark.parametrize("channel", NEEDED)
async def test_a_template_without_a_channels_field_fails_on_that_channel_only(
    channel: str, tmp_path: Path
) -> None:
    field, error = NEEDED[channel]
    without = everything("Hi")
    del without[field]
    templates: list[Document] = [
        {**without, "_id": "absent"},
        {**without, "_id": "null", field: None},
        {**without, "_id": "empty", field: ""},
    ]
    async with neighbourhood(tmp_path, users=[ADA, ANGELO], templates=templates) as at:
        for template in templates:
            answer = await at.send(*CHANNELS, clusters=["staff"], templateId=template["_id"])
            accepted(answer, *(failure(name, channel, error) for name in (ADA_ID, ANGELO_ID)))
            for name in CHANNELS:
                expected = ("failed", "no-content") if name == channel else ("sent", "accepted")
                assert at.outcomes()[ADA_ID, name] == expected


async def test_a_mail_without_a_title_is_no_content_and_no_address_comes_first(
    tmp_path: Path,
) -> None:
    stored: Document = {"_id": TEMPLATE_ID, "emailMessage": "Hi", "smsMessage": "Hi"}
    users: list[Document] = [ADA, {"_id": numbered(9), "phoneNumber": "+3912345"}]
    async with neighbourhood(tmp_path, users=users, templates=[stored]) as at:
        ids = [ADA_ID, numbered(9)]
        answer = await at.send("email", "sms", recipients=ids, templateId=TEMPLATE_ID)
    accepted(answer, failure(ADA_ID, "email", NEEDED["email"][1]))
    assert at.outcomes()[numbered(9), "email"] == ("skipped", "no-address")
    assert len(at.sms.messages) == 2


FAILING = {
    "an unknown helper": '{{#if user.odd}}{{nope "x"}}{{/if}}Hi',
    "a helper that fails": "{{#if user.odd}}{{lookup user}}{{/if}}Hi",
    "an unknown partial": "{{#if user.odd}}{{> nothing}}{{/if}}Hi",
}


async def test_what_cannot_be_rendered_for_one_user_fails_for_that_one(tmp_path: Path) -> None:
    users: list[Document] = [{**ADA, "odd": True}, ANGELO]
    templates: list[Document] = [
        {**everything("Hi"), "_id": name, "smsMessage": text} for name, text in FAILING.items()
    ]
    async with neighbourhood(tmp_path, users=users, templates=templates) as at:
        for sent, name in enumerate(FAILING, start=1):
            answer = await at.send("sms", "voice", clusters=["staff"], templateId=name)
            (entry,) = answer.json()["failures"]
            accepted(answer, failure(ADA_ID, "sms", entry["error"]))
            assert entry["error"].startswith("The message could not be rendered: ")
            assert at.outcomes()[ADA_ID, "sms"] == ("failed", "not-renderable")
            assert [sms.receiver for sms in at.sms.messages] == ["+393337654321"] * sent
            assert len(at.voice.calls) == 2 * sent


async def test_data_and_every_field_of_the_user_are_reachable(tmp_path: Path) -> None:
    user: Document = {**ADA, "address": {"city": "Roma"}, "tags": ["a", "b"]}
    text = (
        "{{data.order.id}}|{{data.list.[1]}}|{{user.address.city}}|{{user.tags.[0]}}|{{user._id}}"
        "|{{#each data.list}}{{this}};{{/each}}|{{data.no.such}}|{{user.no}}|{{nothing}}|"
    )
    data: Document = {"order": {"id": 42}, "list": ["x", "y"]}
    async with neighbourhood(tmp_path, users=[user]) as at:
        body: Document = {"messageContent": text, "data": data}
        accepted(await at.send("sms", recipients=[ADA_ID], **body))
        accepted(await at.send("sms", recipients=[ADA_ID], messageContent="[{{data.x}}]"))
    assert [sms.body for sms in at.sms.messages] == [
        f"42|y|Roma|a|{ADA_ID}|x;y;||||",
        "[]",
    ]


PERSONAL = [
    "{{user.name}}",
    "{{[user].name}}",
    "{{user/name}}",
    "{{this.user.name}}",
    "{{./user.name}}",
    "{{@root.user.name}}",
    "{{@root.[user].[name]}}",
    "{{#with user}}{{name}}{{/with}}",
    "{{#with this}}{{user.name}}{{/with}}",
    "{{#with this as |all|}}{{all.user.name}}{{/with}}",
    '{{#with (lookup this "user")}}{{name}}{{/with}}',
    '{{lookup (lookup this "user") "name"}}',
    '{{lookup (lookup @root data.key) "name"}}',
    "{{#with data}}{{../user.name}}{{/with}}",
    "{{#each data.list}}{{@root.user.name}}{{/each}}",
    "{{#each this}}{{name}}{{/each}}",
    '{{#*inline "p"}}{{user.name}}{{/inline}}{{> p}}',
    '{{#*inline "p"}}{{name}}{{/inline}}{{> p user}}',
    "{{#user}}{{name}}{{/user}}",
    "{{#if data.key}}{{#unless data.none}}{{user.name}}{{/unless}}{{/if}}",
]


async def test_each_user_gets_their_own_text_however_a_template_reaches_it(
    tmp_path: Path,
) -> None:
    data: Document = {"key": "user", "list": ["x"]}
    async with neighbourhood(tmp_path, users=[ADA, ANGELO]) as at:
        for text in PERSONAL:
            at.sms.messages.clear()
            body: Document = {"messageContent": text, "data": data}
            accepted(await at.send("sms", clusters=["staff"], **body))
            said = {sms.receiver: sms.body for sms in at.sms.messages}
            assert said == {"+393331234567": "Ada", "+393337654321": BARE}, text
