"""The section `flowManagerConfiguration` as settings."""

from __future__ import annotations

from pathlib import Path

from carillon.messages.durations import unbounded
from carillon.sagas.command import MetadataSchema
from carillon.settings.flow.kafka import stream
from carillon.settings.flow.keys import FlowKeys, MetadataKeys
from carillon.settings.model import FlowManagerSettings


def flow_manager(keys: FlowKeys | None) -> FlowManagerSettings | None:
    """How sagas are understood and answered; None where nothing is configured."""
    if keys is None:
        return None
    return FlowManagerSettings(
        metadata_schema=_metadata(keys.metadata_schema),
        service_url=keys.service_url,
        success_event_label=keys.success_event_label or keys.success_event_label_as_printed,
        fail_event_label=keys.fail_event_label or keys.fail_event_label_as_printed,
        template_id_file=_path(keys.get_template_id_file_path),
        data_file=_path(keys.get_data_file_path),
        respond_within=unbounded(keys.respond_within),
        success_policy=keys.success_policy,
        event_payload=keys.event_payload,
        repeat_window=keys.repeat_window,
        stream=stream(keys.kafka),
    )


def _metadata(keys: MetadataKeys) -> MetadataSchema:
    return MetadataSchema(
        channels=keys.channels,
        recipients=keys.recipients or (),
        clusters=keys.clusters or (),
        to=keys.to or (),
        email_attachments=keys.email_attachments or (),
        email_carbon_copies=keys.email_carbon_copies or (),
        email_blind_carbon_copies=keys.email_blind_carbon_copies or (),
        message_title=keys.message_title,
        message_content=keys.message_content,
        template_id=keys.template_id,
        email_sender=keys.email_sender,
    )


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(text)
