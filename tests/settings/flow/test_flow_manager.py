"""The section `flowManagerConfiguration`, as the reference has it and with our own keys."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from carillon.messages.model import Document
from carillon.settings import FlowManagerSettings, MetadataSchema
from tests.settings.examples import problems, settings, sms


def flow(**keys: object) -> Document:
    section = {"metadataSchema": {"channels": "channels"}, **keys}
    return sms(flowManagerConfiguration=section)  # type: ignore[arg-type]


def test_the_smallest_section_gets_every_default() -> None:
    assert settings(flow()).flow_manager == FlowManagerSettings(
        metadata_schema=MetadataSchema(channels=("channels",)),
        respond_within=25.0,
        success_policy="started",
        event_payload="empty",
    )


def test_every_key_arrives() -> None:
    schema = {
        "channels": "notifications.channels",
        "recipients": ["doctor.id", "patients.0.id"],
        "clusters": "c",
        "emailAttachments": "a",
        "emailCarbonCopies": ["cc"],
        "emailBlindCarbonCopies": "bcc",
        "messageTitle": "t",
        "messageContent": "m",
        "templateId": "i",
        "emailSender": "s",
    }
    found = settings(
        flow(
            metadataSchema=schema,
            serviceUrl="http://flow-manager/",
            successEventLabel="sent",
            failEventLabel="failed",
            getTemplateIdFilePath="/a.py",
            getDataFilePath="/b.js",
            respondWithin=0,
            successPolicy=0.5,
            eventPayload="summary",
            repeatWindow="5m",
        )
    ).flow_manager

    assert found == FlowManagerSettings(
        metadata_schema=MetadataSchema(
            channels=("notifications.channels",),
            recipients=("doctor.id", "patients.0.id"),
            clusters=("c",),
            email_attachments=("a",),
            email_carbon_copies=("cc",),
            email_blind_carbon_copies=("bcc",),
            message_title="t",
            message_content="m",
            template_id="i",
            email_sender="s",
        ),
        service_url="http://flow-manager",
        success_event_label="sent",
        fail_event_label="failed",
        template_id_file=Path("/a.py"),
        data_file=Path("/b.js"),
        respond_within=math.inf,
        success_policy=0.5,
        event_payload="summary",
        repeat_window=300.0,
    )


def test_the_other_spelling_of_the_labels_is_accepted() -> None:
    found = settings(flow(successEventlabel="sent", failEventlabel="failed")).flow_manager

    assert found is not None
    assert (found.success_event_label, found.fail_event_label) == ("sent", "failed")


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({"metadataSchema": None}, "metadataSchema: is missing"),
        ({"metadataSchema": {}}, "metadataSchema.channels: is missing"),
        ({"metadataSchema": {"channels": []}}, "must be a path or a list of paths"),
        ({"metadataSchema": {"channels": ["a", 5]}}, "must be a path or a list of paths"),
        ({"metadataSchema": {"channels": "c", "templateId": ["a"]}}, "templateId: a list is not"),
        ({"serviceUrl": "flow manager"}, "serviceUrl: "),
        ({"serviceUrl": 5}, "serviceUrl: 5 is not allowed"),
        ({"successPolicy": "most"}, 'successPolicy: "most" is not allowed'),
        ({"successPolicy": 0}, "successPolicy: 0 is not allowed"),
        ({"successPolicy": 1.1}, "successPolicy: 1.1 is not allowed"),
        ({"successPolicy": True}, "successPolicy: true is not allowed"),
        ({"successPolicy": [1]}, "successPolicy: a list is not allowed"),
        ({"eventPayload": "full"}, "must be one of empty, summary"),
        ({"repeatWindow": 0}, "repeatWindow: 0 is not allowed"),
    ],
)
def test_wrong_keys(keys: dict[str, object], problem: str) -> None:
    (found,) = problems(flow(**keys))

    assert found.startswith("flowManagerConfiguration.")
    assert problem in found


def test_unknown_keys_are_warnings() -> None:
    found = settings(flow(sucessEventLabel="x")).warnings

    assert found[0].startswith("flowManagerConfiguration.sucessEventLabel: unknown key, not used")
    assert 'did you mean "successEventLabel"?' in found[0]
