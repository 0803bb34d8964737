"""The texts of one dispatch: compiled once, rendered for each recipient.

HTML is escaped only where the result is HTML, unless `everywhere` turns the reference's behaviour
back on, and JSON where the result is JSON. A text that never mentions `user` is rendered once a
dispatch.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final
from weakref import ReferenceType, ref

from pydantic_core import from_json

from carillon.handlebars import Engine, Escaping, TakesLong, Template, TemplateError
from carillon.messages.errors import BadCommand
from carillon.messages.json_input import JsonText
from carillon.messages.model import (
    Channel,
    Content,
    Document,
    EmailContent,
    PushContent,
    TextContent,
)
from carillon.messages.offload import SMALL

Source = Mapping[str, object]
"""Texts under the names that a stored template has: `emailTitle`, `smsMessage` …"""

_FIELDS: Final[Mapping[Channel, Sequence[str]]] = {
    "email": ("emailTitle", "emailHtmlMessage", "emailMessage"),
    "sms": ("smsMessage",),
    "push": ("pushTitle", "pushSubtitle", "pushMessage", "pushData"),
    "voice": ("voiceMessage",),
}
ProviderPaths = Mapping[Channel, frozenset[tuple[str, ...]]]
"""The paths, such as ("user", "name"), that templates of a channel's providers may read; the empty
path () means any."""

_LIGHT: Final = 32_768
"""Weight in bytes up to which a dispatch holds a compiled field as long as it is open."""
_LONG_SOURCE: Final = 1024
"""Characters from which a template that is not cached yet is compiled in a thread."""
LONGEST_PUSH_DATA: Final = 65_536
"""Most characters of `pushData`; FCM takes 4,096 bytes."""
_PIECE: Final = 262_144
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
"""Characters not allowed in a header: line breaks, and what mail servers refuse or drop."""
_WRITTEN_BREAKS: Final = re.compile(r"\\r\\n|\\n\\r|\\n|\\r")
_NO_CONTENT: Final[Mapping[Channel, str]] = {
    "email": "The template has no emailTitle, or neither emailMessage nor emailHtmlMessage",
    "sms": "The template has no smsMessage",
    "push": "The template has neither pushData nor both pushTitle and pushMessage",
    "voice": "The template has no voiceMessage",
}

_NO_PATHS: Final[ProviderPaths] = MappingProxyType({})
_EMPTY: Final = "The message is empty once it is rendered"


def written_breaks(html: str) -> str:
    """HTML in which line breaks written as escape sequences become `<br/>`.

    The reference does the same from 1.7.1 on.
    """
    if "\\" not in html:
        return html
    pieces = (html[start:end] for start, end in _pieces(html))
    return "".join(_WRITTEN_BREAKS.sub("<br/>", piece) for piece in pieces)


def _pieces(html: str) -> Iterator[tuple[int, int]]:
    """Where to cut a long text so that no call takes long, never inside a line break."""
    start = 0
    while start < len(html):
        end = start + _PIECE
        while end < len(html) and html[end - 1] in "\\rn":
            end += 1
        yield start, end
        start = end


def escaping_of(name: str, *, everywhere: bool = False) -> Escaping:
    """What `{{…}}` escapes in a field of a template.

    `pushData` is JSON once it is rendered: no value may end one of its strings, whatever the rest
    of the configuration says.
    """
    if name == "pushData":
        return "json"
    return "html" if everywhere or name == "emailHtmlMessage" else "none"


class NoContent(Exception):
    """The template lacks what a channel needs, or renders to nothing for this recipient."""


class NotRenderable(Exception):
    """A text could not be rendered for this recipient."""


def plain_source(title: str | None, content: str | None) -> Source:
    """The texts of a request without a template, under the names of a template's fields."""
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
    """The texts of a stored template; an empty field counts as absent."""
    return {name: value for name, value in template.items() if value not in (None, "")}


@dataclass(frozen=True, slots=True)
class _Field:
    """One field of a template; if it is not `personal` all recipients get the same text."""

    source: str
    escaping: Escaping
    personal: bool


class _Ready:
    """What rendering needs: compiled fields, parsed data, and texts that are the same for all."""

    def __init__(self, templates: Mapping[str, Template], context: Mapping[str, object]) -> None:
        self.templates = templates
        self.context = context
        self.once: dict[str, str] = {}


class LastHeavy:
    """The dispatch whose heavy texts stay in memory between slices: only the last one."""

    def __init__(self) -> None:
        self._last: ReferenceType[Texts] | None = None

    def take_place(self, texts: Texts) -> None:
        """Make these the last ones, and drop those that were."""
        before = None if self._last is None else self._last()
        if before is not texts:
            self._last = ref(texts)
            if before is not None:
                before.drop()


