"""`carillon demo`: the whole service with sample users, sending nothing, or emails to a sink."""

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
from carillon.cli.failure import BadInput, Failure, telling_of_the_service
from carillon.cli.from_environment import FromEnvironment
from carillon.messages.model import CHANNELS, Document, JsonValue

if TYPE_CHECKING:
    from carillon.settings import Settings

_WELCOME: Final[Document] = {"templateId": "welcome", "data": {"order": "A-1042"}}


@click.command(
    epilog=examples(
        "carillon demo",
        "carillon demo --port 8080",
        "carillon demo --folder ./demo  # is kept",
        "carillon demo --smtp smtp+plain://localhost:1025  # a sink of mails",
        "SMTP_URL=smtp://user:password@host carillon demo --smtp",
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
@click.option(
    "--smtp",
    is_flag=False,
    flag_value="",
    metavar="[URL]",
    help="Hand emails to an SMTP server, that of SMTP_URL if none is named.  [default: a sandbox]",
)
@click.option("--smtp-url", cls=FromEnvironment, envvar="SMTP_URL", hidden=True)
def demo(port: int, folder: Path | None, smtp: str | None, smtp_url: str | None) -> None:
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
        settings = demo_settings(place, port, _server(smtp, smtp_url))
        fill_store(settings.directory.store_path)
        trio.run(_serve, settings, folder)


def _server(named: str | None, in_environment: str | None) -> str | None:
    """The URL of the server that mails go to, if they are to go to one. Raises BadInput."""
    if named == "":
        if not in_environment:
            raise BadInput("--smtp names no server, and SMTP_URL is not set")
        return in_environment
    if named is not None and "@" in named:
        raise BadInput(
            "An account in --smtp is seen by everybody who lists this machine's processes: "
            "put the URL into SMTP_URL, and say --smtp alone"
        )
    return named


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

    from carillon.app.service import Extras, run
    from carillon.app.stop import Stop
    from carillon.cli.demo.screen import Screen, Terminal
    from carillon.cli.demo.store import SMTP
    from carillon.telemetry.logs import make_logger

    stop, logger = Stop(), make_logger("error", sys.stderr)
    console = Terminal(gone=stop.asked.set)
    screen = Screen(console, shown=frozenset({SMTP}))
    extras = Extras([screen.event], screen.message)
    async with trio.open_nursery() as around:
        around.start_soon(stop.on_signals)
        async with trio.open_nursery() as nursery:
            url: str = await nursery.start(run, settings, stop, logger, extras)
            for line, style in _welcome(url, kept, _mail_server(settings)):
                console.print(line, style=style, soft_wrap=True, markup=False)
        around.cancel_scope.cancel()
    console.print("Stopped." if kept is None else f"Stopped; the store stays in {kept}.")


def _mail_server(settings: Settings) -> str | None:
    """Where mails go, without the account; None where they go nowhere."""
    for provider in settings.providers.values():
        server: object = getattr(provider.config, "url", None)
        if server is not None:
            return str(server)
    return None


def _welcome(url: str, kept: Path | None, smtp: str | None) -> Iterator[tuple[str, str]]:
    """Lines and their styles."""
    where = "a temporary folder" if kept is None else str(kept)
    yield f"Carillon serves at {url}, with sample users in {where}.", "bold"
    yield _whom_it_reaches(smtp), ""
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


def _whom_it_reaches(smtp: str | None) -> str:
    if smtp is None:
        return "Nothing is sent to anybody; each message is shown here as it leaves."
    return f"Emails go to {smtp}; nothing else is sent to anybody, and is shown here as it leaves."


def _curl(url: str, **body: JsonValue) -> str:
    text = shlex.quote(json.dumps(body))
    return f"curl -s {url}/send -H 'Content-Type: application/json' -d {text}"


def _command_line(url: str) -> str:
    words = [sys.argv[0], "send", "--url", url, "--cluster", "customers", "--template", "reminder"]
    words += ["--channel", "email", "--channel", "sms", "--data", '{"what": "to breathe"}']
    return shlex.join(words)
