"""What JSON is let in from outside, however long it is, and that it is judged quickly."""

from __future__ import annotations

import gc
import json
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carillon.messages.errors import BadCommand
from carillon.messages.json_bounds import Bounds, TooManyValues
from carillon.messages.json_input import SHORT, JsonText, read_json
from carillon.messages.string_list import StringList
from tests.timing import quickest

MANY = Bounds(values=1_000_000)
WAYS = pytest.mark.parametrize("padding", [0, SHORT], ids=["at once", "piece by piece"])
"""A short text is parsed in one call, a long one piece by piece: both are to say the same."""


def parse_json(data: bytes, padding: int = 0) -> object:
    return read_json(data + b" " * padding, MANY)


def nested(levels: int, inner: str = "0") -> bytes:
    return ("[" * levels + inner + "]" * levels).encode()


@WAYS
@pytest.mark.parametrize("inner", ["0", "{}", "[]", "[ ]", "{\n}"])
def test_200_levels_are_let_in_and_no_more(inner: str, padding: int) -> None:
    own = 0 if inner == "0" else 1
    parse_json(nested(200 - own, inner), padding)
    with pytest.raises(BadCommand):
        parse_json(nested(201 - own, inner), padding)


@pytest.mark.parametrize(
    "text",
    [
        '{"__proto__": 1}',
        '[{"a": {"\\u005f_proto__": 1}}]',
        '{"constructor": {"prototype": 1}}',
        '{"c\\u006fnstructor": {"a": 1, "prototype": 1}}',
    ],
)
@WAYS
def test_keys_that_nobody_should_send_are_refused(text: str, padding: int) -> None:
    with pytest.raises(BadCommand, match="forbidden key"):
        parse_json(text.encode(), padding)


@pytest.mark.parametrize("text", ['{"constructor": 1}', '["__proto__"]', '{"prototype": {}}'])
@WAYS
def test_such_words_are_let_in_elsewhere(text: str, padding: int) -> None:
    assert parse_json(text.encode(), padding) == json.loads(text)


@WAYS
@pytest.mark.parametrize(
    "text", ["1e999", "-1E+400", "1" * 400 + ".0", "NaN", "Infinity", "1" * 4301, "1" * 9000]
)
def test_numbers_without_end_are_refused(text: str, padding: int) -> None:
    with pytest.raises(BadCommand, match="not valid JSON"):
        parse_json(f'{{"a": {text}}}'.encode(), padding)


@pytest.mark.parametrize("text", ["1e300", "1e-999", "1" * 400, '"1e999"', '"[ ]{}[]"'])
@WAYS
def test_what_only_looks_like_them_is_let_in(text: str, padding: int) -> None:
    assert parse_json(text.encode(), padding) == json.loads(text)


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        "[" + ",".join(["{}"] * 40_000) + "]",
        "[" + ",".join(["{ }"] * 80_000) + "]",
        '["\\u0041",' + ",".join(['{"a":[]}'] * 40_000) + "]",
        "[1e100," + ",".join(["[[]]"] * 60_000) + "]",
        "[" + "9" * 900_000 + "]",
    ],
    ids=lambda text: text[:20],
)
def test_a_large_body_is_judged_quickly(text: str) -> None:
    def judge() -> None:
        with suppress(BadCommand):
            parse_json(text.encode())

    assert quickest(judge, 0.5) < 0.5


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=8), inner),
)


@pytest.mark.slow
@WAYS
@given(value=JSON | st.text(), indent=st.sampled_from([None, 1]))
def test_harmless_json_arrives_as_it_was_sent(
    value: object, indent: int | None, padding: int
) -> None:
    text = json.dumps(value, indent=indent)
    assert parse_json(text.encode(), padding) == value


PATCHES = [
    *(
        b'"',
        b"\\",
        b'\\"',
        b"[",
        b"]",
        b"{",
        b"}",
        b",",
        b":",
        b"-",
        b"0",
        b"\x00",
        b"\n",
        b"1e999",
    ),
    *(
        b"\\ud800",
        b"\\udc00",
        b"\\ud83d\\ude00",
        b"\xed\xa0\x80",
        b"\xff",
        b"\xc3",
        b"NaN",
        b"__proto__",
    ),
]


def verdict(data: bytes, padding: int) -> str:
    try:
        return repr(parse_json(data, padding))
    except BadCommand:
        return "refused"


