"""Makes the request of a delivery: each value escaped for the place it stands in."""

from __future__ import annotations

import html
import re
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlencode

from carillon.handlebars import Engine, Escaping, TakesLong
from carillon.http_client.ports import Headers
from carillon.http_client.urls import endpoint_url
from carillon.messages.model import (
    Delivery,
    Document,
    EmailContent,
    JsonValue,
    PushContent,
    TextContent,
)
from carillon.messages.record import record
from carillon.providers.config import Fault
from carillon.providers.encoding import json_body
from carillon.providers.http.templates import Compiler, Context, Paths, Text, Tree, Unfit, filled
from carillon.providers.mail.html_text import text_of

if TYPE_CHECKING:
    from carillon.providers.http.keys import FormFields

LONG: Final = 16_384
"""Characters of HTML of which the text is not found in the event loop."""
LONGEST_URL: Final = 8192
"""Characters; servers take no more, and most take less."""
_WHOLE_URL: Final = re.compile(r"\{\{\{?\s*secret\.([A-Za-z_][A-Za-z0-9_]*)\s*\}?\}\}")
_ORIGIN: Final = re.compile(r"(https?://[^/?#]+)(.*)", re.IGNORECASE | re.DOTALL)
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_OURS: Final = frozenset(
    [
        "accept-encoding",
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
    ]
)
"""Headers that the client writes itself, or that would change how a request is read."""
_JSON: Final = "application/json"
_FORM: Final = "application/x-www-form-urlencoded"
_TEXT: Final = "text/plain; charset=utf-8"
_MARKUP: Final = re.compile(r"[/+](?:xml|html)\b")


