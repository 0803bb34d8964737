"""A stand-in of our own for Mia-Platform's mail service 3.2, after contracts 1.2.

It refuses what the contract refuses, with Mia's error shape. How lists are coded in multipart is
not documented; it reads repeated parts.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO

from werkzeug.formparser import parse_form_data

from carillon.messages.model import JsonValue
from tests.neighbours.http import Answer, Request, mia_error

TEXTS = ("subject", "sender", "message", "htmlMessage")
LISTS = ("recipient", "cc", "bcc")


@dataclass(frozen=True, slots=True)
class SentFile:
    """An attachment as it arrived."""

    part: str
    name: str
    media_type: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail that was accepted."""

    recipients: list[str]
    subject: str
    sender: str
    cc: list[str]
    bcc: list[str]
    message: str | None
    html_message: str | None
    files: list[SentFile]


class MailService:
    """A handler for `serve`. `answers` go out first, one a request, in place of its own."""

    def __init__(self, *answers: Answer) -> None:
        self.mails: list[Mail] = []
        self.answers = deque(answers)

    async def __call__(self, request: Request) -> Answer:
        if (request.method, request.path.rsplit("/", 1)[-1]) != ("POST", "send"):
            return mia_error(404, f"Route {request.method}:{request.path} not found")
        if self.answers:
            return self.answers.popleft()
        fields, files, problem = _read(request)
        problem = problem or _problem(fields)
        if problem:
            return mia_error(400, problem)
        self.mails.append(_mail(fields, files))
        return Answer(200)


def _read(request: Request) -> tuple[dict[str, list[str]], list[SentFile], str | None]:
    """The fields as lists, the files, and what is wrong with the body."""
    media_type = request.headers.get("content-type", "")
    if media_type.startswith("multipart/form-data"):
        return _read_multipart(request, media_type)
    if not media_type.startswith("application/json"):
        return {}, [], "unsupported media type"
    body = request.json()
    if not isinstance(body, dict):
        return {}, [], "body must be object"
    if "from" in body:
        return {}, [], "`from` belongs to multipart requests"
    for name in body:
        if name not in TEXTS + LISTS:
            return {}, [], f"unknown field {name}"
    return {name: _strings(value) for name, value in body.items()}, [], None


def _strings(value: JsonValue) -> list[str]:
    """A string or a list of strings; anything else reads as missing."""
    values = value if isinstance(value, list) else [value]
    return [text for text in values if isinstance(text, str)]


def _read_multipart(
    request: Request, media_type: str
) -> tuple[dict[str, list[str]], list[SentFile], str | None]:
    environ = {
        "wsgi.input": BytesIO(request.body),
        "CONTENT_TYPE": media_type,
        "CONTENT_LENGTH": str(len(request.body)),
        "REQUEST_METHOD": "POST",
    }
    _, form, files = parse_form_data(environ)
    fields = {name: form.getlist(name) for name in form}
    if "sender" in fields:
        return {}, [], "use `from` and not `sender` in multipart requests"
    fields["sender"] = fields.pop("from", [])
    sent: list[SentFile] = []
    for part, file in files.items(multi=True):
        name, kind = file.filename or "", file.content_type or ""
        sent.append(SentFile(part, name, kind, file.read()))
        file.close()
    return fields, sent, None


def _problem(fields: Mapping[str, list[str]]) -> str | None:
    for name in ("recipient", "subject", "sender"):
        if not fields.get(name):
            return f"body must have required property '{name}'"
    for name in TEXTS:
        if len(fields.get(name, [])) > 1:
            return f"body/{name} must be string"
    return None


def _mail(fields: Mapping[str, list[str]], files: list[SentFile]) -> Mail:
    return Mail(
        recipients=fields["recipient"],
        subject=fields["subject"][0],
        sender=fields["sender"][0],
        cc=fields.get("cc", []),
        bcc=fields.get("bcc", []),
        message=fields["message"][0] if "message" in fields else None,
        html_message=fields["htmlMessage"][0] if "htmlMessage" in fields else None,
        files=files,
    )
