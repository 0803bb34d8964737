"""A provider's settings as words: `rate=100/1m,10/1s` is read and shown alike."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Final

from pydantic import JsonValue

from carillon.cli.failure import BadInput
from carillon.messages.model import Document
from carillon.providers.windows import WINDOW
from carillon.settings.errors import nearest

KEYS: Final[Mapping[str, Sequence[str]]] = {
    "concurrency": (),
    "rate": (),
    "quota": ("limit", "resetAt", "zone"),
    "timeout": (),
    "retry": ("attempts", "firstDelay", "maxDelay"),
    "breaker": ("failures", "cooldown"),
    "onUnknownOutcome": (),
    "weight": (),
    "paused": (),
    "draining": (),
}
"""What can be set, and what the keys that hold an object hold."""

_QUOTA: Final = re.compile(r"([0-9]{1,12})(?:@([0-9:]+)(?:/(.+))?)?")
_SWITCHES: Final[Mapping[str, bool]] = {"true": True, "yes": True, "false": False, "no": False}
_WHOLE: Final = re.compile(r"[0-9]{1,12}")


def patch_of(words: Sequence[str], in_force: Mapping[str, JsonValue]) -> Document:
    """The body of a PATCH that such assignments come to.

    A part of an object (`retry.attempts=3`) leaves its other parts as they are `in_force`.

    Raises:
        BadInput: a word is no assignment, its key is unknown, or two contradict each other.
    """
    patch: Document = {}
    seen: set[str] = set()
    for word in words:
        name, is_assigned, text = word.partition("=")
        if not is_assigned:
            raise BadInput(f"{word} is no assignment such as concurrency=5")
        key, _, part = name.partition(".")
        _check(name, key, part)
        if {name, key} & seen or (not part and key in patch):
            raise BadInput(f"{key} is set twice; once is enough")
        seen.add(name)
        if part:
            parts = patch.get(key, in_force.get(key))
            patch[key] = {**_parts(parts), part: _part(name, text)}
        else:
            patch[key] = _value(key, text, in_force)
    return patch


def _check(name: str, key: str, part: str) -> None:
    if key not in KEYS:
        raise BadInput(f"{key} cannot be set; {nearest(key, KEYS)}")
    if part and part not in KEYS[key]:
        known = [f"{key}.{each}" for each in KEYS[key]]
        raise BadInput(f"{name} cannot be set; {nearest(name, known or [key])}")


def _parts(value: JsonValue) -> Document:
    return dict(value) if isinstance(value, dict) else {}


def _part(name: str, text: str) -> JsonValue:
    if text == "default":
        key = name.partition(".")[0]
        raise BadInput(f"{name}=default is not possible; {key}=default removes the whole override")
    return int(text) if _WHOLE.fullmatch(text) else text


def _value(key: str, text: str, in_force: Mapping[str, JsonValue]) -> JsonValue:
    """A word as JSON; the service decides which values are valid."""
    if text == "default":
        return None
    if key == "rate":
        return [] if text == "none" else [_window(part) for part in text.split(",")]
    if key == "quota":
        return _quota(text, in_force.get(key))
    if key in {"paused", "draining"}:
        if text not in _SWITCHES:
            raise BadInput(f"{key}={text} is not possible; it is true or false")
        return _SWITCHES[text]
    if key == "breaker" and text != "closed":
        raise BadInput(
            "breaker can only be closed by hand: breaker=closed; or set breaker.failures"
        )
    if key == "retry":
        raise BadInput(f"retry={text} is not possible; say for example retry.attempts=3")
    return int(text) if _WHOLE.fullmatch(text) else text


def _window(text: str) -> JsonValue:
    match = WINDOW.fullmatch(text)
    if match is None:
        raise BadInput(f"rate={text} is not possible; say LIMIT/TIME as in rate=100/1m,10/1s")
    return {"limit": int(match[1]), "per": match[2]}


def _quota(text: str, in_force: JsonValue) -> JsonValue:
    if text == "none":
        raise BadInput(
            "quota=none is not possible; a quota that was set goes with quota=default, one of the "
            "configuration file goes with the file's"
        )
    match = _QUOTA.fullmatch(text)
    if match is None:
        raise BadInput(
            f"quota={text} is not possible; say LIMIT, or LIMIT@TIME/ZONE as in "
            "quota=1000@06:00/Europe/Rome"
        )
    named = {"resetAt": match[2], "zone": match[3]}
    given = {name: value for name, value in named.items() if value is not None}
    return {**_parts(in_force), "limit": int(match[1]), **given}


def worded(key: str, value: JsonValue) -> str:
    """A value as `set` would take it."""
    if isinstance(value, bool):
        return str(value).lower()
    if value is None or value == []:
        return "none"
    if key == "rate" and isinstance(value, list):
        return ",".join(_worded_window(window) for window in value)
    if isinstance(value, dict):
        return _worded_parts(key, value)
    return value if isinstance(value, str) else json.dumps(value)


def _worded_window(window: JsonValue) -> str:
    parts = _parts(window)
    return f"{parts.get('limit')}/{parts.get('per')}"


def _worded_parts(key: str, parts: Document) -> str:
    if key == "quota" and {"limit", "resetAt", "zone"} <= parts.keys():
        return f"{parts['limit']}@{parts['resetAt']}/{parts['zone']}"
    return ", ".join(f"{name} {worded(name, value)}" for name, value in parts.items())


def differences(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """A line for each key whose words differ: `concurrency: 20 -> 5`."""
    return [
        f"{key}: {before.get(key, 'none')} -> {after.get(key, 'none')}"
        for key in dict.fromkeys([*before, *after])
        if before.get(key) != after.get(key)
    ]
