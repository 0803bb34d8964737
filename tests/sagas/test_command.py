"""A command is understood as its `/send` body would be, or refused at once."""

from __future__ import annotations

from contextlib import suppress
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carillon.messages.commands import parse_send
from carillon.messages.errors import BadCommand
from carillon.messages.model import Document, JsonValue
from carillon.sagas.command import (
    Metadata,
    MetadataSchema,
    SagaCommand,
    parse_command,
    saga_key,
)
from tests.properties import examples
from tests.timing import quickest

SCHEMA = MetadataSchema(
    channels=("channels",),
    recipients=("doctor.id", "patients.0.id"),
    clusters=("ward.clusters",),
    email_carbon_copies=("cc", "more"),
    email_blind_carbon_copies=("bcc",),
    email_attachments=("files",),
    message_title="title",
    message_content="content",
    template_id="template",
    email_sender="sender",
)
METADATA = Metadata(SCHEMA)
PAYLOAD: Document = {"channels": "sms", "doctor": {"id": "d1"}, "template": "t"}


def command(payload: JsonValue) -> SagaCommand:
    return parse_command(
        {"key": "S-7", "value": {"messageLabel": "tell", "messagePayload": payload}}
    )


def refusal(payload: JsonValue) -> str:
    with pytest.raises(BadCommand) as caught:
        METADATA.send_command(command(payload))
    return str(caught.value)


def test_what_a_command_asks_for_is_what_the_same_body_asks_for() -> None:
    found = METADATA.send_command(
        command(
            {
                "channels": ["push", "push"],
                "doctor": {"id": "d1"},
                "patients": [{"id": "p1"}, {"id": "p2"}],
                "ward": {"clusters": ["w1", "w2"]},
                "cc": ["a@x.it", None, "b@x.it"],
                "more": "a@x.it",
                "bcc": "c@x.it",
                "files": [],
                "title": "T",
                "content": "C",
                "sender": "shop@x.it",
            }
        ),
        data={"amount": "7.00"},
    )
    assert found == parse_send(
        {
            "channels": ["push"],
            "recipients": ["d1", "p1"],
            "clusters": ["w1", "w2"],
            "emailCarbonCopies": ["a@x.it", "b@x.it"],
            "emailBlindCarbonCopies": ["c@x.it"],
            "emailAttachments": [],
            "messageTitle": "T",
            "messageContent": "C",
            "emailSender": "shop@x.it",
            "data": {"amount": "7.00"},
        }
    )


def test_the_whole_command_is_the_data() -> None:
    body = {"key": "k", "value": {"messageLabel": "l", "messagePayload": PAYLOAD, "x": 1}, "y": 2}
    assert METADATA.send_command(parse_command(body)).data == body


def test_a_template_id_that_was_chosen_wins() -> None:
    assert METADATA.send_command(command(PAYLOAD), "chosen").template_id == "chosen"
    odd = command({**PAYLOAD, "template": 5})
    assert METADATA.send_command(odd, "chosen").template_id == "chosen"


def test_a_list_that_is_found_empty_is_that_list() -> None:
    schema = MetadataSchema(channels=("channels",), recipients=("ids",), template_id="template")
    found = Metadata(schema).send_command(command({**PAYLOAD, "ids": []}))
    assert (found.recipients, found.clusters) == ([], None)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"channels": None}, "channels is required (channels is read from value.messagePayload."),
        ({"channels": []}, "channels must not be empty"),
        ({"channels": {}}, "channels[0] must be one of"),
        ({"channels": "fax"}, "channels[0] must be one of"),
        ({"doctor": {}}, "recipients, clusters or to is required (recipients is read from"),
        ({"doctor": {"id": 5}}, "recipients[0] must be a string"),
        ({"doctor": {"id": [["d1"]]}}, "recipients[0] must be a string"),
        ({"patients": [{"id": {"id": "p"}}]}, "recipients[1] must be a string"),
        ({"template": None}, "messageTitle is required unless templateId is given"),
        ({"template": ["t"]}, "templateId must be a string"),
        ({"cc": [1]}, "emailCarbonCopies[0] must be a string"),
        ({"files": [{"file": "x"}]}, "emailAttachments[0] must be a string"),
        ({"sender": "nobody"}, "emailSender must be an email address"),
    ],
)
def test_what_send_refuses_is_refused(changes: Document, words: str) -> None:
    assert refusal({**PAYLOAD, **changes}).startswith(words)


@pytest.mark.parametrize("payload", [None, 5, True, "text", [], [PAYLOAD], {}])
def test_a_payload_without_what_is_needed_is_refused(payload: JsonValue) -> None:
    assert refusal(payload).startswith("channels is required")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (None, "The body must be an object"),
        ([], "The body must be an object"),
        ("x", "The body must be an object"),
        ({}, "key must be"),
        ({"key": 5, "value": {}}, "key must be"),
        ({"key": ""}, "key must be"),
        ({"key": "x" * 1001}, "key must be"),
        ({"key": "x"}, "value must be"),
        ({"key": "x", "value": []}, "value must be"),
        ({"key": "x", "value": {}}, "value.messageLabel must be"),
        ({"key": "x", "value": {"messageLabel": 1}}, "value.messageLabel must be"),
        ({"key": "x", "value": {"messageLabel": "l"}}, "value.messagePayload is required"),
        ({"channels": ["sms"], "recipients": []}, "key must be"),
    ],
)
def test_what_is_no_command_is_refused(body: object, words: str) -> None:
    with pytest.raises(BadCommand, match=f"^{words}"):
        parse_command(body)


@pytest.mark.parametrize("body", [None, [], "key", {}, {"key": None}, {"key": ["k"]}, {"key": ""}])
def test_a_key_is_read_only_where_one_is(body: object) -> None:
    assert saga_key(body) is None
    assert saga_key({"key": "k"}) == "k"


def deep(levels: int) -> JsonValue:
    value: JsonValue = "leaf"
    for _ in range(levels):
        value = {"id": [value]}
    return value


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {"channels": deep(100)},
        {"channels": [1] * 1_000_000},
        {"channels": ["fax"] * 1_000_000},
        {"doctor": {"id": [{}] * 1_000_000}},
        {"doctor": {"id": [None] * 1_000_000 + [1]}},
        {"ward": {"clusters": ["w"] * 1_000_000 + [1]}},
        {"cc": ["x"] * 500_000 + [1]},
        {"template": "x" * 5_000_000, "channels": "fax"},
        {"title": deep(99)},
    ],
)
def test_hostile_shapes_are_refused_quickly(changes: Document) -> None:
    if "title" in changes:
        changes = {**changes, "template": None}
    assert quickest(lambda: refusal({**PAYLOAD, **changes}), 0.1) < 0.1


JSON: st.SearchStrategy[JsonValue] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | cast("st.SearchStrategy[JsonValue]", st.dictionaries(st.text(), inner, max_size=3))
    ),
    max_leaves=10,
)
FIELDS = ["channels", "doctor", "patients", "ward", "cc", "more", "bcc", "files", "title", "sender"]


@pytest.mark.slow
@settings(max_examples=examples(300))
@given(st.dictionaries(st.sampled_from([*FIELDS, "template", "content"]), JSON))
def test_any_payload_is_understood_or_refused(payload: dict[str, JsonValue]) -> None:
    with suppress(BadCommand):
        METADATA.send_command(command(payload))


@pytest.mark.slow
@given(JSON)
def test_any_body_is_understood_or_refused(body: JsonValue) -> None:
    with pytest.raises(BadCommand):
        parse_command(body)
