"""How a command ends when it cannot do its work: one sentence on stderr and an exit code."""

from __future__ import annotations

import errno
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Final

import click


class Failure(click.ClickException):
    """The command cannot continue; the text is the sentence that is shown."""

    exit_code = 1

    def show(self, file: IO[str] | None = None) -> None:
        """Print the sentence."""
        click.echo(f"carillon: {self.format_message()}", file=file or sys.stderr)


class BadInput(Failure):
    """The command was asked for something impossible, or is configured wrongly."""

    exit_code = 2


def of_the_store(error: Exception) -> Failure:
    """A fault of a store, named by the option or the variable that gave it."""
    context, said = click.get_current_context(silent=True), str(error)
    given = None if context is None else context.get_parameter_source("store")
    is_option = given is click.core.ParameterSource.COMMANDLINE
    return Failure(said.replace("STORE_URL", "--store") if is_option else said)


_ADDRESS_TROUBLE: Final = {
    errno.EADDRINUSE: "it is in use, perhaps by another Carillon",
    errno.EACCES: "this user may not listen there",
    errno.EADDRNOTAVAIL: "this machine does not have the address",
    errno.EINVAL: "nobody can listen on such an address",
}


def not_listening(error: OSError, address: str, chosen_by: str) -> Failure | None:
    """The sentence for a service that cannot listen on an address; None for another error.

    One that is in use may be free soon, the others are wrong.
    """
    if error.errno not in _ADDRESS_TROUBLE:
        return None
    kind = Failure if error.errno == errno.EADDRINUSE else BadInput
    reason = _ADDRESS_TROUBLE[error.errno]
    return kind(f"Cannot listen on {address}: {reason}; {chosen_by} can name another")


@contextmanager
def telling_of_the_service(address: str, chosen_by: str) -> Iterator[None]:
    """Turn what a service may raise at its start into a Failure; a bug keeps its traceback."""
    from carillon.settings import ConfigurationError
    from carillon.stores.errors import StoreError, StoreInUse

    try:
        yield
    except (Exception, BaseExceptionGroup) as error:
        # Nurseries raise groups, and what was expected is the only one in them.
        match cause := _only(error):
            case ConfigurationError():
                raise BadInput(str(cause)) from None
            case StoreInUse():
                raise Failure(str(cause)) from None
            case StoreError():
                raise BadInput(str(cause)) from None
            case OSError() if failure := not_listening(cause, address, chosen_by):
                raise failure from None
            case OSError(filename=str(name), strerror=str(reason)):
                raise Failure(f"{name}: {reason}") from None
        raise


def _only(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error
