from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carillon.api.idempotency import Repeats, idempotency_key
from carillon.messages.clock import milliseconds
from carillon.messages.errors import BadCommand, Conflict, KeyReused
from carillon.messages.json_input import JsonText
from carillon.messages.ports.journal import IdempotencyKey
from carillon.messages.ports.records import (
    DispatchPage,
    DispatchRecord,
    DispatchState,
    RecordFilter,
    RecordPage,
    Remembered,
)
from carillon.messages.string_list import StringList

BODY: dict[str, object] = {"channels": ["sms"], "data": {"a": 1, "b": [None, "é"]}}
EXPIRY = 60.0


def key_of(shown: str, body: object = BODY, **others: str) -> IdempotencyKey:
    parts = {"caller": "shop", "method": "POST", "route": "/send", **others}
    key = idempotency_key([shown], parts["caller"], parts["method"], parts["route"], body)
    assert key is not None
    return key


def test_without_the_header_there_is_no_key() -> None:
    assert idempotency_key([], "shop", "POST", "/send", BODY) is None


@pytest.mark.parametrize("shown", ["k", '"k"', " k ", '\t"k"', "k\t"])
def test_quoted_and_bare_are_the_same_key(shown: str) -> None:
    assert key_of(shown) == key_of("k")
    assert key_of(shown).key == "k"


@pytest.mark.parametrize("shown", ['"a b"', '"a,b"', "a,b", "'a'", "{}", "~", "x" * 255])
def test_any_printable_text_is_a_key(shown: str) -> None:
    assert key_of(shown).key == shown.strip('"')


@pytest.mark.parametrize(
    "shown",
    ["", " ", '""', '"', '"a', 'a"', 'a"b', '"a"b', '"a\\"b"', "a b", "x" * 256, '"' + "x" * 256,
     "é", "\xa0k", "k\xa0", "\x85k", "a\x00b", "a\x7f", '"a";q=1', "\u2028k"],
)  # fmt: skip
def test_what_is_no_key_is_refused(shown: str) -> None:
    with pytest.raises(BadCommand, match="Idempotency-Key must be one string"):
        key_of(shown)


def test_a_refusal_does_not_repeat_what_was_shown() -> None:
    with pytest.raises(BadCommand) as refusal:
        key_of("my secret é")
    assert "secret" not in str(refusal.value)


def test_two_headers_are_refused() -> None:
    for shown in (["a", "b"], ["a", "a"], ["a", ""]):
        with pytest.raises(BadCommand):
            idempotency_key(shown, "shop", "POST", "/send", BODY)


def test_the_fingerprint_is_that_of_the_parsed_request() -> None:
    fingerprint = key_of("k").fingerprint
    assert key_of("k", dict(reversed(BODY.items()))).fingerprint == fingerprint
    assert key_of("another", caller="desk").fingerprint == fingerprint
    for other in (
        key_of("k", {**BODY, "channels": ["sms", "email"]}),
        key_of("k", {**BODY, "data": {"a": 1, "b": ["é", None]}}),
        key_of("k", {**BODY, "data": {"a": True, "b": [None, "é"]}}),
        key_of("k", route="/saga/send"),
        key_of("k", method="PUT"),
    ):
        assert other.fingerprint != fingerprint


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(json_values, st.text(string.ascii_letters + string.digits + "-_.:/+=", min_size=1))
def test_every_body_has_a_fingerprint_that_tells_nothing(body: object, key: str) -> None:
    found = key_of(key[:255], body)
    assert found.key == key[:255]
    assert len(found.fingerprint) == 64
    assert key_of(key[:255], [body]).fingerprint != found.fingerprint


class Remembering:
    """Records that know one key, which came at a time."""

    def __init__(self, key: IdempotencyKey, at: int) -> None:
        self._key = key
        self._at = at

    async def remembered(self, caller: str, route: str, key: str, since: int) -> Remembered | None:
        known = self._key
        is_it = (caller, route, key) == (known.caller, known.route, known.key)
        return Remembered("d-1", known.fingerprint) if is_it and self._at >= since else None

    async def dispatch(self, dispatch_id: str) -> DispatchRecord | None:
        raise NotImplementedError

    async def dispatches(
        self, state: DispatchState | None, cursor: str, limit: int, prefix: str = ""
    ) -> DispatchPage:
        raise NotImplementedError

    async def deliveries(
        self, dispatch_id: str, wanted: RecordFilter, cursor: str, limit: int
    ) -> RecordPage:
        raise NotImplementedError


async def test_a_key_stands_for_its_dispatch_until_it_expires() -> None:
    for age, expected in ((0, "d-1"), (59_000, "d-1"), (61_000, None)):
        repeats = Repeats(Remembering(key_of("k"), milliseconds() - age), EXPIRY)
        assert await repeats.earlier(key_of("k")) == expected


async def test_a_key_is_nobody_else_s() -> None:
    repeats = Repeats(Remembering(key_of("k"), milliseconds()), EXPIRY)
    for other in (key_of("K"), key_of("k", caller="desk"), key_of("k", route="/saga/send")):
        assert await repeats.earlier(other) is None


async def test_a_key_that_stands_for_another_request_is_told_apart() -> None:
    repeats = Repeats(Remembering(key_of("k"), milliseconds()), EXPIRY)
    with pytest.raises(KeyReused):
        await repeats.earlier(key_of("k", {**BODY, "channels": ["email"]}))


def test_a_key_is_claimed_by_one_at_a_time_and_free_afterwards() -> None:
    repeats = Repeats(Remembering(key_of("k"), milliseconds()), EXPIRY)
    with repeats.claimed(key_of("k")), repeats.claimed(key_of("k", caller="desk")):
        with pytest.raises(Conflict), repeats.claimed(key_of("k", [])):
            pass
    with pytest.raises(BadCommand), repeats.claimed(key_of("k")):
        raise BadCommand("it was not accepted")
    with repeats.claimed(key_of("k")):
        pass


def test_a_body_has_one_fingerprint_whether_parts_of_it_are_kept_as_text_or_not() -> None:
    body = {**BODY, "recipients": ["a", "é", '"'] * 700, "title": "x😀" * 300_000, "more": []}
    kept = {
        **body,
        "data": JsonText(b'{"b": [null, "\xc3\xa9"], "a": 1}'),
        "recipients": StringList.of(["a", "é", '"'] * 700),
    }
    other = {**kept, "recipients": StringList.of(["a", "é", "'"] * 700)}
    assert key_of("k", kept) == key_of("k", body) != key_of("k", other)
    assert idempotency_key(["k"], "shop", "POST", "/send", body, is_long=True) == key_of("k", body)
