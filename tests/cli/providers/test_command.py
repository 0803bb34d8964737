from __future__ import annotations

import pytest
from pydantic import JsonValue

from carillon.messages.model import Document
from tests.cli.command_line import invoke
from tests.cli.operated import Operated, documents, provider, run
from tests.neighbours.http import Answer, Request, json_answer, mia_error, serve

LOADED = "2026-05-01T09:00:00Z"
DELAYS = "firstDelay 500ms, maxDelay 1m"
BUSY = provider(
    "sms-service",
    state="throttled",
    waiting={"deliveries": 1200, "oldest": 83.4, "why": "throttled", "opensIn": 2.04},
    inFlight=3,
    rate=[{"limit": 100, "per": "1m", "used": 98}, {"limit": 10, "per": "1s", "used": 10}],
    quota={"limit": 5000, "left": 1234, "resetsAt": "2026-05-02T00:00:00Z"},
    breaker={"state": "closed", "failures": 4},
    errors=[
        {"kind": "throttled", "count": 7, "text": "429: slow\x1b[2J", "at": "2026-05-01T09:01:00Z"}
    ],
)


async def test_a_table_tells_what_each_provider_does() -> None:
    async with serve(Operated(BUSY, provider("sms-backup")).answer) as server:
        result = await run(server.url, "providers", "list")
    assert (result.exit_code, result.stderr) == (0, "")
    header, busy, idle = result.stdout.splitlines()
    for words in (
        "sms-service  sms  ",
        " throttled  3/20 ",
        " 1,200    1m 23s  throttled, 2.0s  98/100/1m 10/10/1s ",
        " 1,234 ",
        " closed (4)",
    ):
        assert words.strip() in busy
    cells = ["sms-backup", "sms", "running", "0/20", "0", "0/100/1m", "closed"]
    assert idle.split() == cells
    assert header.split()[0] == "provider"


async def test_overrides_and_a_refused_file_are_marked() -> None:
    changed = provider("sms-service")
    assert isinstance(changed["settings"], dict)
    changed["settings"]["timeout"] = {"value": "10s", "source": "override"}
    service = Operated(changed, refusal="providers.x.rate: is\x07 wrong")
    service.at_next_start = ["sender", "drain"]
    async with serve(service.answer) as server:
        result = await run(server.url, "providers", "list")
    assert result.stdout.splitlines()[1].endswith(" timeout")
    assert result.stderr.splitlines() == [
        rf"The file is refused, that of {LOADED} stays in force: providers.x.rate: is\x07 wrong",
        "These keys of the file take effect at the next start: sender, drain",
    ]


async def test_json_is_what_the_service_told_a_provider_a_line() -> None:
    newer = provider("sms-service", later={"key": 1})
    async with serve(Operated(newer, BUSY).answer) as server:
        result = await run(server.url, "providers", "list", "--json")
        shown = await run(server.url, "providers", "show", "sms-service", "--json")
    assert documents(result) == [BUSY]  # of two with one name the last counts
    assert documents(shown) == [BUSY]


async def test_json_keeps_what_a_newer_service_tells_besides() -> None:
    newer = provider("sms-service", later={"key": 1})
    async with serve(Operated(newer).answer) as server:
        result = await run(server.url, "providers", "list", "--json")
    assert documents(result) == [newer]


async def test_one_provider_is_shown_with_settings_and_errors() -> None:
    async with serve(Operated(BUSY).answer) as server:
        result = await run(server.url, "providers", "show", "sms-service")
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    for line in (
        "provider sms-service, of type sms-service",
        "state throttled",
        "calls 3 open of 20",
        "waiting 1,200 deliveries, the oldest for 1m 23s, because of throttled, 2.0s",
        "rate used 98 of 100/1m; 10 of 10/1s",
        "quota 1,234 left of 5,000 until 2026-05-02T00:00:00Z",
        "rate 100/1m file",
        "retry attempts 8, firstDelay 500ms, maxDelay 1m file",
        r"throttled 7 2026-05-01T09:01:00Z 429: slow\x1b[2J",
    ):
        assert line in lines


async def test_what_is_set_is_told_before_and_after() -> None:
    service = Operated(provider("sms-service"))
    async with serve(service.answer) as server:
        words = ["concurrency=5", "rate=10/1s", "retry.attempts=3", "timeout=30s"]
        result = await run(server.url, "providers", "set", "sms-service", *words)
    assert result.stdout.splitlines() == [
        "sms-service:",
        "  concurrency: 20 (file) -> 5 (override)",
        "  rate: 100/1m (file) -> 10/1s (override)",
        "  timeout: 30s (file) -> 30s (override)",
        f"  retry: attempts 8, {DELAYS} (file) -> attempts 3, {DELAYS} (override)",
    ]
    assert service.patches == [
        {
            "concurrency": 5,
            "rate": [{"limit": 10, "per": "1s"}],
            "retry": {"attempts": 3, "firstDelay": "500ms", "maxDelay": "1m"},
            "timeout": "30s",
        }
    ]


@pytest.mark.parametrize(
    ("command", "patch"),
    [
        ("pause", {"paused": True}),
        ("drain", {"draining": True}),
        ("resume", {"paused": None, "draining": None}),
    ],
)
async def test_a_command_is_a_patch(command: str, patch: Document) -> None:
    service = Operated(provider("sms-service"))
    async with serve(service.answer) as server:
        result = await run(server.url, "providers", command, "sms-service")
    assert result.exit_code == 0
    assert service.patches == [patch]


