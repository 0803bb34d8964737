"""What `config check` tells of files that others on the machine may read or write."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from carillon.access.keys import draw_key
from carillon.messages.model import Document
from carillon.settings import Settings, advice, key_record, load, writable_by_others
from tests.running import sandbox_configuration

_, KEY = draw_key("shop", ["send"])
SAGA = "flowManagerConfiguration"
NAMES = (
    "CONFIGURATION_PATH",
    "API_KEYS_FILE",
    "GOOGLE_APPLICATION_CREDENTIALS",
    f"{SAGA}.getTemplateIdFilePath",
    f"{SAGA}.getDataFilePath",
)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with one file of each kind, all of them for their owner only."""
    flow: Document = {
        "metadataSchema": {"channels": "c"},
        "getTemplateIdFilePath": str(tmp_path / NAMES[3]),
        "getDataFilePath": str(tmp_path / NAMES[4]),
    }
    document: Document = {
        "activeChannels": ["push", "voice"],
        "sender": {"voice": "+390212345678"},
        "providers": {"kaleyra": {"credentials": {"apiKey": "k", "sid": "s"}, "url": "http://k"}},
        SAGA: flow,
    }
    for name in NAMES:
        (tmp_path / name).touch(0o600)
    (tmp_path / NAMES[0]).write_text(json.dumps(document))
    (tmp_path / NAMES[1]).write_text(json.dumps([key_record(KEY)]))
    return tmp_path


def loaded(place: Path) -> Settings:
    return load({name: str(place / name) for name in NAMES[:3]})


def told(place: Path) -> list[str]:
    settings = loaded(place)
    return [*writable_by_others(settings), *(one for one in advice(settings) if "others" in one)]


def test_files_of_their_owner_only_are_not_told_of(place: Path) -> None:
    assert told(place) == []


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("mode", "words"),
    [
        (0o620, ["change"]),
        (0o602, ["change"]),
        (0o640, ["read"]),
        (0o604, ["read"]),
        (0o666, ["change", "read"]),
        (0o700, []),
        (0o711, []),
    ],
    ids=str,
)
def test_each_is_told_of_by_what_names_it(
    place: Path, name: str, mode: int, words: list[str]
) -> None:
    (place / name).chmod(mode)
    assert [line.partition(" (mode")[0] for line in told(place)] == [
        f"{name}: others can {word} {place / name}" for word in words
    ]


def test_the_sentence_says_what_to_do(place: Path) -> None:
    (place / "API_KEYS_FILE").chmod(0o666)
    [changed, read] = told(place)
    assert changed.endswith("(mode 0666); chmod go-w it")
    assert read.endswith("(mode 0666); chmod go-rwx it")


def test_a_folder_in_which_others_write_is_told_of(place: Path) -> None:
    place.chmod(0o777)
    assert [line.partition(":")[0] for line in told(place)] == [*NAMES]
    assert all("can replace" in line for line in told(place))
    place.chmod(0o1777)  # as /tmp: nobody removes what is another's
    assert told(place) == []


def test_a_configuration_without_an_account_may_be_read(tmp_path: Path) -> None:
    file = tmp_path / "configuration.json"
    file.write_text(json.dumps(sandbox_configuration()))
    file.chmod(0o644)
    settings = load({"CONFIGURATION_PATH": str(file)})
    assert [one for one in advice(settings) if "others" in one] == []
    file.chmod(0o664)
    [line] = writable_by_others(settings)
    assert line.startswith(f"CONFIGURATION_PATH: others can change {file}")


def test_a_configuration_with_a_key_in_an_address_may_not_be_read(tmp_path: Path) -> None:
    file = tmp_path / "configuration.json"
    sms: Document = {"activeChannels": ["sms"], "sender": {"sms": "Shop"}}
    environ = {"CONFIGURATION_PATH": str(file)}
    for url, is_told in (("http://sms", False), ("http://sms?key=x", True)):
        file.write_text(json.dumps({**sms, "providers": {"sms-service": {"url": url}}}))
        file.chmod(0o644)
        told = [one for one in advice(load(environ)) if "others can read" in one]
        assert bool(told) == is_told
    file.write_text(json.dumps(sms))
    found = load({**environ, "SMS_SERVICE_URL": "http://sms?key=x"})
    assert [one for one in advice(found) if "others" in one] == []


def test_an_account_is_named_by_the_key_that_names_it(place: Path) -> None:
    document = json.loads((place / NAMES[0]).read_text())
    account = place / "account.json"
    account.touch()
    account.chmod(0o644)
    document["providers"]["firebase"] = {"credentials": {"file": str(account)}}
    (place / NAMES[0]).write_text(json.dumps(document))
    [line] = told(place)
    assert line.startswith(f"providers.firebase.credentials.file: others can read {account}")
