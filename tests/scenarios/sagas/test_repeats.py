"""A command that comes again within the window is answered and told as the first, not sent."""

from __future__ import annotations

from pathlib import Path

import httpx
import trio

from carillon.messages.model import Document, JsonValue
from tests.neighbours.flow_manager import FlowManager
from tests.neighbours.http import Answer
from tests.scenarios.neighbourhood import ADA_ID
from tests.scenarios.sagas.saga_desk import TEXT, SagaDesk, carried_out, refused, saga_desk, told

SMS: Document = {"channels": "sms", "recipients": ADA_ID, **TEXT}
WINDOW: Document = {"repeatWindow": "1m"}


def replayed(answer: httpx.Response, first: httpx.Response) -> bool:
    carried_out(answer)
    assert answer.headers["Dispatch-Id"] == first.headers["Dispatch-Id"]
    said: str = answer.headers.get("Idempotency-Replayed", "")
    return said == "true"


async def test_a_repeated_command_sends_nothing_and_tells_the_same_again(tmp_path: Path) -> None:
    async with saga_desk(tmp_path, flow=WINDOW) as at:
        first = await at.command("S-1", SMS)
        second = await at.command("S-1", dict(reversed(SMS.items())))
        assert replayed(second, first)
        assert not replayed(first, first)
        assert len(at.around.calls("sms")) == 1
        one, other = at.flow_manager.events
    assert one == other  # the same event, marked as a repeat by its Idempotency-Key
    assert at.flow_manager.labels("S-1") == ["done"]


async def test_another_key_label_or_payload_is_another_command(tmp_path: Path) -> None:
    async with saga_desk(tmp_path, flow=WINDOW) as at:
        for key, label, title in (
            ("S-1", "tell", "Title"),
            ("S-2", "tell", "Title"),
            ("S-1", "warn", "Title"),
            ("S-1", "tell", "Other"),
        ):
            answer = await at.command(key, {**SMS, "title": title}, label)
            assert "Idempotency-Replayed" not in answer.headers
        assert len(at.around.calls("sms")) == 4


async def test_without_a_window_every_command_is_sent(tmp_path: Path) -> None:
    async with saga_desk(tmp_path) as at:
        for _ in range(2):
            carried_out(await at.command("S-1", SMS))
        assert len(at.around.calls("sms")) == 2
    assert [label for _, label, _ in told(at)] == ["done", "done"]


async def test_after_the_window_it_is_sent_again(tmp_path: Path) -> None:
    async with saga_desk(tmp_path, flow={"repeatWindow": "50ms"}) as at:
        first = await at.command("S-1", SMS)
        await trio.sleep(0.06)
        second = await at.command("S-1", SMS)
        assert first.headers["Dispatch-Id"] != second.headers["Dispatch-Id"]
        assert len(at.around.calls("sms")) == 2


async def test_one_that_was_refused_is_looked_at_again(tmp_path: Path) -> None:
    async with saga_desk(tmp_path, flow=WINDOW) as at:
        for _ in range(2):
            refused(await at.command("S-1", {**SMS, "channels": "fax"}), 400)
    assert at.flow_manager.labels("S-1") == ["failed", "failed"]


async def together(at: SagaDesk, count: int, payload: JsonValue) -> list[httpx.Response]:
    answers: list[httpx.Response] = []

    async def one() -> None:
        answers.append(await at.command("S-1", payload))

    async with trio.open_nursery() as nursery:
        for _ in range(count):
            nursery.start_soon(one)
    return answers


async def test_repeats_at_the_same_time_wait_for_the_first(tmp_path: Path) -> None:
    async with saga_desk(tmp_path, flow=WINDOW) as at:
        at.around.sms.answers.append(Answer(200, delay=0.2))
        answers = await together(at, 5, SMS)
        assert len({answer.headers["Dispatch-Id"] for answer in answers}) == 1
        assert sum("Idempotency-Replayed" in answer.headers for answer in answers) == 4
        assert len(at.around.calls("sms")) == 1
    assert at.flow_manager.labels("S-1") == ["done"]


async def test_a_repeat_while_the_event_waits_is_told_once_it_was_accepted(
    tmp_path: Path,
) -> None:
    async with saga_desk(
        tmp_path,
        flow={**WINDOW, "respondWithin": "500ms"},
        flow_manager=FlowManager(is_down=True),
    ) as at:
        first = await at.command("S-1", SMS)
        assert replayed(await at.command("S-1", SMS), first)
        at.flow_manager.is_down = False
        await at.until_told()
        assert len(at.around.calls("sms")) == 1
    assert at.flow_manager.labels("S-1") == ["done"]


async def test_a_repeat_is_known_without_events(tmp_path: Path) -> None:
    async with saga_desk(tmp_path, flow={**WINDOW, "serviceUrl": None}) as at:
        first = await at.command("S-1", SMS)
        assert replayed(await at.command("S-1", SMS), first)
        assert len(at.around.calls("sms")) == 1
