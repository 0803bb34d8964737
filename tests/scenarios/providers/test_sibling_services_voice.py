"""What Kaleyra is sent for a call (contracts 2.2)."""

from __future__ import annotations

import json
from pathlib import Path

from carillon.messages.model import Document
from tests.neighbours.http import Answer, json_answer
from tests.neighbours.kaleyra import Kaleyra
from tests.scenarios.neighbourhood import ADA_ID, accepted, failure, neighbourhood


async def test_a_call_is_one_form(tmp_path: Path) -> None:
    async with neighbourhood(tmp_path) as at:
        content = "Perché D'Angelo & <b> 100% + {text}"
        accepted(await at.send("voice", recipients=[ADA_ID], messageContent=content))
    (call,) = at.calls("voice")
    assert (call.method, call.target) == ("POST", "/v1/SID1/voice/outbound")
    assert call.headers["content-type"] == "application/x-www-form-urlencoded"
    assert call.headers["api-key"] == "key-1"
    assert "authorization" not in call.headers
    assert call.form() == {
        "to": ["+393331234567"],
        "bridge": ["+390212345678"],
        "target": [content],
    }
    assert at.outcomes() == {(ADA_ID, "voice"): ("sent", "accepted")}


async def test_target_and_further_fields_are_the_operators(tmp_path: Path) -> None:
    options: Document = {
        "target": '[{"type": "text", "value": "{jsonText}"}]',
        "fields": {"retry": "1", "language": "it-IT", "bridge": "+1"},
    }
    content = 'She said "hi"\nand {text} left'
    async with neighbourhood(tmp_path, providers={"kaleyra": {"options": options}}) as at:
        accepted(await at.send("voice", recipients=[ADA_ID], messageContent=content))
    (call,) = at.voice.calls
    assert json.loads(call.pop("target")) == [{"type": "text", "value": content}]
    assert call == {
        "to": "+393331234567",
        "bridge": "+390212345678",
        "retry": "1",
        "language": "it-IT",
    }


async def test_a_key_with_old_names_in_the_environment_works(tmp_path: Path) -> None:
    environ = {"KALEYRA_SID": "", "KALEYRA_API_SID": "SID 2/x"}
    voice = Kaleyra(sid="SID%202%2Fx")
    async with neighbourhood(tmp_path, voice=voice, environ=environ) as at:
        accepted(await at.send("voice", recipients=[ADA_ID]))
    assert at.calls("voice")[0].target == "/v1/SID%202%2Fx/voice/outbound"


ANSWERS: list[tuple[Answer, int, str, str]] = [
    (
        json_answer({"error": {"to": "invalid number +39 333 1234567"}}, 400),
        1,
        "rejected",
        "kaleyra answered 400: to: invalid number [address]",
    ),
    (Answer(401), 1, "rejected", "kaleyra answered 401"),
    (Answer(302, headers={"location": "/x"}), 1, "rejected", "kaleyra answered 302"),
    (Answer(408), 2, "exhausted", "kaleyra answered 408 (2 attempts)"),
    (Answer(429), 2, "exhausted", "kaleyra answered 429 (2 attempts)"),
    (Answer(502), 2, "exhausted", "kaleyra answered 502 (2 attempts)"),
    (Answer(504), 1, "unknown-outcome", "kaleyra answered 504"),
    (Answer(fault="hang"), 1, "unknown-outcome", "no answer within 0.2 s"),
    (
        Answer(fault="disconnect"),
        1,
        "unknown-outcome",
        "kaleyra: no answer: server disconnected",
    ),
]


async def test_what_kaleyra_answers_is_taken_by_the_common_rules(tmp_path: Path) -> None:
    async with neighbourhood(tmp_path, providers={"kaleyra": {"timeout": "200ms"}}) as at:
        for answer, calls, reason, error in ANSWERS:
            before = len(at.calls("voice"))
            at.voice.answers.extend([answer] * calls)
            accepted(await at.send("voice", recipients=[ADA_ID]), failure(ADA_ID, "voice", error))
            assert at.outcomes()[ADA_ID, "voice"][1] == reason
            assert len(at.calls("voice")) - before == calls
        assert at.voice.calls == []


async def test_a_success_may_say_anything(tmp_path: Path) -> None:
    odd = [json_answer({"error": {"to": "invalid"}}), Answer(202, b"ok"), json_answer([])]
    async with neighbourhood(tmp_path, voice=Kaleyra(*odd)) as at:
        for _ in odd:
            accepted(await at.send("voice", recipients=[ADA_ID]))
            assert at.outcomes()[ADA_ID, "voice"] == ("sent", "accepted")