@dataclass(frozen=True, slots=True)
class Parts:
    """A request as a section describes it: all but the method are templates."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    auth: tuple[str, str] | None = None
    json: JsonValue = None
    form: FormFields | None = None
    text: str | None = None


@record(frozen=True, slots=True)
class Request:
    """What is sent for one delivery."""

    method: str
    url: str
    headers: Headers
    body: bytes


class RequestTemplate:
    """The request of a section, compiled once.

    `faults` say what is wrong with it; only one without any can be used, once `fix` was called.
    """

    def __init__(self, parts: Parts, engine: Engine, secrets: frozenset[str]) -> None:
        compiler = Compiler(engine, secrets)
        self._method = parts.method
        self._url = _Url(parts.url, compiler)
        self._body = _Body(parts, compiler)
        headers = {"content-type": self._body.media_type} if self._body.media_type else {}
        self._headers = _Headers(headers, parts, compiler)
        self._names = compiler.names
        self._texts = compiler.texts
        self._secrets: Mapping[str, str] = {}
        self.paths: Paths = compiler.paths
        self.faults: Sequence[Fault] = compiler.faults

    def fix(self, secrets: Mapping[str, str]) -> None:
        """Take the values of secrets, and render once what names nothing else.

        Raises:
            ValueError: begins with the key that is at fault, and says what is wrong with it.
        """
        self._secrets = secrets
        try:
            for text in self._texts:
                text.fix(secrets)
        except Unfit as unfit:
            raise ValueError(f"secrets: with their values {unfit}") from None
        self._url.fix(secrets)

    @property
    def origin(self) -> str:
        """Scheme, host and port of those who are called."""
        return self._url.origin

    @property
    def hidden(self) -> frozenset[str]:
        """Secrets in the forms in which an answer may repeat them."""
        plain = frozenset(filter(None, self._secrets.values()))
        coded = {_quoted(value) for value in plain}
        return plain | coded | frozenset(filter(None, [self._headers.credentials]))

    def request(self, delivery: Delivery, *, short: bool) -> Request:
        """The request of a delivery.

        Raises:
            TakesLong: it should be `short`, and takes longer than some milliseconds.
            Unfit: the section can make no request of this delivery.
        """
        context = self._context(delivery, short=short)
        return Request(
            self._method,
            self._url.rendered(context, short=short),
            self._headers.rendered(context, short=short),
            self._body.rendered(context, short=short),
        )

    def _context(self, delivery: Delivery, *, short: bool) -> Context:
        return {
            "to": delivery.address,
            "sender": delivery.sender,
            "deliveryId": delivery.id,
            "dispatchId": delivery.dispatch_id,
            "secret": self._secrets,
            **_texts(delivery, self._names, short=short),
            **(delivery.context or {}),
        }


def _texts(delivery: Delivery, names: frozenset[str], *, short: bool) -> Document:
    content = delivery.content
    if isinstance(content, TextContent):
        return {"text": content.text}
    if isinstance(content, PushContent):
        if content.title is None and content.message is None:
            raise Unfit("it is a push without title and message")
        return {"title": content.title or "", "text": content.message or ""}
    _check_mail(delivery)
    return {
        "title": content.subject,
        "text": _text(content, short=short) if "text" in names else "",
        "html": content.html or (_html(content.text or "") if "html" in names else ""),
    }


def _check_mail(delivery: Delivery) -> None:
    mail = delivery.mail
    if mail is not None and mail.attachments:
        raise Unfit("it has attachments, which an http provider does not carry")
    if mail is not None and (mail.carbon_copies or mail.blind_carbon_copies):
        raise Unfit("it has carbon copies, which an http provider does not carry")


def _text(content: EmailContent, *, short: bool) -> str:
    if content.html is None:
        return content.text or ""
    if short and len(content.html) > LONG:
        raise TakesLong("the text of a long HTML document", "")
    return text_of(content.html)


def _html(text: str) -> str:
    """A plain text as HTML that shows the same lines."""
    return html.escape(text, quote=False).replace("\n", "<br>\n")


class _Url:
    """A URL whose values stand behind its host, each within one segment or one part of the query.

    No value can change the host, the scheme or the segments of the path.
    """

    def __init__(self, source: str, compiler: Compiler) -> None:
        self._secret = found[1] if (found := _WHOLE_URL.fullmatch(source.strip())) else None
        self.origin = ""
        if self._secret is not None:
            compiler.text(source.strip(), ("url",))
            return
        pieces = compiler.pieces(source, ("url",)) if source else []
        if source and not any(place == ("url",) for place, _ in compiler.faults):
            try:
                self._take(pieces)
            except ValueError as error:
                compiler.faults.append((("url",), f"must be {error}"))

    def fix(self, secrets: Mapping[str, str]) -> None:
        """Where all of it is a secret, take that. Raises ValueError."""
        if self._secret is None:
            return
        try:
            self._take([secrets[self._secret]])
        except ValueError as error:
            raise ValueError(f"url: secret.{self._secret} must be {error}") from None

    def _take(self, pieces: Sequence[str | Text]) -> None:
        """Raises ValueError with what is allowed."""
        shown = "".join(piece if isinstance(piece, str) else "x" for piece in pieces)
        endpoint_url(shown)
        first = pieces[0] if isinstance(pieces[0], str) else ""
        found = _ORIGIN.fullmatch(first)
        if found is None or (not found[2] and len(pieces) > 1):
            raise ValueError("a URL whose host and port are no template; tags stand behind them")
        self.origin = found[1]
        self._pieces = [found[2], *pieces[1:]]
        path = self._at_path(
            "".join(each if isinstance(each, str) else "\0" for each in self._pieces)
        )
        self._varying = [at for at, segment in enumerate(path) if "\0" in segment]
        if any(segment in {".", ".."} for segment in path):
            raise ValueError('a URL without "." and ".." in its path')

    def _at_path(self, behind_host: str) -> Sequence[str]:
        return behind_host.partition("?")[0].split("/")

    def rendered(self, context: Context, *, short: bool) -> str:
        """The URL. Raises TakesLong, Unfit."""
        behind = "".join(
            piece if isinstance(piece, str) else _quoted(piece.rendered(context, short=short))
            for piece in self._pieces
        )
        if self._varying:
            path = self._at_path(behind)
            if any(path[at] in {"", ".", ".."} for at in self._varying):
                raise Unfit("a value that stands in the path of its URL is empty, or dots only")
        url = self.origin + behind
        if len(url) > LONGEST_URL:
            raise Unfit(f"its URL is longer than {LONGEST_URL:,} characters")
        return url


def _quoted(value: str) -> str:
    return quote(value, safe="")


class _Headers:
    """Headers by their names; one that is rendered to nothing is left out."""

    def __init__(self, headers: Mapping[str, str], parts: Parts, compiler: Compiler) -> None:
        named = {name.lower() for name in parts.headers}
        for at, name in enumerate(parts.headers):
            if (wrong := _why_no_header(name, [*parts.headers][:at])) is not None:
                compiler.faults.append((("headers", name), wrong))
        if parts.auth is not None and "authorization" in named:
            compiler.faults.append((("auth",), "stands beside headers.Authorization"))
        self._fixed = {name: text for name, text in headers.items() if name not in named}
        self._texts = {
            name.lower(): compiler.text(source, ("headers", name))
            for name, source in parts.headers.items()
        }
        self._auth = None if parts.auth is None else _BasicAuth(*parts.auth, compiler)

    @property
    def credentials(self) -> str:
        """Those of basic authentication, if they are always the same."""
        return "" if self._auth is None else self._auth.fixed

    def rendered(self, context: Context, *, short: bool) -> Headers:
        """The headers as they are written. Raises TakesLong, Unfit."""
        headers = dict(self._fixed)
        for name, text in self._texts.items():
            if value := _in_one_line(text.rendered(context, short=short)):
                headers[name] = value
        if self._auth is not None:
            headers["authorization"] = self._auth.rendered(context, short=short)
        return headers


def _why_no_header(name: str, before: Sequence[str]) -> str | None:
    if not _TOKEN.fullmatch(name):
        return "is no name of a header"
    if name.lower() in _OURS:
        return "is written by the HTTP client itself"
    if name.lower() in {one.lower() for one in before}:
        return "stands there twice; once is allowed"
    return None


def _in_one_line(value: str) -> str:
    """A value without control characters, as the wire takes it: its bytes in UTF-8."""
    value = _CONTROL.sub(" ", value).strip()
    return value if value.isascii() else value.encode(errors="replace").decode("latin-1")


class _BasicAuth:
    """A user and a password in the form in which they stand in a header."""

    def __init__(self, user: str, password: str, compiler: Compiler) -> None:
        self._user = compiler.text(user, ("auth", "user"))
        self._password = compiler.text(password, ("auth", "password"))
        if ":" in (self._user.fixed or ""):
            compiler.faults.append((("auth", "user"), "may hold no colon"))

    @property
    def fixed(self) -> str:
        """The credentials, if they are the same for every delivery."""
        user, password = self._user.fixed, self._password.fixed
        return "" if user is None or password is None else _coded(user, password)

    def rendered(self, context: Context, *, short: bool) -> str:
        """The header's value. Raises TakesLong, Unfit."""
        user = self._user.rendered(context, short=short)
        if ":" in user:
            raise Unfit("the user of its authentication holds a colon")
        password = self._password.rendered(context, short=short)
        return f"Basic {_coded(user, password)}"


