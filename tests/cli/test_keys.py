from __future__ import annotations

import json
import stat
import subprocess
from pathlib import Path

import pytest
import trio

from carillon.access.keys import KeyRing
from carillon.settings import parse_keys
from tests.cli.command_line import invoke, script


def ring(file: Path) -> KeyRing:
    return KeyRing(parse_keys(file.read_bytes(), file.name))


def new(*words: str) -> str:
    result = invoke("keys", "new", *words)
    assert result.exit_code == 0, result.stderr
    return result.stdout


def test_a_new_key_opens_what_its_record_locks() -> None:
    told = json.loads(new("--id", "shop", "--scope", "read", "--scope", "send", "--json"))
    assert told["record"]["scopes"] == ["send", "read"]
    [key] = parse_keys(json.dumps([told["record"]]).encode(), "stdout")
    assert KeyRing([key]).find(told["key"]) == key
    assert told["key"].partition(".")[2] not in json.dumps(told["record"])


def test_people_are_told_the_key_and_its_record() -> None:
    _, token, _, record = new("--scope", "send").splitlines()
    [key] = parse_keys(f"[{record}]".encode(), "stdout")
    assert KeyRing([key]).find(token) == key


def test_a_file_gets_one_record_after_the_other(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    tokens = []
    for name in ("shop", "desk"):
        lines = new("--id", name, "--scope", "send", "--file", str(file)).splitlines()
        assert lines[2] == f"Its record is in {file}."
        tokens.append(lines[1])
    assert [key.id for key in parse_keys(file.read_bytes(), "f")] == ["shop", "desk"]
    assert all(ring(file).find(token) for token in tokens)
    assert [path.name for path in tmp_path.iterdir()] == ["keys.json"]


def test_a_file_is_for_its_owner_only(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    file.write_text("[]")
    file.chmod(0o644)
    new("--scope", "send", "--file", str(file))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    file, link = tmp_path / "real" / "keys.json", tmp_path / "link.json"
    link.symlink_to(file)
    new("--scope", "send", "--file", str(link))
    assert link.is_symlink()
    assert len(parse_keys(file.read_bytes(), "f")) == 1


def test_an_empty_file_is_one_without_keys(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    file.touch()
    new("--scope", "send", "--file", str(file))
    assert len(parse_keys(file.read_bytes(), "f")) == 1


def test_an_id_that_is_there_is_refused_and_nothing_changes(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    new("--id", "shop", "--scope", "send", "--file", str(file))
    before = file.read_bytes()
    result = invoke("keys", "new", "--id", "shop", "--scope", "read", "--file", str(file))
    assert (result.exit_code, result.stdout) == (2, "")
    assert "has a key with the id shop already" in result.stderr
    assert file.read_bytes() == before


@pytest.mark.parametrize("content", ['{"providers": {}}', "not JSON", '[{"id": "hunter2"}]'])
def test_a_file_with_anything_else_is_left_alone(tmp_path: Path, content: str) -> None:
    file = tmp_path / "keys.json"
    file.write_text(content)
    result = invoke("keys", "new", "--scope", "read", "--file", str(file))
    assert (result.exit_code, result.stdout) == (2, "")
    assert "keys.json" in result.stderr
    assert "hunter2" not in result.stderr
    assert file.read_text() == content


def test_a_key_that_cannot_be_stored_is_not_shown(tmp_path: Path) -> None:
    nowhere = invoke("keys", "new", "--scope", "read", "--file", str(tmp_path / "no" / "k.json"))
    assert (nowhere.exit_code, nowhere.stdout) == (1, "")
    assert "No such file or directory" in nowhere.stderr
    device = invoke("keys", "new", "--scope", "read", "--file", "/dev/null")
    assert (device.exit_code, device.stdout) == (2, "")
    assert Path("/dev/null").is_char_device()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "--scope"),
        (["--scope", "write"], "'write' is not one of 'send', 'read', 'operate', 'directory'"),
        (["--scope", "send", "--id", "a b"], "--id: must be 1 to 32 letters"),
        (["--scope", "send", "--id", "loopback"], "--id"),
        (["--scope", "send", "--expires", "soon"], 'a duration such as "90d" or a time in ISO'),
        (["--scope", "send", "--expires", "2030-01-01"], "with its zone"),
        (["--scope", "send", "--expires", "2020-01-01T00:00Z"], "must be in the future"),
        (["--scope", "send", "--expires", "0"], "must be in the future"),
    ],
)
def test_wrong_options_are_usage_errors(words: list[str], said: str) -> None:
    result = invoke("keys", "new", *words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in " ".join(result.stderr.split())


@pytest.mark.parametrize("when", ["90d", "2040-01-31T12:00:00Z"])
def test_a_key_may_expire(when: str) -> None:
    record = json.loads(new("--scope", "send", "--expires", when, "--json"))["record"]
    assert record["expiresAt"].endswith("Z")
    [key] = parse_keys(json.dumps([record]).encode(), "stdout")
    assert key.expires_at is not None
    assert not key.has_expired(key.expires_at - 1)


def test_keys_in_a_file_are_listed_without_what_opens_them(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    new("--id", "shop", "--scope", "send", "--scope", "read", "--file", str(file))
    new("--id", "ops", "--scope", "operate", "--expires", "2040-01-31T12:00Z", "--file", str(file))
    table = invoke("keys", "list", "--file", str(file)).stdout
    assert table.splitlines() == [
        "id    scopes     valid",
        "shop  send read  for ever",
        "ops   operate    until 2040-01-31 12:00:00Z",
    ]
    told = invoke("keys", "list", "--json", API_KEYS_FILE=str(file)).stdout.splitlines()
    assert [json.loads(line) for line in told] == [
        {"id": "shop", "scopes": ["send", "read"]},
        {"id": "ops", "scopes": ["operate"], "expiresAt": "2040-01-31T12:00:00Z"},
    ]


def test_a_key_whose_time_is_over_is_told_so(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    record = json.loads(new("--id", "old", "--scope", "send", "--json"))["record"]
    file.write_text(json.dumps([{**record, "expiresAt": "2020-01-31T12:00:00Z"}]))
    assert "expired 2020-01-31" in invoke("keys", "list", "--file", str(file)).stdout


def test_a_file_without_keys_lists_none(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    file.write_text("[]")
    assert invoke("keys", "list", "--file", str(file)).stdout == "No keys.\n"
    missing = invoke("keys", "list", "--file", str(tmp_path / "none"))
    assert missing.exit_code == 2
    assert "No such file or directory" in missing.stderr
    unnamed = invoke("keys", "list", API_KEYS_FILE="")
    assert unnamed.exit_code == 2
    assert "--file" in unnamed.stderr


async def test_commands_at_once_lose_no_key(tmp_path: Path) -> None:
    done: list[subprocess.CompletedProcess[bytes]] = []

    async def add(name: str) -> None:
        words = ("keys", "new", "--id", name, "--scope", "send", "--file", "keys.json")
        done.append(await script(tmp_path, *words))

    async with trio.open_nursery() as nursery:
        for number in range(3):
            nursery.start_soon(add, f"k{number}")
    assert [one.returncode for one in done] == [0] * 3
    file = tmp_path / "keys.json"
    assert {key.id for key in parse_keys(file.read_bytes(), "f")} == {f"k{n}" for n in range(3)}


def test_a_key_that_is_removed_opens_nothing_any_more(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    tokens = {}
    for name in ("shop", "desk", "ada"):
        words = ("--id", name, "--scope", "send", "--file", str(file))
        tokens[name] = new(*words).splitlines()[1]
    result = invoke("keys", "remove", "shop", "--file", str(file))
    assert result.stdout.startswith(f"Removed shop from {file}; 2 keys are left.")
    assert ring(file).find(tokens["shop"]) is None
    assert ring(file).find(tokens["desk"]) is not None
    told = invoke("keys", "remove", "desk", "--json", API_KEYS_FILE=str(file))
    assert json.loads(told.stdout) == {"removed": "desk", "left": 1}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    before = file.read_bytes()
    last = invoke("keys", "remove", "ada", "--file", str(file))
    assert (last.exit_code, file.read_bytes()) == (2, before)
    assert "ada is the last key" in last.stderr


@pytest.mark.parametrize(
    ("content", "words", "reason"),
    [
        (None, ["shop"], "No such file"),
        ("{}", ["shop"], "must be"),
        ("[]", ["shop"], "has no key with the id shop"),
    ],
)
def test_what_cannot_be_removed_leaves_the_file_as_it_is(
    content: str | None, words: list[str], reason: str, tmp_path: Path
) -> None:
    file = tmp_path / "keys.json"
    if content is not None:
        file.write_text(content)
    result = invoke("keys", "remove", *words, "--file", str(file))
    assert (result.exit_code, reason in result.stderr) == (2, True), result.stderr
    assert (file.read_text() if file.exists() else None) == content


def test_the_nearest_key_is_named(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    new("--id", "shop", "--scope", "send", "--file", str(file))
    result = invoke("keys", "remove", "shpo", "--file", str(file))
    assert 'no key with the id shpo; did you mean "shop"?' in result.stderr
