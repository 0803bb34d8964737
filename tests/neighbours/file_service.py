"""A stand-in of our own for Mia's Files Service, by contracts 1.5: `GET /download/{file}`.

    async with file_service({"report.pdf": b"%PDF-"}) as files:
        FileService(client, files.url, timeout=5)
        files.add("x1", b"…", media_type="text/plain", original_name="notes.txt")
        files.framing = "chunked"                  # no Content-Length: it is not promised
        files.fail_next(2, 503)                    # the next two requests
        files.cut_next()                           # the next body ends in its middle
        files.answer_next(Answer(fault="hang"))    # any fault of tests.neighbours.http
        files.delay = 0.05                         # seconds before each answer
        files.requests, files.stop()

Its error bodies are not documented; these are Fastify's, as its siblings give them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from urllib.parse import quote, unquote

import trio

from tests.neighbours.http import Answer, Framing, Request, Server, json_answer, serve


class StandInFiles:
    """The files of one bucket, the faults to play, and what was asked."""

    def __init__(self) -> None:
        self.url = ""
        self.delay = 0.0
        self.framing: Framing = "length"
        self.server: Server
        self._files: dict[str, Answer] = {}
        self._planned: list[Answer] = []
        self._cuts = 0

    @property
    def requests(self) -> list[Request]:
        """Every request that was read, in order, with the time it arrived."""
        return self.server.requests

    def add(
        self,
        file: str,
        content: bytes,
        *,
        media_type: str | None = "application/octet-stream",
        original_name: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Store a file under the name it is asked by; `original_name` is its uploader's."""
        head: dict[str, str] = dict(headers or {})
        if media_type is not None:
            head["content-type"] = media_type
        if original_name is not None:
            head["content-disposition"] = f"inline; filename*=UTF-8''{quote(original_name)}"
        self._files[file] = Answer(200, content, head)

    def fail_next(self, count: int = 1, status: int = 503) -> None:
        """Answer the next requests with this error."""
        self.answer_next(*[_error(status, "not now")] * count)

    def answer_next(self, *answers: Answer) -> None:
        """Answer the next requests with these instead."""
        self._planned += answers

    def cut_next(self, count: int = 1) -> None:
        """End the next files that are answered in the middle of their bodies."""
        self._cuts += count

    def stop(self) -> None:
        """Close the port and every connection."""
        self.server.stop()

    async def answer(self, request: Request) -> Answer:
        if self.delay:
            await trio.sleep(self.delay)
        if self._planned:
            return self._planned.pop(0)
        if request.path == "/-/check-up":
            return json_answer({"name": "files-service", "status": "OK", "version": "2.10.0"})
        prefix = "/download/"
        found = self._files.get(unquote(request.path.removeprefix(prefix)))
        if request.method != "GET" or not request.path.startswith(prefix) or found is None:
            return _error(404, "File not found")
        if self._cuts:
            self._cuts -= 1
            return Answer(200, found.body, found.headers, fault="cut-body", framing=self.framing)
        return Answer(200, found.body, found.headers, framing=self.framing)


def _error(status: int, message: str) -> Answer:
    phrase = {404: "Not Found", 403: "Forbidden"}.get(status, "Internal Server Error")
    return json_answer({"statusCode": status, "error": phrase, "message": message}, status)


@asynccontextmanager
async def file_service(files: Mapping[str, bytes] | None = None) -> AsyncIterator[StandInFiles]:
    """A Files Service on a port of 127.0.0.1 while the block runs."""
    service = StandInFiles()
    for file, content in (files or {}).items():
        service.add(file, content)

    async def run(task_status: trio.TaskStatus[Server]) -> None:
        async with serve(service.answer) as server:
            task_status.started(server)
            await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        service.server = await nursery.start(run)
        service.url = service.server.url
        yield service
        nursery.cancel_scope.cancel()
