from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from carillon.access.keys import KeyRing, draw_key
from carillon.messages.model import Document, JsonValue
from carillon.settings import (
    AccessSettings,
    ConfigurationError,
    TokenPlace,
    key_record,
    parse_expiry,
    parse_keys,
)
from tests.settings.examples import SMS_ENVIRONMENT, problems, settings, sms

SHOP, SHOP_KEY = draw_key("shop", ["send", "read"])
OPS, OPS_KEY = draw_key("ops", ["operate"], expires_at=1_900_000_000.0)
HIDDEN = "hunter2"


def environment(keys: JsonValue = None, file: Path | None = None) -> dict[str, str]:
    found = dict(SMS_ENVIRONMENT)
    if keys is not None:
        found["API_KEYS"] = json.dumps(keys)
    if file is not None:
        found["API_KEYS_FILE"] = str(file)
    return found


def shop(**changes: JsonValue) -> Document:
    return {**key_record(SHOP_KEY), **changes}


def wrong(keys: JsonValue) -> str:
    [problem] = problems(sms(), environment(keys))
    return problem


def test_without_the_variables_there_are_no_keys() -> None:
    beside = TokenPlace(Path("carillon.db-token"))
    assert settings().access == AccessSettings((), token_place=beside)
    assert settings(environ=SMS_ENVIRONMENT | {"API_KEYS": " "}).access.keys == ()


def test_a_record_comes_back_as_the_key_it_was() -> None:
    found = settings(environ=environment([key_record(SHOP_KEY), key_record(OPS_KEY)])).access
    assert found.keys == (SHOP_KEY, OPS_KEY)
    assert KeyRing(found.keys).find(SHOP) == SHOP_KEY
    assert KeyRing(found.keys).find(OPS) == OPS_KEY


def test_a_record_holds_what_is_documented() -> None:
    assert key_record(OPS_KEY) == {
        "id": "ops",
        "scopes": ["operate"],
        "salt": OPS_KEY.salt.hex(),
        "sha256": OPS_KEY.hash.hex(),
        "expiresAt": "2030-03-17T17:46:40Z",
    }
    assert list(key_record(SHOP_KEY)) == ["id", "scopes", "salt", "sha256"]


def test_file_and_variable_hold_together(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    file.write_text(json.dumps([key_record(OPS_KEY)]))
    assert settings(environ=environment(None, file)).access.keys == (OPS_KEY,)
    both = settings(environ=environment([key_record(SHOP_KEY)], file)).access
    assert {*both.keys} == {SHOP_KEY, OPS_KEY}


def test_an_id_that_is_in_both_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    file.write_text(json.dumps([key_record(OPS_KEY), shop()]))
    found = problems(sms(), environment([shop()], file))
    assert found == ["API_KEYS_FILE[1].id: another key has the id shop already"]
    assert wrong([shop(), shop()]) == "API_KEYS[1].id: another key has the id shop already"


@pytest.mark.parametrize(
    ("entry", "place"),
    [
        (HIDDEN, "API_KEYS[1]: must be an object"),
        ([HIDDEN], "API_KEYS[1]: must be an object"),
        (7, "API_KEYS[1]: must be an object"),
        (shop(secret=HIDDEN), "API_KEYS[1]: must be an object"),
        (shop(**{HIDDEN: 1}), "API_KEYS[1]: must be an object"),
        (shop(id=HIDDEN + " "), "API_KEYS[1].id: must be 1 to 32 letters"),
        (shop(id=""), "API_KEYS[1].id: "),
        (shop(id=7), "API_KEYS[1].id: "),
        (shop(id=None), "API_KEYS[1].id: "),
        (shop(id="a" * 33), "API_KEYS[1].id: "),
        (shop(id="loopback"), "API_KEYS[1].id: "),
        (shop(id="shöp"), "API_KEYS[1].id: "),
        (shop(id="a.b"), "API_KEYS[1].id: "),
        (shop(scopes=[]), "API_KEYS[1].scopes: must be a list of at least one of send, read"),
        (shop(scopes=["send", HIDDEN]), "API_KEYS[1].scopes: "),
        (shop(scopes="send"), "API_KEYS[1].scopes: "),
        (shop(scopes=[["send"]]), "API_KEYS[1].scopes: "),
        (shop(scopes=[{}]), "API_KEYS[1].scopes: "),
        (shop(scopes={"send": 1}), "API_KEYS[1].scopes: "),
        (shop(salt=HIDDEN), "API_KEYS[1].salt: must be 32 hexadecimal digits"),
        (shop(salt="ab"), "API_KEYS[1].salt: "),
        (shop(salt=7), "API_KEYS[1].salt: "),
        (shop(sha256=HIDDEN), "API_KEYS[1].sha256: must be 64 hexadecimal digits"),
        (shop(sha256="ab" * 31), "API_KEYS[1].sha256: "),
        (shop(sha256=["ab" * 32]), "API_KEYS[1].sha256: "),
        (shop(expiresAt=HIDDEN), "API_KEYS[1].expiresAt: must be a time in ISO 8601 with its zone"),
        (shop(expiresAt="2030-01-01"), "API_KEYS[1].expiresAt: "),
        (shop(weight=0), "API_KEYS[1].weight: must be a whole number from 1 to 1000000"),
        (shop(weight=1.5), "API_KEYS[1].weight: "),
        (shop(weight=True), "API_KEYS[1].weight: "),
        (shop(weight="3"), "API_KEYS[1].weight: "),
        (shop(weight=10**9), "API_KEYS[1].weight: "),
        (shop(expiresAt="2030-01-01T00:00:00"), "API_KEYS[1].expiresAt: "),
        (shop(expiresAt=1_900_000_000), "API_KEYS[1].expiresAt: "),
    ],
)
def test_a_wrong_entry_is_named_and_never_shown(entry: JsonValue, place: str) -> None:
    found = wrong([key_record(OPS_KEY), entry])
    assert found.startswith(place)
    assert HIDDEN not in found
    assert SHOP_KEY.hash.hex() not in found


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(SHOP, id="a key"),
        "{}",
        '"x"',
        "7",
        "[",
        "[1,]",
        "[NaN]",
        "\udce9",
        "[" * 2000,
        "null",
        "[]",
        "[null]",
    ],
)
def test_what_is_no_array_of_keys_stops_the_start(text: str, tmp_path: Path) -> None:
    [found] = problems(sms(), SMS_ENVIRONMENT | {"API_KEYS": text})
    assert found.startswith("API_KEYS")
    assert SHOP.partition(".")[2] not in found
    file = tmp_path / "keys.json"
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    [in_file] = problems(sms(), environment(None, file))
    assert in_file == found.replace("API_KEYS", "API_KEYS_FILE")


