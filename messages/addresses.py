"""Syntax of addresses: one mailbox, one phone number. No network, no numbering plan.

Email follows RFC 5321 (Mailbox) with the international characters of RFC 6531; special-use
domains are fine. Phone numbers follow E.164. Both cost a few microseconds for any input.
"""

from __future__ import annotations

import re
from typing import Final

_ATOM: Final = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\u0080-\U0010FFFF-]+"
_QUOTED: Final = r'"(?:[^"\\\x00-\x1f\x7f]|\\[^\x00-\x1f\x7f])*"'
_ALNUM: Final = r"[A-Za-z0-9\u0080-\U0010FFFF]"
_LABEL: Final = rf"{_ALNUM}(?:(?:{_ALNUM}|-){{0,61}}{_ALNUM})?"
_EMAIL: Final = re.compile(
    rf"(?P<local>{_ATOM}(?:\.{_ATOM})*|{_QUOTED})@(?P<domain>{_LABEL}(?:\.{_LABEL})*)"
)
_MAILBOX: Final = re.compile(r'(?:"[^"]*" *|[^<>"@,;]*)<(?P<address>[^<>]+)>')
# C1 controls, line and paragraph separators, and lone surrogates never belong in a header.
_FORBIDDEN: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_PHONE: Final = re.compile(r"\+[1-9][0-9]{1,14}")
_PHONE_FILLERS: Final = str.maketrans("", "", " -.()[]")

_LOCAL_OCTETS: Final = 64
_ADDRESS_OCTETS: Final = 254
_MAILBOX_CHARACTERS: Final = 998
_PHONE_CHARACTERS: Final = 64


def is_email(text: str) -> bool:
    """Whether this is one bare email address."""
    if len(text) > _ADDRESS_OCTETS or _FORBIDDEN.search(text):
        return False
    match = _EMAIL.fullmatch(text)
    if match is None or len(text.encode()) > _ADDRESS_OCTETS:
        return False
    return len(match["local"].encode()) <= _LOCAL_OCTETS


def is_mailbox(text: str) -> bool:
    """Whether this is an email address, bare or as `Name <address>`."""
    if len(text) > _MAILBOX_CHARACTERS or _FORBIDDEN.search(text):
        return False
    match = _MAILBOX.fullmatch(text)
    return is_email(text if match is None else match["address"])


def phone_number(text: str) -> str | None:
    """The number as `+` and digits, or None if it is not an international number."""
    if _PHONE.fullmatch(text):
        return text
    if len(text) > _PHONE_CHARACTERS:
        return None
    digits = text.translate(_PHONE_FILLERS)
    return digits if _PHONE.fullmatch(digits) else None
