from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from quart import Quart, Response, request
from quart_trio import QuartTrio

from carillon.access.keys import ApiKey, KeyRing, draw_key
from carillon.access.operator_token import OperatorToken
from carillon.api import access, errors
from carillon.api.access import Gate, Need, caller, declared_need, is_loopback, needs, open_to_all
from carillon.api.answers import json_answer
from carillon.api.openapi import child, openapi_document
from carillon.messages.model import Document
from tests.api.application import application


def without_secrets(header: str) -> str:
    """The same name of a test in every process: what was drawn is left out."""
    return re.sub(r"\.[\w-]{43}", ".secret", header)


def published_token() -> OperatorToken:
    with TemporaryDirectory() as folder:
        token = OperatorToken()
        token.publish(Path(folder, "token"))
        return token


SEND, SEND_KEY = draw_key("shop", ["send"])
READ, READ_KEY = draw_key("desk", ["read"])
OPERATE, OPERATE_KEY = draw_key("ops", ["operate"])
KEYS = (SEND_KEY, READ_KEY, OPERATE_KEY)
NOW = 1_800_000_000.0
TOKEN = published_token()
HERE = "127.0.0.1"

Headers = Mapping[str, str | list[str]]


def door(keys: Iterable[ApiKey] = (), *, in_cluster: bool = False) -> QuartTrio:
    """An application with one route of each kind; its views answer with the caller's name."""
    return door_with(Gate(KeyRing(keys), TOKEN, in_cluster=in_cluster, now=lambda: NOW))


def door_with(gate: Gate) -> QuartTrio:
    app = QuartTrio("door", static_folder=None)
    errors.register(app)
    access.register(app, gate)

    @app.get("/probe")
    @open_to_all
    async def probe() -> Response:
        return json_answer(caller())

    @app.post("/send")
    @needs("send", open_without_keys=True)
    async def send() -> Response:
        await request.get_data()
        return json_answer(caller())

    @app.get("/metrics")
    @needs("read", open_without_keys=True)
    async def metrics() -> Response:
        return json_answer(caller())

    @app.get("/providers")
    @needs("read")
    async def providers() -> Response:
        return json_answer(caller())

    @app.post("/pause")
    @needs("operate")
    async def pause() -> Response:
        return json_answer(caller())

    @app.get("/undeclared")
    async def undeclared() -> Response:
        return json_answer(caller())

    return app


async def ask(
    app: Quart,
    call: str,
    token: str | None = None,
    *,
    client: str = HERE,
    host: str = "localhost:3000",
    headers: Headers | None = None,
) -> Response:
    """The answer to `METHOD /path` from an address, with a key if there is one."""
    method, _, path = call.partition(" ")
    wanted: dict[str, str | list[str]] = {"Host": host, **(headers or {})}
    if token is not None:
        wanted["Authorization"] = f"Bearer {token}"
    answer = await app.test_client().open(  # type: ignore[call-arg]  # no default in its Protocol
        path, method=method, headers=wanted, scope_base={"client": (client, 50_000)}
    )
    assert isinstance(answer, Response)
    return answer


async def status(
    app: Quart,
    call: str,
    token: str | None = None,
    *,
    client: str = HERE,
    host: str = "localhost:3000",
) -> int:
    return (await ask(app, call, token, client=client, host=host)).status_code


ROUTES = ("GET /probe", "POST /send", "GET /metrics", "GET /providers", "POST /pause")


@pytest.mark.parametrize(
    ("token", "statuses"),
    [
        (None, (200, 401, 401, 401, 401)),
        (SEND, (200, 200, 403, 403, 403)),
        (READ, (200, 403, 200, 200, 403)),
        (OPERATE, (200, 403, 200, 200, 200)),
    ],
    ids=["none", "send", "read", "operate"],
)
async def test_keys_open_what_their_scopes_say(
    token: str | None, statuses: tuple[int, ...]
) -> None:
    app = door(KEYS)
    assert tuple([await status(app, call, token) for call in ROUTES]) == statuses