def test_an_empty_array_says_how_to_have_no_keys() -> None:
    assert wrong([]) == "API_KEYS: holds no key; unset it to have none asked for"


@pytest.mark.parametrize("name", ["none.json", ".", "a\0b"])
def test_a_file_that_cannot_be_read_stops_the_start(tmp_path: Path, name: str) -> None:
    environ = SMS_ENVIRONMENT | {"API_KEYS_FILE": f"{tmp_path}/{name}"}
    [found] = problems(sms(), environ)
    assert found.startswith("API_KEYS_FILE: must name a file that can be read")


def test_wrong_keys_and_a_wrong_file_are_told_in_one_go() -> None:
    found = problems(sms(drain="soon"), environment([HIDDEN]))
    assert len(found) == 2
    assert {problem.partition(":")[0] for problem in found} == {"drain", "API_KEYS[0]"}


def test_everything_wrong_with_an_entry_is_named() -> None:
    found = problems(sms(), environment([shop(id="", salt="", scopes=[])]))
    assert [problem.partition(":")[0] for problem in found] == [
        "API_KEYS[0].id",
        "API_KEYS[0].scopes",
        "API_KEYS[0].salt",
    ]


def test_keys_are_read_anew_from_what_a_file_holds() -> None:
    content = json.dumps([key_record(SHOP_KEY)]).encode()
    assert parse_keys(content, "keys.json") == (SHOP_KEY,)
    assert parse_keys(b"[]", "keys.json") == ()
    with pytest.raises(ConfigurationError, match=r"keys\.json\[0\]: must be an object"):
        parse_keys(b"[1]", "keys.json")


@pytest.mark.parametrize(
    "text",
    ["2030-01-31T12:00:00Z", "2030-01-31T13:00:00+01:00", "20300131T120000Z", "2030-01-31 12:00Z"],
)
def test_an_expiry_is_a_moment_in_any_zone(text: str) -> None:
    assert parse_expiry(text) == datetime(2030, 1, 31, 12, tzinfo=UTC).timestamp()


def test_no_key_shows_in_what_settings_print() -> None:
    found = repr(settings(environ=environment([shop()])))
    assert "shop" in found
    assert SHOP_KEY.hash.hex() not in found
    assert repr(SHOP_KEY.salt) not in found


@pytest.mark.parametrize("variable", ["API_KEYS", "API_KEYS_FILE"])
def test_a_key_that_stands_twice_in_a_record_is_named(tmp_path: Path, variable: str) -> None:
    text = json.dumps([key_record(SHOP_KEY)]).replace('"id":', '"weight": 1, "weight": 2, "id":')
    (tmp_path / "keys.json").write_text(text)
    value = text if variable == "API_KEYS" else str(tmp_path / "keys.json")

    (found,) = problems(sms(), SMS_ENVIRONMENT | {variable: value})

    assert found == f"{variable}[0].weight: stands there twice; once is allowed"
