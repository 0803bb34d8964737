"""`carillon events` against a service whose Flow Manager refuses for a while."""

from __future__ import annotations

from pathlib import Path

from tests.cli.command_line import invoke
from tests.cli.operated import documents, run
from tests.neighbours.flow_manager import FlowManager
from tests.running import running
from tests.scenarios.sagas.saga_desk import saga_desk
from tests.scenarios.sagas.test_sagas import SMS

WRONG = "The Flow Manager answered 400: unexpected event done"


async def test_what_was_parked_is_seen_and_posted_again(tmp_path: Path) -> None:
    async with saga_desk(tmp_path, flow_manager=FlowManager(refusing={"done"})) as at:
        service = at.around.service
        for saga in ("S-1", "S-2"):
            await at.command(saga, SMS)
        newest, oldest = await at.events("parked")
        listed = await run(service, "events", "list", "--state", "parked")
        first = await run(service, "events", "list", "--limit", "1")
        as_json = await run(service, "events", "list", "--json")
        shown = await run(service, "events", "show", str(oldest["id"])[:13])
        [told] = documents(await run(service, "events", "show", str(oldest["id"]), "--json"))
        at.flow_manager.refusing = ()
        unknown = await run(service, "events", "redrive", str(newest["id"]), "nobody")
        assert await at.events("pending") == []
        words = [str(one["id"])[:13] for one in (newest, oldest, newest)]
        driven = await run(service, "events", "redrive", *words)
        await at.until_told(2)
        await service.until(lambda: service.log.getvalue().count('"accepted"') >= 2)
        accepted = await run(service, "events", "redrive", str(oldest["id"]), "--json")
        none = await run(service, "events", "list", "--state", "parked")
    header, *rows = listed.stdout.splitlines()
    assert header.split()[:5] == ["event", "state", "saga", "label", "attempts"]
    assert [row.split()[:5] for row in rows] == [
        [newest["id"], "parked", "S-2", "done", "1"],
        [oldest["id"], "parked", "S-1", "done", "1"],
    ]
    assert all(row.endswith(WRONG) for row in rows)
    assert first.stdout.splitlines()[1].split()[0] == newest["id"]
    assert "--limit 0 shows all" in first.stdout
    assert documents(as_json) == [newest, oldest]
    assert told == oldest
    facts = dict(line.split(maxsplit=1) for line in shown.stdout.splitlines())
    assert (facts["event"], facts["saga"], facts["error"]) == (oldest["id"], "S-1", WRONG)
    assert facts["dispatch"] == oldest["dispatchId"]
    assert unknown.exit_code == 2
    assert unknown.stderr == (
        "carillon: The service answered 404: No event with this id is known here (rows are kept 30 "
        "days)\n"
    )
    assert driven.stdout.splitlines() == [
        f"Event {one['id']} is pending and is posted again now." for one in (newest, oldest)
    ]
    assert (accepted.exit_code, "accepted" in accepted.stderr) == (2, True)
    assert none.stdout == "No events.\n"


async def test_an_event_of_a_refused_command_has_no_dispatch(tmp_path: Path) -> None:
    async with saga_desk(tmp_path) as at:
        await at.command("S-1", {"channels": "fax"})
        await at.until_told()
        (event,) = await at.events()
        shown = await run(at.around.service, "events", "show", str(event["id"]))
    assert "dispatch  none: the command was refused\n" in shown.stdout


async def test_without_a_flow_manager_nothing_can_be_posted(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        listed = await run(service, "events", "list", "--json")
        shown = await run(service, "events", "show", "x")
    assert (listed.exit_code, listed.stdout) == (0, "")
    assert shown.exit_code == 2


def test_what_nobody_can_ask_is_wrong_usage() -> None:
    for words in (("list", "--state", "gone"), ("show",), ("redrive",)):
        assert invoke("events", *words).exit_code == 2
    empty = invoke("events", "show", "", CARILLON_URL="http://127.0.0.1:9")
    assert (empty.exit_code, empty.stderr) == (
        2,
        "carillon: The id of an event must not be empty\n",
    )