async def test_a_refusal_has_the_shape_of_every_error() -> None:
    missing = await ask(door(KEYS), "POST /send")
    assert missing.headers["WWW-Authenticate"] == "Bearer"
    assert await missing.get_json() == {
        "statusCode": "401",
        "error": "Unauthorized",
        "message": "An API key is missing; send Authorization: Bearer <id>.<secret>",
    }
    wrong = await ask(door(KEYS), "POST /pause", READ)
    assert "WWW-Authenticate" not in wrong.headers
    assert await wrong.get_json() == {
        "statusCode": "403",
        "error": "Forbidden",
        "message": "This needs a key with the scope operate; desk has it not",
    }


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        SEND,
        f"Basic {SEND}",
        f"Bearer {SEND}x",
        f"Bearer {SEND},{SEND}",
        f"Bearer {SEND} {SEND}",
        f"Bearer={SEND}",
        f"Bearer\t{SEND}",
        f"Bearer\xa0{SEND}",
        f"Bearer {SEND}\xa0x",
        f"Bearer {SEND.replace('shop', 'SHOP')}",
        f"Bearer {SEND.replace('shop', 'desk')}",
        f"Bearer {SEND.partition('.')[0]}.{'A' * 43}",
        "Bearer sh\xf6p." + "A" * 43,
        "Bearer " + "é".encode().decode("latin-1"),
        "Bearer " + "." * 60_000,
        "Bearer" + " " * 60_000,
        "Bearer ../../etc/passwd",
        "Bearer {}[]'\";--",
    ],
    ids=without_secrets,
)
async def test_a_header_that_is_no_key_is_refused_without_repeating_it(header: str) -> None:
    answer = await ask(door(KEYS), "POST /send", headers={"Authorization": header})
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    text = await answer.get_data(as_text=True)
    assert SEND.partition(".")[2] not in text
    assert "passwd" not in text


async def test_the_scheme_is_known_in_any_case_and_once_only() -> None:
    app = door(KEYS)
    for scheme in ("bearer", "BEARER", "Bearer  ", " Bearer"):
        assert (
            await ask(app, "POST /send", headers={"Authorization": f"{scheme} {SEND}"})
        ).status_code == 200
    twice = await ask(app, "POST /send", headers={"Authorization": [f"Bearer {SEND}"] * 2})
    assert twice.status_code == 401


async def test_unknown_ids_and_wrong_secrets_are_told_alike() -> None:
    app = door(KEYS)
    stranger, _ = draw_key("stranger", ["send"])
    impostor, _ = draw_key("shop", ["send"])
    answers = [await ask(app, "POST /send", token) for token in (stranger, impostor)]
    first, second = [await answer.get_json() for answer in answers]
    assert first == second
    assert first["statusCode"] == "401"


async def test_a_key_whose_time_is_over_is_refused() -> None:
    token, key = draw_key("old", ["send"], expires_at=NOW)
    later_token, later = draw_key("new", ["send"], expires_at=NOW + 1)
    app = door([key, later])
    over = await ask(app, "POST /send", token)
    assert (over.status_code, over.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert "old has expired" in await over.get_data(as_text=True)
    assert await status(app, "POST /send", later_token) == 200


async def test_keys_are_exchanged_while_requests_come_in() -> None:
    ring = KeyRing([SEND_KEY])
    app = door_with(Gate(ring, TOKEN, in_cluster=False))
    fresh_token, fresh = draw_key("shop-2", ["send"])
    assert await status(app, "POST /send", fresh_token) == 401
    ring.replace([SEND_KEY, fresh])
    assert [await status(app, "POST /send", token) for token in (SEND, fresh_token)] == [200, 200]
    ring.replace([fresh])
    assert [await status(app, "POST /send", token) for token in (SEND, fresh_token)] == [401, 200]


async def test_with_keys_the_own_machine_needs_one_too() -> None:
    assert await status(door(KEYS), "GET /providers", client=HERE) == 401
    for address in ("192.0.2.7", "::1"):
        assert await status(door(KEYS), "GET /providers", READ, client=address) == 200
    assert await status(door(KEYS, in_cluster=True), "POST /pause", OPERATE) == 200


async def test_paths_that_lead_nowhere_are_told_to_holders_of_any_key() -> None:
    app = door(KEYS)
    for token in (SEND, READ, OPERATE):
        assert await status(app, "GET /nowhere", token) == 404
        assert await status(app, "DELETE /send", token) == 405
    assert await status(app, "GET /nowhere") == 401
    assert await status(app, "DELETE /probe") == 401
    assert await status(door(), "GET /nowhere", client="192.0.2.7") == 404


async def test_head_asks_for_what_get_does() -> None:
    assert await status(door(KEYS), "HEAD /metrics") == 401
    assert await status(door(KEYS), "HEAD /metrics", READ) == 200


async def test_callers_have_names() -> None:
    async def name(app: Quart, call: str, token: str | None = None) -> object:
        return await (await ask(app, call, token)).get_json()

    assert await name(door(KEYS), "POST /send", SEND) == "shop"
    assert await name(door(KEYS), "POST /pause", OPERATE) == "ops"
    assert await name(door(KEYS), "GET /probe", OPERATE) == "anonymous"
    assert await name(door(), "POST /pause", TOKEN.text) == "loopback"
    assert await name(door(), "POST /send", TOKEN.text) == "anonymous"
    assert await name(door(), "POST /send") == "anonymous"


async def test_a_view_that_declares_nothing_is_closed() -> None:
    assert await status(door(), "GET /undeclared") == 403
    for token in (None, SEND, READ, OPERATE):
        assert await status(door(KEYS), "GET /undeclared", token) == 403


async def test_without_keys_senders_are_let_in_from_anywhere() -> None:
    for in_cluster in (False, True):
        app = door(in_cluster=in_cluster)
        for call in ("GET /probe", "POST /send", "GET /metrics"):
            assert await status(app, call, client="192.0.2.7", host="carillon.example") == 200


@pytest.mark.parametrize("call", ["GET /providers", "POST /pause"])
@pytest.mark.parametrize("client", ["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"])
@pytest.mark.parametrize(
    "host", ["localhost", "localhost:3000", "LOCALHOST:1", "127.0.0.1:3000", "[::1]", "[::1]:3000"]
)
async def test_without_keys_the_own_machine_operates(call: str, client: str, host: str) -> None:
    assert await status(door(), call, TOKEN.text, client=client, host=host) == 200
    assert await status(door(), call, client=client, host=host) == 401


@pytest.mark.parametrize("call", ["GET /providers", "POST /pause"])
async def test_an_address_alone_lets_nobody_in(call: str) -> None:
    """A bare proxy on this machine lends its address and its Host to the whole world."""
    answer = await ask(door(), call)
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert await answer.get_json() == {
        "statusCode": "401",
        "error": "Unauthorized",
        "message": "Without API keys this route needs the operator token, which the service has "
        "written into a file for its own user; send Authorization: Bearer <token>",
    }


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer loopback",
        "Bearer loopback.",
        f"Bearer loopback.{'A' * 43}",
        f"Bearer {OperatorToken().text}",
        f"Bearer {SEND}",
        "Bearer \xe9",
        f"Basic {OperatorToken().text}",
    ],
    ids=without_secrets,
)
async def test_another_token_lets_nobody_in(header: str) -> None:
    answer = await ask(door(), "POST /pause", headers={"Authorization": header})
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    twice = [f"Bearer {TOKEN.text}", header]
    assert (await ask(door(), "POST /pause", headers={"Authorization": twice})).status_code == 401


