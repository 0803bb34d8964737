from __future__ import annotations

import json
from pathlib import Path
from typing import cast

import pytest

from carillon.cli.dispatch_body import SendOptions, dispatch_body
from carillon.cli.failure import BadInput
from carillon.messages.model import CHANNELS, Document, EmailContent, TextContent
from tests.cli.command_line import invoke, script
from tests.cli.operated import documents, run
from tests.running import running, sandbox_configuration

USERS: list[Document] = [
    {"_id": "ada", "name": "Ada", "emailAddress": "ada@example.com", "clusters": ["all"]},
    {"_id": "bob", "name": "Bob", "phoneNumber": "+393331234567", "clusters": ["all"]},
]
NOTHING: SendOptions = {
    "channels": ("sms",),
    "recipients": (),
    "to_file": None,
    "clusters": (),
    "title": None,
    "text": None,
    "text_file": None,
    "template": None,
    "data": None,
    "attach": (),
    "cc": (),
    "bcc": (),
    "sender": None,
    "priority": None,
    "time_to_live": None,
    "expires_at": None,
}


def asked(**changes: object) -> SendOptions:
    return cast(SendOptions, {**NOTHING, **changes})


def test_options_become_the_body(tmp_path: Path) -> None:
    (tmp_path / "ids").write_text("ada\n\n bob \n")
    body = dispatch_body(
        asked(
            channels=("email",),
            recipients=("zoe",),
            to_file=str(tmp_path / "ids"),
            clusters=("all",),
            title="T",
            text="Text",
            data='{"a": 1}',
            attach=("f.pdf",),
            cc=("c@x.test",),
            bcc=("b@x.test",),
            sender="s@x.test",
            priority="bulk",
            time_to_live="1h",
            expires_at="2030-01-31T09:30:00Z",
        )
    )
    assert body == {
        "channels": ["email"],
        "recipients": ["zoe", "ada", "bob"],
        "clusters": ["all"],
        "messageTitle": "T",
        "messageContent": "Text",
        "data": {"a": 1},
        "emailAttachments": ["f.pdf"],
        "emailCarbonCopies": ["c@x.test"],
        "emailBlindCarbonCopies": ["b@x.test"],
        "emailSender": "s@x.test",
        "priority": "bulk",
        "timeToLive": "1h",
        "expiresAt": "2030-01-31T09:30:00Z",
    }


def test_an_empty_list_of_ids_is_a_list(tmp_path: Path) -> None:
    (tmp_path / "ids").write_text("")
    body = dispatch_body(asked(to_file=str(tmp_path / "ids"), template="t"))
    assert body == {"channels": ["sms"], "recipients": [], "templateId": "t"}


def test_a_user_may_be_an_object(tmp_path: Path) -> None:
    (tmp_path / "users").write_text('ada\n{"id": "bob"}\n')
    zoe = '{"emailAddress": "zoe@x.test"}'
    whole = dispatch_body(
        asked(recipients=("eve", zoe), to_file=str(tmp_path / "users"), template="t")
    )
    assert whole["recipients"] == ["eve", "ada"]
    assert whole["to"] == [{"emailAddress": "zoe@x.test"}, {"id": "bob"}]
    only = dispatch_body(asked(recipients=(zoe,), template="t"))
    assert only == {
        "channels": ["sms"],
        "to": [{"emailAddress": "zoe@x.test"}],
        "templateId": "t",
    }


