from __future__ import annotations

from pydantic import JsonValue

from tests.cli.operated import documents, run
from tests.neighbours.http import Answer, Request, json_answer, mia_error, serve

SMS: JsonValue = {
    "name": "sms",
    "state": "quarantined",
    "restarts": {"recent": 11, "most": 10, "window": "1m", "total": 14},
    "mailbox": {"depth": 1200, "bound": 2000, "parked": 3},
    "workerCounts": {"idle": 18, "working": 1, "restarting": 1},
    "workers": [
        {
            "number": 0,
            "state": "working",
            "deliveryId": "d-1",
            "provider": "sms-service",
            "heldFor": 41.0,
            "stuck": True,
        },
        {
            "number": 7,
            "state": "restarting",
            "deliveryId": None,
            "provider": None,
            "heldFor": None,
            "stuck": False,
        },
    ],
}


async def answer(request: Request) -> Answer:
    match request.method, request.path:
        case "GET", "/supervisor":
            return json_answer({"channels": [SMS]})
        case "POST", "/supervisor/channels/sms/revive":
            assert isinstance(SMS, dict)
            return json_answer({**SMS, "state": "running"})
    return mia_error(404, "The channel is not active")


async def test_channels_are_a_table() -> None:
    async with serve(answer) as server:
        result = await run(server.url, "supervisor", "show")
    header, row = result.stdout.splitlines()
    assert header.split() == ["channel", "state", "crashes", "mailbox", "parked", "workers"]
    assert " ".join(row.split()) == (
        "sms quarantined 11 of 10 in 1m, 14 in all 1,200/2,000 3 "
        "18 idle, 1 working, 1 restarting, 1 of them stuck"
    )


async def test_what_workers_hold_is_shown_when_asked_for() -> None:
    async with serve(answer) as server:
        result = await run(server.url, "supervisor", "show", "--workers")
    assert [line.split() for line in result.stdout.splitlines()[-2:]] == [
        ["sms", "0", "stuck", "d-1", "sms-service", "41s"],
        ["sms", "7", "restarting"],
    ]


async def test_json_is_a_channel_a_line() -> None:
    async with serve(answer) as server:
        result = await run(server.url, "supervisor", "show", "--json")
    assert documents(result) == [SMS]


async def test_a_channel_is_revived() -> None:
    async with serve(answer) as server:
        result = await run(server.url, "supervisor", "revive", "sms")
        inactive = await run(server.url, "supervisor", "revive", "voice")
        unknown = await run(server.url, "supervisor", "revive", "fax")
    assert result.stdout == "sms is running.\n"
    assert [request.method for request in server.requests] == ["POST", "POST"]
    assert inactive.exit_code == 2
    assert "answered 404: The channel is not active" in inactive.stderr
    assert unknown.exit_code == 2
