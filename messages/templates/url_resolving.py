"""Resolves a link against the address of its page: `resolveObject` of Node 20's legacy `url`."""

from __future__ import annotations

from dataclasses import replace

from carillon.messages.templates.urls import SLASHED, Url, parse_url


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