class Texts:
    """The fields that the channels of one dispatch need.

    They are compiled, and `data` is parsed, when they are used: both take many times the memory of
    their text. Heavy ones are dropped when they are no longer `in_use` and another dispatch's are.
    Rendering may run in any thread. Of what a request says, `for_providers` is handed on to the
    providers of its channels. A mail has its text beside its HTML where providers carry
    `both_bodies`.

    Raises:
        BadCommand: a text has a syntax error or is not a string; names the field and the place.
    """

    def __init__(
        self,
        engine: Engine,
        source: Source,
        channels: Sequence[Channel],
        data: Mapping[str, object] | JsonText | None,
        *,
        everywhere: bool = False,
        last: LastHeavy | None = None,
        for_providers: ProviderPaths = _NO_PATHS,
        both_bodies: bool = False,
    ) -> None:
        self._engine = engine
        self._data = data
        self._fields: dict[str, _Field] = {}
        self._read: set[str] | None = set()
        templates: dict[str, Template] = {}
        for channel in channels:
            for name in _wanted(channel, source, both_bodies=both_bodies):
                escaping = escaping_of(name, everywhere=everywhere)
                templates[name] = template = self._compile(name, source[name], escaping)
                self._fields[name] = _Field(template.source, escaping, template.mentions("user"))
                self._note_reads(template.paths)
        self._handed_on = frozenset(for_providers.keys() & set(channels))
        read_later = [path for name in self._handed_on for path in for_providers[name]]
        self._note_reads(frozenset(read_later))
        self._is_light = _is_light(data) and all(one.weight <= _LIGHT for one in templates.values())
        # Heavy texts are compiled by now, and the first deliveries use them at once.
        self._reads_data = any(one.mentions("data") for one in templates.values()) or any(
            path[:1] in {(), ("data",)} for path in read_later
        )
        self._ready: _Ready | None = _Ready(templates, self._context())
        self._last = last or LastHeavy()
        self._users = 0
        #: Whether a text took so long that none is rendered in the event loop.
        self.takes_long = not self._is_light and not self._is_ready_soon

    @property
    def _is_ready_soon(self) -> bool:
        """Whether everything can be made ready without taking long."""
        if isinstance(self._data, JsonText) and len(self._data) > SMALL:
            return False
        find = self._engine.find
        return all(find(one.source, escaping=one.escaping) for one in self._fields.values())

    def user_fields(self) -> frozenset[str] | None:
        """The fields of a user that the texts may read; None if they may read any."""
        return None if self._read is None else frozenset(self._read)

    def _note_reads(self, paths: frozenset[tuple[str, ...]]) -> None:
        for path in paths:
            if not path or path == ("user",):
                self._read = None
            elif path[0] == "user" and self._read is not None:
                self._read.add(path[1])

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Keep what rendering needs in memory while the body runs."""
        self._users += 1
        try:
            yield
        finally:
            self._users -= 1
            if not (self._users or self._is_light):
                self._last.take_place(self)

    def drop(self) -> None:
        """Drop what is heavy, unless it is in use."""
        if not (self._users or self._is_light):
            self._ready = None

    def renderer(self, channel: Channel, *, short: bool = False) -> Callable[[Document], Content]:
        """What makes of a user what they get over one channel; to be used while this is `in_use`.

        It raises:
            NoContent: the template lacks a field that the channel needs.
            NotRenderable: a helper failed or is unknown, it takes too long, or `pushData` is not
                JSON.
            TakesLong: it should be `short`, and is not.
        """
        if channel in {"email", "push"}:
            return lambda user: self._parts(channel, user, short=short)
        name = "smsMessage" if channel == "sms" else "voiceMessage"
        field = self._fields.get(name)
        is_personal = field is None or field.personal

        def render(user: Document) -> Content:
            ready = self._ready or self._made_ready()
            text = None if is_personal else ready.once.get(name)
            if text is None:
                template = ready.templates.get(name)
                if template is None:
                    raise NoContent(_NO_CONTENT[channel])
                try:
                    text = template.render({"user": user, **ready.context}, short=short)
                except TemplateError as error:
                    raise self._failure(error) from None
                if not is_personal:
                    ready.once[name] = text
            if not text or text.isspace():
                raise NoContent(_EMPTY)
            return TextContent(text)

        return render

    def _parts(self, channel: Channel, user: Document, *, short: bool) -> Content:
        """What one user gets of several fields."""
        ready = self._ready or self._made_ready()
        rendering = _Rendering(ready, self._fields, {"user": user, **ready.context}, short=short)
        try:
            return rendering.email() if channel == "email" else rendering.push()
        except TemplateError as error:
            raise self._failure(error) from None

    def _failure(self, error: TemplateError) -> Exception:
        if isinstance(error, TakesLong):
            self.takes_long = True
            return error
        return NotRenderable(f"The message could not be rendered: {error.message}")

    def _made_ready(self) -> _Ready:
        self._ready = _Ready(self._compiled(), self._context())
        return self._ready

    def handed_on(self, channel: Channel, user: Document) -> Mapping[str, object] | None:
        """What a provider of this channel gets of the request; None if none of them reads any."""
        if channel not in self._handed_on:
            return None
        context = self._context() if self._ready is None else self._ready.context
        return {"user": user, **context}

    def _context(self) -> Mapping[str, object]:
        data = self._data
        if data is None or (isinstance(data, JsonText) and not self._reads_data):
            return {}
        return {"data": data.value() if isinstance(data, JsonText) else data}

    def _compiled(self) -> Mapping[str, Template]:
        compile_ = self._engine.compile
        return {
            name: compile_(one.source, escaping=one.escaping) for name, one in self._fields.items()
        }

    def _compile(self, name: str, source: object, escaping: Escaping) -> Template:
        if not isinstance(source, str):
            raise BadCommand(f"The template's {name} must be a string")
        try:
            return self._engine.compile(source, escaping=escaping)
        except TemplateError as error:
            place = f"Syntax error in {name}"
            raise BadCommand(f"{place}: {error}", place) from None


def are_long(engine: Engine, source: Source, data: object, *, everywhere: bool) -> bool:
    """Whether making `Texts` of these takes long."""
    if isinstance(data, JsonText) and len(data) > SMALL:
        return True
    return any(
        isinstance(text, str)
        and len(text) > _LONG_SOURCE
        and not engine.find(text, escaping=escaping_of(name, everywhere=everywhere))
        for name, text in source.items()
    )


def _is_light(data: object) -> bool:
    return not isinstance(data, JsonText)


class _Rendering:
    """The texts for one user."""

    __slots__ = ("_context", "_fields", "_ready", "_short")

    def __init__(
        self,
        ready: _Ready,
        fields: Mapping[str, _Field],
        context: Mapping[str, object],
        *,
        short: bool,
    ) -> None:
        self._ready = ready
        self._fields = fields
        self._context = context
        self._short = short

    def text(self, name: str) -> str | None:
        """A field's text; None if there is no such field."""
        template = self._ready.templates.get(name)
        if template is None:
            return None
        text = self._ready.once.get(name)
        if text is None:
            text = template.render(self._context, short=self._short)
            if not self._fields[name].personal:
                self._ready.once[name] = text
        return text

    def email(self) -> EmailContent:
        """The mail. Raises NoContent."""
        subject = self.text("emailTitle")
        html = self.text("emailHtmlMessage")
        text = self.text("emailMessage")
        if subject is None or (html is None and text is None):
            raise NoContent(_NO_CONTENT["email"])
        return EmailContent(
            subject=_CONTROL.sub(" ", subject),
            text=text,
            html=None if html is None else written_breaks(html),
        )

    def push(self) -> PushContent:
        """The notification. Raises NoContent, or NotRenderable if `pushData` is malformed."""
        title = self.text("pushTitle")
        message = self.text("pushMessage")
        data = self.text("pushData")
        if data is None and (title is None or message is None):
            raise NoContent(_NO_CONTENT["push"])
        android, apns = (None, None) if data is None else read_push_data(data)
        subtitle = self.text("pushSubtitle")
        shown = any(text and text.strip() for text in (title, subtitle, message))
        if not (shown or android or apns):
            raise NoContent(_EMPTY)
        return PushContent(title, subtitle, message, android, apns)


def _wanted(channel: Channel, source: Source, *, both_bodies: bool) -> Sequence[str]:
    names = [name for name in _FIELDS[channel] if name in source]
    if "emailHtmlMessage" in names and "emailMessage" in names and not both_bodies:
        names.remove("emailMessage")  # it would be rendered, or be at fault, for nobody
    return names


def read_push_data(text: str) -> tuple[Document | None, Document | None]:
    """The parts `android` and `apns` of rendered `pushData`.

    Raises:
        NotRenderable: it is too long, or it or one of the parts is not a JSON object.
    """
    if len(text) > LONGEST_PUSH_DATA:
        limit = f"{LONGEST_PUSH_DATA:,}"
        raise NotRenderable(f"pushData has more than {limit} characters once it is rendered")
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
