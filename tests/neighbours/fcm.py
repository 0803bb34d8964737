"""A stand-in of our own for FCM HTTP v1 and Google's token endpoint, after contracts 2.3.

The token endpoint verifies the assertion with the account's public key; messages are checked by
rules written after FCM's discovery document.
"""

from __future__ import annotations

import json
import re
import time
from collections import deque
from functools import cache

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key

from carillon.messages.model import Document, JsonValue
from tests.neighbours.http import Answer, Request, json_answer

GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
MESSAGE = "name token fid topic condition notification data android apns webpush"
ANDROID = (
    "collapse_key collapseKey priority ttl restricted_package_name restrictedPackageName data "
    "notification fcm_options fcmOptions direct_boot_ok directBootOk"
)
APNS = "headers payload fcm_options fcmOptions live_activity_token"
NOTIFICATION = "title body image"
TTL = re.compile(r"[0-9]+(\.[0-9]{1,9})?s")
TOO_LARGE = 4096


@cache
def key_pair() -> RSAPrivateKey:
    """One key for all tests: making one takes long."""
    return generate_private_key(public_exponent=65537, key_size=2048)


def fcm_error(status: int, code: str, error_code: str = "", **headers: str) -> Answer:
    """An error as FCM answers it; with an `error_code` it has FCM's own details."""
    error: Document = {"code": status, "message": f"about {code}", "status": code}
    if error_code:
        kind = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
        error["details"] = [{"@type": kind, "errorCode": error_code}]
    return json_answer({"error": error}, status, **headers)


class Fcm:
    """A handler for `serve`, for `/token` and `/v1/projects/{project}/messages:send`.

    `messages` are what it accepted, `tokens` how many it issued. `answers` to sends and
    `token_answers` to token requests go out first, one a request. `revoke()` ends every token.
    """

    def __init__(self, *answers: Answer, project: str = "shop", lives: int = 3599) -> None:
        self.messages: list[Document] = []
        self.tokens = 0
        self.answers = deque(answers)
        self.token_answers: deque[Answer] = deque()
        self.unregistered: set[str] = set()
        self._project = project
        self._lives = lives
        self._valid: set[str] = set()

    def credentials(self, url: str) -> str:
        """A service-account file for this stand-in at `url`."""
        pem = key_pair().private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        keys = {
            "type": "service_account",
            "project_id": self._project,
            "private_key_id": "kid-1",
            "private_key": pem.decode(),
            "client_email": f"push@{self._project}.iam.example.com",
            "token_uri": f"{url}/token",
        }
        return json.dumps(keys)

    def revoke(self) -> None:
        self._valid.clear()

    async def __call__(self, request: Request) -> Answer:
        if request.path == "/token":
            return self._issue(request)
        if self.answers:
            return self.answers.popleft()
        if request.headers.get("authorization", "").removeprefix("Bearer ") not in self._valid:
            return fcm_error(401, "UNAUTHENTICATED")
        if request.path != f"/v1/projects/{self._project}/messages:send":
            return fcm_error(404, "NOT_FOUND")
        return self._take(request)

    def _issue(self, request: Request) -> Answer:
        if self.token_answers:
            return self.token_answers.popleft()
        form = {name: values[0] for name, values in request.form().items()}
        if form.get("grant_type") != GRANT:
            return json_answer({"error": "unsupported_grant_type"}, 400)
        try:
            claims = jwt.decode(
                form["assertion"],
                key_pair().public_key(),
                algorithms=["RS256"],
                audience=f"http://{request.headers['host']}/token",
            )
        except (jwt.PyJWTError, KeyError):
            return json_answer({"error": "invalid_grant"}, 400)
        issuer = f"push@{self._project}.iam.example.com"
        if claims["iss"] != issuer or claims["scope"] != SCOPE or not _an_hour(claims):
            return json_answer({"error": "invalid_grant"}, 400)
        self.tokens += 1
        token = f"ya29.token-{self.tokens}"
        self._valid.add(token)
        return json_answer(
            {"access_token": token, "expires_in": self._lives, "token_type": "Bearer"}
        )

    def _take(self, request: Request) -> Answer:
        body = request.json()
        message = body.get("message") if isinstance(body, dict) else None
        if not isinstance(message, dict) or len(request.body) > TOO_LARGE:
            return fcm_error(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT")
        problem = _problem(message)
        if problem:
            return json_answer(_bad_request(problem), 400)
        if message["token"] in self.unregistered:
            return fcm_error(404, "NOT_FOUND", "UNREGISTERED")
        self.messages.append(message)
        return json_answer({"name": f"projects/{self._project}/messages/{len(self.messages)}"})


def _an_hour(claims: dict[str, int]) -> bool:
    return claims["exp"] - claims["iat"] <= 3600 and abs(claims["iat"] - time.time()) < 60


def _bad_request(problem: str) -> Document:
    details: JsonValue = [
        {
            "@type": "type.googleapis.com/google.rpc.BadRequest",
            "fieldViolations": [{"field": problem, "description": "Invalid value"}],
        }
    ]
    message = f"Invalid value at '{problem}'"
    return {
        "error": {
            "code": 400,
            "message": message,
            "status": "INVALID_ARGUMENT",
            "details": details,
        }
    }


def _problem(message: Document) -> str | None:
    """The field that breaks a rule of the discovery document."""
    targets = [name for name in ("token", "fid", "topic", "condition") if name in message]
    if len(targets) != 1 or not isinstance(message[targets[0]], str):
        return "message.target"
    android, apns = message.get("android", {}), message.get("apns", {})
    notification = message.get("notification", {})
    for name, value, known in (
        ("message", message, MESSAGE),
        ("message.android", android, ANDROID),
        ("message.apns", apns, APNS),
        ("message.notification", notification, NOTIFICATION),
    ):
        if not isinstance(value, dict):
            return name
        if unknown := set(value) - set(known.split()):
            return f"{name}.{min(unknown)}"
    android_problem = _android_problem(android) if isinstance(android, dict) else None
    return android_problem or _not_strings(
        {
            "message.data": message.get("data"),
            "message.notification": notification,
            "message.android.data": android.get("data") if isinstance(android, dict) else None,
            "message.apns.headers": apns.get("headers") if isinstance(apns, dict) else None,
        }
    )


def _android_problem(android: Document) -> str | None:
    if str(android.get("priority", "normal")).lower() not in ("normal", "high"):
        return "message.android.priority"
    if not TTL.fullmatch(str(android.get("ttl", "0s"))):
        return "message.android.ttl"
    notification = android.get("notification", {})
    if not isinstance(notification, dict):
        return "message.android.notification"
    both = {"click_action", "clickAction"} <= set(notification)
    return "message.android.notification.click_action" if both else None


def _not_strings(maps: Document) -> str | None:
    for name, values in maps.items():
        if values is None:
            continue
        if not isinstance(values, dict) or not all(isinstance(v, str) for v in values.values()):
            return name
    return None
