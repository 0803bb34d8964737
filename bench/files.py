"""How many of our files one recipient passes, and how often the way leads into another file.

What a reader of the code opens and jumps between: the calls of one `POST /send` (`send`), of one
command of a saga until the Flow Manager has its event (`saga`), and of a start that takes up the
one delivery which a killed service left open (`recovery`), over SMS, the CRUD Service and SQLite.
"""

from __future__ import annotations

import json
import signal
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

import httpx
import trio

from bench.children import module
from bench.part import Options, Part
from bench.section import Bar, Row, Say, Section, table
from bench.services.traced import Entry
from bench.workload import SENDER, TEXT, address
from carillon.messages.model import Document
from tests.neighbours.crud import CrudService, crud_service
from tests.neighbours.flow_manager import FlowManager
from tests.neighbours.http import Answer, Request, serve
from tests.neighbours.sms_service import SmsService
from tests.process import Process, process

_MOST_FILES: Final = {"send": 55, "saga": 62}
_MOST_CHANGES: Final = {"send": 240, "recovery": 650}
_PATIENCE: Final = 30.0
_USERS: Final = 2
_PAIRS: Final = 12
_MESSAGE: Final[Document] = {"messageTitle": "Order", "messageContent": TEXT}
_SAGA: Final[Document] = {
    "successEventLabel": "sent",
    "failEventLabel": "failed",
    "metadataSchema": {
        "channels": "channels",
        "recipients": "recipients",
        "messageTitle": "messageTitle",
        "messageContent": "messageContent",
    },
}


class _Sms(SmsService):
    """The SMS service, which answers nobody while it is held."""

    def __init__(self, *, held: bool) -> None:
        super().__init__()
        self.asked = trio.Event()
        self.released = trio.Event()
        if not held:
            self.released.set()

    async def __call__(self, request: Request) -> Answer:
        """See `SmsService`."""
        self.asked.set()
        await self.released.wait()
        return await super().__call__(request)


@dataclass(frozen=True, slots=True)
class _Neighbours:
    """What the service speaks to, and the folder of its store."""

    folder: Path
    ids: Sequence[str]
    sms: _Sms
    flow_manager: FlowManager
    crud: CrudService
    configuration: Document

    def body(self, recipients: Sequence[str]) -> Document:
        """A dispatch over sms."""
        return {"channels": ["sms"], "recipients": list(recipients), **_MESSAGE}


@dataclass(frozen=True, slots=True)
class Traced:
    """How many files one way through the code passes, and how often it changes from one to another.

    `files` and `changes` are of the calls on the event loop; `all_files` and `all_changes` of those
    in other threads too, `first_changes` of the first call of each function. `pairs` are the files
    between which the loop changes most, and how often.
    """

    way: str
    files: int
    changes: int
    all_files: int
    all_changes: int
    first_changes: int
    pairs: Sequence[tuple[str, int]]


def _measure(_options: Options, folder: Path, say: Say) -> Section:
    """The three ways, each once."""
    say("tracing what one recipient passes")
    runs = []
    for name, way in _WAYS.items():
        (folder / name).mkdir()
        runs.append(trio.run(way, folder / name))
    return _section(runs)


async def _send(folder: Path) -> Traced:
    async with _neighbours(folder) as around, _service(around) as (it, client):
        (await client.post("/send", json=around.body(around.ids[1:2]))).raise_for_status()
        it.send_signal(signal.SIGUSR1)
        (await client.post("/send", json=around.body(around.ids[:1]))).raise_for_status()
        return await _traced("send", it, around)


async def _saga(folder: Path) -> Traced:
    async with _neighbours(folder) as around, _service(around) as (it, client):
        await _command(client, around, "S-1")
        it.send_signal(signal.SIGUSR1)
        await _command(client, around, "S-2")
        return await _traced("saga", it, around)


async def _command(client: httpx.AsyncClient, around: _Neighbours, key: str) -> None:
    before = len(around.flow_manager.events)
    value = {"messageLabel": "tell", "messagePayload": around.body(around.ids[:1])}
    answer = await client.post("/saga/send", json={"key": key, "value": value})
    answer.raise_for_status()
    with trio.fail_after(_PATIENCE):
        while len(around.flow_manager.events) == before:
            await trio.sleep(0.01)


