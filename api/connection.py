"""How a request comes in and its answer leaves: in one task where two are not needed.

quart-trio has one task that reads and one that works, for each request: a fifth of what a small one
costs. Here one does both when the body is there, which it nearly always is.

hypercorn closes a connection inside the last send, while quart-trio, told that the request is
over, cancels that very send: the connection would stay open for as long as its caller likes.
"""

from __future__ import annotations

from typing import Final

import trio
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, HTTPResponseBodyEvent
from quart import Request, Response
from quart.typing import ResponseTypes
from quart_trio.asgi import TrioASGIHTTPConnection

AT_ONCE: Final = 65_536
"""Bytes that fit into a socket's buffer: more may take as long as the caller takes to read."""
CLOSING: Final = 5.0
"""Seconds for the last send, which nothing else ends."""


SOON: Final = 0.02
"""Seconds in which a body that is on its way is waited for, before a task of its own reads it."""


class Connection(TrioASGIHTTPConnection):
    """Sends answers that are at hand, as all of ours are.

    A caller who hangs up while a request is worked on is noticed when it is answered.
    """

    async def __call__(self, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        """Answer one request."""
        request = self._create_request_from_scope(send)
        if await _is_read(request, receive):
            response = await self.app.handle_request(request)
            await self._send_response(send, response)
            return
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.handle_messages, nursery, request, receive)
            nursery.start_soon(self.handle_request, nursery, request, send)

    async def _send_response(self, send: ASGISendCallable, response: ResponseTypes) -> None:
        if not isinstance(response, Response):
            return await super()._send_response(send, response)
        body = await response.get_data(as_text=False)
        headers = [(name.lower().encode(), value.encode()) for name, value in response.headers]
        await send(
            {"type": "http.response.start", "status": response.status_code, "headers": headers}
        )
        if len(body) > AT_ONCE:
            await send(_part(body, more=True))
            body = b""
        with trio.move_on_after(CLOSING, shield=True):
            await send(_part(body, more=False))
        return None


async def _is_read(request: Request, receive: ASGIReceiveCallable) -> bool:
    """Read the body if it comes at once; False when more of it is to come."""
    with trio.move_on_after(SOON):
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return False
            request.body.append(message.get("body", b""))
            if not message.get("more_body", False):
                request.body.set_complete()
                return True
    return False


def _part(body: bytes, *, more: bool) -> HTTPResponseBodyEvent:
    return {"type": "http.response.body", "body": body, "more_body": more}
