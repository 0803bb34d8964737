"""What the URL of an SMTP server says, and what stands in no message about it."""

from __future__ import annotations

import pytest

from carillon.messages.secret import Secret
from carillon.providers.smtp.server import SmtpServer, account_secret, smtp_server


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("smtp://x.it", SmtpServer("x.it", 587, "starttls")),
        ("smtp://x.it:25/", SmtpServer("x.it", 25, "starttls")),
        ("smtps://x.it", SmtpServer("x.it", 465, "tls")),
        ("smtp+plain://localhost", SmtpServer("localhost", 25, "none")),
        ("smtp+plain://[::1]:1025", SmtpServer("::1", 1025, "none")),
        ("smtp://ada@x.it", SmtpServer("x.it", 587, "starttls", "ada")),
        (
            "smtp://ada%40x.it:p%2F%C3%A9%25@x.it",
            SmtpServer("x.it", 587, "starttls", "ada@x.it", Secret("p/\u00e9%")),
        ),
        ("SMTP://x.it", SmtpServer("x.it", 587, "starttls")),
    ],
)
def test_a_url_says_where_and_how_and_who(url: str, server: SmtpServer) -> None:
    assert smtp_server(url) == server
    assert smtp_server(server) is server
    assert server.holds_secret == ("p%2F" in url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "x.it",
        "x.it:25",
        "http://x.it",
        "smtp:x.it",
        "smtp://",
        "smtp://x.it:0",
        "smtp://x.it:99999",
        "smtp://x.it:",
        "smtp://x.it/mail",
        "smtp://x.it?PASS=1",
        "smtp://x.it#PASS",
        "smtp://:PASS@x.it",
        "smtp://ada:PASS@",
        "smtp://ada:PASS %@x.it",
        "smtp://ada:PASS%00@x.it",
        "smtp://ada:PASS%0D%0A@x.it",
        "smtp://ada:PASS%FF@x.it",
        "smtp://ada:PASS@x y.it",
        "smtp://ada:PASS@[x]",
        "smtp://" + "x" * 2048,
        7,
        None,
    ],
)
def test_what_is_no_url_of_a_server_is_refused_and_not_shown(url: object) -> None:
    with pytest.raises(ValueError, match="smtp://host:587") as refused:
        smtp_server(url)
    assert "PASS" not in str(refused.value)


def test_its_text_shows_no_account() -> None:
    server = smtp_server("smtp+plain://ada:PASS@[::1]:1025")
    assert str(server) == "smtp+plain://[::1]:1025"
    assert "ada" not in repr(server)
    assert "PASS" not in repr(server)


@pytest.mark.parametrize("text", ["", "a\0b", "a\r\nb", 7])
def test_a_password_that_no_server_takes_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="printable"):
        account_secret(text)
