"""Who gets a message, who does not, and what is said of those who do not."""

from __future__ import annotations

from pathlib import Path

import pytest

from carillon.messages.model import Document
from tests.running import running, sandbox_configuration

ADA: Document = {
    "_id": "ada",
    "emailAddress": "ada@example.com",
    "phoneNumber": "+39 02 12-34 (567)",
    "deviceToken": "token-ada",
    "clusters": ["staff", "nurses"],
}


async def test_a_user_who_is_listed_and_in_a_cluster_gets_each_message_once(
    tmp_path: Path,
) -> None:
    async with running(tmp_path, users=[ADA]) as service:
        answer = await service.send(
            channels=["email", "sms", "email"],
            recipients=["ada", "ada"],
            clusters=["staff", "nurses", "staff"],
        )
    assert answer.json() == {"failures": []}
    assert sorted(one.channel for one in service.sent) == ["email", "sms"]


async def test_an_id_nobody_has_is_one_failure_a_channel(tmp_path: Path) -> None:
    async with running(tmp_path, users=[ADA]) as service:
        answer = await service.send(
            channels=["email", "sms"], recipients=["nobody", "ada", "nobody"]
        )
    assert sorted(answer.json()["failures"], key=str) == [
        {"userId": "nobody", "channel": "email", "error": "User not found"},
        {"userId": "nobody", "channel": "sms", "error": "User not found"},
    ]
    assert len(service.sent) == 2


@pytest.mark.parametrize("whom", [{"recipients": ["A", "B"]}, {"clusters": ["all"]}])
async def test_an_id_of_several_users_is_one_failure_and_no_message(
    whom: dict[str, list[str]], tmp_path: Path
) -> None:
    users: list[Document] = [
        {"_id": key, "code": key[0], "emailAddress": f"{key}@example.com", "clusters": ["all"]}
        for key in ("A1", "A2", "B1")
    ]
    configuration = sandbox_configuration(userFields={"id": "code"})
    async with running(tmp_path, configuration, users=users) as service:
        answer = await service.send(channels=["email"], **whom)
    assert answer.json() == {
        "failures": [{"userId": "A", "channel": "email", "error": "More than one user has this id"}]
    }
    assert [one.address for one in service.sent] == ["B1@example.com"]


@pytest.mark.parametrize("whom", [{"recipients": []}, {"clusters": []}, {"clusters": ["none"]}])
async def test_nobody_to_send_to_is_no_failure(whom: dict[str, list[str]], tmp_path: Path) -> None:
    async with running(tmp_path, users=[ADA]) as service:
        answer = await service.send(**whom)
    assert (answer.status_code, answer.json()) == (200, {"failures": []})
    assert service.sent == []


@pytest.mark.parametrize("value", [None, "", "absent"])
async def test_a_user_without_an_address_is_skipped_and_no_failure(
    value: str | None, tmp_path: Path
) -> None:
    user: Document = {"_id": "bob"} if value == "absent" else {"_id": "bob", "phoneNumber": value}
    async with running(tmp_path, users=[user]) as service:
        answer = await service.send(channels=["sms"], recipients=["bob"])
    assert answer.json() == {"failures": []}
    assert service.sent == []
    assert service.outcomes() == {("bob", "sms"): ("skipped", "no-address")}


BAD_ADDRESSES: list[tuple[str, Document]] = [
    ("email", {"emailAddress": "a@@b"}),
    ("email", {"emailAddress": "a@b.it\r\nBcc: x@y.it"}),
    ("email", {"emailAddress": "Ada <ada@example.com>"}),
    ("email", {"emailAddress": 5}),
    ("sms", {"phoneNumber": "0212345"}),
    ("sms", {"phoneNumber": "+0123456"}),
    ("sms", {"phoneNumber": "+12345678901234567"}),
    ("voice", {"phoneNumber": ["+391234567"]}),
    ("push", {"deviceToken": {"a": 1}}),
]


@pytest.mark.parametrize(("channel", "address"), BAD_ADDRESSES)
async def test_a_malformed_address_fails_alone(
    channel: str, address: Document, tmp_path: Path
) -> None:
    users: list[Document] = [{"_id": "bob", **address}, ADA]
    async with running(tmp_path, users=users) as service:
        answer = await service.send(channels=[channel], recipients=["bob", "ada"])
    [failure] = answer.json()["failures"]
    assert (failure["userId"], failure["channel"]) == ("bob", channel)
    assert [one.user_id for one in service.sent] == ["ada"]
    assert service.outcomes()["bob", channel] == ("failed", "invalid-address")


async def test_a_phone_number_is_sent_without_its_fillers(tmp_path: Path) -> None:
    async with running(tmp_path, users=[ADA]) as service:
        await service.send(channels=["sms"], recipients=["ada"])
    assert [one.address for one in service.sent] == ["+39021234567"]


async def test_renamed_fields_are_used_everywhere(tmp_path: Path) -> None:
    configuration = sandbox_configuration(
        userFields={"id": "fiscalCode", "emailAddress": "mail", "clusters": "groups"}
    )
    users: list[Document] = [
        {"_id": "1", "fiscalCode": "AAA", "mail": "a@x.test", "groups": "nurses"},
        {"_id": "2", "fiscalCode": "BBB", "mail": "bad", "groups": ["nurses", "staff"]},
        {"_id": "3", "mail": "worse", "groups": ["nurses"]},
    ]
    async with running(tmp_path, configuration, users=users) as service:
        answer = await service.send(recipients=["BBB", "1"], clusters=["nurses"])
    assert sorted(one["userId"] for one in answer.json()["failures"]) == ["1", "3", "BBB"]
    assert [one.address for one in service.sent] == ["a@x.test"]


async def test_many_users_arrive_exactly_once_by_cluster_and_by_list(tmp_path: Path) -> None:
    users: list[Document] = [
        {"_id": f"u{number}", "emailAddress": f"u{number}@x.test", "clusters": ["all"]}
        for number in range(1300)
    ]
    names = sorted(str(user["_id"]) for user in users)
    async with running(tmp_path, users=users) as service:
        assert (await service.send(clusters=["all"])).json() == {"failures": []}
        assert sorted(one.user_id for one in service.sent) == names
        service.sent.clear()
        assert (await service.send(recipients=names[::-1])).json() == {"failures": []}
        assert sorted(one.user_id for one in service.sent) == names


@pytest.mark.parametrize("field", ["_id", "code"])
async def test_a_user_with_an_empty_id_fails_and_is_sent_nothing(
    field: str, tmp_path: Path
) -> None:
    configuration = sandbox_configuration(userFields={"id": field})
    users: list[Document] = [
        {"_id": "a", "code": "A", "emailAddress": "a@x.test", "clusters": ["all"]},
        {"_id": "b", "code": "", "emailAddress": "b@x.test", "clusters": ["all"]},
    ]
    async with running(tmp_path, configuration, users=users) as service:
        to_all = (await service.send(clusters=["all"])).json()
        named = (await service.send(recipients=[""])).json()
    reached = sorted(one.user_id for one in service.sent)
    if field == "_id":
        assert (reached, to_all["failures"]) == (["a", "b"], [])
        wrong = "User not found"
    else:
        wrong = "The user has an empty id"
        assert reached == ["A"]
        assert to_all["failures"] == [{"userId": "", "channel": "email", "error": wrong}]
    assert named["failures"] == [{"userId": "", "channel": "email", "error": wrong}]