def test_texts_and_data_come_from_files(tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes(b"\xef\xbb\xbfline\n")
    (tmp_path / "data").write_text('{"a": [1]}')
    body = dispatch_body(
        asked(
            clusters=("all",),
            text_file=str(tmp_path / "text"),
            data=f"@{tmp_path / 'data'}",
        )
    )
    assert (body["messageContent"], body["data"]) == ("line\n", {"a": [1]})


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"template": "t"}, "Nobody to send to"),
        ({"recipients": ("a",)}, "Nothing to send"),
        ({"recipients": ("a",), "text": "x", "text_file": "y"}, "cannot both"),
        ({"recipients": ("a",), "text": "x", "template": "t"}, "in place of"),
        ({"recipients": ("a",), "text": "x", "channels": ("push", "email")}, "email and push"),
        ({"recipients": ("a",), "template": "t", "data": "[1]"}, "must be a JSON object"),
        ({"recipients": ("a",), "template": "t", "data": "{"}, "not valid JSON"),
        (
            {"recipients": ("a",), "template": "t", "data": '{"a":1,"a":2}'},
            "--data: a stands there",
        ),
        ({"recipients": ("a",), "template": "t", "data": '{"a": NaN}'}, "not valid JSON"),
        ({"recipients": ("a",), "template": "t", "data": "@/none"}, "cannot be read"),
        ({"to_file": "-", "text_file": "-"}, "Only one"),
        ({"recipients": ('{"a": ',), "template": "t"}, "--to is not valid JSON"),
        ({"recipients": ('{"a": 1, "a": 2}',), "template": "t"}, "--to: a stands there twice"),
        ({"recipients": ('{"a": NaN}',), "template": "t"}, "--to is not valid JSON"),
    ],
)
def test_options_that_make_no_message_are_refused(changes: dict[str, object], reason: str) -> None:
    with pytest.raises(BadInput, match=reason):
        dispatch_body(asked(**changes))


