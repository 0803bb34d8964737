"""What can go wrong before or beside a delivery. A delivery that fails is a receipt instead.

CarillonError
├── BadCommand                 the caller's fault; 400, nothing was sent
│   ├── TemplateNotFound
│   └── AttachmentRefused      missing, too large, or nowhere to fetch it from
├── NotKnown                   nothing has the id that it names; 404
├── Conflict                   what it names is in no state for it; 409
├── KeyReused                  an idempotency key that stands for another request; 422
├── FunctionFailed             the installation's own; 500, nothing was sent
└── TryLater                   ours or a neighbour's; 503 with Retry-After, nothing was sent
    ├── DirectoryUnavailable
    ├── FilesUnavailable
    ├── JournalUnavailable
    │   └── Superseded         another process goes on with it
    ├── TooManyDispatches
    └── Stopping
"""

from __future__ import annotations


class CarillonError(Exception):
    """Base of all expected errors; the text is for the caller and leaks nothing.

    `plain` says the same for the log: without a value of the request, which may be anything.
    """

    def __init__(self, message: str = "", plain: str | None = None) -> None:
        super().__init__(message)
        self.plain = message if plain is None else plain


class BadCommand(CarillonError):
    """The request cannot be carried out as it stands."""


class TemplateNotFound(BadCommand):
    """No PUBLIC template has this id."""


def no_template(named: str, besides: str = "") -> TemplateNotFound:
    """The error for an id, of which `named` is as much as its caller should read."""
    why = f"not found: it does not exist or is not PUBLIC{besides}"
    return TemplateNotFound(f"Template {named} {why}", f"The template was {why}")


class AttachmentRefused(BadCommand):
    """A file is missing, too large, or there is no file service."""


class NotKnown(CarillonError):
    """Nothing has the id that the request names, or it was erased."""


class Conflict(CarillonError):
    """What the request names is in no state that allows it."""


class KeyReused(CarillonError):
    """An idempotency key came with another request before."""


class FunctionFailed(CarillonError):
    """A function of the installation's own took too long, or returned what it must not."""


class TryLater(CarillonError):
    """The request is fine and may succeed when it is repeated.

    `retry_after` is whole seconds, for the header of that name.
    """

    retry_after = 5


class DirectoryUnavailable(TryLater):
    """Users or templates could not be read."""


class FilesUnavailable(TryLater):
    """The file service could not be read."""


class JournalUnavailable(TryLater):
    """The journal cannot be written, so nothing may start."""


def unwritable(why: str | None) -> JournalUnavailable:
    """The journal cannot be written for this reason, where it is still known."""
    return JournalUnavailable("The journal cannot be written" + (f": {why}" if why else ""))


class Superseded(JournalUnavailable):
    """Another process was to go on with this one's deliveries: this call may not be made.

    `in_doubt` when the delivery is ours again and the other one may have made the call.
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
