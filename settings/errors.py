"""Everything that is wrong with a configuration, collected and raised as one error."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Final

from carillon.messages.json_keys import Place, written
from carillon.messages.redaction import printable, without_secrets

_HIDDEN: Final = "the value (not shown)"
_SHOWN: Final = 60
_MOST_PROBLEMS: Final = 100
_LONGEST_PLACE: Final = 500
_CREDENTIALS: Final = "credentials"


class ConfigurationError(Exception):
    """The service cannot start as it is configured; each problem is one sentence."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems: list[str] = [without_secrets(problem) for problem in problems]
        super().__init__(self.problems)

    def __str__(self) -> str:
        if len(self.problems) == 1:
            return f"The configuration is wrong: {self.problems[0]}"
        lines = "".join(f"\n  - {problem}" for problem in self.problems)
        return f"The configuration is wrong in {len(self.problems)} places:{lines}"


class Problems:
    """Collects what is wrong, so that one start names all of it."""

    def __init__(self) -> None:
        self._found: list[tuple[Place, str]] = []
        self._more = 0

    def __bool__(self) -> bool:
        return bool(self._found)

    @property
    def full(self) -> bool:
        """Whether further problems would add nothing."""
        return len(self._found) >= _MOST_PROBLEMS

    def knows(self, place: Place) -> bool:
        """Whether something is wrong at or around this place."""
        return any(_related(place, known) for known, _ in self._found)

    def add(self, place: Place, text: str) -> None:
        """Note a problem, unless one that is known at or around this place explains it."""
        if self.full:
            self._more += 1
        elif not self.knows(place):
            self._found.append((place, f"{dotted(place)}: {text}"))

    def refuse(self, place: Place, value: object, allowed: str, *, is_secret: bool = False) -> None:
        """Note a value that is not allowed, showing it unless it may be a secret."""
        told = _HIDDEN if is_secret else shown(place, value)
        self.add(place, f"{told} is not allowed; it must be {allowed}")

    def error(self) -> ConfigurationError:
        """All of it as one error."""
        more = ["and more of the kind"] if self._more else []
        return ConfigurationError([*(text for _, text in self._found), *more])


def _related(one: Place, other: Place) -> bool:
    shorter = min(len(one), len(other))
    return shorter > 0 and one[:shorter] == other[:shorter]


def dotted(place: Place) -> str:
    """A place as people write it: `channels.sms.providers[0].weight`."""
    # Before it is cut, which may take the end of a password away.
    text = without_secrets(written(place))
    return printable(text[:_LONGEST_PLACE]) or "the file"


def shown(place: Place, value: object) -> str:
    """A value for a message: short, without secrets, and containers by their kind only."""
    if _CREDENTIALS in place:
        return _HIDDEN
    if isinstance(value, (dict, list)):
        return "an object" if isinstance(value, dict) else "a list"
    if isinstance(value, str) and _may_hold_a_secret(value):
        return "the value (not shown, it may hold a password)"
    text = printable(json.dumps(value, ensure_ascii=False))
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _may_hold_a_secret(text: str) -> bool:
    is_like_a_url = "@" in text and "/" in text
    return is_like_a_url or text.startswith("mongodb") or without_secrets(text) != text


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint for an unknown name: the nearest one, else all of them."""
    names = sorted(known)
    folded = {each.lower(): each for each in reversed(names)}
    close = get_close_matches(name[:100].lower(), folded, n=1, cutoff=0.6)
    if close:
        return f'did you mean "{folded[close[0]]}"?'
    return f"known here: {', '.join(names)}" if names else "nothing is known here"