async def test_a_user_who_is_in_no_directory_is_sent_a_message(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        words = ["--channel", "email", "--to", '{"emailAddress": "zoe@x.test", "name": "Zoë"}']
        what = ["--title", "Hi", "--text", "Dear {{user.name}}"]
        ran = await script(tmp_path, "send", *words, *what, environ={"CARILLON_URL": service.url})
    assert (ran.returncode, ran.stderr) == (0, b"")
    [delivery] = service.sent
    assert (delivery.user_id, delivery.address) == ("to[0]", "zoe@x.test")
    assert delivery.content == EmailContent("Hi", text="Dear Zoë")


async def test_a_message_is_sent_and_counted(tmp_path: Path) -> None:
    async with running(tmp_path, users=USERS) as service:
        words = ["--channel", "email", "--channel", "sms", "--cluster", "all", "--title", "Hi"]
        text = ["--text-file", "-"]
        stdin = b"Hello {{user.name}}"
        ran = await script(
            tmp_path, "send", *words, *text, stdin=stdin, environ={"CARILLON_URL": service.url}
        )
    assert (ran.returncode, ran.stderr) == (0, b"")
    assert b"2 sent, 2 skipped." in ran.stdout
    contents = {delivery.user_id: delivery.content for delivery in service.sent}
    assert contents["ada"] == EmailContent("Hi", text="Hello Ada")
    assert contents["bob"] == TextContent("Hello Bob")


async def test_failures_are_a_table_and_an_exit_code(tmp_path: Path) -> None:
    async with running(tmp_path, users=USERS) as service:
        words = [
            "--channel",
            "email",
            "--to",
            "ada",
            "--to",
            "nobody",
            "--title",
            "T",
            "--text",
            "x",
        ]
        ran = await script(tmp_path, "send", *words, "--url", service.url)
        told = await script(tmp_path, "send", *words, "--url", service.url, "--json")
    assert (ran.returncode, told.returncode) == (1, 1)
    header, row, summary = ran.stdout.decode().splitlines()
    assert header.split() == ["user", "channel", "what", "went", "wrong"]
    assert row.split() == ["nobody", "email", "User", "not", "found"]
    assert summary.endswith(": 1 sent, 1 failed.")
    answer = json.loads(told.stdout)
    assert answer["failures"] == [
        {"userId": "nobody", "channel": "email", "error": "User not found"}
    ]
    assert (answer["failuresTotal"], answer["deliveriesPending"]) == (1, 0)
    assert answer["counts"]["sent"] == 1


async def test_what_is_pending_is_told_with_its_place(tmp_path: Path) -> None:
    configuration = sandbox_configuration(drain="50ms")
    configuration["providers"] = {
        f"{name}-sandbox": {"type": "sandbox", "options": {"latency": "1m"}} for name in CHANNELS
    }
    async with running(tmp_path, configuration, users=USERS) as service:
        words = ["--channel", "email", "--to", "ada", "--title", "T", "--text", "x", "--wait", "1"]
        ran = await script(tmp_path, "send", *words, environ={"CARILLON_URL": service.url})
    assert ran.returncode == 0
    text = ran.stdout.decode()
    assert "1 pending." in text
    assert f"see {service.url}/dispatches/" in text


async def test_a_refused_message_is_bad_input(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        words = ["--channel", "email", "--to", "ada", "--template", "none"]
        ran = await script(tmp_path, "send", *words, environ={"CARILLON_URL": service.url})
    assert (ran.returncode, ran.stdout) == (2, b"")
    assert b"carillon: The service answered 400: Template none not found" in ran.stderr


def test_a_service_that_is_not_there_is_told_of() -> None:
    words = ["send", "--channel", "sms", "--to", "a", "--text", "x"]
    result = invoke(*words, CARILLON_URL="http://127.0.0.1:9")
    assert result.exit_code == 1
    assert "No service answers at http://127.0.0.1:9" in result.stderr


def test_a_wrong_address_of_the_service_is_told_of() -> None:
    words = ["send", "--channel", "sms", "--to", "a", "--text", "x"]
    result = invoke(*words, CARILLON_URL="localhost")
    assert result.exit_code == 2
    assert "CARILLON_URL" in result.stderr


def test_no_command_line_can_hold_the_key() -> None:
    words = ["send", "--channel", "sms", "--to", "a", "--text", "x", "--api-key", "k"]
    assert "No such option '--api-key'" in invoke(*words).stderr


TO_ADA = ("send", "--channel", "email", "--to", "ada", "--title", "T", "--text", "x")


async def test_what_came_with_a_key_before_is_not_sent_again(tmp_path: Path) -> None:
    async with running(tmp_path, users=USERS) as service:
        words = [*TO_ADA, "--idempotency-key", "order 1042"]
        first, again = await run(service, *words), await run(service, *words)
        [told] = documents(await run(service, *words, "--json"))
        other = await run(service, *words, "--data", '{"a": 1}')
    assert (first.exit_code, again.exit_code, len(service.sent)) == (0, 0, 1)
    assert again.stdout == f"This key came before: nothing was sent again.\n{first.stdout}"
    assert isinstance(told, dict)
    assert told["replayed"] is True
    assert (other.exit_code, "with another request" in other.stderr) == (2, True)


async def test_whoever_does_not_wait_goes_on_once_it_is_accepted(tmp_path: Path) -> None:
    configuration = sandbox_configuration(drain="50ms")
    configuration["providers"] = {
        f"{name}-sandbox": {"type": "sandbox", "options": {"latency": "1m"}} for name in CHANNELS
    }
    async with running(tmp_path, configuration, users=USERS) as service:
        result = await run(service, *TO_ADA, "--async", "--priority", "high")
        [queued] = [one for one in service.log_lines if one.get("url.path") == "/send"]
    assert (result.exit_code, "/dispatches/" in result.stdout) == (0, True)
    assert queued["http.response.statusCode"] == 202


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--time-to-live", "soon"), "timeToLive must be a duration"),
        (("--expires-at", "tomorrow"), "expiresAt must be a moment in ISO 8601 with a zone"),
    ],
)
async def test_an_end_that_is_none_is_told_as_the_service_says(
    words: tuple[str, ...], reason: str, tmp_path: Path
) -> None:
    async with running(tmp_path, users=USERS) as service:
        result = await run(service, *TO_ADA, *words)
    assert (result.exit_code, service.sent) == (2, [])
    assert reason in result.stderr


async def test_nothing_is_sent_that_is_over(tmp_path: Path) -> None:
    async with running(tmp_path, users=USERS) as service:
        result = await run(service, *TO_ADA, "--expires-at", "2020-01-31T09:30:00Z")
    assert service.sent == []
    assert "expired" in result.stdout.lower()


@pytest.mark.parametrize(
    "words",
    [
        ("--idempotency-key", ""),
        ("--idempotency-key", 'a"b'),
        ("--idempotency-key", "ü"),
        ("--idempotency-key", "x" * 256),
        ("--priority", "urgent"),
        ("--async", "--wait", "3"),
    ],
)
def test_what_no_request_can_say_is_wrong_usage(words: tuple[str, ...]) -> None:
    assert invoke(*TO_ADA, *words, CARILLON_URL="http://127.0.0.1:9").exit_code == 2