async def _recovery(folder: Path) -> Traced:
    async with _neighbours(folder, held=True) as around:
        async with _service(around) as (it, client):
            headers = {"Prefer": "respond-async"}
            answer = await client.post("/send", json=around.body(around.ids[:1]), headers=headers)
            answer.raise_for_status()
            with trio.fail_after(_PATIENCE):
                await around.sms.asked.wait()
            it.kill()
            await it.wait()
        around.sms.released.set()
        async with _service(around, "now") as (it, client):
            with trio.fail_after(_PATIENCE):
                path = f"/dispatches/{answer.headers['Dispatch-Id']}"
                while (await client.get(path)).json()["state"] != "done":
                    await trio.sleep(0.02)
            return await _traced("recovery", it, around)


async def _traced(title: str, it: Process, around: _Neighbours) -> Traced:
    await trio.sleep(0.3)  # what is written behind the answer belongs to the way
    it.send_signal(signal.SIGUSR1)
    output = around.folder / "entries.json"
    with trio.fail_after(_PATIENCE):
        while not output.exists():
            await trio.sleep(0.01)
    calls: list[Entry] = json.loads(output.read_text())
    return traced(title, calls)


def traced(title: str, calls: Sequence[Entry]) -> Traced:
    """What calls come to."""
    loop = [file for file, _, is_loop in calls if is_loop]
    first = [file for file, _ in dict.fromkeys((file, name) for file, name, _ in calls)]
    everywhere = [file for file, _, _ in calls]
    pairs = Counter(" + ".join(sorted(change)) for change in _changes(loop))
    return Traced(
        title,
        files=len(set(loop)),
        changes=len(_changes(loop)),
        all_files=len(set(everywhere)),
        all_changes=len(_changes(everywhere)),
        first_changes=len(_changes(first)),
        pairs=pairs.most_common(_PAIRS),
    )


def _changes(files: Sequence[str]) -> list[tuple[str, str]]:
    return [(before, after) for before, after in pairwise(files) if before != after]


@asynccontextmanager
async def _service(
    around: _Neighbours, *more: str
) -> AsyncIterator[tuple[Process, httpx.AsyncClient]]:
    command = module("bench.services.traced", around.folder / "entries.json", *more)
    async with process(
        around.folder,
        around.configuration,
        command=command,
        CRUD_SERVICE_URL=around.crud.url,
        USERS_CRUD_NAME=around.crud.users.name,
    ) as (it, url):
        async with httpx.AsyncClient(base_url=url, timeout=_PATIENCE) as client:
            yield it, client


@asynccontextmanager
async def _neighbours(folder: Path, *, held: bool = False) -> AsyncIterator[_Neighbours]:
    users: list[Document] = [
        {"_id": f"{one:024x}", "phoneNumber": address(one), "name": "Ada", "order": "CX"}
        for one in range(_USERS)
    ]
    sms, flow_manager = _Sms(held=held), FlowManager()
    async with (
        crud_service(users=users) as crud,
        serve(sms) as sms_server,
        serve(flow_manager) as events,
    ):
        section: Document = {"url": sms_server.url, "onUnknownOutcome": "retry"}
        configuration: Document = {
            "activeChannels": ["sms"],
            "sender": {"sms": SENDER},
            "providers": {"sms-service": section},
            "flowManagerConfiguration": {"serviceUrl": events.url, **_SAGA},
        }
        ids = [str(user["_id"]) for user in users]
        yield _Neighbours(folder, ids, sms, flow_manager, crud, configuration)


_WAYS: Final = {"send": _send, "saga": _saga, "recovery": _recovery}


def _section(runs: Sequence[Traced]) -> Section:
    """Files and changes of file on each way, and the pairs whose merging would save most."""
    rows: list[Row] = [
        {
            "way": run.way,
            "files": run.files,
            "changes of file": run.changes,
            "files, all threads": run.all_files,
            "changes, all threads": run.all_changes,
            "changes, first calls only": run.first_changes,
            "most often between": ", ".join(f"{pair} {times}" for pair, times in run.pairs[:3]),
        }
        for run in runs
    ]
    bars = [
        Bar(f"{run.way}: {what}", figure, "at most", most[run.way])
        for run in runs
        for what, figure, most in (
            ("files", run.files, _MOST_FILES),
            ("changes of file", run.changes, _MOST_CHANGES),
        )
        if run.way in most
    ]
    title = "What a reader of the code passes with one recipient"
    return Section(title, [table(rows)], runs, bars)


PART: Final = Part("files", "how many of our files one recipient passes", lambda _: None, _measure)
