"""A command with an `Idempotency-Key` is carried out once, and answered and told as the first."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
import trio

from carillon.messages.model import Document
from tests.scenarios.neighbourhood import ADA_ID
from tests.scenarios.sagas.saga_desk import TEXT, SagaDesk, refused, saga_desk
from tests.scenarios.sagas.test_repeats import SMS, WINDOW, replayed


async def named(at: SagaDesk, payload: Document, name: str = "k-1") -> httpx.Response:
    return await at.command("S-1", payload, Idempotency_Key=name)


async def test_a_repeat_sends_nothing_and_tells_the_same_again(tmp_path: Path) -> None:
    async with saga_desk(tmp_path) as at:
        first = await named(at, SMS)
        assert replayed(await named(at, SMS), first)
        assert len(at.around.calls("sms")) == 1
        one, other = at.flow_manager.events
    assert one == other
    assert at.flow_manager.labels("S-1") == ["done"]


async def test_another_command_with_the_same_key_is_refused(tmp_path: Path) -> None:
    async with saga_desk(tmp_path) as at:
        await named(at, SMS)
        refused(await named(at, {**SMS, "title": "Other"}), 422, "Idempotency-Key")
        assert len(at.around.calls("sms")) == 1
    assert at.flow_manager.labels("S-1") == ["done", "failed"]


async def test_each_key_is_a_command_of_its_own_whatever_the_window(tmp_path: Path) -> None:
    async with saga_desk(tmp_path, flow=WINDOW) as at:
        for name in ("k-1", "k-2"):
            answer = await named(at, SMS, name)
            assert "Idempotency-Replayed" not in answer.headers
        assert len(at.around.calls("sms")) == 2


async def test_many_at_once_are_one(tmp_path: Path) -> None:
    async with saga_desk(tmp_path) as at:
        answers: list[httpx.Response] = []

        async def one() -> None:
            answers.append(await named(at, SMS))

        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(one)
        assert len({answer.headers["Dispatch-Id"] for answer in answers}) == 1
        assert len(at.around.calls("sms")) == 1


async def test_what_was_refused_is_not_remembered(tmp_path: Path) -> None:
    async with saga_desk(tmp_path) as at:
        refused(await named(at, {**SMS, "channels": "fax"}), 400)
        assert (await named(at, SMS)).status_code == 200


async def test_a_key_expires(tmp_path: Path) -> None:
    async with saga_desk(tmp_path, idempotency={"expiry": "300ms"}) as at:
        first = await named(at, SMS)
        await trio.sleep(0.35)
        second = await named(at, SMS)
        assert first.headers["Dispatch-Id"] != second.headers["Dispatch-Id"]


@pytest.mark.parametrize("name", ["", '"', "a b", "x" * 256])
async def test_what_is_no_key_is_refused(tmp_path: Path, name: str) -> None:
    async with saga_desk(tmp_path) as at:
        refused(await named(at, {"recipients": ADA_ID, **TEXT}, name), 400, "Idempotency-Key")
        assert at.around.calls("sms") == []


async def test_of_a_refusal_its_saga_is_told_once(tmp_path: Path) -> None:
    async with saga_desk(tmp_path) as at:
        first = await named(at, {**SMS, "channels": "fax"})
        with trio.fail_after(5):  # nobody waits for an event that was accepted
            second = await named(at, {**SMS, "channels": "fax"})
        assert (second.status_code, second.json()) == (400, first.json())
        assert len(await at.events()) == 1
        refused(await named(at, {**SMS, "channels": "fax"}, "k-2"), 400)
        refused(await named(at, {**SMS, "channels": "telex"}), 400)
        assert len(await at.events()) == 3
    assert at.flow_manager.labels("S-1") == ["failed"] * 3


async def test_refusals_at_once_of_one_key_are_told_once(tmp_path: Path) -> None:
    async with saga_desk(tmp_path) as at, trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(named, at, {**SMS, "channels": "fax"})
    assert at.flow_manager.labels("S-1") == ["failed"]


async def test_of_a_refusal_with_a_key_that_expired_its_saga_is_told_anew(tmp_path: Path) -> None:
    async with saga_desk(tmp_path, idempotency={"expiry": "300ms"}) as at:
        for count in (1, 2, 3):
            refused(await named(at, {**SMS, "channels": "fax"}), 400)
            assert len(await at.events()) == count
            await trio.sleep(0.35)


async def test_what_is_refused_with_the_key_of_another_command_is_told_once(
    tmp_path: Path,
) -> None:
    async with saga_desk(tmp_path) as at:
        await named(at, SMS)
        for _ in range(2):
            refused(await named(at, {**SMS, "title": "Other"}), 422, "Idempotency-Key")
    assert at.flow_manager.labels("S-1") == ["done", "failed"]
