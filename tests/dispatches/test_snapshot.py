"""What of a request is kept while its dispatch runs, and what after its end."""

from __future__ import annotations

import json
from typing import Annotated

import pytest

from carillon.dispatches.snapshot import DOCUMENTS, KEPT, Request, empty_request, parse_request
from carillon.messages.commands import AtEnd, SendCommand, parse_send, personal_fields
from carillon.messages.errors import BadCommand
from carillon.messages.json_bounds import Bounds
from carillon.messages.json_input import JsonText, as_documents, read_json
from carillon.messages.model import Document

TEMPLATE: Document = {"_id": "t", "smsMessage": "Dear {{user.name}}"}
BODY: Document = {
    "channels": ["sms"],
    "recipients": ["ada"],
    "clusters": ["staff"],
    "templateId": "t",
    "emailSender": "Shop <shop@example.com>",
    "priority": "high",
}


def request(**more: object) -> Request:
    command = parse_send({**BODY, **more})
    return Request(command, TEMPLATE, {"sms": 1}, {"saga": {"key": "S-1", "label": "tell"}})


def kept(one: Request, *, with_content: bool) -> Request:
    text = one.kept(with_content=with_content)
    assert text is not None
    return parse_request(text)


def test_all_of_it_is_kept_while_it_runs() -> None:
    whole = request(data={"order": [1, None, "é\x00"]}, expiresAt="2030-01-01T00:00:00Z")
    again = parse_request(whole.text())
    assert again.command.expires_at is None  # its deadline stands among the ends
    assert again.command.data == {"order": [1, None, "é\x00"]}
    assert (again.template, again.ends, again.origin) == (TEMPLATE, {"sms": 1}, whole.origin)
    assert (again.command.recipients, again.command.clusters) == (["ada"], ["staff"])


@pytest.mark.parametrize(
    "personal",
    [
        {"data": {"a": 1}},
        {"messageTitle": "T"},
        {"messageContent": "C"},
        {"emailCarbonCopies": ["a@x.test"]},
        {"emailBlindCarbonCopies": ["a@x.test"]},
        {"to": [{"emailAddress": "a@x.test", "deep": [{"b": None}]}]},
    ],
    ids=str,
)
def test_what_is_personal_is_erased_at_the_end_unless_it_is_to_be_kept(personal: Document) -> None:
    assert request(**personal).kept(with_content=False) is None
    again = kept(request(**personal), with_content=True)
    [(name, value)] = personal.items()
    assert again.command.model_dump(by_alias=True)[name] == value


def test_each_field_is_personal_until_it_says_otherwise() -> None:
    class Later(SendCommand):
        label: str | None = None
        quiet: Annotated[bool | None, AtEnd.KEPT] = None

    assert personal_fields(Later) == (*personal_fields(SendCommand), "label")


def test_what_is_personal_is_what_is_not_marked() -> None:
    marked = {
        *("channels", "recipients", "clusters", "template_id", "email_attachments"),
        *("email_sender", "priority", "expires_at", "time_to_live"),
    }
    assert set(personal_fields(SendCommand)) == SendCommand.model_fields.keys() - marked


@pytest.mark.parametrize("value", [False, 0, "x", [0]])
def test_a_new_field_is_not_kept_whatever_it_holds(
    monkeypatch: pytest.MonkeyPatch, value: object
) -> None:
    class Later(SendCommand):
        flag: object = None

    monkeypatch.setattr("carillon.dispatches.snapshot._PERSONAL", personal_fields(Later))
    body = {**BODY, "flag": value}
    assert Request(Later.model_validate(body)).kept(with_content=False) is None
    assert Request(Later.model_validate(BODY)).kept(with_content=False) is not None


@pytest.mark.parametrize("nothing", [{}, {"data": {}}, {"data": None}, {"emailCarbonCopies": []}])
def test_a_template_without_data_can_be_sent_again(nothing: Document) -> None:
    again = kept(request(**nothing), with_content=False)
    assert again.template == TEMPLATE
    assert (again.command.priority, again.command.channels) == ("high", ["sms"])


@pytest.mark.parametrize("with_content", [False, True])
def test_neither_its_audience_nor_its_deadline_nor_its_origin_outlive_it(
    with_content: bool,  # noqa: FBT001
) -> None:
    again = kept(request(), with_content=with_content)
    assert (again.command.recipients, again.command.clusters) == ([], None)
    assert (again.ends, again.origin) == (None, None)
    assert again.is_read


def test_a_request_that_runs_is_read_on() -> None:
    assert not parse_request(request().text()).is_read


@pytest.mark.parametrize("size", [0, 10_000, 300_000])
def test_the_deepest_request_that_is_taken_can_be_read_again(size: int) -> None:
    """One level is around it on record."""
    data = b'{"a":' * 199 + b"1" + b"}" * 199
    rest = json.dumps({**BODY, "messageTitle": "x" * size})[1:].encode()
    body = read_json(b'{"data":%b,%b' % (data, rest), Bounds(documents=DOCUMENTS, kept=KEPT))
    again = parse_request(Request(parse_send(body)).text())
    value = again.command.data
    assert (value.value() if isinstance(value, JsonText) else value) == json.loads(data)


@pytest.mark.parametrize("number", [1, 5000])
def test_inline_recipients_are_read_again_as_they_came(number: int) -> None:
    to: list[Document] = [{"id": f"ü{at}", "phoneNumber": "+391", "x": at} for at in range(number)]
    whole = request(to=as_documents(to))
    assert list(parse_request(whole.text()).command.to or ()) == to
    assert list(kept(whole, with_content=True).command.to or ()) == to


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"command":{}}', '{"command":{"a":1}}'])
def test_a_text_of_another_version_is_a_bad_command(text: str) -> None:
    with pytest.raises(BadCommand):
        parse_request(text)


def test_an_empty_request_sends_nothing() -> None:
    command = empty_request(["sms", "email"]).command
    assert (command.channels, command.recipients, command.clusters) == (["sms", "email"], [], None)
