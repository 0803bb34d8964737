from __future__ import annotations

import io

from rich.console import Console

from carillon.cli.demo.screen import Screen, visible_text
from carillon.messages.events import BreakerMoved, DeliveryEnded
from carillon.messages.model import (
    Channel,
    Content,
    Delivery,
    EmailContent,
    Outcome,
    PushContent,
    Reason,
    Receipt,
    TextContent,
)


def shown(channel: Channel, address: str, content: Content) -> list[str]:
    out = io.StringIO()
    delivery = Delivery(
        id="1",
        dispatch_id="2",
        channel=channel,
        key="user/u",
        user_id="u",
        address=address,
        sender="sender",
        content=content,
    )
    Screen(Console(file=out, width=40)).message(delivery)
    return out.getvalue().splitlines()


def ended(channel: Channel, outcome: Outcome, reason: Reason, error: str = "") -> DeliveryEnded:
    return DeliveryEnded(
        Receipt(
            delivery_id="1",
            dispatch_id="2",
            channel=channel,
            key="user/u",
            user_id="u",
            outcome=outcome,
            reason=reason,
            error=error,
        )
    )


def test_a_mail_shows_its_subject_and_text() -> None:
    content = EmailContent("Hi", text="One\n\nTwo")
    assert shown("email", "a@x.test", content) == [
        "email  to a@x.test  Hi",
        "       One",
        "       Two",
    ]


def test_html_is_shown_as_it_would_be_read() -> None:
    html = (
        "<head><style>p{}</style></head><h1>Hi</h1><p>a &amp; <b>b</b><br/>c</p><script>x</script>"
    )
    assert [line for line in visible_text(html).splitlines() if line] == ["Hi", "a & b", "c"]


def test_a_push_shows_its_parts_and_data() -> None:
    content = PushContent("Title", "Sub", "Message", android={"ttl": "1s"})
    assert shown("push", "token", content) == [
        "push   to token  Title",
        "       Sub",
        "       Message",
        '       {"android": {"ttl": "1s"}}',
    ]


def test_long_texts_are_cut_and_not_folded() -> None:
    lines = shown("sms", "+391", TextContent("\n".join(["x" * 300] * 9)))
    assert lines[0] == "sms    to +391"
    assert [len(line) for line in lines[1:]] == [7 + 160] * 5 + [8]


def test_a_terminal_obeys_nothing_of_a_message() -> None:
    lines = shown("sms", "+39\x1b[2J1", TextContent("[bold]\x1b]0;title\x07"))
    assert lines == ["sms    to +39\\x1b[2J1", "       [bold]\\x1b]0;title\\x07"]


def test_only_deliveries_that_were_not_sent_are_told_of() -> None:
    out = io.StringIO()
    screen = Screen(Console(file=out))
    screen.event(BreakerMoved("p", "open"))
    screen.event(ended("sms", "sent", "accepted"))
    assert out.getvalue() == ""
    screen.event(ended("sms", "failed", "exhausted", "no answer"))
    screen.event(ended("push", "skipped", "no-address"))
    assert out.getvalue().splitlines() == [
        "sms    failed, for u: no answer",
        "push   skipped, for u: no-address",
    ]