async def test_a_breaker_is_closed_by_hand() -> None:
    service = Operated(provider("a"))
    asked: list[JsonValue] = []

    async def answer(request: Request) -> Answer:
        if request.method == "PATCH":
            asked.append(request.json())
            return json_answer(provider("a"))
        return await service.answer(request)

    async with serve(answer) as server:
        result = await run(server.url, "providers", "close-breaker", "a")
        await run(server.url, "providers", "set", "a", "breaker=closed")
    assert result.stdout == "a: nothing changed\n"
    assert asked == [{"breaker": "closed"}, {"breaker": "closed"}]


async def test_pausing_and_resuming_are_told() -> None:
    async with serve(Operated(provider("sms-service")).answer) as server:
        paused = await run(server.url, "providers", "pause", "sms-service")
        resumed = await run(server.url, "providers", "resume", "sms-service", "--json")
    assert paused.stdout.splitlines() == [
        "sms-service:",
        "  paused: false (file) -> true (override)",
        "  state: running -> paused",
    ]
    assert documents(resumed) == [provider("sms-service")]


async def test_a_reset_puts_the_files_values_back() -> None:
    async with serve(Operated(provider("sms-service")).answer) as server:
        await run(server.url, "providers", "set", "sms-service", "weight=3")
        result = await run(server.url, "providers", "reset", "sms-service")
        again = await run(server.url, "providers", "reset", "sms-service")
    assert [request.method for request in server.requests[-2:]] == ["GET", "DELETE"]
    assert server.requests[-1].path == "/providers/sms-service/override"
    assert result.stdout.splitlines()[1:] == ["  weight: 3 (override) -> none (file)"]
    assert again.stdout == "sms-service: nothing changed\n"


async def test_json_is_sent_as_it_is_written() -> None:
    service = Operated(provider("sms-service"))
    async with serve(service.answer) as server:
        words = ["providers", "set", "sms-service", "--json-patch", '{"retry": {"attempts": 3}}']
        assert (await run(server.url, *words)).exit_code == 0
    assert service.patches == [{"retry": {"attempts": 3}}]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ([], "Nothing to set: say for example concurrency=5"),
        (["weight=3", "--json-patch", "{}"], "--json-patch stands in place of KEY=VALUE"),
        (["--json-patch", "{"], "--json-patch is not valid JSON"),
        (["--json-patch", '{"weight": 1, "weight": 2}'], "--json-patch: weight stands there twice"),
        (["--json-patch", '{"weight": NaN}'], "--json-patch is not valid JSON"),
        (["--json-patch", "[1]"], "--json-patch must be a JSON object"),
    ],
)
def test_what_cannot_be_set_is_refused_before_the_service_is_asked(
    words: list[str], reason: str
) -> None:
    result = invoke("providers", "set", "a", *words, CARILLON_URL="http://127.0.0.1:9")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"carillon: {reason}")


async def test_a_refusal_is_shown_in_the_services_words() -> None:
    async with serve(Operated(provider("sms-service")).answer) as server:
        unknown = await run(server.url, "providers", "pause", "sms-servise")
        refused = await run(server.url, "providers", "set", "sms-service", "concurrency=0")
    assert (unknown.exit_code, refused.exit_code) == (2, 2)
    assert unknown.stderr == (
        "carillon: The service answered 404: There is no provider sms-servise\n"
    )
    assert "answered 400: concurrency: 0 is not allowed; it must be at least 1" in refused.stderr


async def test_a_name_stays_one_part_of_the_path() -> None:
    async with serve(Operated().answer) as server:
        result = await run(server.url, "providers", "show", "../dispatches?x")
    assert server.requests[0].target == "/providers/..%2Fdispatches%3Fx"
    assert result.exit_code == 2


async def test_an_operator_without_the_right_key_is_told_which_is_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CARILLON_API_KEY", "id.key")
    async with serve(mia_error(403, "This needs a key with the scope operate")) as server:
        result = await run(server.url, "providers", "pause", "a")
    assert result.exit_code == 2
    assert "scope operate; the key that is shown is in CARILLON_API_KEY" in result.stderr


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (mia_error(503, "The service is stopping", Retry_After="5"), "try again in 5 s"),
        (Answer(200, b"<html>"), "is no Carillon"),
        (json_answer({"providers": [{"name": "a"}]}), "is no Carillon"),
        (Answer(fault="disconnect"), "broke off"),
        (Answer(body=b" " * 1_000_000, fault="endless-body", framing="chunked"), "67,108,864"),
        (Answer(body=b"{}", headers={"content-encoding": "gzip"}), "is packed"),
    ],
)
async def test_trouble_of_the_service_is_a_failure(answer: Answer, reason: str) -> None:
    async with serve(answer) as server:
        result = await run(server.url, "providers", "list")
    assert (result.exit_code, result.stdout) == (1, "")
    assert reason in result.stderr


async def test_a_change_that_broke_off_may_have_happened() -> None:
    service = Operated(provider("a"))

    async def answer(request: Request) -> Answer:
        if request.method == "PATCH":
            return Answer(fault="disconnect")
        return await service.answer(request)

    async with serve(answer) as server:
        result = await run(server.url, "providers", "pause", "a")
    assert result.exit_code == 1
    assert result.stderr.endswith("; whether it took effect is not known\n")


def test_a_service_that_is_not_there_is_told_of() -> None:
    for words in (["list"], ["pause", "a"], ["audit"]):
        result = invoke("providers", *words, CARILLON_URL="http://127.0.0.1:9")
        assert result.exit_code == 1
        assert "No service answers at http://127.0.0.1:9" in result.stderr


async def test_nothing_to_show_is_said() -> None:
    async with serve(json_answer({"entries": [], "next": None})) as server:
        assert (await run(server.url, "providers", "audit")).stdout == "No changes.\n"
    async with serve(Operated().answer) as server:
        assert len((await run(server.url, "providers", "list")).stdout.splitlines()) == 1