async def test_a_token_that_nobody_can_read_opens_nothing() -> None:
    token = OperatorToken()
    gate = Gate(KeyRing(), token, in_cluster=False)
    answer = await ask(door_with(gate), "POST /pause", token.text)
    assert answer.status_code == 403
    assert "could not be written" in (await answer.get_json())["message"]
    assert await status(door_with(gate), "POST /send") == 200


async def test_with_keys_the_token_opens_nothing() -> None:
    ring = KeyRing()
    app = door_with(Gate(ring, TOKEN, in_cluster=False))
    assert await status(app, "POST /pause", TOKEN.text) == 200
    ring.replace(KEYS)
    assert await status(app, "POST /pause", TOKEN.text) == 401


@pytest.mark.parametrize(
    "client", ["192.0.2.7", "10.0.0.1", "0.0.0.0", "::", "fe80::1", "::ffff:192.0.2.7", "<local>"]
)
async def test_without_keys_others_do_not(client: str) -> None:
    answer = await ask(door(), "GET /providers", TOKEN.text, client=client)
    assert answer.status_code == 403
    message = (await answer.get_json())["message"]
    assert "the call comes from elsewhere" in message
    assert "API_KEYS" in message
    assert client not in message


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example",
        "evil.example:3000",
        "localhost.evil.example",
        "localhost:3000.evil.example",
        "127.0.0.1.evil.example",
        "evil.example/127.0.0.1",
        "127.0.0.1@evil.example",
        "localhost:",
        "localhost:x",
        "localhost:123456",
        "0.0.0.0:3000",
        "192.0.2.7",
        "::1",
        "[::1]x",
        "loc\xe4lhost",
    ],
)
async def test_a_rebound_name_opens_nothing(host: str) -> None:
    answer = await ask(door(), "POST /pause", TOKEN.text, host=host)
    assert answer.status_code == 403
    assert "Host" in (await answer.get_json())["message"]


async def test_two_hosts_open_nothing() -> None:
    hosts = {"Host": ["localhost", "evil.example"]}
    twice = await ask(door(), "POST /pause", TOKEN.text, headers=hosts)
    assert twice.status_code == 403


@pytest.mark.parametrize(
    "name",
    [
        "Forwarded",
        "forwarded",
        "X-Forwarded-For",
        "x-forwarded-host",
        "X-Forwarded-Proto",
        "X-Forwarded-Prefix",
        "X-Forwarded-Anything",
        "X-Real-Ip",
        "Via",
    ],
)
@pytest.mark.parametrize("value", ["127.0.0.1", "", "caf\xe9"])
async def test_a_call_that_was_forwarded_opens_nothing(name: str, value: str) -> None:
    answer = await ask(door(), "GET /providers", TOKEN.text, headers={name: value})
    assert answer.status_code == 403
    assert "forwarded" in (await answer.get_json())["message"]


