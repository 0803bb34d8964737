"""The texts of one dispatch: compiled once, rendered for each recipient.

Where the product's page leaves room: HTML is escaped only where the result is HTML, unless
`everywhere` turns the reference's way back on, and JSON where it is JSON; a text that never
mentions `user` is rendered once a dispatch.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from pydantic_core import from_json

from messages.errors import BadCommand
from messages.model import Channel, Content, Document, EmailContent, PushContent, TextContent
from messages.templates import Engine, Escaping, Template, TemplateError

Source = Mapping[str, object]
"""Texts under the names that a stored template has: `emailTitle`, `smsMessage` …"""

_FIELDS: Final[Mapping[Channel, Sequence[str]]] = {
    "email": ("emailTitle", "emailHtmlMessage", "emailMessage"),
    "sms": ("smsMessage",),
    "push": ("pushTitle", "pushSubtitle", "pushMessage", "pushData"),
    "voice": ("voiceMessage",),
}
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
"""No part of a header: line breaks, and what mail servers refuse or drop."""
_WRITTEN_BREAKS: Final = re.compile(r"\\r\\n|\\n\\r|\\n|\\r")
_NO_CONTENT: Final[Mapping[Channel, str]] = {
    "email": "The template has no emailTitle, or neither emailMessage nor emailHtmlMessage",
    "sms": "The template has no smsMessage",
    "push": "The template has neither pushData nor both pushTitle and pushMessage",
    "voice": "The template has no voiceMessage",
}

_EMPTY: Final = "The message is empty once it is rendered"


def written_breaks(html: str) -> str:
    """HTML in which line breaks that are written as escape sequences break the line.

    As the reference does from 1.7.1 on.
    """
    return _WRITTEN_BREAKS.sub("<br/>", html)


def escaping_of(name: str, *, everywhere: bool = False) -> Escaping:
    """What `{{…}}` escapes in a field of a template.

    `pushData` is JSON once it is rendered: a value may end none of its strings, whatever the rest
    of the configuration says.
    """
    if name == "pushData":
        return "json"
    return "html" if everywhere or name == "emailHtmlMessage" else "none"


class NoContent(Exception):
    """The template lacks what a channel needs, or nothing of it is left for this recipient."""


class NotRenderable(Exception):
    """A text could not be rendered for this recipient."""


def plain_source(title: str | None, content: str | None) -> Source:
    """What a request without a template says, under the names of a template's fields."""
    texts = {
        "emailTitle": title,
        "emailMessage": content,
        "smsMessage": content,
        "voiceMessage": content,
        "pushTitle": title,
        "pushMessage": content,
    }
    return {name: text for name, text in texts.items() if text is not None}


def stored_source(template: Document) -> Source:
    """What a stored template says; an empty field counts as absent."""
    return {name: value for name, value in template.items() if value not in (None, "")}


class _Text:
    """One compiled field, rendered once when it does not mention the user."""

    def __init__(self, template: Template) -> None:
        self._template = template
        self._once: str | None = None
        self._personal = template.mentions("user")

    @property
    def paths(self) -> frozenset[tuple[str, ...]]:
        """What the text may read."""
        return self._template.paths

    def render(self, context: Mapping[str, object]) -> str:
        if self._once is not None:
            return self._once
        text = self._template.render(context)
        if not self._personal:
            self._once = text
        return text


class Texts:
    """The compiled fields that the channels of one dispatch need.

    Raises:
        BadCommand: a text has a syntax error or is no text; names the field and the place.
    """

    def __init__(
        self,
        engine: Engine,
        source: Source,
        channels: Sequence[Channel],
        data: Mapping[str, object] | None,
        *,
        everywhere: bool = False,
    ) -> None:
        self._engine = engine
        self._everywhere = everywhere
        self._data = {} if data is None else {"data": data}
        self._texts: dict[str, _Text] = {}
        for channel in channels:
            for name in _wanted(channel, source):
                self._texts[name] = self._compile(name, source[name])

    def user_fields(self) -> frozenset[str] | None:
        """Which fields of a user the texts may read; None when it may be any."""
        fields: set[str] = set()
        for path in (path for text in self._texts.values() for path in text.paths):
            if not path or path == ("user",):
                return None
            if path[0] == "user":
                fields.add(path[1])
        return frozenset(fields)

    def content(self, channel: Channel, user: Document) -> Content:
        """What one user gets over one channel.

        Raises:
            NoContent: the template lacks a field that the channel needs.
            NotRenderable: a helper failed or is unknown, or `pushData` is not JSON.
        """
        context = {"user": user, **self._data}
        try:
            if channel == "email":
                return self._email(context)
            if channel == "push":
                return self._push(context)
            text = self._render("smsMessage" if channel == "sms" else "voiceMessage", context)
        except TemplateError as error:
            raise NotRenderable(f"The message could not be rendered: {error.message}") from None
        if text is None:
            raise NoContent(_NO_CONTENT[channel])
        if not text.strip():
            raise NoContent(_EMPTY)
        return TextContent(text)

    def _email(self, context: Mapping[str, object]) -> EmailContent:
        subject = self._render("emailTitle", context)
        html = self._render("emailHtmlMessage", context)
        text = None if html is not None else self._render("emailMessage", context)
        if subject is None or (html is None and text is None):
            raise NoContent(_NO_CONTENT["email"])
        return EmailContent(
            subject=_CONTROL.sub(" ", subject),
            text=text,
            html=None if html is None else written_breaks(html),
        )

    def _push(self, context: Mapping[str, object]) -> PushContent:
        title = self._render("pushTitle", context)
        message = self._render("pushMessage", context)
        data = self._render("pushData", context)
        if data is None and (title is None or message is None):
            raise NoContent(_NO_CONTENT["push"])
        android, apns = (None, None) if data is None else _push_data(data)
        subtitle = self._render("pushSubtitle", context)
        shown = any(text and text.strip() for text in (title, subtitle, message))
        if not (shown or android or apns):
            raise NoContent(_EMPTY)
        return PushContent(title, subtitle, message, android, apns)

    def _render(self, name: str, context: Mapping[str, object]) -> str | None:
        text = self._texts.get(name)
        return None if text is None else text.render(context)

    def _compile(self, name: str, source: object) -> _Text:
        if not isinstance(source, str):
            raise BadCommand(f"The template's {name} must be a string")
        try:
            escaping = escaping_of(name, everywhere=self._everywhere)
            return _Text(self._engine.compile(source, escaping=escaping))
        except TemplateError as error:
            raise BadCommand(f"Syntax error in {name}: {error}") from None


def _wanted(channel: Channel, source: Source) -> Sequence[str]:
    names = [name for name in _FIELDS[channel] if name in source]
    if "emailHtmlMessage" in names and "emailMessage" in names:
        names.remove("emailMessage")  # with both bodies, only the HTML one is used
    return names


def _push_data(text: str) -> tuple[Document | None, Document | None]:
    try:
        data = from_json(text, allow_inf_nan=False)
    except ValueError:
        raise NotRenderable("pushData is not JSON once it is rendered") from None
    if not isinstance(data, dict):
        raise NotRenderable("pushData must be a JSON object once it is rendered")
    return _platform(data, "android"), _platform(data, "apns")


def _platform(data: Mapping[str, object], name: str) -> Document | None:
    value = data.get(name)
    if value is not None and not isinstance(value, dict):
        raise NotRenderable(f"{name} in pushData must be a JSON object once it is rendered")
    return value
