"""Addresses: encodeURI, urlResolve, urlParse, stripProtocol and their like."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from urllib.parse import quote, unquote_to_bytes

from carillon.handlebars.helpers.arguments import ABSENT, is_text, kind
from carillon.handlebars.helpers.units import whole
from carillon.handlebars.runtime.registry import Helper, Invocation
from carillon.handlebars.runtime.urls import Url, parse_url, resolve_url
from carillon.handlebars.runtime.values import UNDEFINED

_SAFE = "-_.!~*'()"
_BAD_ESCAPE = re.compile("%(?![0-9A-Fa-f]{2})")
_SLOW = 32


def encode(call: Invocation, text: object = ABSENT, *_: object) -> object:
    """Write a text as a part of an address: all but letters, digits and -_.!~*'() as %XX."""
    if not isinstance(text, str) or not text:
        return UNDEFINED
    call.charge(len(text) // _SLOW)
    return quote(whole(text), safe=_SAFE)


def decode(call: Invocation, text: object = ABSENT, *_: object) -> object:
    """Read a text that is written with %XX."""
    if not isinstance(text, str) or not text:
        return UNDEFINED
    call.charge(len(text) // _SLOW)
    if _BAD_ESCAPE.search(text):
        raise ValueError("a % is not followed by two hexadecimal digits")
    return unquote_to_bytes(whole(text)).decode()


def url_resolve(
    call: Invocation, base: object = ABSENT, href: object = ABSENT, *_: object
) -> object:
    """Return the address that a link on the page `base` leads to."""
    one, two = _address(call, base), _address(call, href)
    return resolve_url(one, two)


def url_parse(call: Invocation, text: object = ABSENT, *_: object) -> object:
    """Take an address apart: protocol, host, hostname, port, pathname, search, query, hash."""
    return parse_url(_address(call, text)).members()


def strip_query(_call: Invocation, text: object = ABSENT, *_: object) -> object:
    """Return an address up to its `?`."""
    return text.partition("?")[0] if isinstance(text, str) and is_text(text) else UNDEFINED


def strip_protocol(call: Invocation, text: object = ABSENT, *_: object) -> object:
    """Return an address without its protocol."""
    if not is_text(text):
        return UNDEFINED
    parsed: Url = parse_url(_address(call, text))
    parsed.protocol = ""
    return parsed.format()


def _address(call: Invocation, value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"it takes an address, which is a text, not {kind(value)}")
    # Taking an address apart costs some ten steps, and the more the longer it is.
    call.charge(16 + len(value) // 2)
    return str(value)


URL: Mapping[str, Helper] = MappingProxyType(
    {
        "encodeURI": encode,
        "escape": encode,
        "decodeURI": decode,
        "url_encode": encode,
        "url_decode": decode,
        "urlResolve": url_resolve,
        "urlParse": url_parse,
        "stripQuerystring": strip_query,
        "stripProtocol": strip_protocol,
    }
)
