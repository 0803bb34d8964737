"""Answers as they arrive: however their bytes are split, they say the same."""

from __future__ import annotations

from itertools import pairwise

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from carillon.http_client.response import Answers, NotHttp
from carillon.http_client.target import Origin, Target, origin_of

ANSWERS = {
    b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nServer:  a \r\n\r\nhello": b"hello",
    b"HTTP/1.1 100 Go\r\nx: y\r\n\r\n"
    b"HTTP/1.1 200 OK\r\nServer: a\r\ncontent-length: 0\r\n\r\n": b"",
    b"HTTP/1.1 200 OK\r\nserver: z\r\nserver: a\r\ntransfer-encoding: chunked\r\n\r\n"
    b"3;e=x\r\nhel\r\n2\r\nlo\r\n0\r\nserver: trailer\r\n\r\n": b"hello",
}


@pytest.mark.slow
@given(st.sampled_from(list(ANSWERS)), st.lists(st.integers(0, 160)))
def test_an_answer_says_the_same_however_it_is_split(answer: bytes, cuts: list[int]) -> None:
    answers = Answers()
    for _ in range(2):  # a parser is used again and again
        answers.begin()
        places = sorted({0, *(cut for cut in cuts if cut < len(answer)), len(answer)})
        for begin, end in pairwise(places):
            assert not answers.whole
            answers.feed(answer[begin:end])
        assert (answers.status, answers.take(), answers.reusable) == (200, ANSWERS[answer], True)
        assert answers.headers["server"] == "a"
        assert answers.head().reason == b"OK"
        assert not answers.until_end


@given(st.binary(max_size=300))
def test_no_bytes_do_anything_but_answer_or_be_refused(noise: bytes) -> None:
    for start in (b"", b"HTTP/1.1 200 OK\r\n"):
        answers = Answers()
        answers.begin()
        try:
            answers.feed(start + noise)
        except NotHttp:
            continue
        assert answers.status == 0 or 100 <= answers.status <= 599
        assert all(name == name.lower() for name in answers.headers)


def test_what_was_said_stays_said_when_the_next_answer_comes() -> None:
    answers = Answers()
    answers.begin()
    answers.feed(b"HTTP/1.1 200 OK\r\nx: first\r\ncontent-length: 0\r\n\r\n")
    first = answers.headers
    answers.begin()
    answers.feed(b"HTTP/1.1 200 OK\r\nx: second\r\n\r\n")
    assert (first["x"], answers.headers["x"]) == ("first", "second")
    assert answers.until_end
    assert not answers.reusable


@pytest.mark.parametrize(
    ("url", "origin", "host"),
    [
        ("http://sms-service/send", Origin("sms-service", 80, secure=False), "sms-service"),
        ("https://sms-service", Origin("sms-service", 443, secure=True), "sms-service"),
        ("https://sms-service:443/", Origin("sms-service", 443, secure=True), "sms-service"),
        ("http://sms_service:8080/", Origin("sms_service", 8080, secure=False), "sms_service:8080"),
        ("http://[::1]/", Origin("::1", 80, secure=False), "[::1]"),
        ("https://b\xfccher.example/", Origin("xn--bcher-kva.example", 443, secure=True), None),
        ("http://user:secret@host/", Origin("host", 80, secure=False), "host"),
    ],
)
def test_an_address_is_taken_apart(url: str, origin: Origin, host: str | None) -> None:
    target = Target(httpx.URL(url), direct=True)
    assert target.origin == origin
    head = target.head("GET", {}).decode()
    assert f"host: {host or origin.host}\r\n" in head
    assert "secret" not in head


@pytest.mark.parametrize("url", ["ftp://host/", "http:///path", "/path"])
def test_what_is_no_plain_http_has_no_origin(url: str) -> None:
    assert origin_of(httpx.URL(url)) is None


def test_headers_that_vary_do_not_fill_the_memory() -> None:
    target = Target(httpx.URL("http://host/"), direct=True)
    heads = {target.head("GET", {"x": str(number)}) for number in range(100)}
    assert len(heads) == 100
    assert len(target._heads) < 20


HEAD = b"HTTP/1.1 200 OK\r\nx: y\r\ncontent-length: 5\r\n\r\n"


@pytest.mark.parametrize(
    ("following", "body", "is_reusable"),
    [
        (HEAD + b"other", b"other", True),
        (HEAD + b"tails" + b"!", b"tails", False),
        (HEAD.replace(b"5", b"6") + b"longer", b"longer", True),
        (HEAD.replace(b"200", b"503") + b"other", b"other", True),
        (HEAD.replace(b"x: y", b"connection: close") + b"other", b"other", False),
        (b"HTTP/1.1 100 Go\r\n\r\n" + HEAD + b"other", b"other", True),
    ],
)
def test_an_answer_like_the_one_before_is_read_for_itself(
    following: bytes, body: bytes, *, is_reusable: bool
) -> None:
    answers = Answers()
    for answer in (HEAD + b"hello", following, HEAD + b"hello", HEAD + b"again"):
        answers.begin()
        answers.feed(answer)
        assert answers.whole
        if answer == following:
            assert (answers.take(), answers.reusable) == (body, is_reusable)
            assert answers.status == int(following.rpartition(b"HTTP/1.1 ")[2][:3])
            answers = answers if is_reusable else Answers()
        else:
            assert (answers.status, answers.take()) == (200, answer[-5:])
            assert answers.headers["x"] == "y"


def test_a_head_that_was_seen_before_begins_an_answer_that_comes_in_parts() -> None:
    answers = Answers()
    for parts in ([HEAD + b"hello"], [HEAD, b"he", b"llo"], [HEAD[:9], HEAD[9:] + b"hello"]):
        answers.begin()
        for part in parts:
            assert not answers.whole
            answers.feed(part)
        assert (answers.status, answers.take(), answers.reusable) == (200, b"hello", True)


def test_the_answer_to_head_has_no_body_though_its_head_was_seen_before() -> None:
    answers = Answers()
    for answer, bodiless in ((HEAD + b"hello", False), (HEAD, True), (HEAD + b"hello", False)):
        answers.begin(bodiless=bodiless)
        answers.feed(answer)
        assert (answers.whole, answers.take()) == (True, answer[len(HEAD) :])
    answers.begin(bodiless=True)
    answers.feed(HEAD + b"hello")
    assert answers.surplus
