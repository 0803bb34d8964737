"""The answer to the caller of a dispatch: the failures known, and where the rest will appear."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import trio
from pydantic_core import to_json

from carillon.api.answers import Answer
from carillon.api.errors import error
from carillon.api.preferences import Preferences
from carillon.dispatches.collector import Failure
from carillon.dispatches.dispatch import Dispatch
from carillon.dispatches.service import DispatchService
from carillon.messages.model import FAILURES
from carillon.messages.ports.records import RecordFilter, Records

_LOOK_EVERY = 0.1  # seconds, for a dispatch that is just being taken up


@dataclass(frozen=True, slots=True)
class Waiting:
    """How long a caller is kept waiting, in seconds; infinity waits for the last delivery."""

    respond_within: float
    prefix: str = ""


@dataclass(frozen=True, slots=True)
class DispatchSnapshot:
    """What is known of a dispatch; `failures` is bounded, the numbers are not."""

    dispatch_id: str
    failures: Sequence[Failure]
    failures_total: int
    pending: int
    is_over: bool


async def wait_for(dispatch: Dispatch, seconds: float) -> None:
    """Return when a dispatch has ended here, or that time is over."""
    with trio.move_on_after(seconds):
        await dispatch.ended.wait()


def told_now(dispatch: Dispatch) -> DispatchSnapshot:
    """What a dispatch that goes on, or went on, in this process says of itself."""
    report = dispatch.report()
    return DispatchSnapshot(
        dispatch.id,
        report.failures,
        report.failures_total,
        report.pending,
        dispatch.ended.is_set() and not dispatch.suspended,
    )


class DispatchReader:
    """Tells of dispatches that others asked for, from what is on record."""

    def __init__(self, dispatcher: DispatchService, records: Records) -> None:
        self._dispatcher = dispatcher
        self._records = records

    async def told(self, dispatch_id: str, seconds: float) -> DispatchSnapshot:
        """The state of a dispatch when it ends, or after `seconds` if that comes first.

        Raises:
            JournalUnavailable: it cannot be read.
        """
        is_over = False
        with trio.move_on_after(seconds):
            is_over = await self._end_of(dispatch_id)
        record = await self._records.dispatch(dispatch_id)
        # A caller that does not wait has not looked yet.
        is_over = is_over or record is None or record.ended_at is not None
        counts = {} if record is None else record.counts
        wanted = RecordFilter(outcomes=sorted(FAILURES))
        most = self._dispatcher.rules.most_failures
        page = await self._records.deliveries(dispatch_id, wanted, "", most)
        failures = [Failure(one.user_id, one.channel, one.error or "") for one in page.deliveries]
        total = sum(counts.get(outcome, 0) for outcome in FAILURES)
        return DispatchSnapshot(dispatch_id, failures, total, counts.get("pending", 0), is_over)

    async def _end_of(self, dispatch_id: str) -> bool:
        while True:
            dispatch = self._dispatcher.running(dispatch_id)
            if dispatch is not None:
                await dispatch.ended.wait()
                return not (dispatch.suspended or dispatch.crashed)
            record = await self._records.dispatch(dispatch_id)
            if record is None or record.ended_at is not None:
                return True
            await trio.sleep(_LOOK_EVERY)


def answer(
    told: DispatchSnapshot,
    preferred: Preferences,
    waiting: Waiting,
    extra: Mapping[str, str] | None = None,
) -> Answer:
    """The answer to `POST /send`; 202 when the caller preferred to wait no longer."""
    address = f"{waiting.prefix}/dispatches/{told.dispatch_id}"
    headers = {"Dispatch-Id": told.dispatch_id, **_rest_of_failures(told, address), **(extra or {})}
    is_hurried = preferred.patience < waiting.respond_within
    is_early = not told.is_over and (preferred.respond_async or is_hurried)
    if not told.is_over:
        headers |= {"Deliveries-Pending": str(told.pending), "Location": address}
    if is_early:
        headers["Preference-Applied"] = preferred.applied(waiting.respond_within)
    failures = [
        {"userId": failure.user_id, "channel": failure.channel, "error": failure.error}
        for failure in told.failures
    ]
    return Answer(202 if is_early else 200, to_json({"failures": failures}), headers)


def cut_short(dispatch: Dispatch) -> Answer:
    """The answer when a bug of ours ended a dispatch here."""
    message = f"Dispatch {dispatch.id} was cut short by an internal error"
    return error(500, message, {"Dispatch-Id": dispatch.id})


def _rest_of_failures(told: DispatchSnapshot, address: str) -> Mapping[str, str]:
    if told.failures_total <= len(told.failures):
        return {}
    return {
        "Failures-Total": str(told.failures_total),
        "Link": f'<{address}/deliveries?outcome=failed>; rel="next"',
    }
