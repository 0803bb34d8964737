"""Takes HTML tags and comments out of a text, as the striptags library of JavaScript does.

It serves to make plain text of what is trusted; it is no defence against hostile HTML.
"""

from __future__ import annotations

from enum import Enum, auto


class _State(Enum):
    TEXT = auto()
    TAG = auto()
    COMMENT = auto()


class _Stripper:
    def __init__(self) -> None:
        self.out: list[str] = []
        self._state = _State.TEXT
        self._tag: list[str] = []
        self._depth = 0
        self._quote = ""

    def feed(self, char: str) -> None:
        if self._state is _State.TEXT:
            if char == "<":
                self._state = _State.TAG
                self._tag.append(char)
            else:
                self.out.append(char)
        elif self._state is _State.TAG:
            self._in_tag(char)
        else:
            self._in_comment(char)

    def _in_tag(self, char: str) -> None:
        if char in "<>":
            if not self._quote:
                self._bracket(char)
        elif char in " \n" and self._tag == ["<"]:
            # A `<` before a space opens no tag.
            self._leave()
            self.out.append("< ")
        else:
            if char in "\"'":
                self._quote = "" if char == self._quote else self._quote or char
            elif char == "-" and self._tag == ["<", "!", "-"]:
                self._state = _State.COMMENT
            self._tag.append(char)

    def _bracket(self, char: str) -> None:
        if char == "<":
            self._depth += 1
        elif self._depth:
            self._depth -= 1
        else:
            self._leave()

    def _in_comment(self, char: str) -> None:
        if char != ">":
            self._tag.append(char)
            return
        if self._tag[-2:] == ["-", "-"]:
            self._state = _State.TEXT
        self._tag.clear()

    def _leave(self) -> None:
        self._state = _State.TEXT
        self._tag.clear()


def strip_tags(text: str) -> str:
    """Give `text` without its tags."""
    if "<" not in text:
        return text
    stripper = _Stripper()
    for char in text:
        stripper.feed(char)
    return "".join(stripper.out)
