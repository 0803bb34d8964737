"""The screen of the demo: each message that is sent, and each delivery that ends otherwise."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Set
from html.parser import HTMLParser
from typing import Final

from rich.console import Console
from rich.text import Text

from carillon.cli.table import one_line, printable
from carillon.messages.events import DeliveryEnded, Event
from carillon.messages.model import Channel, Delivery, EmailContent, PushContent, Receipt

_COLOURS: Final[dict[Channel, str]] = {
    "email": "cyan",
    "sms": "green",
    "push": "magenta",
    "voice": "yellow",
}
_MOST_LINES: Final = 6
_WIDEST: Final = 160
_TAG: Final = 7
_NEVER_SHOWN: Final = frozenset({"head", "style", "script"})


class Terminal(Console):
    """Stdout; notices when its reader is gone, and is silent from then on."""

    def __init__(self, gone: Callable[[], None]) -> None:
        super().__init__(highlight=False)
        self._gone = gone

    def on_broken_pipe(self) -> None:
        """As rich does, but without ending the process from inside a worker."""
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        self._gone()


class Screen:
    """Prints blocks of lines; colours only where the output is a terminal.

    Of the providers in `shown` what they have sent is told too, as no sandbox shows it.
    """

    def __init__(self, console: Console, shown: Set[str] = frozenset()) -> None:
        self._console = console
        self._shown = shown

    def message(self, delivery: Delivery) -> None:
        """A sandbox took this message."""
        subject, body = _words(delivery)
        line = Text.assemble(_tag(delivery.channel), ("to ", "dim"), printable(delivery.address))
        if subject:
            line.append("  ").append(one_line(subject, _WIDEST), "bold")
        self._show(line)
        for text in _lines(body):
            self._show(Text(f"{'':{_TAG}}{text}"))

    def event(self, event: Event) -> None:
        """Something happened; a delivery that was sent by a sandbox has been shown."""
        if not isinstance(event, DeliveryEnded):
            return
        receipt = event.receipt
        if receipt.outcome != "sent":
            self._ended(receipt)
        elif receipt.provider in self._shown:
            told = f"sent over {receipt.provider}, for {one_line(receipt.user_id)}"
            self._show(Text.assemble(_tag(receipt.channel), told))

    def _ended(self, receipt: Receipt) -> None:
        why = receipt.error or receipt.reason
        style = "red" if receipt.is_failure else "dim"
        told = f"{receipt.outcome}, for {one_line(receipt.user_id)}: {one_line(why, _WIDEST)}"
        self._show(Text.assemble(_tag(receipt.channel), (told, style)))

    def _show(self, line: Text) -> None:
        self._console.print(line, soft_wrap=True)


def _tag(channel: Channel) -> Text:
    return Text(f"{channel:{_TAG}}", _COLOURS[channel])


def _words(delivery: Delivery) -> tuple[str, str]:
    match delivery.content:
        case EmailContent(subject, text, html):
            return subject, (text or "") if html is None else visible_text(html)
        case PushContent() as push:
            platforms = {"android": push.android, "apns": push.apns}
            data = {name: value for name, value in platforms.items() if value}
            parts = [push.subtitle, push.message, json.dumps(data) if data else None]
            return push.title or "", "\n".join(part for part in parts if part)
        case content:
            return "", content.text


def _lines(body: str) -> list[str]:
    lines = [one_line(line, _WIDEST) for line in body.splitlines() if line.strip()]
    return lines if len(lines) <= _MOST_LINES else [*lines[: _MOST_LINES - 1], "…"]


def visible_text(html: str) -> str:
    """The visible text of an HTML page, roughly: one line for each piece."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    return "".join(reader.pieces)


class _Reader(HTMLParser):
    """Keeps the text between tags."""

    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _NEVER_SHOWN:
            self._hidden += 1

    def handle_endtag(self, tag: str) -> None:
        if tag in _NEVER_SHOWN:
            self._hidden = max(0, self._hidden - 1)
        elif tag in {"p", "div", "h1", "h2", "h3", "li", "tr", "br"}:
            self.pieces.append("\n")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.pieces.append(data)
