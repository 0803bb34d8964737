"""What is wrong with a stored template, and which values it wants."""

from __future__ import annotations

import pytest

from carillon.dispatches.render import NoContent, NotRenderable, Texts
from carillon.dispatches.template_faults import TEXTS, TemplateFaults
from carillon.handlebars import Engine
from carillon.messages.model import Document

FAULTS = TemplateFaults()


def problems(**template: object) -> list[str]:
    return [*FAULTS.problems(template)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ({"smsMesage": "x"}, "there is no field `smsMesage`; did you mean `smsMessage`"),
        ({"body": "x"}, "there is no field `body`; a template has name, emailTitle, "),
        ({"emailMessage": "x"}, "emailTitle is missing"),
        ({"emailHtmlMessage": "x", "emailTitle": ""}, "emailTitle is missing"),
        ({"emailTitle": "x"}, "emailMessage is missing"),
        ({"pushTitle": "x"}, "pushMessage is missing"),
        ({"pushMessage": "x", "pushData": None}, "pushTitle is missing"),
        ({"smsMessage": "\n {{upercase x}}"}, "smsMessage, 2:4: there is no helper `upercase`"),
        ({"voiceMessage": "{{> foot}}"}, "voiceMessage, 1:5: there is no partial `foot`"),
        ({"smsMessage": " \n"}, "smsMessage shows nothing"),
        ({"pushData": '{\n"a": {{x}},\n}'}, "pushData, 3:1: no JSON comes of this: `}`"),
        ({"pushData": '{"android": []}'}, "pushData, 1:13: "),
        ({"pushData": "[]"}, "pushData, 1:1: "),
        ({"smsMessage": "{{#if a}}"}, "smsMessage, 1:1: `{{#if}}` is never closed"),
    ],
)
def test_what_is_wrong_is_told_with_its_field_and_place(template: Document, said: str) -> None:
    [problem] = FAULTS.problems(template)
    assert problem.startswith(said)


@pytest.mark.parametrize(
    "template",
    [
        {},
        {"_id": "a", "__STATE__": "DRAFT", "name": "n", "creatorId": "x", "createdAt": "2024"},
        {"emailTitle": "x", "emailMessage": "x", "emailAttachments": [{"file": "a.pdf"}]},
        {"pushTitle": "x", "pushMessage": "y", "pushSubtitle": "{{z}}"},
        {"pushTitle": "x", "pushData": '{"android": {"a": "{{user.name}}"}}'},
        {"pushData": "{}", "emailTitle": "", "emailMessage": None},
    ],
)
def test_what_is_right_is_right(template: Document) -> None:
    assert problems(**template) == []


def test_a_template_may_have_several_problems() -> None:
    found = problems(smsMessage="{{a 1}} {{b 2}}", voiceMessage=5, extra=1)
    assert [problem.split(":")[0].split(";")[0] for problem in found] == [
        "there is no field `extra`",
        "smsMessage, 1",
        "smsMessage, 1",
        "voiceMessage must be a text",
    ]


def test_the_values_that_a_template_wants_are_listed() -> None:
    template: Document = {
        "emailTitle": "{{user.name}} {{#with data.order}}{{id}}{{/with}}",
        "smsMessage": "{{#each data.items}}{{name}}{{/each}}{{#if user.vip}}!{{/if}}",
        "pushMessage": "{{#markdown}}{{data.text}}{{/markdown}}",
        "voiceMessage": "{{#if}}",
        "name": "{{not.rendered}}",
    }
    assert FAULTS.wanted(template) == [
        "data.items", "data.order.id", "data.text", "user.name", "user.vip", "…",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("channel", "template"),
    [
        ("email", {"emailMessage": "x"}),
        ("email", {"emailTitle": "x"}),
        ("push", {"pushTitle": "x", "pushSubtitle": "y"}),
        ("push", {"pushData": '{"apns": "{{user.name}}"}'}),
        ("push", {"pushData": "{'a': 1}"}),
        ("sms", {"smsMessage": " \t"}),
        ("sms", {"smsMessage": "{{dateFormat data.at tz='Europe/Roma'}}"}),
        ("voice", {"voiceMessage": "{{> foot}}"}),
    ],
)
def test_what_is_told_is_what_a_delivery_fails_of(channel: str, template: Document) -> None:
    assert problems(**template)
    texts = Texts(Engine(), template, [channel], {"at": "2024-02-29"})  # type: ignore[list-item]
    render = texts.renderer(channel)  # type: ignore[arg-type]
    with pytest.raises((NoContent, NotRenderable)):
        render({"name": "Ada"})


def test_every_field_that_is_rendered_is_looked_at() -> None:
    for name in TEXTS:
        found = problems(**{name: "{{nobody has}}"})
        assert found[0].startswith(f"{name}, 1:3: there is no helper `nobody`")
