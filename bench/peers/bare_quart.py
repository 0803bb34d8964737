"""The floor of a request: a quart-trio route that parses the same JSON and answers the same."""

from __future__ import annotations

import trio
from hypercorn.config import Config
from hypercorn.trio import serve
from quart import request
from quart_trio import QuartTrio


def _app() -> QuartTrio:
    app = QuartTrio("bare", static_folder=None)

    @app.post("/send")
    async def send() -> dict[str, list[object]]:
        await request.get_json()
        return {"failures": []}

    return app


async def _run() -> None:
    config = Config()  # as the service has it
    config.bind = ["127.0.0.1:0"]
    config.include_server_header = False
    config.accesslog = None
    config.errorlog = None
    async with trio.open_nursery() as nursery:
        [address] = await nursery.start(serve, _app(), config)
        print(address, flush=True)


if __name__ == "__main__":
    trio.run(_run)
