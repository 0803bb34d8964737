from __future__ import annotations

import pytest
from pydantic import JsonValue

from tests.cli.operated import documents, run
from tests.neighbours.http import Answer, Request, json_answer, serve


def entry(number: int) -> JsonValue:
    return {
        "at": f"2026-05-01T09:00:{number:02}Z",
        "who": "ada",
        "action": "changed",
        "provider": "sms-service",
        "before": {"concurrency": 20, "rate": []},
        "after": {"concurrency": number, "rate": [{"limit": 1, "per": "1s"}]},
    }


async def paged(request: Request) -> Answer:
    start = int(request.query.get("cursor", ["0"])[0])
    limit = min(3, int(request.query["limit"][0]))
    numbers = range(7)[start : start + limit]
    after = start + limit
    return json_answer(
        {"entries": [entry(n) for n in numbers], "next": str(after) if after < 7 else None}
    )


async def test_the_audit_tells_who_changed_what() -> None:
    async with serve(paged) as server:
        result = await run(server.url, "providers", "audit", "sms-service", "--limit", "2")
        everything = await run(server.url, "providers", "audit", "--json")
        some = await run(server.url, "providers", "audit", "--json", "--limit", "4")
    assert server.requests[0].query == {"provider": ["sms-service"], "limit": ["2"]}
    header, first, second = result.stdout.splitlines()
    assert header.split() == ["at", "who", "target", "action", "changed"]
    assert first.split() == [
        *["2026-05-01T09:00:00Z", "ada", "sms-service", "changed"],
        *["concurrency:", "20", "->", "0;", "rate:", "none", "->", "1/1s"],
    ]
    assert "09:00:01" in second
    assert documents(everything) == [entry(n) for n in range(7)]
    assert documents(some) == [entry(n) for n in range(4)]


DISPATCH = "57e6a1ee-6b56-41d3-bad4-edbf4911d5a3"


@pytest.mark.parametrize(
    ("action", "before", "after", "words"),
    [
        (
            "cancel",
            {"dispatch": DISPATCH, "state": "running"},
            {"dispatch": DISPATCH, "state": "cancelled"},
            f"dispatch {DISPATCH}  cancel  state: running -> cancelled",
        ),
        (
            "redrive",
            {"dispatch": DISPATCH, "state": "done"},
            {"dispatch": DISPATCH, "outcome": ["failed"]},
            f'dispatch {DISPATCH}  redrive  state: done -> none; outcome: none -> ["failed"]',
        ),
        (
            "revive",
            {"channel": "sms", "state": "quarantined"},
            {"channel": "sms", "state": "running"},
            "channel sms  revive  state: quarantined -> running",
        ),
        (
            "redrive-event",
            {"event": "e1", "state": "parked"},
            {"event": "e1", "state": "pending"},
            "event e1  redrive-event  state: parked -> pending",
        ),
    ],
)
async def test_what_was_changed_is_named(
    action: str, before: JsonValue, after: JsonValue, words: str
) -> None:
    told: JsonValue = {
        "at": "2026-05-01T09:00:00Z",
        "who": "ada",
        "action": action,
        "provider": None,
        "before": before,
        "after": after,
    }
    async with serve(json_answer({"entries": [told], "next": None})) as server:
        result = await run(server.url, "providers", "audit")
    [_, line] = result.stdout.splitlines()
    assert line.rstrip().endswith(words)