@pytest.mark.slow
@given(JSON, st.data())
def test_spoilt_json_is_judged_alike_at_once_and_piece_by_piece(
    value: object, data: st.DataObject
) -> None:
    spoilt = json.dumps(value, ensure_ascii=data.draw(st.booleans())).encode()
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(spoilt)))
        patch = data.draw(st.sampled_from(PATCHES))
        spoilt = spoilt[:at] + patch + spoilt[at + data.draw(st.integers(0, 2)) :]
    assert verdict(spoilt, 0) == verdict(spoilt, SHORT)


@pytest.mark.parametrize("unit", ["a", "é", "€", "😀", "\\n", "\\u20ac", "\\ud83d\\ude00", '\\"'])
def test_a_text_of_megabytes_is_read_whatever_it_is_made_of(unit: str) -> None:
    text = ('{"data": {"text": "x' + unit * 400_000 + '"}}').encode()
    found = read_json(text, Bounds(kept="data"))
    assert isinstance(found, dict)
    assert isinstance(found["data"], JsonText)
    assert found["data"].value() == json.loads(text)["data"]


SEND = Bounds(1000, frozenset({"recipients"}), "data")


@pytest.mark.parametrize("padding", [0, SHORT])
@pytest.mark.parametrize(
    "text",
    [
        '{"data": [' + "0," * 1000 + "0]}",
        '{"data": {"recipients": [' + '"a",' * 1000 + '"a"]}}',
        '{"clusters": [' + '"a",' * 1000 + '"a"]}',
        "[" + "{}," * 1000 + "{}]",
    ],
    ids=lambda text: str(text)[:20],
)
def test_more_values_than_are_allowed_are_refused(text: str, padding: int) -> None:
    with pytest.raises(TooManyValues, match=r"more than 1,000 JSON values \(limits.values\)"):
        read_json(text.encode() + b" " * padding, SEND)


@pytest.mark.parametrize("number", [0, 1, 999, 1000, 1001, 30_000])
def test_recipients_do_not_count_and_are_all_there(number: int) -> None:
    ids = [f'id "{at}" €' for at in range(number)]
    for indent in (None, 1):
        text = json.dumps({"recipients": ids, "data": {}}, indent=indent).encode() + b" " * SHORT
        found = read_json(text, SEND)
        assert isinstance(found, dict)
        kept = found["recipients"]
        assert isinstance(kept, StringList)
        assert (len(kept), list(kept), kept[:]) == (number, ids, ids)
        assert [kept[at : at + 7] for at in range(0, number, 977)] == [
            ids[at : at + 7] for at in range(0, number, 977)
        ]
        assert json.loads(b"".join(kept.json())) == ids
        assert kept.longest == max(map(len, ids), default=0)


def test_a_recipient_that_is_no_text_is_named() -> None:
    text = '{"recipients": [' + '"a",' * 100_000 + "7]}"
    with pytest.raises(BadCommand, match=r"recipients\[100000\] must be a string"):
        read_json(text.encode(), SEND)


def test_a_list_made_of_texts_is_the_same_as_one_that_was_read() -> None:
    ids = [str(at) for at in range(2500)]
    kept = StringList.of(ids)
    assert (list(kept), kept[2499], kept[-1], kept[998:1002]) == (
        ids,
        "2499",
        "2499",
        ["998", "999", "1000", "1001"],
    )
    with pytest.raises(IndexError):
        kept[2500]


@pytest.mark.slow
def test_a_text_of_many_values_is_made_an_object_in_short_turns() -> None:
    many = JsonText(b'{"a":[' + b'{"b":"c"},' * 99_000 + b"0]}")
    assert min(longest_turn(many.value) for _ in range(3)) < 0.02


def longest_turn(job: Callable[[], object]) -> float:
    """Seconds of a processor that a job has at most before others have the interpreter."""
    thread = threading.Thread(target=job)
    longest = 0.0
    gc.disable()
    thread.start()
    clock = time.pthread_getcpuclockid(thread.ident or 0)
    with suppress(OSError):  # it has ended
        while thread.is_alive():
            before = time.clock_gettime(clock)
            time.sleep(0)
            longest = max(longest, time.clock_gettime(clock) - before)
    thread.join()
    gc.enable()
    return longest
