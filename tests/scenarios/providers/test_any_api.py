"""A provider of the type `http` in a whole service: from a request to the API's socket and back."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path
from urllib.parse import quote

from carillon.messages.model import Document
from tests.neighbours.http import Answer, Request, in_turn, json_answer, serve
from tests.running import running

KEY = "sk-1234567890/+"
USERS: list[Document] = [
    {"_id": "ada", "name": "Ada", "plan": {"id": 7}, "phoneNumber": "+393331234567", "pin": "0000"},
    {"_id": "bob", "name": "B<b>", "plan": {"id": 8}, "phoneNumber": "+393337654321"},
]


def configuration(url: str, **keys: object) -> Document:
    section: Document = {
        "type": "http",
        "channels": ["sms"],
        "url": f"{url}/v1/{{{{user.plan.id}}}}/send?key={{{{secret.KEY}}}}",
        "auth": {"user": "api", "password": "{{secret.KEY}}"},
        "headers": {"Idempotency-Key": "{{deliveryId}}"},
        "json": {"to": "{{to}}", "text": "{{text}} {{user.name}}, {{data.shop.name}}"},
        "secrets": ["KEY"],
        "accepted": {"messageId": "/id"},
        "retry": {"attempts": 2, "firstDelay": "10ms", "maxDelay": "10ms"},
        **keys,  # type: ignore[dict-item]
    }
    return {
        "activeChannels": ["sms"],
        "sender": {"sms": "Shop"},
        "channels": {"sms": {"providers": ["any"]}},
        "providers": {"any": section},
    }


async def test_a_request_reaches_any_api_with_what_its_templates_name(tmp_path: Path) -> None:
    async def answer(request: Request) -> Answer:
        body = request.json()
        assert isinstance(body, dict)
        return json_answer({"id": f"m-{str(body['to'])[-4:]}"})

    async with serve(answer) as api:
        file = configuration(api.url)
        async with running(tmp_path, file, users=USERS, environ={"KEY": KEY}) as service:
            data = {"shop": {"name": "D'Angelo"}, "other": "x"}
            made = await service.send(
                channels=["sms"], recipients=["ada", "bob"], messageContent="Hi", data=data
            )
            assert made.json() == {"failures": []}
            deliveries = await service.client.get(
                f"/dispatches/{made.headers['dispatch-id']}/deliveries"
            )
    texts = {request.path: request.json() for request in api.requests}
    assert texts == {
        "/v1/7/send": {"to": "+393331234567", "text": "Hi Ada, D'Angelo"},
        "/v1/8/send": {"to": "+393337654321", "text": "Hi B<b>, D'Angelo"},
    }
    assert len({request.headers["idempotency-key"] for request in api.requests}) == 2
    assert {request.query["key"][0] for request in api.requests} == {KEY}
    assert deliveries.text.count('"m-4567"') == deliveries.text.count('"m-4321"') == 1


async def test_a_repeat_and_a_restart_send_the_same(tmp_path: Path) -> None:
    async with serve(in_turn(Answer(503), json_answer({"id": "m-1"}))) as api:
        slowly = {"attempts": 9, "firstDelay": "4s", "maxDelay": "4s"}
        file = {**configuration(api.url, retry=slowly), "drain": "10ms"}
        async with running(tmp_path, file, users=USERS[:1], environ={"KEY": KEY}) as service:
            headers = {"Prefer": "respond-async"}
            body: Document = {"channels": ["sms"], "recipients": ["ada"], "messageTitle": "T"}
            body |= {"messageContent": "Hi", "data": {"shop": {"name": "S"}}}
            await service.client.post("/send", json=body, headers=headers)
            await api.until(1)
        async with running(tmp_path, file, environ={"KEY": KEY}) as service:
            await service.until(service.outcomes, 20)
            assert service.outcomes() == {("ada", "sms"): ("sent", "accepted")}
    first, second = api.requests
    assert (first.target, first.body) == (second.target, second.body)
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]


async def test_no_secret_shows_whatever_happens(tmp_path: Path) -> None:
    """The API repeats all that it was sent, as some do in their errors."""
    forms = (KEY, quote(KEY, safe=""), b64encode(f"api:{KEY}".encode()).decode())

    async def answer(request: Request) -> Answer:
        said = " ".join([request.target, *request.headers.values(), request.body.decode(), *forms])
        return json_answer(
            {"message": said, "id": KEY}, (400, 200, 503, 503)[len(api.requests) - 1]
        )

    async with serve(answer) as api:
        file = configuration(api.url)
        async with running(tmp_path, file, users=USERS[:1], environ={"KEY": KEY}) as service:
            shown = [
                (await service.send(channels=["sms"], recipients=["ada"])).text for _ in range(3)
            ]
            paths = ("/providers", "/-/check-up", "/dispatches", "/-/metrics")
            shown += [(await service.client.get(path)).text for path in paths]
            shown += [service.log.getvalue(), repr(service.events)]
    assert len(api.requests) == 4
    for form in forms:
        assert form not in "".join(shown)
    assert "any answered 400" in shown[0]
    assert "pin" not in api.requests[0].body.decode()