@pytest.mark.parametrize("name", ["X-Request-Id", "User-Agent", "X-Viable", "Accept", "Cookie"])
async def test_other_headers_are_no_objection(name: str) -> None:
    answer = await ask(door(), "GET /providers", TOKEN.text, headers={name: "127.0.0.1"})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        ("http://localhost:3000", 200),
        ("http://localhost:8080", 403),
        ("https://evil.example", 403),
        ("http://localhost:3000.evil.example", 403),
        ("null", 403),
        ("", 403),
    ],
)
async def test_another_page_in_a_browser_here_opens_nothing(origin: str, expected: int) -> None:
    answer = await ask(door(), "POST /pause", TOKEN.text, headers={"Origin": origin})
    assert answer.status_code == expected


async def test_in_a_cluster_operating_is_off_without_keys() -> None:
    answer = await ask(door(in_cluster=True), "GET /providers", TOKEN.text)
    assert answer.status_code == 403
    assert "configure API_KEYS" in (await answer.get_json())["message"]


@pytest.mark.parametrize("address", ["", "localhost", "127.0.0.1:80", "x", "127.1"])
def test_what_is_no_address_is_not_of_this_machine(address: str) -> None:
    assert not is_loopback(address)


def needs_by_route() -> dict[tuple[str, str], Need | None]:
    app = application()
    return {
        (method.lower(), rule.rule): declared_need(app.view_functions[rule.endpoint])
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }


def test_every_route_declares_what_it_needs() -> None:
    found = needs_by_route()
    assert [route for route, need in found.items() if need is None] == []
    open_to_everybody = {path for (_, path), need in found.items() if need and need.always_open}
    assert open_to_everybody == {"/-/healthz", "/-/ready", "/-/check-up"}


def test_what_changes_something_is_for_operators_and_never_open() -> None:
    for (method, path), need in needs_by_route().items():
        assert need is not None
        if path.startswith(("/users", "/templates")):
            assert need == Need("directory", open_without_keys=False), path
        elif method == "get":
            assert need.always_open or need.scope == "read", path
        elif path in {"/send", "/saga/send"} or path.startswith("/hooks/"):
            assert need == Need("send", open_without_keys=True), path
        else:
            assert need == Need("operate", open_without_keys=False), path


def test_lists_are_not_open_without_keys() -> None:
    for (method, path), need in needs_by_route().items():
        is_known = path == "/" or path.startswith(("/-/", "/documentation", "/dispatches/<"))
        if method == "get" and not is_known:
            assert need is not None
            assert not need.open_without_keys, path


def test_the_documentation_names_the_scope_of_every_route() -> None:
    paths = child(openapi_document("1", "")["paths"])
    documented: dict[tuple[str, str], object] = {
        (method, path): child(operation).get("security")
        for path, item in paths.items()
        for method, operation in child(item).items()
    }
    declared = {
        (method, path_as_documented(path, paths)): schemes(need)
        for (method, path), need in needs_by_route().items()
        if need is not None
    }
    assert documented == declared


def schemes(need: Need) -> list[object]:
    """What callers show: one thing with keys, another or nothing without."""
    if need.scope is None:
        return []
    return [{"ApiKey": [need.scope]}, {} if need.open_without_keys else {"OperatorToken": []}]


@pytest.mark.parametrize(
    ("keys", "scheme", "send", "lists"),
    [
        (KEYS, "ApiKey", [{"ApiKey": ["send"]}], [{"ApiKey": ["read"]}]),
        ((), "OperatorToken", [], [{"OperatorToken": []}]),
    ],
    ids=["with keys", "without"],
)
async def test_the_document_tells_what_this_service_asks_for(
    keys: Sequence[ApiKey], scheme: str, send: object, lists: object
) -> None:
    app = application(keys=keys)
    answer = await ask(app, "GET /documentation/json", OPERATE if keys else None)
    document = await answer.get_json()
    assert [*document["components"]["securitySchemes"]] == [scheme]
    assert document["paths"]["/send"]["post"]["security"] == send
    assert document["paths"]["/providers"]["get"]["security"] == lists
    assert document["paths"]["/-/ready"]["get"]["security"] == []
    page = await (await ask(app, "GET /documentation/", OPERATE if keys else None)).get_data(True)
    assert ("Scope: <code>send</code>" in page) is bool(keys)
    assert ("Needs the operator token" in page) is not bool(keys)


def path_as_documented(rule: str, paths: Document) -> str:
    """The path of the document that has the same fixed parts."""

    def shape(path: str) -> list[str]:
        return ["*" if part[:1] in {"<", "{"} else part for part in path.rstrip("/").split("/")]

    [found] = [path for path in paths if shape(path) == shape(rule)]
    return found
