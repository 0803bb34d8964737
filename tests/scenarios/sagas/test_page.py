"""What docs/sagas.md shows works as it stands there."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Final

from carillon.messages.model import Document
from carillon.settings import StreamSettings, advice, from_document
from tests.sagas.function_files import loaded
from tests.scenarios.sagas.saga_desk import carried_out, saga_desk
from tests.scenarios.sagas.test_examples import BUYER, NOTE, VISIT

PAGE: Final = (Path(__file__).parents[3] / "docs" / "sagas.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def shown(beginning: str) -> Document:
    """The JSON block that begins like this; a bare key makes it a part of an object."""
    (text,) = (block for block in blocks("json") if block.startswith(beginning))
    whole = text if text.startswith("{") else f"{{{text}}}"
    found: Document = json.loads(whole)
    return found


async def test_the_walk_through(tmp_path: Path) -> None:
    configuration = shown('{\n  "activeChannels": ["email", "sms"]')
    flow = configuration["flowManagerConfiguration"]
    fields = configuration["userFields"]
    assert isinstance(flow, dict)
    assert isinstance(fields, dict)
    schema = flow.pop("metadataSchema")
    assert isinstance(schema, dict)
    del flow["serviceUrl"]
    command = shown('{"key": "ORD-42", "value": {"messageLabel": "notifyBuyer"')
    async with saga_desk(
        tmp_path,
        users=[BUYER],
        templates=[NOTE],
        paths=schema,
        flow=flow,
        userFields={**fields, "emailAddress": "mail"},
        activeChannels=configuration["activeChannels"],
        sender=configuration["sender"],
    ) as at:
        carried_out(await at.post(command))
        (event,) = at.server.requests
    assert event.json() == shown('{"key": "ORD-42", "value": {"messageLabel": "notificationSent"')


async def test_the_functions(tmp_path: Path) -> None:
    (python,), (javascript,) = blocks("python"), blocks("js")
    (tmp_path / "functions.py").write_text(python)
    (tmp_path / "getData.js").write_text(javascript)
    for file in ("functions.py", "getData.js"):
        async with loaded(tmp_path / "functions.py", tmp_path / file) as functions:
            data = await functions.data(VISIT)
            assert data is not None
            assert data["amount"] == "7.00"
            assert await functions.template_id(VISIT) == "visit-moved"


def test_the_chapter_on_kafka() -> None:
    (shell,) = (block for block in blocks("sh") if block.startswith("KAFKA_BROKERS"))
    environ = dict(line.split("=", 1) for line in shell.splitlines())
    neighbours = {"MAIL_SERVICE_NAME": "mail", "SMS_SERVICE_NAME": "sms"}
    found = from_document(shown('{"activeChannels": ["email", "sms"]'), {**environ, **neighbours})

    assert found.warnings == ()
    assert found.kafka is not None
    assert found.kafka.connection.brokers == ("kafka-1:9092", "kafka-2:9092")
    assert found.flow_manager is not None
    assert found.flow_manager.stream == StreamSettings(
        "saga-commands", "saga-events", "messaging", ("notifyBuyer",)
    )
    assert not [line for line in advice(found) if "flowManagerConfiguration" in line]
