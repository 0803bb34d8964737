"""`POST /send`: a command in, what is known of its failures out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import trio
from quart import Blueprint, Response, request

from api.access import needs
from api.answers import json_answer
from api.body import json_body
from api.errors import error_answer
from messages.commands import parse_send
from messages.dispatch import Dispatch
from messages.pipeline import Pipeline
from messages.report import Report


@dataclass(frozen=True, slots=True)
class Waiting:
    """How long a caller is kept waiting, in seconds; infinity waits for the last delivery."""

    respond_within: float
    prefix: str = ""


def send_routes(pipeline: Pipeline, waiting: Waiting) -> Blueprint:
    """The route, for an app to mount."""
    routes = Blueprint("send", __name__)

    @routes.post("/send", provide_automatic_options=False)
    @needs("send", open_without_keys=True)
    async def send() -> Response:
        command = parse_send(await json_body(request))
        dispatch = await pipeline.accept(command)
        preferred = preferred_wait(request.headers.getlist("Prefer"))
        with trio.move_on_after(min(waiting.respond_within, preferred)):
            await dispatch.ended.wait()
        if dispatch.crashed:
            return error_answer(
                500,
                f"Dispatch {dispatch.id} was cut short by an internal error",
                {"Dispatch-Id": dispatch.id},
            )
        return _answer(dispatch, preferred < waiting.respond_within, preferred, waiting.prefix)

    return routes


def preferred_wait(headers: list[str]) -> float:
    """The seconds of `Prefer: wait=N` (RFC 7240), infinity without it."""
    for preference in ",".join(headers).split(","):
        name, _, value = preference.split(";")[0].partition("=")
        digits = value.strip().strip('"')
        if name.strip().lower() == "wait" and digits.isascii() and digits.isdigit():
            return float(digits[:9])
    return math.inf


def _answer(dispatch: Dispatch, prefers: bool, preferred: float, prefix: str) -> Response:  # noqa: FBT001
    report = dispatch.report()
    ended = dispatch.ended.is_set()
    address = f"{prefix}/dispatches/{dispatch.id}"
    headers = {"Dispatch-Id": dispatch.id, **_rest_of_failures(report, address)}
    if not ended:
        headers |= {"Deliveries-Pending": str(report.pending), "Location": address}
    if not ended and prefers:
        headers["Preference-Applied"] = f"wait={preferred:.0f}"
    failures = [
        {"userId": failure.user_id, "channel": failure.channel, "error": failure.error}
        for failure in report.failures
    ]
    return json_answer({"failures": failures}, 202 if prefers and not ended else 200, headers)


def _rest_of_failures(report: Report, address: str) -> Mapping[str, str]:
    if report.failures_total <= len(report.failures):
        return {}
    return {
        "Failures-Total": str(report.failures_total),
        "Link": f'<{address}/deliveries?outcome=failed>; rel="next"',
    }
