"""What nobody should send: large bodies of every shape, and templates that take long.

Each is a name, a path and a body. `scale` is a share of the largest body that is let in.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

LARGEST: Final = 16_000_000
USER: Final = "ann"
BOMB: Final = {"channels": ["sms"], "recipients": [USER], "messageTitle": "t"}


@dataclass(frozen=True, slots=True)
class Case:
    """One request; with a `key` it is sent with an Idempotency-Key."""

    name: str
    body: bytes
    path: str = "/send"
    method: str = "POST"
    key: str | None = None


def cases(scale: float) -> Iterator[Case]:
    """All of them, made when it is their turn; the largest bodies are cut to a share."""
    yield from _bodies(round(LARGEST * scale))
    yield from _templates()
    yield from _elsewhere(round(LARGEST * scale))


def _bodies(size: int) -> Iterator[Case]:
    yield Case("many small values", _send(b'{"a":[' + b"0," * (size // 2) + b"0]}"))
    yield Case("many empty objects", _send(b'{"a":[' + b"{}," * (size // 3) + b"{}]}"))
    yield Case("as many objects as may be", _send(_objects(49_000)))
    yield Case("one long text", _send(b'{"a":"' + b"a" * size + b'"}'))
    yield Case("one long text with a key", _send(b'{"a":"' + b"a" * size + b'"}'), key="k1")
    yield Case("a text of escapes", _send(b'{"a":"' + b"\\n" * (size // 2) + b'"}'))
    yield Case("a text of emoji", _send(b'{"a":"' + "😀".encode() * (size // 4) + b'"}'))
    yield Case("a text and one emoji", _send(b'{"a":"' + b"a" * size + "😀".encode() + b'"}'))
    yield Case("deep lists", _send(b'{"a":' + b"[" * size))
    yield Case("deep objects", _send(b'{"a":' + b'{"a":' * (size // 5)))
    yield Case("digits", _send(b'{"a":' + b"9" * size + b"}"))
    yield Case("spaces", _send(b'{"a":' + b" " * size + b"0}"))
    yield Case("forbidden key at the end", _send(b'{"a":"' + b"a" * size + b'","__proto__":0}'))
    yield Case("cut off", _send(b'{"a":"' + b"a" * size)[:-9])
    yield Case("no UTF-8", _send(b'{"a":"' + b"a" * size + b'\xff"}'))
    ids = b",".join(b'"no %d"' % at for at in range(size // 14))
    yield Case(
        "many recipients",
        b'{"recipients":['
        + ids
        + b"],"
        + _send(b"{}")[1:-1].replace(b'"recipients"', b'"unknown"')
        + b"}",
    )
    yield Case("a recipient of megabytes", _send(b"{}").replace(b'"ann"', b'"%s"' % (b"a" * size)))
    addresses = b",".join(b'"a%d@shop.example"' % at for at in range(99_000))
    yield Case("many copies", _email(b'"emailCarbonCopies":[' + addresses + b"]"))
    yield Case("a content of megabytes", _content("a" * size))
    yield Case("many attachments", _email(b'"emailAttachments":[' + b'"a",' * 90_000 + b'"a"]'))


def _templates() -> Iterator[Case]:
    """Texts within the limits that take as long as they can."""
    tags = 250_000
    yield Case("plain tags", _content("{{a}}" * (tags // 5)))
    yield Case("tags of the user", _content("{{user.name}}" * (tags // 13)))
    yield Case("parentheses", _content("{{add (add (add 1 2) 3) 4}}" * (tags // 27)))
    yield Case("many arguments", _content("{{add " + "1 " * (tags // 2) + "}}"))
    yield Case("nested blocks", _content("{{#if user}}" * 190 + "x" + "{{/if}}" * 190))
    many = {"list": list(range(9000)), "word": "ab c" * 1000, "long": "Foo bar-baz. " * 80_000}
    each = "{{#each data.list}}{{#each @root.data.list}}%s{{/each}}{{/each}}"
    for name, text in {
        "loops": each % "{{this}}",
        "a loop with the user": each % "{{../../user.name}}{{this}}",
        "repeat": "{{#repeat 9000000}}x{{/repeat}}{{repeat 'x' 9000000}}",
        "sort": each % "{{sort @root.data.list}}",
        "regex": each % '{{test @root.data.word (toRegex "^(a+)+$")}}',
        "one regex": '{{test data.long (toRegex "(a|b|ab|o )*[x-z]+(.*.*)*!")}}',
        "numbers of a locale": each % "{{toLocale this 'de'}}",
        "dates": each % '{{dateFormat "2023-10-15" format="dddd DD MMMM YYYY"}}',
        "replacing": "{{replace data.long 'a' data.word}}",
        "letters": "{{titleize data.long}}{{uppercase data.long}}{{camelcase data.long}}",
        "escaping": "{{{data.long}}}{{data.long}}" * 9,
        "splitting": "{{#each (split data.long '')}}{{this}}{{/each}}",
        "JSON": "{{JSONstringify data 10}}{{JSONparse (JSONstringify data)}}" * 9,
        "partials": "{{#*inline 'p'}}{{> p}}{{> p}}{{/inline}}{{> p}}",
    }.items():
        yield Case(f"template: {name}", _content(text, many))
    push = {"android": {"a": "{{#repeat 3000000}}[],{{/repeat}}"}}
    yield Case("template: push data", _content(json.dumps(push), many))


def _elsewhere(size: int) -> Iterator[Case]:
    """The other routes that take a body."""
    values = b'{"a":[' + b"0," * (size // 2) + b"0]}"
    text = b'{"reason":"' + b"a" * size + b'"}'
    for name, path, method in (
        ("saga", "/saga/send", "POST"),
        ("settings", "/providers/sms-sandbox", "PATCH"),
        ("redrive", "/dispatches/00000000-0000-0000-0000-000000000000/redrive", "POST"),
        ("hook", "/hooks/kafka2firebase/ok", "POST"),
        ("nowhere", "/nowhere", "POST"),
    ):
        yield Case(f"{name}: values", values, path, method)
        yield Case(f"{name}: text", text, path, method)
    command = {"key": "S-1", "value": {"messageLabel": "tell", "messagePayload": {}}}
    payload = {
        "channels": "sms",
        "recipients": [USER],
        "title": "t",
        "content": "{{data.key}}",
        "more": "a" * size,
    }
    command["value"] = {"messageLabel": "tell", "messagePayload": payload}
    yield Case("saga: long command", json.dumps(command).encode(), "/saga/send")
    yield Case("saga: with a key", json.dumps(command).encode(), "/saga/send", key="k2")
    payload["more"] = ""
    payload["recipients"] = [f"no {at}" for at in range(99_000)]
    yield Case("saga: many recipients", json.dumps(command).encode(), "/saga/send")


def _objects(number: int) -> bytes:
    return b'{"a":[' + b",".join(b'{"k%d":"%d"}' % (at, at) for at in range(number)) + b"]}"


def _send(data: bytes) -> bytes:
    return (
        json.dumps({**BOMB, "messageContent": "{{data.b}}"}).encode()[:-1]
        + b',"data":'
        + data
        + b"}"
    )


def _email(member: bytes) -> bytes:
    body = {**BOMB, "channels": ["email"], "messageContent": "x"}
    return json.dumps(body).encode()[:-1] + b"," + member + b"}"


def _content(text: str, data: object = None) -> bytes:
    body = {**BOMB, "messageContent": text, "channels": ["sms", "email"], "data": data}
    return json.dumps(body).encode()
