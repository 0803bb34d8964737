"""A stand-in for the routes that operators use: remembers overrides, and answers as told."""

from __future__ import annotations

import json
from collections.abc import Sequence
from copy import deepcopy
from functools import partial

import trio
from click.testing import Result
from pydantic import JsonValue

from carillon.messages.model import Document
from tests.cli.command_line import invoke
from tests.neighbours.http import Answer, Request, json_answer, mia_error
from tests.running import Running

FILE: Document = {
    "concurrency": 20,
    "rate": [{"limit": 100, "per": "1m"}],
    "quota": None,
    "timeout": "30s",
    "retry": {"attempts": 8, "firstDelay": "500ms", "maxDelay": "1m"},
    "breaker": {"failures": 10, "cooldown": "30s"},
    "onUnknownOutcome": "hold",
    "weight": None,
    "paused": False,
    "draining": False,
}


def provider(name: str, **changes: JsonValue) -> Document:
    """A provider that has nothing to do."""
    return {
        "name": name,
        "type": "sms-service",
        "channels": ["sms"],
        "state": "running",
        "settings": {key: {"value": value, "source": "file"} for key, value in FILE.items()},
        "waiting": {"deliveries": 0, "oldest": 0.0, "why": None, "opensIn": None},
        "inFlight": 0,
        "rate": [{"limit": 100, "per": "1m", "used": 0}],
        "quota": None,
        "breaker": {"state": "closed", "failures": 0},
        "errors": [],
        **changes,
    }


class Operated:
    """What a service would tell; `answer` is the handler of a server."""

    def __init__(self, *providers: Document, refusal: str | None = None) -> None:
        self.providers = {str(one["name"]): one for one in providers}
        self.refusal = refusal
        self.at_next_start: Sequence[str] = ()
        self.others: dict[str, Answer] = {}
        self.patches: list[JsonValue] = []

    async def answer(self, request: Request) -> Answer:
        """One request."""
        if request.path in self.others:
            return self.others[request.path]
        if request.path == "/providers":
            configuration: Document = {
                "loadedAt": "2026-05-01T09:00:00Z",
                "error": self.refusal,
                "atNextStart": [*self.at_next_start],
            }
            known: list[JsonValue] = [*self.providers.values()]
            return json_answer({"configuration": configuration, "providers": known})
        name = request.path.split("/")[2]
        if name not in self.providers:
            return mia_error(404, f"There is no provider {name}")
        if request.method == "PATCH":
            return self._patch(name, request.json())
        if request.method == "DELETE":
            self.providers[name] = provider(name)
        return json_answer(self.providers[name])

    def _patch(self, name: str, patch: JsonValue) -> Answer:
        self.patches.append(patch)
        assert isinstance(patch, dict)
        if patch.get("concurrency") == 0:
            return mia_error(400, "concurrency: 0 is not allowed; it must be at least 1")
        changed = deepcopy(self.providers[name])
        settings = changed["settings"]
        assert isinstance(settings, dict)
        for key, value in patch.items():
            kept: JsonValue = {"value": FILE[key], "source": "file"}
            settings[key] = kept if value is None else {"value": value, "source": "override"}
        changed["state"] = "paused" if patch.get("paused") else "running"
        self.providers[name] = changed
        return json_answer(changed)


async def run(service: str | Running, *words: str) -> Result:
    """A command in this process, beside the server at an address or a service of this process."""
    environ = {"CARILLON_URL": service} if isinstance(service, str) else service.environ
    return await trio.to_thread.run_sync(partial(invoke, *words, **environ))


def documents(result: Result) -> Sequence[JsonValue]:
    """What a command printed, a document a line."""
    return [json.loads(line) for line in result.stdout.splitlines()]
