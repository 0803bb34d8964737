"""Our own providers keep the published contract, and each breach of it is found."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Final

import pytest
import trio

from carillon.http_client.ports import Started, Wire
from carillon.messages.model import Accepted, Attempt, Delivery, Refused, Unanswered, Unavailable
from carillon.providers.config import BuildContext
from carillon.providers.ports import Provider
from carillon.providers.registry import TYPES
from carillon.settings import from_document
from carillon.settings.file.opening import read_start
from carillon.testing import CHECKS, Answer, Check, Received, Subject, mail, push, text
from carillon.testing import contract as they
from tests.neighbours.fcm import Fcm
from tests.providers.test_kafka2firebase import FakeHandovers

KEY: Final = "sk-of-our-account-1234567890"
SECTIONS: Final[Mapping[str, tuple[str, Mapping[str, object]]]] = {
    "mail-service": ("email", {}),
    "ses": (
        "email",
        {
            "region": "eu-south-1",
            "credentials": {"accessKeyId": "AKIA0", "secretAccessKey": "s", "sessionToken": KEY},
        },
    ),
    "sms-service": ("sms", {}),
    "twilio": ("sms", {"credentials": {"accountSid": f"AC{0:032x}", "authToken": KEY}}),
    "vonage": ("sms", {"credentials": {"apiKey": "account", "apiSecret": KEY}}),
    "kaleyra": ("voice", {"credentials": {"sid": "HX1", "apiKey": KEY}}),
    "http": (
        "sms",
        {
            "channels": ["sms"],
            "secrets": ["KEY"],
            "auth": {"user": "api", "password": "{{secret.KEY}}"},
            "json": {"to": "{{to}}", "text": "{{text}}"},
            "accepted": {"messageId": "/id"},
        },
    ),
}
ACCEPTING: Final = {
    "twilio": (201, '{"sid": "SM%d", "status": "queued"}'),
    "vonage": (200, '{"messages": [{"status": "0", "message-id": "m-%d"}]}'),
    "ses": (200, '{"MessageId": "m-%d"}'),
    "firebase": (200, '{"name": "projects/p/messages/%d"}'),
}


def accepting(name: str) -> Callable[[Received], Answer]:
    """A service that takes all, under ids that no other message has."""
    status, body = ACCEPTING.get(name, (200, '{"id": "m-%d"}'))
    numbers = count()
    return lambda _: Answer(status, (body % next(numbers)).encode())


def subject(name: str) -> Subject:
    """A provider of ours as a configuration makes it."""
    channel, keys = SECTIONS[name]

    def make(url: str, wire: Wire) -> Provider:
        document = {
            "activeChannels": [channel],
            "sender": {channel: "shop@example.com"},
            "channels": {channel: {"providers": [name]}},
            "providers": {name: {"url": url, **keys}},
        }
        settings = from_document(json.loads(json.dumps(document)), {"KEY": KEY})
        context = BuildContext(name, wire, FakeHandovers(), read_start)
        return settings.providers[name].config.build(context)

    messages = (mail(), mail(html=True)) if channel == "email" else (text(channel),)  # type: ignore[arg-type]
    secrets = (KEY,) if KEY in repr(keys) or name == "http" else ()
    return Subject(make, messages, secrets, accepting(name))


@pytest.mark.slow
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", SECTIONS)
async def test_a_provider_of_ours_keeps_it(name: str, check: Check) -> None:
    await check(subject(name))


@pytest.mark.slow
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_firebase_keeps_it_after_it_had_a_token(check: Check, tmp_path: Path) -> None:
    token = "token-of-our-account"

    def make(url: str, wire: Wire) -> Provider:
        file = tmp_path / "account.json"
        file.write_text(Fcm().credentials(url))
        config = TYPES["firebase"].model_validate({"type": "firebase", "url": url})
        completed = config.model_copy(
            update={"credentials": config.credentials.model_copy(update={"file": file})}
        )
        return completed.build(BuildContext("firebase", wire, FakeHandovers(), read_start))

    def prepares(request: Received) -> Answer | None:
        if "/messages:send" in request.target:
            return None
        return Answer(200, json.dumps({"access_token": token, "expires_in": 3600}).encode())

    await check(Subject(make, (push(),), (token,), accepting("firebase"), prepares))


def silent() -> float:
    return trio.current_time() + 5


@dataclass
class Careless:
    """A provider with one fault: what a check has to find."""

    fault: str
    url: str
    wire: Wire
    calls: int = 0
    broken: bool = False

    async def send(self, delivery: Delivery, started: Started) -> Attempt:
        if self.fault == "starts early":
            started()
        if self.fault == "twice":
            await self.wire.exchange("POST", self.url, {}, b"", started)
        if self.broken:
            raise RuntimeError("a lock is still held")
        self.broken = self.fault == "keeps a lock"
        headers = {"key": KEY, "to": delivery.address}
        silent: Started = lambda: trio.current_time() + 5  # noqa: E731
        quiet = self.fault in {"starts early", "never starts"}
        reply = await self.wire.exchange(
            "POST", self.url, headers, b"", silent if quiet else started
        )
        self.broken = False
        status = getattr(reply, "status", 0)
        if self.fault == "raises" and status == 418:
            raise KeyError("message")
        if self.fault == "takes all" or 200 <= status < 300:
            return Accepted("two words" if self.fault == "odd id" else None)
        said = getattr(reply, "body", b"").decode(errors="replace")
        if status == 0:
            is_lost = "answer" in repr(reply) and self.fault != "no doubt"
            return Unanswered("lost") if is_lost else Unavailable("unsent")
        if status >= 500 or status == 429:
            wait = None if self.fault == "does not wait" else 7.0
            return Unavailable("down", wait, throttled=status == 429)
        return Refused(said if self.fault == "shows all" else "refused")

    def serialize_by(self, delivery: Delivery) -> str | None:
        self.calls += 1
        return str(self.calls) if self.fault == "other turns" else None

    async def aclose(self) -> None:
        await self.wire.aclose()


FAULTS: Final = {
    "starts early": they.without_a_connection_nothing_starts,
    "never starts": they.started_is_called_before_the_first_byte,
    "twice": they.started_is_called_before_the_first_byte,
    "keeps a lock": they.it_can_be_cancelled_at_every_await,
    "raises": they.every_failure_means_something,
    "takes all": they.every_failure_means_something,
    "odd id": they.an_accepted_message_is_accepted,
    "no doubt": they.a_lost_answer_is_in_doubt,
    "does not wait": they.a_wait_is_taken_from_the_answer,
    "shows all": they.no_error_shows_what_nobody_may_see,
    "other turns": they.deliveries_that_take_turns_agree_on_it,
}


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
async def test_a_fault_is_found_by_its_check(fault: str) -> None:
    def careless(fault: str) -> Subject:
        return Subject(lambda url, wire: Careless(fault, url, wire), (text(),), (KEY,))

    with pytest.raises((AssertionError, BaseExceptionGroup, KeyError)):
        await FAULTS[fault](careless(fault))
    await FAULTS[fault](careless("none"))


def test_every_check_is_in_the_list_and_says_what_it_holds() -> None:
    checks = [
        one
        for name, one in vars(they).items()
        if callable(one) and getattr(one, "__module__", "") == they.__name__ and one.__doc__
        if getattr(one, "__annotations__", {}).get("subject") == "Subject" and name[0] != "_"
    ]
    assert checks == [*CHECKS]
