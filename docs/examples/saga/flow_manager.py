"""Stands in for a Flow Manager: hears events on a port of this machine and prints each.

python flow_manager.py 3001

A saga leaves its state with the first event; a second one is refused, as a Flow Manager does.
"""

from __future__ import annotations

import json
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

told: set[str] = set()


class Hears(BaseHTTPRequestHandler):
    """`POST /event` with a body `{"key": …, "value": {"messageLabel": …, …}}`."""

    def do_POST(self) -> None:
        """Hear an event."""
        event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if event["key"] in told:
            label = event["value"]["messageLabel"]
            self._answer(400, {"statusCode": 400, "message": f"unexpected event {label}"})
            return
        told.add(event["key"])
        sys.stdout.write(json.dumps(event) + "\n")
        sys.stdout.flush()
        self._answer(200, {})

    def _answer(self, status: int, document: object) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    HTTPServer(("127.0.0.1", int(sys.argv[1])), Hears).serve_forever()
