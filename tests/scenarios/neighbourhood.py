"""A running service with every neighbour on a socket: what a scenario sends, and what each one saw.

async with neighbourhood(tmp_path, users=[ADA], mail=MailService(Answer(503))) as at:
    accepted(await at.send(recipients=[ADA_ID]))
    at.mail.mails, at.calls("mail"), at.crud.queries, at.outcomes()
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, Literal, cast
from uuid import UUID

import httpx
import trio

from carillon.messages.events import DeliveryEnded
from carillon.messages.model import CHANNELS, Document, JsonValue
from tests.neighbours.crud import CrudService, fastify_error
from tests.neighbours.crud_collection import Collection
from tests.neighbours.fcm import Fcm
from tests.neighbours.file_service import StandInFiles
from tests.neighbours.http import Answer, Handler, Request, Server, serve
from tests.neighbours.kaleyra import Kaleyra
from tests.neighbours.mail_service import MailService
from tests.neighbours.sms_service import SmsService
from tests.running import SENDERS, Running, running

Neighbour = Literal["crud", "files", "mail", "sms", "voice", "push"]
Failures = list[dict[str, str]]

_QUICK: Final[Document] = {
    "retry": {"attempts": 2, "firstDelay": "10ms", "maxDelay": "20ms"},
    "breaker": {"failures": 1000},
}


def numbered(number: int) -> str:
    """The ObjectId of this number, as the stand-in counts them."""
    return f"{number:024x}"


ADA_ID: Final = numbered(1)
ADA: Final[Document] = {
    "_id": ADA_ID,
    "name": "Ada",
    "emailAddress": "ada@example.com",
    "phoneNumber": "+39 333 123-4567",
    "deviceToken": "token-ada",
    "clusters": ["staff"],
}
ANGELO_ID: Final = numbered(2)
ANGELO: Final[Document] = {
    "_id": ANGELO_ID,
    "name": "D'Angelo & <b>",
    "emailAddress": "angelo@example.com",
    "phoneNumber": "+393337654321",
    "deviceToken": "token-angelo",
    "clusters": ["staff"],
}


def people(count: int, every: int = 1, **same: JsonValue) -> list[Document]:
    """Members of `all`; every so many of them have a number and an address."""
    users: list[Document] = []
    for number in range(count):
        user: Document = {"_id": numbered(number), "clusters": ["all"], **same}
        if number % every == 0:
            user["emailAddress"] = f"u{number}@example.com"
            user["phoneNumber"] = f"+39333{number:07}"
        users.append(user)
    return users


class Crud(CrudService):
    """The CRUD Service with more faults: after `good` lists come `faults` that fail.

    While `is_down` says so every list fails.
    """

    def __init__(self, *, string_ids: bool = False) -> None:
        super().__init__(
            Collection("users", string_ids=string_ids),
            Collection("message_templates", any_id=True),
        )
        self.good = self.faults = float("inf")
        self.is_down: Callable[[], bool] = lambda: False

    @property
    def lists(self) -> list[Request]:
        """The lists of users that were asked for."""
        return [request for request in self.requests if request.path == "/users/"]

    async def answer(self, request: Request) -> Answer:
        fails = self.is_down() or self.good < len(self.lists) <= self.good + self.faults
        if request.path == "/users/" and fails:
            return fastify_error(500, "no database")
        return await super().answer(request)


def asked_ids(value: JsonValue) -> Iterator[str]:
    """Every value of every `$in` of a query."""
    if isinstance(value, dict):
        listed = value.get("$in")
        yield from (str(one) for one in listed) if isinstance(listed, list) else ()
        for part in value.values():
            yield from asked_ids(part)
    elif isinstance(value, list):
        for part in value:
            yield from asked_ids(part)


@dataclass
class Neighbourhood:
    """The service and all that it speaks to."""

    service: Running
    servers: Mapping[Neighbour, Server]
    crud: Crud
    files: StandInFiles
    mail: MailService
    sms: SmsService
    voice: Kaleyra
    push: Fcm

    async def send(self, *channels: str, **body: object) -> httpx.Response:
        """Post a dispatch over these channels, over email when there are none."""
        return await self.service.send(channels=list(channels) or ["email"], **body)

    def calls(self, neighbour: Neighbour) -> list[Request]:
        """What a neighbour was asked, in order."""
        return self.servers[neighbour].requests

    def bodies(self, neighbour: Neighbour) -> list[JsonValue]:
        """The JSON that it was sent."""
        return [request.json() for request in self.calls(neighbour)]

    def body(self, neighbour: Neighbour) -> Document:
        """The JSON object of the only call."""
        (value,) = self.bodies(neighbour)
        return cast("Document", value)

    def outcomes(self) -> dict[tuple[str, str], tuple[str, str]]:
        """Outcome and reason by user id and channel."""
        return self.service.outcomes()

    def attempts(self) -> list[int]:
        """How many attempts each delivery that ended took."""
        ended = [event for event in self.service.events if isinstance(event, DeliveryEnded)]
        return [event.receipt.attempts for event in ended]

    @property
    def silent(self) -> bool:
        """Whether nothing was sent to anybody."""
        return not any(self.calls(name) for name in ("mail", "sms", "voice", "push"))


def accepted(answer: httpx.Response, *failures: dict[str, str]) -> None:
    """Check a whole answer of 200: its id, and exactly these failures in any order."""
    assert answer.status_code == 200, answer.text
    assert list(answer.json()) == ["failures"]
    assert sorted(answer.json()["failures"], key=str) == sorted(failures, key=str)
    assert str(UUID(answer.headers["Dispatch-Id"])) == answer.headers["Dispatch-Id"]
    assert answer.headers["Content-Type"].startswith("application/json")
    for name in ("Deliveries-Pending", "Failures-Total", "Location", "Retry-After"):
        assert name not in answer.headers


def failure(user_id: str, channel: str, error: str) -> dict[str, str]:
    """One entry of `failures`, whole."""
    return {"userId": user_id, "channel": channel, "error": error}


def refused(answer: httpx.Response, status: int, *words: str) -> None:
    """Check a whole error: its shape, its headers, and the words that must stand in it."""
    phrase = {400: "Bad request", 503: "Service unavailable"}[status]
    body = answer.json()
    assert answer.status_code == status, answer.text
    assert list(body) == ["statusCode", "error", "message"]
    assert (body["statusCode"], body["error"]) == (str(status), phrase)
    for word in words:
        assert word in body["message"], body["message"]
    assert "127.0.0.1" not in body["message"]
    assert answer.headers.get("Retry-After") == ("5" if status == 503 else None)
    assert "Dispatch-Id" not in answer.headers


async def listen(handler: Handler, port: int = 0, *, task_status: trio.TaskStatus[Server]) -> None:
    """Serve in a task of its own, so that a server may be stopped while the scenario goes on."""
    async with serve(handler, port) as server:
        task_status.started(server)
        await trio.sleep_forever()


@asynccontextmanager
async def neighbourhood(
    folder: Path,
    *,
    users: Sequence[Document] = (ADA,),
    templates: Sequence[Document] = (),
    string_ids: bool = False,
    mail: MailService | None = None,
    sms: SmsService | None = None,
    voice: Kaleyra | None = None,
    push: Fcm | None = None,
    providers: Mapping[str, Document] | None = None,
    environ: Mapping[str, str] | None = None,
    **changes: JsonValue,
) -> AsyncIterator[Neighbourhood]:
    """The service among its neighbours. `changes` are keys of the configuration.

    `providers` go over sections with short retries and no breaker, `environ` over an environment
    that names every neighbour; an empty variable counts as unset.
    """
    crud, files = Crud(string_ids=string_ids), StandInFiles()
    for user in users:
        crud.users.add(user)
    for template in templates:
        crud.templates.add(template)
    mail, sms = mail or MailService(), sms or SmsService()
    voice, push = voice or Kaleyra(), push or Fcm()
    handlers: Mapping[Neighbour, Callable[[Request], Awaitable[Answer]]] = {
        "crud": crud.answer,
        "files": files.answer,
        "mail": mail,
        "sms": sms,
        "voice": voice,
        "push": push,
    }
    async with trio.open_nursery() as nursery:
        servers: dict[Neighbour, Server] = {}
        for name, handler in handlers.items():
            servers[name] = await nursery.start(partial(listen, handler))
        crud.server, crud.url = servers["crud"], servers["crud"].url
        files.server, files.url = servers["files"], servers["files"].url
        credentials = folder / "account.json"
        credentials.write_text(push.credentials(servers["push"].url))
        configuration = _configuration(servers["push"].url, providers or {}, changes)
        surroundings = _environ(servers, credentials) | dict(environ or {})
        async with running(folder, configuration, environ=surroundings) as service:
            yield Neighbourhood(service, servers, crud, files, mail, sms, voice, push)
        nursery.cancel_scope.cancel()


def _configuration(
    push_url: str, providers: Mapping[str, Document], changes: Mapping[str, JsonValue]
) -> Document:
    sections: dict[str, JsonValue] = {
        "mail-service": _QUICK,
        "sms-service": _QUICK,
        "kaleyra": _QUICK,
        "firebase": {**_QUICK, "url": push_url},
    }
    for name, section in providers.items():
        base = sections.get(name)
        sections[name] = {**(base if isinstance(base, dict) else {}), **section}
    return {
        "activeChannels": list(CHANNELS),
        "sender": SENDERS,
        "directory": {"attempts": 2},
        "providers": sections,
        **changes,
    }


def _environ(servers: Mapping[Neighbour, Server], credentials: Path) -> dict[str, str]:
    return {
        "CRUD_SERVICE_URL": servers["crud"].url,
        "USERS_CRUD_NAME": "users",
        "TEMPLATES_CRUD_NAME": "message_templates",
        "FILE_SERVICE_URL": servers["files"].url,
        "MAIL_SERVICE_URL": servers["mail"].url,
        "SMS_SERVICE_URL": servers["sms"].url,
        "KALEYRA_API_BASE_URL": servers["voice"].url,
        "KALEYRA_API_KEY": "key-1",
        "KALEYRA_SID": "SID1",
        "GOOGLE_APPLICATION_CREDENTIALS": str(credentials),
    }
