"""Composing a slice: others have their turn, and what takes long is done elsewhere."""

from __future__ import annotations

import threading

import pytest
import trio

from carillon.dispatches.compose import Composer
from carillon.dispatches.render import Texts, plain_source
from carillon.handlebars import Engine, Helper, Limits
from carillon.messages.json_input import JsonText
from carillon.messages.model import (
    Channel,
    Delivery,
    Document,
    MailExtras,
    Receipt,
    Recipient,
    TextContent,
    UserFields,
    delivery_id,
)

HEAVY = "{{#each user.list}}{{#each @root.user.list}}{{this}}{{/each}}{{/each}}"


def composer(text: str, data: object = None, **helpers: Helper) -> Composer:
    engine = Engine(helpers, Limits(milliseconds=50))
    texts = Texts(engine, plain_source("T", text), ["sms"], data)  # type: ignore[arg-type]
    return Composer("d", texts, {}, UserFields(), MailExtras())


def recipients(number: int, **more: object) -> list[Recipient]:
    users: list[Document] = [
        {"_id": str(at), "phoneNumber": "+390212345678", "name": f"user {at}", **more}  # type: ignore[dict-item]
        for at in range(number)
    ]
    return [Recipient(str(user["_id"]), str(user["_id"]), user) for user in users]


def texts(items: object) -> list[str]:
    assert isinstance(items, list)
    return [
        one.content.text
        for one in items
        if isinstance(one, Delivery) and isinstance(one.content, TextContent)
    ]


@pytest.mark.slow
async def test_others_have_their_turn_while_a_page_is_composed() -> None:
    turns = 0

    async def take_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(take_turns)
        made = await composer("{{user.name}} " + "{{user.name}}" * 300).compose_all(
            "sms", recipients(1000)
        )
        nursery.cancel_scope.cancel()
    assert len(texts(made)) == 1000
    assert turns > 3


async def test_what_takes_long_is_rendered_in_a_thread_and_in_order() -> None:
    threads = set[str]()

    def noted(_call: object, value: object) -> object:
        threads.add(threading.current_thread().name)
        return value

    text = "{{noted user.name}}{{#each user.list}}{{../user.name}}{{this}}{{/each}}"
    one = composer(text, noted=noted)
    short = await one.compose_all("sms", recipients(2, list=[]))
    assert threads == {threading.current_thread().name}
    long = await one.compose_all("sms", recipients(5, list=list(range(3000))))
    assert [text[:6] for text in texts(short)] == ["user 0", "user 1"]
    assert [text[:6] for text in texts(long)] == [f"user {at}" for at in range(5)]
    assert len(threads) == 2


async def test_a_text_that_takes_too_long_fails_for_its_user_alone() -> None:
    one = composer(HEAVY + "{{user.name}}")
    people = [*recipients(1, list=list(range(440))), *recipients(1, list=[1])]
    failed, sent = await one.compose_all("sms", people)
    assert isinstance(failed, Receipt)
    assert (failed.outcome, failed.reason) == ("failed", "not-renderable")
    assert "longer than 50 ms" in failed.error
    assert isinstance(sent, Delivery)


@pytest.mark.parametrize("size", [10, 100_000])
async def test_data_that_is_kept_as_text_is_there_when_it_is_used(size: int) -> None:
    data = JsonText(b'{"word": "' + b"a" * size + b'"}')
    one = composer("{{data.word}} for {{user.name}}", data)
    for _ in range(2):
        made = await one.compose_all("sms", recipients(3))
        assert texts(made) == [f"{'a' * size} for user {at}" for at in range(3)]


@pytest.mark.parametrize(("user_id", "key"), [("", "k1"), ("", ""), ("ada", "")])
async def test_a_user_with_an_empty_id_is_a_failure(user_id: str, key: str) -> None:
    document: Document = {"_id": key, "phoneNumber": "+390212345678"}
    items = [Recipient(user_id, key, document), *recipients(1)]
    first, second = await composer("Hi").compose_all("sms", items)
    assert isinstance(first, Receipt)
    assert (first.user_id, first.outcome, first.reason) == (user_id, "failed", "user-not-found")
    assert first.error == "The user has an empty id"
    assert isinstance(second, Delivery)


async def test_what_a_slice_shares_is_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    renderer = Texts.renderer

    def asking(self: Texts, channel: Channel, *, short: bool = False) -> object:
        asked.append(channel)
        return renderer(self, channel, short=short)

    monkeypatch.setattr(Texts, "renderer", asking)
    one = composer("{{user.name}}")
    made = await one.compose_all("sms", recipients(100))
    assert texts(made) == [f"user {at}" for at in range(100)]
    assert asked == ["sms"]


def test_a_delivery_keeps_its_id_whatever_its_key() -> None:
    """A provider that recognises repeats knows it again, over versions too."""
    assert delivery_id("d", "sms", "user/a") == "8c72613d0ab93b1dececd7865fb66b7a"
    assert delivery_id("d", "sms", "user/\ud800") == "e07003456a76560c87523e16c1c78755"
