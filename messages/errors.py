"""What can go wrong before or beside a delivery. A failed delivery is a receipt, not an error.

CarillonError
├── BadCommand                 the caller's fault; 400, nothing was sent
│   ├── TemplateNotFound
│   └── AttachmentRefused      missing, too large, or no file service to fetch it from
├── NotKnown                   nothing has the id that the request names; 404
├── Conflict                   the state of what the request names does not allow it; 409
├── Unprocessable              it can be read, and holds what can never be used; 422
├── KeyReused                  an idempotency key that stands for another request; 422
├── FunctionFailed             a function of the installation failed; 500, nothing was sent
└── TryLater                   our fault or a neighbour's; 503 with Retry-After, nothing was sent
    ├── DirectoryUnavailable
    ├── FilesUnavailable
    ├── JournalUnavailable
    │   └── Superseded         another process has taken over
    ├── TooManyDispatches
    └── Stopping
"""

from __future__ import annotations


class CarillonError(Exception):
    """Base of all expected errors; the text is for the caller and leaks nothing.

    `plain` says the same for the log, without values of the request, which may hold anything.
    """

    def __init__(self, message: str = "", plain: str | None = None) -> None:
        super().__init__(message)
        self.plain = message if plain is None else plain


class BadCommand(CarillonError):
    """The request cannot be carried out as it stands."""


class TemplateNotFound(BadCommand):
    """No PUBLIC template has this id."""


def no_template(named: str, besides: str = "") -> TemplateNotFound:
    """The error for an id; `named` is as much of the id as the caller should read."""
    why = f"not found: it does not exist or is not PUBLIC{besides}"
    return TemplateNotFound(f"Template {named} {why}", f"The template was {why}")


class AttachmentRefused(BadCommand):
    """A file is missing, too large, or there is no file service."""


class NotKnown(CarillonError):
    """Nothing has the id that the request names, or what had it was erased."""


class Conflict(CarillonError):
    """The state of what the request names does not allow it."""


class Unprocessable(CarillonError):
    """The request can be read, and holds what can never be used: a template with faults."""


class KeyReused(CarillonError):
    """An idempotency key was used for another request before."""


class FunctionFailed(CarillonError):
    """A function of the installation took too long, or returned a value that is not allowed."""


class TryLater(CarillonError):
    """The request is fine and may succeed on a retry.

    `retry_after` is in whole seconds, for the header of that name.
    """

    retry_after = 5


class DirectoryUnavailable(TryLater):
    """Users or templates could not be read."""


class FilesUnavailable(TryLater):
    """The file service could not be read."""


class JournalUnavailable(TryLater):
    """The journal cannot be written, so nothing may start."""


def unwritable(why: str | None) -> JournalUnavailable:
    """The error for a journal that cannot be written; `why` is the reason if it is known."""
    return JournalUnavailable("The journal cannot be written" + (f": {why}" if why else ""))


class Superseded(JournalUnavailable):
    """Another process has taken over deliveries of this one: this call must not be made.

    It is `in_doubt` if the delivery is ours again and the other process may have made the call.
    """

    def __init__(
        self, message: str = "Another process goes on with this", *, in_doubt: bool = False
    ) -> None:
        super().__init__(message)
        self.in_doubt = in_doubt


class TooManyDispatches(TryLater):
    """As many dispatches are open as the limits allow."""

    retry_after = 1


class Stopping(TryLater):
    """The service is about to stop and takes no new work."""
