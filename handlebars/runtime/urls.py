"""Addresses taken apart as Node's legacy `url` module does it.

A port of `url.parse` and `url.format` of Node 20. They are forgiving where newer rules are strict,
and templates were written against what they give.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields, replace
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


def resolve_url(base: str, href: str) -> str:
    """Give the address that `href` means on the page `base`.

    Raises:
        ValueError: one of them has a host that is none.
    """
    page = parse_url(base, slashes_denote_host=True)
    link = parse_url(href, slashes_denote_host=True)
    return _resolved(replace(page), link).format()


def _resolved(result: Url, link: Url) -> Url:
    result.hash = link.hash
    if link.href == "":
        return result
    if link.slashes and not link.protocol:
        other = replace(link, protocol=result.protocol)
        if result.protocol in SLASHED and other.hostname and not other.pathname:
            other.pathname = "/"
        return other
    if link.protocol and link.protocol != result.protocol:
        return _other_protocol(result, link)
    return _same_protocol(result, link)


def _other_protocol(result: Url, link: Url) -> Url:
    if link.protocol not in SLASHED:
        return link
    result.protocol = link.protocol
    host, pathname = link.host, link.pathname
    if not host and link.protocol != "file:":
        parts = (pathname or "").split("/")
        while parts and not host:
            host = parts.pop(0)
        parts = parts if parts[:1] == [""] else ["", *parts]
        pathname = "/".join(parts if len(parts) > 1 else ["", *parts])
    result.pathname, result.search, result.query = pathname, link.search, link.query
    result.host, result.auth, result.port = host or "", link.auth, link.port
    result.hostname = link.hostname or host
    result.slashes = result.slashes or link.slashes
    return result


def _same_protocol(result: Url, link: Url) -> Url:
    absolute = bool(link.host) or _rooted(link.pathname)
    must_be_absolute = absolute or _rooted(result.pathname) or bool(result.host and link.pathname)
    goes_up = not must_be_absolute
    parts = result.pathname.split("/") if result.pathname else []
    extra = link.pathname.split("/") if link.pathname else []
    bare = bool(result.protocol) and result.protocol not in SLASHED
    if bare:
        parts, extra = _with_hosts(result, link, parts, extra)
        must_be_absolute = must_be_absolute and (extra[:1] == [""] or parts[:1] == [""])
    if absolute:
        _take_host_of(result, link)
        parts = extra
    elif extra:
        parts = parts[:-1] + extra
    elif link.search is not None:
        if bare and parts:
            _set_host(result, parts.pop(0))
        result.search, result.query = link.search, link.query
        return result
    if absolute or extra:
        result.search, result.query = link.search, link.query
    if not parts:
        result.pathname = None
        return result
    ends_open = _ends_open(parts, many=bool(result.host or link.host or len(parts) > 1))
    parts = _without_dots(parts, goes_up=goes_up)
    if must_be_absolute and parts[:1] != [""] and not (parts and parts[0].startswith("/")):
        parts.insert(0, "")
    if ends_open and not "/".join(parts).endswith("/"):
        parts.append("")
    return _finished(result, link, parts, bare=bare, must_be_absolute=must_be_absolute)


def _finished(
    result: Url, link: Url, parts: list[str], *, bare: bool, must_be_absolute: bool
) -> Url:
    rooted = bool(parts) and (parts[0] == "" or parts[0].startswith("/"))
    if bare:
        _set_host(result, "" if rooted or not parts else parts.pop(0))
    if (must_be_absolute or (result.host and parts)) and not rooted:
        parts.insert(0, "")
    result.pathname = "/".join(parts) if parts else None
    result.auth = link.auth or result.auth
    result.slashes = result.slashes or link.slashes
    return result


def _rooted(pathname: str | None) -> bool:
    return bool(pathname) and pathname is not None and pathname[0] == "/"


def _with_hosts(
    result: Url, link: Url, parts: list[str], extra: list[str]
) -> tuple[list[str], list[str]]:
    """Make hosts the first parts of the paths: a link goes up past them where there is no `//`."""
    result.hostname, result.port = "", None
    if result.host:
        parts = [result.host, *(parts[1:] if parts[:1] == [""] else parts)]
    result.host = ""
    if link.protocol:
        link.hostname = link.port = result.auth = None
        if link.host:
            extra = [link.host, *(extra[1:] if extra[:1] == [""] else extra)]
        link.host = None
    return parts, extra


def _take_host_of(result: Url, link: Url) -> None:
    if link.host is not None:
        if result.host != link.host:
            result.auth = None
        result.host, result.port = link.host, link.port
    if link.hostname is not None:
        if result.hostname != link.hostname:
            result.auth = None
        result.hostname = link.hostname


def _set_host(result: Url, host: str) -> None:
    result.hostname = result.host = host
    if host.find("@") > 0:
        parts = host.split("@")
        result.auth = parts[0]
        result.host = result.hostname = parts[1]


def _ends_open(parts: list[str], *, many: bool) -> bool:
    last = parts[-1]
    return (many and last in {".", ".."}) or last == ""


def _without_dots(parts: list[str], *, goes_up: bool) -> list[str]:
    kept: list[str] = []
    up = 0
    for part in reversed(parts):
        if part == "..":
            up += 1
        elif part != "." and up:
            up -= 1
        elif part != ".":
            kept.append(part)
    kept.extend([".."] * up if goes_up else [])
    return kept[::-1]
