"""A stand-in of our own for Kaleyra's outbound calls and SMS, after contracts 2.2.

No first-party specification is public: paths, header and form fields are from its pages, the
answers are as a production client of it reads them.
"""

from __future__ import annotations

from collections import deque

from carillon.messages.model import JsonValue
from tests.neighbours.http import Answer, Request, json_answer

FIELDS = (
    "to retry bridge prefix target dlrurl time timeout callback delay custom interval "
    "language speed"
)
MESSAGE_FIELDS = (
    "to sender type body template_id callback_profile_id callback callback_url ref ref1 ref2 "
    "unicode flash time prefix"
)


class Kaleyra:
    """A handler for `serve`: `calls` and `messages` are the forms it accepted.

    `answers` go out first, one a request, in place of its own.
    """

    def __init__(self, *answers: Answer, sid: str = "SID1", api_key: str = "key-1") -> None:
        self.calls: list[dict[str, str]] = []
        self.messages: list[dict[str, str]] = []
        self.answers = deque(answers)
        self._account = f"/v1/{sid}"
        self._api_key = api_key

    async def __call__(self, request: Request) -> Answer:
        is_call = request.path.endswith(f"{self._account}/voice/outbound")
        is_message = request.path.endswith(f"{self._account}/messages")
        if request.method != "POST" or not (is_call or is_message):
            return json_answer({"error": {"path": "not found"}}, 404)
        if request.headers.get("api-key") != self._api_key:
            return json_answer({"error": {"api-key": "not authorized"}}, 401)
        if self.answers:
            return self.answers.popleft()
        form = request.form()
        required = "to bridge target" if is_call else "to sender type body"
        known = FIELDS if is_call else MESSAGE_FIELDS
        errors = _errors(request.headers.get("content-type", ""), form, required, known)
        if errors:
            return json_answer({"error": dict(errors)}, 400)
        taken = self.calls if is_call else self.messages
        taken.append({name: values[0] for name, values in form.items()})
        message_id = "58f86fab-85c5-4f7c-9b68-9c323248afc4"
        if is_call:
            return json_answer({"id": f"{message_id}:{len(taken)}"})
        of_recipient: JsonValue = {
            "message_id": f"{message_id}:{len(taken)}",
            "recipient": form["to"][0],
        }
        return json_answer({"id": message_id, "data": [of_recipient], "error": {}}, 202)


def _errors(
    media_type: str, form: dict[str, list[str]], required: str, known: str
) -> dict[str, str]:
    if media_type != "application/x-www-form-urlencoded":
        return {"content-type": "not a form"}
    errors = {name: "required" for name in required.split() if not form.get(name)}
    errors |= {name: "given twice" for name, values in form.items() if len(values) > 1}
    errors |= {name: "unknown" for name in form if name not in known.split()}
    if not errors and not form["to"][0].removeprefix("+").isdecimal():
        errors["to"] = "invalid number"
    return errors
