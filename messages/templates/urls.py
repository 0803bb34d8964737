"""Addresses taken apart as Node's legacy `url` module does it.

A port of `url.parse` and `url.format` of Node 20. They are forgiving where newer rules are strict,
and templates were written against what they give.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from urllib.parse import quote, unquote_to_bytes

_SIMPLE = re.compile(r"(//?(?!/)[^?\s]*)(\?[^\s]*)?\Z")
_PROTOCOL = re.compile(r"[a-z0-9.+-]+:", re.IGNORECASE)
_HOST = re.compile(r"//[^@/]+@[^@/]+")
_PORT = re.compile(r":[0-9]*\Z")
_HOST_END = re.compile(r"[#/?]")
_NO_HOST = re.compile("[ \"%';<>\\\\^`{|}]")
_FORBIDDEN = re.compile("[\\0\t\n\r #%/:<>?@\\[\\\\\\]^|]")
_FORBIDDEN_V6 = re.compile("[\\0\t\n\r #%/<>?@\\\\^|]")
_ESCAPED = re.compile("[\t\n\r \"'<>\\\\^`{|}]")
_ODD = re.compile(r"[^A-Za-z0-9.+_\x80-\U0010ffff-]")
_SPACE = "".join(map(chr, range(33))) + "\xa0\ufeff"
#: Protocols whose addresses have `//` after them.
SLASHED = frozenset(
    name
    for base in ("http", "https", "ftp", "gopher", "file", "ws", "wss")
    for name in (base, f"{base}:")
)
_HOSTLESS = frozenset({"javascript", "javascript:"})
_LONGEST_HOST = 255


@dataclass(slots=True)
class Url:
    """The parts of an address; None stands for one that it does not have."""

    protocol: str | None = None
    slashes: bool | None = None
    auth: str | None = None
    host: str | None = None
    port: str | None = None
    hostname: str | None = None
    hash: str | None = None
    search: str | None = None
    query: str | None = None
    pathname: str | None = None
    path: str | None = None
    href: str | None = None

    def members(self) -> dict[str, object]:
        """Give the parts as an object of the template's."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def format(self) -> str:
        """Put the parts together."""
        auth = f"{quote(self.auth, safe=_AUTH_SAFE)}@" if self.auth else ""
        protocol = self.protocol or ""
        pathname = (self.pathname or "").replace("#", "%23").replace("?", "%3F")
        host = auth + self.host if self.host else ""
        if not self.host and self.hostname:
            host = auth + self.hostname + (f":{self.port}" if self.port else "")
        if protocol and not protocol.endswith(":"):
            protocol += ":"
        if self.slashes or protocol in SLASHED:
            if self.slashes or host:
                if pathname and pathname[0] != "/":
                    pathname = f"/{pathname}"
                host = f"//{host}"
            elif protocol.startswith("file"):
                host = "//"
        return (
            protocol + host + pathname + (self.search or "").replace("#", "%23") + (self.hash or "")
        )

    def finish(self) -> None:
        """Set what follows from the other parts."""
        if self.pathname or self.search:
            self.path = (self.pathname or "") + (self.search or "")
        self.href = self.format()


_AUTH_SAFE = "!'()*-._~:"


def parse_url(text: str, *, slashes_denote_host: bool = False) -> Url:
    """Take an address apart.

    Raises:
        ValueError: its host is none.
    """
    rest = _with_slashes(text.strip(_SPACE))
    url = Url()
    simple = (
        None
        if slashes_denote_host or "#" in rest or "@" in rest.split("?")[0]
        else _SIMPLE.match(rest)
    )
    if simple:
        url.path = url.href = rest
        url.pathname, url.search = simple[1], simple[2]
        url.query = simple[2][1:] if simple[2] else None
        return url
    found = _PROTOCOL.match(rest)
    protocol = found[0] if found else ""
    url.protocol = protocol.lower() or None
    rest = rest[len(protocol) :]
    hostless = (url.protocol or "") in _HOSTLESS
    slashes = False
    if slashes_denote_host or protocol or _HOST.match(rest):
        slashes = rest.startswith("//")
        if slashes and not hostless:
            rest = rest[2:]
            url.slashes = True
    if not hostless and (slashes or (protocol and protocol not in SLASHED)):
        rest = _take_host(url, rest)
    if not hostless:
        rest = _ESCAPED.sub(lambda match: f"%{ord(match[0]):02X}", rest)
    _take_rest(url, rest)
    url.finish()
    return url


def _with_slashes(text: str) -> str:
    """Turn backslashes before the query into slashes, as browsers do."""
    end = re.search("[?#]", text)
    head = text[: end.start()] if end else text
    return head.replace("\\", "/") + text[len(head) :]


def _take_host(url: Url, rest: str) -> str:
    end = _HOST_END.search(rest)
    head = rest[: end.start()] if end else rest
    clean = head.translate({9: None, 10: None, 13: None})
    tail = rest[len(head) :]
    at = clean.rfind("@")
    if at >= 0:
        url.auth = _decoded(clean[:at])
    bad = _NO_HOST.search(clean, at + 1)
    stop = bad.start() if bad else len(clean)
    url.host = clean[at + 1 : stop]
    rest = clean[stop:] + tail
    port = _PORT.search(url.host)
    name = url.host[: port.start()] if port else url.host
    url.port = port[0][1:] or None if port else None
    is_v6 = name.startswith("[") and name.endswith("]")
    odd = None if is_v6 else _ODD.search(name)
    if odd:
        if odd[0] in "[]":
            raise ValueError(f"`{name[:40]}` is no host")
        # From there on it is no part of the name any more.
        name, rest = name[: odd.start()], f"/{name[odd.start() :]}{rest}"
    if len(name) > _LONGEST_HOST:
        name = ""
    name = name.lower()
    if name:
        name = _checked(name, is_v6=is_v6)
    url.host = name + (f":{url.port}" if url.port else "")
    url.hostname = name[1:-1] if is_v6 else name
    return f"/{rest}" if is_v6 and rest[:1] != "/" else rest


def _checked(name: str, *, is_v6: bool) -> str:
    if not name.isascii():
        name = name.encode("idna").decode()
    if (_FORBIDDEN_V6 if is_v6 else _FORBIDDEN).search(name):
        raise ValueError(f"`{name[:40]}` is no host")
    return name


def _decoded(text: str) -> str:
    if re.search("%(?![0-9A-Fa-f]{2})", text):
        raise ValueError("a % is not followed by two hexadecimal digits")
    return unquote_to_bytes(text).decode()


def _take_rest(url: Url, rest: str) -> None:
    before, sharp, after = rest.partition("#")
    url.hash = sharp + after or None
    path, mark, query = before.partition("?")
    if mark:
        url.search, url.query = mark + query, query
    url.pathname = path or None
    if (url.protocol or "") in SLASHED and url.hostname and not url.pathname:
        url.pathname = "/"
