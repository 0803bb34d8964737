"""URLs of neighbours as operators write them."""

from __future__ import annotations

import pytest

from carillon.http_client.urls import base_url, below, endpoint_url, service_endpoint, service_url


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("https://sms.example/a/?key=x%26y&b=2", "https://sms.example/a?key=x%26y&b=2"),
        ("http://sms:8080?key=a?b/c", "http://sms:8080?key=a?b/c"),
        ("http://[::1]:8080/?k", "http://[::1]:8080?k"),
        ("http://sms/?", "http://sms"),
        ("http://sms/a//", "http://sms/a"),
    ],
)
def test_an_endpoint_may_have_a_query(text: str, endpoint: str) -> None:
    assert endpoint_url(text) == service_endpoint(text) == endpoint
    assert endpoint_url(endpoint) == endpoint


@pytest.mark.parametrize("text", ["http://sms?key=x", "http://sms/?", "http://sms/a?b"])
def test_a_base_has_none(text: str) -> None:
    for read in (base_url, service_url):
        with pytest.raises(ValueError, match="without query and fragment"):
            read(text)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("http://sms/?key=x#f", "without fragment"),
        ("http://sms/#", "without fragment"),
        ("http://ada:PASS@sms/?key=x", "without user name and password"),
        ("http://sms/?key=a b", "without spaces"),
        ("http://sms/?key=\r\nx: y", "without spaces"),
        ("http://sms/?key=é", "that need escaping"),
        (f"http://sms/?key={'x' * 2048}", "without spaces"),
        ("http://?key=x", "valid host"),
        ("ftp://sms/?key=x", "http://"),
    ],
)
def test_what_is_no_endpoint_says_why_without_showing_it(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why) as raised:
        endpoint_url(text)
    assert not any(shown in str(raised.value) for shown in ("key", "PASS"))


def test_a_path_stands_before_the_query() -> None:
    assert below("http://sms/a?key=x/y", "/send") == "http://sms/a/send?key=x/y"
    assert below("http://sms/a/", "/send") == "http://sms/a/send"
    assert below("http://sms/?key=x", "/send") == "http://sms/send?key=x"
