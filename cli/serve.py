"""`carillon serve`: the service itself, in this process."""

from __future__ import annotations

import sys

import click

from carillon.cli.allocator import VARIABLE, use_system_allocator
from carillon.cli.examples import examples
from carillon.cli.failure import BadInput, telling_of_the_service
from carillon.cli.from_environment import FromEnvironment


@click.command(
    epilog=examples(
        "CONFIGURATION_PATH=carillon.json carillon serve",
        "CONFIGURATION_PATH=carillon.json HTTP_HOST=0.0.0.0 HTTP_PORT=8080 carillon serve",
    )
)
@click.option("--allocator", cls=FromEnvironment, envvar=VARIABLE, hidden=True)
def serve(allocator: str | None) -> None:
    """Run the service until SIGTERM or SIGINT.

    The environment configures it, and the JSON file that CONFIGURATION_PATH names. Logs are JSON
    lines on stdout. A first SIGTERM stops it gently: what was accepted is sent and answered. A
    second one ends it at once: open work goes on at the next start. The file is read again when it
    changes, and on SIGHUP.

    `carillon config check` tells beforehand whether it would start. Exit codes: 0 it was stopped,
    1 its store or its port is in use, or it crashed, 2 its configuration is wrong, or names a store
    or an address that it cannot use.
    """
    if allocator is None:
        use_system_allocator()
    # httpx loads its own command line, and rich and pygments with it, where they are installed;
    # None makes that import fail, which it expects.
    sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]  # as importlib documents

    from carillon.app import service
    from carillon.settings import ConfigurationError, ConfigurationFile, load

    file = ConfigurationFile.of()
    try:
        settings = load()
    except ConfigurationError as error:
        raise BadInput(str(error)) from None
    address = f"{settings.server.host}:{settings.server.port}"
    with telling_of_the_service(address, "HTTP_HOST and HTTP_PORT"):
        service.main(settings, service.Extras(file=file))
