"""A stand-in of our own for Kaleyra's outbound calls, after contracts 2.2.

No first-party specification is public: paths, header and form fields are from its pages, the
answers are as a production client of it reads them.
"""

from __future__ import annotations

from collections import deque

from tests.neighbours.http import Answer, Request, json_answer

FIELDS = (
    "to retry bridge prefix target dlrurl time timeout callback delay custom interval "
    "language speed"
)


class Kaleyra:
    """A handler for `serve`: `calls` are the forms it accepted.

    `answers` go out first, one a request, in place of its own.
    """

    def __init__(self, *answers: Answer, sid: str = "SID1", api_key: str = "key-1") -> None:
        self.calls: list[dict[str, str]] = []
        self.answers = deque(answers)
        self._path = f"/v1/{sid}/voice/outbound"
        self._api_key = api_key

    async def __call__(self, request: Request) -> Answer:
        if request.method != "POST" or not request.path.endswith(self._path):
            return json_answer({"error": {"path": "not found"}}, 404)
        if request.headers.get("api-key") != self._api_key:
            return json_answer({"error": {"api-key": "not authorized"}}, 401)
        if self.answers:
            return self.answers.popleft()
        form = request.form()
        errors = _errors(request.headers.get("content-type", ""), form)
        if errors:
            return json_answer({"error": dict(errors)}, 400)
        self.calls.append({name: values[0] for name, values in form.items()})
        return json_answer({"id": f"58f86fab-85c5-4f7c-9b68-9c323248afc4:{len(self.calls)}"})


def _errors(media_type: str, form: dict[str, list[str]]) -> dict[str, str]:
    if media_type != "application/x-www-form-urlencoded":
        return {"content-type": "not a form"}
    errors = {name: "required" for name in ("to", "bridge", "target") if not form.get(name)}
    errors |= {name: "given twice" for name, values in form.items() if len(values) > 1}
    errors |= {name: "unknown" for name in form if name not in FIELDS.split()}
    if not errors and not form["to"][0].removeprefix("+").isdecimal():
        errors["to"] = "invalid number"
    return errors
