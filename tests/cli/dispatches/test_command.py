"""`carillon dispatches` against a service that runs: looking, following, cancelling, redriving."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.command_line import SCRIPT, invoke, script, started
from tests.cli.operated import documents, run
from tests.running import running
from tests.scenarios.test_asynchronous import MIXED, TEMPLATE, begin, failed_once, narrow
from tests.scenarios.test_waiting import USERS


async def test_dispatches_are_listed_and_shown(tmp_path: Path) -> None:
    async with running(tmp_path, users=MIXED, templates=[TEMPLATE]) as service:
        first = (await failed_once(service)).rpartition("/")[2]
        second = (await failed_once(service)).rpartition("/")[2]
        listed = await run(service, "dispatches", "list")
        newest = await run(service, "dispatches", "list", "--limit", "1")
        as_json = await run(service, "dispatches", "list", "--json", "--state", "done")
        shown = await run(service, "dispatches", "show", first)
        filtered = await run(service, "dispatches", "show", first, "--outcome", "sent", "--json")
        whose = await run(service, "dispatches", "show", first, "--user", "good")
        nobody = await run(service, "dispatches", "show", first, "--user", "stranger")
    rows = listed.stdout.splitlines()
    assert [row.split()[0] for row in rows] == ["dispatch", second, first]
    assert "1 sent, 1 failed, 1 in-doubt" in rows[1]
    assert len(newest.stdout.splitlines()) == 3
    assert "--limit 0 shows all" in newest.stdout
    assert [one["id"] for one in documents(as_json) if isinstance(one, dict)] == [second, first]
    assert whose.stdout.splitlines()[-1].split()[:4] == ["good", "email", "sent", "accepted"]
    assert len(nobody.stdout.splitlines()) == 1
    about, _, *deliveries = shown.stdout.splitlines()
    assert about.startswith(f"Dispatch {first}: done, accepted ")
    assert sorted(row.split()[0] for row in deliveries) == ["lost", "refused"]
    [whole] = documents(filtered)
    assert isinstance(whole, dict)
    assert "good@x.test" not in filtered.stdout
    assert [one["userId"] for one in whole["deliveries"]] == ["good"]  # type: ignore[index,union-attr,call-overload]


async def test_what_failed_is_sent_again(tmp_path: Path) -> None:
    async with running(tmp_path, users=MIXED, templates=[TEMPLATE]) as service:
        name = (await failed_once(service)).rpartition("/")[2]
        none = await run(service, "dispatches", "redrive", name, "--reason", "exhausted")
        one = await run(service, "dispatches", "redrive", name, "--outcome", "in-doubt")
        words = ("dispatches", "watch", name, "--interval", "0.1")
        followed = await script(tmp_path, *words, environ={"CARILLON_URL": service.url})
        told = await run(service, "dispatches", "redrive", name, "--json")
    assert none.stdout == "Nothing matches; nothing is sent again.\n"
    assert one.stdout.startswith("Sending 1 delivery again; ")
    assert followed.stdout.decode().splitlines()[-1] == "ended: 1 sent, 1 failed, 1 in-doubt"
    assert json.loads(told.stdout) == {"id": name, "redriven": 1}


async def test_a_dispatch_is_followed_until_somebody_cancels_it(tmp_path: Path) -> None:
    async with running(tmp_path, narrow("2s"), users=USERS) as service:
        name = (await begin(service)).headers["Dispatch-Id"]
        watch = [SCRIPT, "dispatches", "watch", name, "--interval", "0.1"]
        async with started(watch, tmp_path, CARILLON_URL=service.url) as following:
            await following.says("running:")
            cancelled = await run(service, "dispatches", "cancel", name)
            await following.says("cancelled:")
            assert await following.process.wait() == 0
        again = await run(service, "dispatches", "cancel", name, "--json")
    assert cancelled.stdout.startswith(f"Dispatch {name}: cancelling, ")
    assert json.loads(again.stdout)["state"] == "cancelled"


@pytest.mark.parametrize("command", ["show", "cancel", "redrive"])
async def test_an_unknown_dispatch_is_one_sentence(command: str, tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        result = await run(service, "dispatches", command, "nobody/../x")
    assert result.exit_code == 2
    assert result.stderr.startswith("carillon: The service answered 404: ")


@pytest.mark.parametrize("command", ["show", "cancel", "redrive"])
async def test_of_an_unknown_dispatch_it_is_told_for_how_long_rows_are_kept(
    command: str, tmp_path: Path
) -> None:
    async with running(tmp_path) as service:
        for name in ("nobody", "6f1c2a4e-0c55-4b6f-9a43-0d1f8a2f7c11"):
            result = await run(service, "dispatches", command, name)
            assert result.exit_code == 2
            assert result.stderr == (
                "carillon: The service answered 404: No dispatch with this id is known here (rows "
                "are kept 30 days)\n"
            )


async def test_what_the_service_refuses_is_told_as_it_says(tmp_path: Path) -> None:
    async with running(tmp_path, users=MIXED, templates=[TEMPLATE]) as service:
        name = (await failed_once(service, data={"order": 1})).rpartition("/")[2]
        result = await run(service, "dispatches", "redrive", name)
        over = await run(service, "dispatches", "cancel", name)
    assert result.exit_code == over.exit_code == 2
    assert "journal.keepContent" in result.stderr
    assert "The dispatch has ended" in over.stderr


@pytest.mark.parametrize(
    "words",
    [["redrive", "x", "--outcome", "sent"], ["list", "--state", "gone"], ["show"], ["watch", "x",
     "--interval", "0"]],
)  # fmt: skip
def test_what_nobody_can_ask_is_wrong_usage(words: list[str]) -> None:
    assert invoke("dispatches", *words).exit_code == 2


async def test_the_beginning_of_an_id_is_enough(tmp_path: Path) -> None:
    async with running(tmp_path, narrow("2s"), users=USERS) as service:
        names = [(await begin(service)).headers["Dispatch-Id"] for _ in range(17)]
        name = names[3]
        least = next(n for n in range(1, 37) if sum(x.startswith(name[:n]) for x in names) == 1)
        for words in (["show"], ["cancel"], ["cancel"]):
            result = await run(service, "dispatches", *words, name[:least])
            assert (result.exit_code, name in result.stdout) == (0, True), result.stderr
        still = await run(service, "dispatches", "redrive", name[:least])
        digit = next(d for d in "0123456789abcdef" if sum(x[0] == d for x in names) > 1)
        several = await run(service, "dispatches", "show", digit)
    assert "still running" in still.stderr or "Nothing matches" in still.stdout
    assert several.exit_code == 2
    assert f"{digit} is how the ids of several begin; which one?" in several.stderr
    listed = {line.strip() for line in several.stderr.splitlines()[1:]}
    assert listed == {name for name in names if name[0] == digit}


async def test_no_dispatches_are_told_in_words(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        assert (await run(service, "dispatches", "list")).stdout == "No dispatches.\n"
        assert (await run(service, "dispatches", "list", "--json")).stdout == ""
