"""`/supervisor`: the tree of channels and workers, and a way back for a quarantined channel."""

from __future__ import annotations

from collections import Counter

from quart import Blueprint, Response

from carillon.actors.channel import ChannelStatus, WorkerStatus
from carillon.api.access import caller, needs
from carillon.api.answers import json_answer
from carillon.api.providers import Tuning, UnknownName, unknown_name
from carillon.messages.durations import written
from carillon.messages.model import Channel, Document
from carillon.supervisor import Supervisor


def supervision_routes(supervisor: Supervisor, tuning: Tuning) -> Blueprint:
    """The routes, for an app to mount."""
    routes = Blueprint("supervision", __name__)

    @routes.get("/supervisor", provide_automatic_options=False)
    @needs("read")
    async def show() -> Response:
        channels = supervisor.status().items()
        return json_answer({"channels": [_channel(name, status) for name, status in channels]})

    @routes.post("/supervisor/channels/<channel>/revive", provide_automatic_options=False)
    @needs("operate")
    async def revive(channel: str) -> Response:
        name = await tuning.revive(channel, caller())
        return json_answer(_channel(name, supervisor.status()[name]))

    routes.register_error_handler(UnknownName, unknown_name)
    return routes


def _channel(name: Channel, status: ChannelStatus) -> Document:
    states = Counter(worker.state for worker in status.workers)
    return {
        "name": name,
        "state": status.state,
        "restarts": {
            "recent": status.recent_restarts,
            "most": status.max_restarts,
            "window": written(status.window),
            "total": status.restarts,
        },
        "mailbox": {"depth": status.depth, "bound": status.capacity, "parked": status.parked},
        "workerCounts": {state: states[state] for state in ("idle", "working", "restarting")},
        # A channel may have thousands of workers, and those that hold nothing are all alike.
        "workers": [_worker(worker) for worker in status.workers if worker.state != "idle"],
    }


def _worker(worker: WorkerStatus) -> Document:
    return {
        "number": worker.number,
        "state": worker.state,
        "deliveryId": worker.delivery_id,
        "provider": worker.provider,
        "heldFor": None if worker.held_for is None else round(worker.held_for, 3),
        "stuck": worker.stuck,
    }
