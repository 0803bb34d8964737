"""How the application takes a request in and hands its answer out: in one task if it can.

quart-trio has one task that reads and one that works, for each request: a fifth of what a small one
costs. Here one does both when the body is there, which it nearly always is.
"""

from __future__ import annotations

from math import inf
from typing import Final, Literal

import trio
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable
from quart import Request, Response
from quart.typing import ResponseTypes
from quart_trio.asgi import TrioASGIHTTPConnection
from werkzeug.exceptions import BadHost

from carillon.api.body import Body
from carillon.api.errors import error_answer
from carillon.messages.offload import SMALL

SOON: Final = 0.02
"""Seconds in which a body that is on its way is waited for, before a task of its own reads it."""

_Came = Literal["all", "a part", "nothing more"]


class Connection(TrioASGIHTTPConnection):
    """Sends answers that are at hand, as all of ours are.

    A caller who hangs up while a request is worked on is noticed when it is answered.
    """

    async def __call__(self, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        """Answer one request; none is answered whose caller left before its body was whole."""
        request = self._create_request_from_scope(send)
        came: _Came = "a part"
        with trio.move_on_after(SOON):
            came = await _read(request, receive, SMALL)
        if came == "nothing more":
            return
        if came == "all":
            await self._send_response(send, await self._response(request))
            return
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.handle_messages, nursery, request, receive)
            nursery.start_soon(self.handle_request, nursery, request, send)

    async def handle_messages(  # type: ignore[override]  # as quart-trio itself overrides it
        self, nursery: trio.Nursery, request: Request, receive: ASGIReceiveCallable
    ) -> None:
        """Read the rest of the body, once somebody wants it: till then it takes little memory."""
        if isinstance(request.body, Body):
            came: _Came = "a part"
            if not request.body.begun.is_set():
                came = await _read(request, receive, SMALL - request.body.size)
            if came == "nothing more":
                nursery.cancel_scope.cancel()
            if came != "a part":
                return
            await request.body.wanted.wait()
        if await _read(request, receive) == "nothing more":
            nursery.cancel_scope.cancel()

    async def handle_request(  # type: ignore[override]  # likewise
        self, nursery: trio.Nursery, request: Request, send: ASGISendCallable
    ) -> None:
        """Answer, whether the body has come or not."""
        await self._send_response(send, await self._response(request))
        nursery.cancel_scope.cancel()

    async def _response(self, request: Request) -> ResponseTypes:
        try:
            return await self.app.handle_request(request)
        except BadHost:  # raised before the application has a request to handle errors of
            return error_answer(400, "Host must be the name of a host, with a port at most")

    async def _send_response(self, send: ASGISendCallable, response: ResponseTypes) -> None:
        if not isinstance(response, Response):
            return await super()._send_response(send, response)
        body = await response.get_data(as_text=False)
        headers = [(name.lower().encode(), value.encode()) for name, value in response.headers]
        await send(
            {"type": "http.response.start", "status": response.status_code, "headers": headers}
        )
        await send({"type": "http.response.body", "body": body, "more_body": False})
        return None


async def _read(request: Request, receive: ASGIReceiveCallable, enough: float = inf) -> _Came:
    """Read the body to its end, or until so many bytes are enough.

    Nothing more comes when the caller left before.
    """
    size = 0
    while size <= enough:
        message = await receive()
        if message["type"] != "http.request":
            return "nothing more"
        part = message.get("body", b"")
        size += len(part)
        request.body.append(part)
        if isinstance(request.body, Body):
            await request.body.taken()
        if not message.get("more_body", False):
            request.body.set_complete()
            return "all"
    return "a part"
