"""Faults of a stored template, found before it is sent, and the values that it needs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from carillon.dispatches.render import NotRenderable, escaping_of, read_push_data
from carillon.handlebars import Engine, TemplateSyntaxError
from carillon.handlebars.syntax.nodes import nearest
from carillon.messages.model import Document, JsonValue

TEXTS: Final = (
    "emailTitle",
    "emailMessage",
    "emailHtmlMessage",
    "smsMessage",
    "voiceMessage",
    "pushTitle",
    "pushSubtitle",
    "pushMessage",
    "pushData",
)
"""The fields of a template that are rendered."""
_FIELDS: Final = ("name", *TEXTS, "emailAttachments")
#: Fields that a directory adds by itself.
_KEPT: Final = frozenset(
    {"_id", "__STATE__", "__v", "creatorId", "createdAt", "updaterId", "updatedAt"}
)


class TemplateFaults:
    """Finds faults in templates, with the same helpers as rendering.

    The engine is one of its own, which has the usual limits if none is given.
    """

    def __init__(self, engine: Engine | None = None) -> None:
        self._engine = engine or Engine(cache_size=1)

    def problems(self, template: Document) -> Iterator[str]:
        """Everything that keeps a template, or one of its texts, from being sent as written.

        A fault inside a text is given with its line and column: `smsMessage, 1:4: …`.
        """
        for name in template:
            if name not in _FIELDS and name not in _KEPT:
                near = nearest(name, _FIELDS) or f"; a template has {', '.join(_FIELDS)}"
                yield f"there is no field `{name[:60]}`{near}"
        for name in ("name", *TEXTS):
            text = template.get(name)
            if text is not None and not isinstance(text, str):
                yield f"{name} must be a text"
            elif text and name != "name":
                yield from self._text_problems(name, text)
        yield from _gaps(template)
        yield from _attachment_problems(template.get("emailAttachments"))

    def wanted(self, template: Document) -> Sequence[str]:
        """The values that the texts may read, as dotted paths; a text with a fault has none.

        A path includes everything beneath it; `…` stands for what helpers look up by themselves.
        """
        found: set[str] = set()
        for name in TEXTS:
            text = template.get(name)
            if not isinstance(text, str):
                continue
            try:
                paths = self._engine.compile(text, escaping=escaping_of(name)).wanted
            except TemplateSyntaxError:
                continue
            found |= {".".join(path) or "…" for path in paths}
        return sorted(found, key=lambda path: (path == "…", path))

    def _text_problems(self, name: str, text: str) -> Iterator[str]:
        if not text.strip():
            if name in {"smsMessage", "voiceMessage"}:
                yield f"{name} shows nothing, and such a message is not sent"
            return
        try:
            faults = self._engine.faults(text, escaping=escaping_of(name))
        except TemplateSyntaxError as error:
            faults = [error]
        for fault in faults:
            yield f"{name}, {fault.line}:{fault.column}: {fault.message}"
        if name == "pushData" and not faults and "{{" not in text:
            try:
                read_push_data(text)
            except NotRenderable as error:
                yield f"pushData, 1:1: {error}"


def _gaps(template: Document) -> Iterator[str]:
    """Missing fields without which the others are never sent."""

    def has(*names: str) -> bool:
        return all(template.get(name) not in (None, "") for name in names)

    if (has("emailMessage") or has("emailHtmlMessage")) and not has("emailTitle"):
        yield "emailTitle is missing: a mail has a title"
    title = template.get("emailTitle")
    if title and isinstance(title, str) and not has("emailMessage") and not has("emailHtmlMessage"):
        yield "emailMessage is missing: a mail has that or emailHtmlMessage beside its title"
    if any(map(has, ("pushTitle", "pushSubtitle", "pushMessage"))) and not has("pushData"):
        for name in ("pushTitle", "pushMessage"):
            if not has(name):
                yield f"{name} is missing: a push has pushTitle and pushMessage, or pushData"


def _attachment_problems(attachments: JsonValue) -> Iterator[str]:
    if attachments is None:
        return
    if not isinstance(attachments, list):
        yield "emailAttachments must be a list"
        return
    for attachment in attachments:
        if not isinstance(attachment, dict) or not isinstance(attachment.get("file"), str):
            yield 'each of emailAttachments must be an object with a "file"'