def _coded(user: str, password: str) -> str:
    return b64encode(f"{user}:{password}".encode(errors="replace")).decode()


class _Body:
    """One of JSON, a form and a text, or none. `media_type` is what it is unless headers say."""

    def __init__(self, parts: Parts, compiler: Compiler) -> None:
        self._json: Tree = compiler.json(parts.json, ("json",))
        self._form = [*_form(parts.form or {}, compiler)]
        self._text: Text | None = None
        self.media_type = ""
        if parts.text is not None:
            self.media_type = _TEXT
            self._text = compiler.text(parts.text, ("text",), _escaping(parts.headers))
        elif parts.form is not None:
            self.media_type = _FORM
        elif parts.json is not None:
            self.media_type = _JSON

    def rendered(self, context: Context, *, short: bool) -> bytes:
        """The body's bytes. Raises TakesLong, Unfit."""
        if self._text is not None:
            return self._text.rendered(context, short=short).encode(errors="replace")
        if self.media_type == _FORM:
            fields = [(name, text.rendered(context, short=short)) for name, text in self._form]
            return urlencode(fields, errors="replace").encode()
        if self.media_type == _JSON:
            return json_body(filled(self._json, lambda one: one.rendered(context, short=short)))
        return b""


def _form(fields: FormFields, compiler: Compiler) -> Iterator[tuple[str, Text]]:
    for name, value in fields.items():
        if isinstance(value, str):
            yield name, compiler.text(value, ("form", name))
            continue
        for at, one in enumerate(value):
            yield name, compiler.text(one, ("form", name, at))


def _escaping(headers: Mapping[str, str]) -> Escaping:
    """How values are escaped in a text of the media type that the headers say."""
    said = next((text for name, text in headers.items() if name.lower() == "content-type"), "")
    media_type = said.partition(";")[0].strip().lower()
    if media_type.endswith(("/json", "+json")):
        return "json"
    return "html" if _MARKUP.search(media_type) else "none"


def origin(url: str, secrets: Mapping[str, str]) -> str:
    """Scheme, host and port of those who are called. Raises ValueError as `fix` does."""
    made = _Url(url, Compiler(Engine(), frozenset(secrets)))
    made.fix(secrets)
    return made.origin
