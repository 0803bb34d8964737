"""Files that are wrong: each problem is named, all of them at once, and nothing else is raised."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from carillon.messages.model import Document, JsonValue
from carillon.settings import ConfigurationError, Settings, load
from tests.settings.examples import SMS_ENVIRONMENT, problems, settings, sms, sms_provider


def loaded(tmp_path: Path, content: bytes) -> Settings:
    file = tmp_path / "configuration.json"
    file.write_bytes(content)
    return load(SMS_ENVIRONMENT | {"CONFIGURATION_PATH": str(file)})


def refused(tmp_path: Path, content: bytes) -> str:
    with pytest.raises(ConfigurationError) as raised:
        loaded(tmp_path, content)
    (problem,) = raised.value.problems
    return problem


def test_a_file_is_read_from_its_variable(tmp_path: Path) -> None:
    assert loaded(tmp_path, json.dumps(sms()).encode()) == settings()


def test_a_file_may_be_named_outright(tmp_path: Path) -> None:
    file = tmp_path / "other.json"
    file.write_text(json.dumps(sms()))

    assert load(SMS_ENVIRONMENT | {"CONFIGURATION_PATH": "/not/there"}, file) == settings()


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    content = b'\xef\xbb\xbf{"activeChannels": ["sms"], "sender": {"sms": "S"}, "drain": "2s"}'

    assert loaded(tmp_path, content).drain == 2.0


@pytest.mark.parametrize(
    ("keys", "place"),
    [
        ('"drain": "1s", "drain": "2s"', "drain"),
        ('"drain": "1s", "drain": "1s"', "drain"),
        ('"drain": null, "drain": "1s"', "drain"),
        ('"drain": "1s", "dr\\u0061in": "1s"', "drain"),
        (
            '"providers": {"sms-service": {"rate": "1/1s"}, "sms-service": {"timeout": "1s"}}',
            "providers.sms-service",
        ),
        (
            '"providers": {"sms-service": {"rate": [{"limit": 1, "per": "1s", "limit": 2}]}}',
            "providers.sms-service.rate[0].limit",
        ),
        ('"unknown": [[{"a": 1, "a": 2}]]', "unknown[0][0].a"),
    ],
)
def test_a_key_that_stands_twice_is_named(tmp_path: Path, keys: str, place: str) -> None:
    content = f'{{"activeChannels": ["sms"], "sender": {{"sms": "S"}}, {keys}}}'

    assert refused(tmp_path, content.encode()) == f"{place}: stands there twice; once is allowed"


def test_keys_that_stand_twice_hide_nothing_else_that_is_wrong(tmp_path: Path) -> None:
    file = tmp_path / "configuration.json"
    file.write_text('{"drain": "1s", "drain": "2s", "escaping": "x", "limits": {"a": 1, "a": 2}}')

    with pytest.raises(ConfigurationError) as raised:
        load({"CONFIGURATION_PATH": str(file), "HTTP_PORT": "x"})

    assert {each.split(":")[0] for each in raised.value.problems} >= {
        "drain",
        "limits.a",
        "escaping",
        "activeChannels",
    }


def test_very_many_keys_that_stand_twice_are_not_all_listed(tmp_path: Path) -> None:
    keys = ", ".join(f'"k{n}": 1, "k{n}": 2' for n in range(5_000))
    file = tmp_path / "configuration.json"
    file.write_text(f"{{{keys}}}")

    with pytest.raises(ConfigurationError) as raised:
        load({"CONFIGURATION_PATH": str(file)})

    assert len(raised.value.problems) <= 101


def test_without_a_file_the_variable_is_named() -> None:
    with pytest.raises(ConfigurationError) as raised:
        load({"CONFIGURATION_PATH": " "})

    assert raised.value.problems == ["CONFIGURATION_PATH: is missing; it must name the JSON file"]


@pytest.mark.parametrize("path", ["/does/not/exist", "/", "a\0b", "x" * 5000])
def test_a_file_that_cannot_be_read_is_named(path: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        load({"CONFIGURATION_PATH": path})

    (problem,) = raised.value.problems
    assert problem.startswith("CONFIGURATION_PATH: ")
    assert "must be a file that can be read" in problem
    assert len(problem) < 300


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "line 1, column 1: not JSON: Expecting value"),
        (b'{"a": 1,\n  "b" 2}', "line 2, column 7: not JSON: Expecting ':' delimiter"),
        (b'{"a": 1,\n "b": "\xff"}', "line 2: not UTF-8"),
        (b'{"a": NaN}', "NaN is no number"),
        (b'{"a": -Infinity}', "-Infinity is no number"),
        (b"[" * 900, "not JSON"),
        (b"[" * 100_000, "nested deeper than 50 levels"),
        (b'{"a":' * 60 + b"1" + b"}" * 60, "nested deeper than 50 levels"),
        (b'{"a": ' + b"1" * 5000 + b"}", "integer"),
        (b'{"a": "\\ud800"}', "half of a surrogate pair"),
        (b'{"\\udfff": 1}', "half of a surrogate pair"),
        (b" " * 1_048_577, "larger than 1048576 bytes"),
        (b"[]", "the file: must be a JSON object"),
        (b"null", "the file: must be a JSON object"),
        (b'"text"', "the file: must be a JSON object"),
    ],
)
def test_what_is_no_configuration_says_why(tmp_path: Path, content: bytes, expected: str) -> None:
    assert expected in refused(tmp_path, content)


def test_everything_wrong_stands_in_one_message() -> None:
    document: Document = {
        "activeChannels": ["sms", "fax", "email"],
        "sender": {"email": "nobody"},
        "drain": "soon",
        "providers": {"sms-service": {"concurency": 1, "timeout": 30}},
    }
    environ = {"HTTP_PORT": "x", "MAIL_SERVICE_NAME": "mail"}

    found = problems(document, environ)

    assert [each.split(":")[0] for each in found] == [
        "providers.sms-service.concurency",
        "activeChannels[1]",
        "providers.sms-service.timeout",
        "drain",
        "channels.sms.providers",
        "sender.sms",
        "sender.email",
        "HTTP_PORT",
    ]


def test_a_bad_file_does_not_hide_bad_variables() -> None:
    with pytest.raises(ConfigurationError) as raised:
        load({"CONFIGURATION_PATH": "/not/there", "HTTP_PORT": "x", "STORE_URL": "y"})

    assert len(raised.value.problems) == 3


def test_the_message_is_one_line_for_one_problem_and_a_list_for_more() -> None:
    assert str(ConfigurationError(["a: b"])) == "The configuration is wrong: a: b"
    assert str(ConfigurationError(["a", "b"])) == (
        "The configuration is wrong in 2 places:\n  - a\n  - b"
    )


A_DURATION = 'a duration such as "500ms", "30s", "1m", "24h" or "30d"'


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({"concurrency": 0}, "concurrency: 0 is not allowed; it must be a whole number from 1 to"),
        ({"concurrency": 10_001}, "concurrency: 10001 is not allowed"),
        ({"concurrency": "20"}, 'concurrency: "20" is not allowed'),
        ({"concurrency": 1.5}, "concurrency: 1.5 is not allowed"),
        ({"concurrency": 20.0}, "concurrency: 20.0 is not allowed"),
        ({"concurrency": True}, "concurrency: true is not allowed"),
        ({"concurrency": [1]}, "concurrency: a list is not allowed"),
        ({"rate": {"limit": 1}}, "rate: an object is not allowed; it must be a list"),
        ({"rate": "100"}, 'rate: "100" is not allowed; it must be LIMIT/TIME, as in "100/1m"'),
        ({"rate": "0/1m"}, 'rate: "0/1m" is not allowed; it must be LIMIT/TIME'),
        ({"rate": "100/0s"}, 'rate: "100/0s" is not allowed; it must be LIMIT/TIME'),
        ({"rate": "1/1s,"}, 'rate: "1/1s," is not allowed; it must be LIMIT/TIME'),
        ({"rate": "20000000/1m"}, 'rate: "20000000/1m" is not allowed'),
        ({"rate": ["100/fortnight"]}, 'rate[0]: "100/fortnight" is not allowed; it must be LIMIT'),
        ({"rate": [{"limit": 0, "per": "1s"}]}, "rate[0].limit: 0 is not allowed"),
        ({"rate": [{"limit": 1, "per": "0s"}]}, 'rate[0].per: "0s" is not allowed; it must be'),
        ({"rate": [{"limit": 1}]}, "rate[0].per: is missing"),
        ({"rate": [{"limit": 1, "per": "1s", "burst": 2}]}, "rate[0].burst: unknown key; known"),
        ({"quota": {"limit": 1, "resetAt": "24:00"}}, 'quota.resetAt: "24:00" is not allowed'),
        ({"quota": {"limit": 1, "zone": "Mars/Base"}}, 'quota.zone: "Mars/Base" is not allowed'),
        ({"quota": {"limit": 1, "zone": "../UTC"}}, 'quota.zone: "../UTC" is not allowed'),
        ({"quota": {"limit": 1, "zone": "Europe"}}, 'quota.zone: "Europe" is not allowed'),
        ({"timeout": "30"}, f'timeout: "30" is not allowed; it must be {A_DURATION}'),
        ({"timeout": 30}, f"timeout: 30 is not allowed; it must be {A_DURATION}"),
        ({"timeout": 0}, f"timeout: 0 is not allowed; it must be {A_DURATION}, above zero"),
        ({"timeout": "9999d"}, f'"9999d" is not allowed; it must be {A_DURATION}, at most 3650d'),
        ({"timeout": "1 s"}, 'timeout: "1 s" is not allowed'),
        ({"timeout": "1s\n"}, 'timeout: "1s\\n" is not allowed'),
        ({"timeout": "\u0661s"}, 's" is not allowed'),
        ({"timeout": False}, "timeout: false is not allowed"),
        ({"retry": {"attempts": 101}}, "retry.attempts: 101 is not allowed; it must be a whole n"),
        ({"retry": {"firstDelay": "2m"}}, "an object whose firstDelay is at most its maxDelay"),
        ({"breaker": {"failures": 0}}, "breaker.failures: 0 is not allowed"),
        ({"onUnknownOutcome": "hodl"}, '"hodl" is not allowed; it must be one of hold, retry'),
        ({"type": "sms"}, 'type: "sms" is not allowed; it must be one of mail-service, sms-serv'),
        ({"concurency": 5}, 'concurency: unknown key; did you mean "concurrency"?'),
        ({"Timeout": "5s"}, 'Timeout: unknown key; did you mean "timeout"?'),
        ({"on_unknown_outcome": "hold"}, 'did you mean "onUnknownOutcome"?'),
    ],
)
def test_wrong_keys_of_a_provider(keys: Document, problem: str) -> None:
    (found,) = problems(sms_provider(**keys))

    assert found.startswith("providers.sms-service.")
    assert problem in found


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({"activeChannels": []}, "activeChannels: a list is not allowed; it must be a list that"),
        ({"activeChannels": "sms"}, 'activeChannels: "sms" is not allowed; it must be a list'),
        ({"activeChannels": None}, "activeChannels: is missing; it must be a list that is not"),
        ({"activeChannels": ["fax"]}, 'activeChannels[0]: "fax" is not allowed; it must be one of'),
        ({"sender": {}}, "sender.sms: is missing; sms is active and needs it"),
        ({"sender": {"sms": ""}}, "sender.sms: is missing"),
        ({"sender": {"sms": "a\nb"}}, 'sender.sms: "a\\nb" is not allowed; it must be a text w'),
        ({"sender": "Shop"}, 'sender: "Shop" is not allowed; it must be an object'),
        ({"userFields": {"id": ""}}, 'userFields.id: "" is not allowed; it must be a text that is'),
        ({"androidIntentAction": 5}, "androidIntentAction: 5 is not allowed; it must be a text"),
        (
            {"channels": {"fax": {}}},
            "channels.fax: unknown key; known here: email, push, sms, v",
        ),
        ({"channels": {"sms": {"ttl": "1s"}}}, "channels.sms.ttl: unknown key; known here: prov"),
        ({"channels": {"sms": {"timeToLive": 0}}}, "channels.sms.timeToLive: 0 is not allowed"),
        ({"respondWithin": "-1s"}, 'respondWithin: "-1s" is not allowed'),
        ({"respondWithin": -1}, "respondWithin: -1 is not allowed"),
        ({"escaping": "never"}, '"never" is not allowed; it must be one of html, everywhere'),
        ({"limits": {"bodyBytes": 0}}, "limits.bodyBytes: 0 is not allowed"),
        ({"limits": {"body": 1}}, "limits.body: unknown key"),
        ({"limits": 5}, "limits: 5 is not allowed; it must be an object"),
        ({"directory": {"attempts": 0}}, "directory.attempts: 0 is not allowed"),
        ({"directory": {"timeout": "0"}}, 'directory.timeout: "0" is not allowed'),
        ({"idempotency": {"expiry": "x"}}, 'idempotency.expiry: "x" is not allowed'),
        ({"journal": {"fsync": "never"}}, '"never" is not allowed; it must be one of commit, pro'),
        ({"journal": {"keepContent": 1}}, "journal.keepContent: 1 is not allowed; it must be true"),
        ({"templates": {"nesting": -1}}, "templates.nesting: -1 is not allowed"),
        ({"templates": {"depth": 1}}, "templates.depth: unknown key"),
    ],
)
def test_wrong_keys_elsewhere(keys: Document, problem: str) -> None:
    (found,) = problems(sms() | keys)

    assert problem in found


@pytest.mark.parametrize(
    ("sender", "is_right"),
    [
        ("shop@example.com", True),
        ("Shop <shop@example.com>", True),
        ('"Shop, Inc." <shop@localhost>', True),
        ("shop", False),
        ("Shop <shop>", False),
        ("a@b.it, c@d.it", False),
        ("a@b.it\r\nBcc: c@d.it", False),
    ],
)
def test_the_sender_of_mails_is_one_address(sender: str, *, is_right: bool) -> None:
    document: Document = {"activeChannels": ["email"], "sender": {"email": sender}}
    environ = {"MAIL_SERVICE_NAME": "mail"}

    if is_right:
        assert settings(document, environ).senders == {"email": sender}
    else:
        (found,) = problems(document, environ)
        assert found.startswith("sender.email: ")


def test_a_sender_of_a_channel_that_is_not_active_does_not_matter() -> None:
    assert settings(sms(sender={"sms": "Shop", "email": "", "voice": "x"})) == settings()


@pytest.mark.parametrize(
    ("keys", "warning"),
    [
        ({"provider": {}}, 'provider: unknown key, not used; did you mean "providers"?'),
        ({"metadata": [[{"a": 1}]]}, "metadata: unknown key, not used; known here: activeChannels"),
        ({"sender": {"sms": "S", "push": "x"}}, "sender.push: unknown key, not used; known here"),
        ({"userFields": {"mail": "x"}}, "userFields.mail: unknown key, not used"),
    ],
)
def test_unknown_keys_outside_our_sections_are_warnings(keys: Document, warning: str) -> None:
    (found,) = settings(sms() | keys).warnings

    assert found.startswith(warning)


def test_a_document_at_hand_is_held_to_the_same_rules() -> None:
    deep: JsonValue = []
    for _ in range(60):
        deep = [deep]

    assert problems(sms(unknown=deep)) == ["the file: nested deeper than 50 levels"]


@pytest.mark.slow
def test_very_many_mistakes_are_counted_and_not_listed() -> None:
    providers: Document = {f"p{n}": n for n in range(20_000)}
    unknown: Document = {f"u{n}": n for n in range(20_000)}
    nobody: JsonValue = {f"k{n}": n for n in range(20_000)}

    found = problems(sms(providers=providers, limits=nobody) | unknown)

    assert len(found) == 101
    assert found[-1] == "and more of the kind"
    assert len(settings(sms() | unknown).warnings) == 100


def test_a_problem_shows_a_value_short_and_printable() -> None:
    (found,) = problems(sms(escaping="\x1b[31m" + "x" * 10_000))

    assert found.isprintable()
    assert len(found) < 200
