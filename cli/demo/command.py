"""`carillon demo`: the whole service with sample users, sending nothing to anybody."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

import click

from carillon.cli.examples import examples
from carillon.cli.failure import Failure, telling_of_the_service
from carillon.messages.model import CHANNELS, Document, JsonValue

if TYPE_CHECKING:
    from carillon.settings import Settings

_WELCOME: Final[Document] = {"templateId": "welcome", "data": {"order": "A-1042"}}


@click.command(
    epilog=examples(
        "carillon demo", "carillon demo --port 8080", "carillon demo --folder ./demo  # is kept"
    )
)
@click.option(
    "--port", type=click.IntRange(0, 65535), default=3000, show_default=True, help="0 is any free."
)
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep the store here.  [default: a temporary folder]",
)
def demo(port: int, folder: Path | None) -> None:
    """Run the service with sample users, sending nothing to anybody.

    Users and templates are in an embedded store, and sandboxes stand in for the providers of all
    four channels; each message is shown here as it leaves. Ctrl-C ends it.

    Addresses make a sandbox fail, to see what happens then. For emails and push notifications:
    +refuse, +fail, +throttle, +lose or +time-out anywhere in the address or token. For SMS and
    calls, a number that ends in 00400 (refused), 00503 (fails for now), 00429 (throttled) or 00504
    (times out).
    """
    import trio

    from carillon.cli.demo.store import demo_settings, fill_store

    with telling_of_the_service(f"127.0.0.1:{port}", "--port"), _folder(folder) as place:
        settings = demo_settings(place, port)
        fill_store(settings.directory.store_path)
        trio.run(_serve, settings, folder)


@contextmanager
def _folder(kept: Path | None) -> Iterator[Path]:
    if kept is None:
        with TemporaryDirectory(prefix="carillon-demo-") as name:
            yield Path(name)
        return
    try:
        kept.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Failure(f"The folder {kept} cannot be made: {error.strerror}") from None
    yield kept


async def _serve(settings: Settings, kept: Path | None) -> None:
    import trio

    from carillon.app.service import Extras, Stop, run
    from carillon.cli.demo.screen import Screen, Terminal
    from carillon.telemetry.logs import make_logger

    stop, logger = Stop(), make_logger("error", sys.stderr)
    console = Terminal(gone=stop.asked.set)
    screen = Screen(console)
    extras = Extras([screen.event], screen.message)
    async with trio.open_nursery() as around:
        around.start_soon(stop.on_signals)
        async with trio.open_nursery() as nursery:
            url: str = await nursery.start(run, settings, stop, logger, extras)
            for line, style in _welcome(url, kept):
                console.print(line, style=style, soft_wrap=True, markup=False)
        around.cancel_scope.cancel()
    console.print("Stopped." if kept is None else f"Stopped; the store stays in {kept}.")


def _welcome(url: str, kept: Path | None) -> Iterator[tuple[str, str]]:
    """Lines and their styles."""
    where = "a temporary folder" if kept is None else str(kept)
    yield f"Carillon serves at {url}, with sample users in {where}.", "bold"
    yield "Nothing is sent to anybody; each message is shown here as it leaves.", ""
    yield "\nTry it, in another terminal:\n", ""
    yield _curl(url, channels=[*CHANNELS], clusters=["customers"], **_WELCOME), "green"
    yield "\nFrom the command line:\n", ""
    yield _command_line(url), "green"
    yield "\nWhat failures look like:\n", ""
    yield _curl(url, channels=["email", "push"], recipients=["unlucky"], **_WELCOME), "green"
    yield "", ""
    for name, path in (
        ("Documentation", "/documentation/"),
        ("Ready", "/-/ready"),
        ("Metrics", "/-/metrics"),
    ):
        yield f"{name:14}{url}{path}", ""
    yield "\nCtrl-C ends it; `carillon demo --help` tells how to make other things fail.\n", ""


def _curl(url: str, **body: JsonValue) -> str:
    text = shlex.quote(json.dumps(body))
    return f"curl -s {url}/send -H 'Content-Type: application/json' -d {text}"


def _command_line(url: str) -> str:
    words = [sys.argv[0], "send", "--url", url, "--cluster", "customers", "--template", "reminder"]
    words += ["--channel", "email", "--channel", "sms", "--data", '{"what": "to breathe"}']
    return shlex.join(words)
