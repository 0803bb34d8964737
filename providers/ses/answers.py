"""What SES's answers mean for a mail, by the exceptions that its API documents.

Contract: `SendEmail` of the SES API v2, and AWS's common errors (contracts 2.4).
"""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import Final

from carillon.http_client.ports import Reply, Response
from carillon.messages.model import (
    Accepted,
    Attempt,
    Cause,
    Delivery,
    Document,
    JsonValue,
    Postponed,
    Refused,
    Unanswered,
    Unavailable,
)
from carillon.providers.responses import (
    LONGEST_PAUSE,
    answered,
    attempt,
    document,
    retry_after,
)

SERVICE: Final = "ses"

THROTTLED: Final = frozenset(
    {"TooManyRequestsException", "LimitExceededException", "Throttling", "ThrottlingException"}
    | {"ThrottledException", "RequestThrottled", "RequestThrottledException"}
    | {"RequestLimitExceeded", "SlowDown", "PriorRequestNotComplete"}
)
"""Also the codes that AWS's own SDKs take for throttling."""
DAILY: Final = "daily message quota"
"""In the text of what is throttled until the day's window has room again."""
OF_KEYS: Final = frozenset(
    {"ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId", "UnrecognizedClientException"}
    | {"InvalidSignatureException", "SignatureDoesNotMatch", "IncompleteSignature"}
    | {"IncompleteSignatureException", "MissingAuthenticationToken", "RequestExpired"}
    | {"MissingAuthenticationTokenException", "InvalidAccessKeyId"}
)
"""What is wrong with the keys, which may have been replaced meanwhile, or with the clock."""
OF_ACCOUNT: Final = frozenset(
    {"AccountSuspendedException", "SendingPausedException", "MailFromDomainNotVerifiedException"}
    | {"NotFoundException", "AccessDenied", "AccessDeniedException", "NotAuthorized"}
    | {"OptInRequired", "ConfigurationSetDoesNotExistException"}
    | {"ConfigurationSetSendingPausedException", "AccountSendingPausedException"}
)
"""What is wrong with the account or the configuration set: no mail passes until it is mended."""
OF_MESSAGE: Final = frozenset({"MessageRejected", "BadRequestException", "ValidationException"})
TRANSIENT: Final = frozenset(
    {"InternalFailure", "InternalServerError", "InternalServiceErrorException"}
    | {"ServiceUnavailable", "ServiceUnavailableException", "RequestTimeout"}
    | {"RequestTimeoutException", "ConcurrentModificationException"}
)
_OTHERS: Final = THROTTLED | OF_ACCOUNT | OF_MESSAGE | TRANSIENT
_DENIED: Final = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)


def read(reply: Reply, delivery: Delivery, secrets: Iterable[str] = ()) -> Attempt:
    """What an answer to `SendEmail` means for a delivery; no error shows one of the `secrets`.

    AWS repeats the signed request, headers included, where it does not believe the signature.
    """
    made = attempt(reply, SERVICE, delivery, _explain, _id, secrets)
    if not isinstance(reply, Response) or isinstance(made, Accepted | Unanswered | Postponed):
        return made
    name, text = exception(reply), made.error
    cause = answered(reply.status, of_message=name in OF_MESSAGE)
    if name in THROTTLED or reply.status == HTTPStatus.TOO_MANY_REQUESTS:
        pause = LONGEST_PAUSE if DAILY in text.lower() else retry_after(reply)
        return Unavailable(text, pause, throttled=True, cause=cause)
    if isinstance(made, Unavailable) or name in TRANSIENT:
        return Unavailable(text, retry_after(reply), cause=cause)
    if name not in OF_MESSAGE and (name in OF_ACCOUNT or is_of_keys(reply)):
        return Unavailable(text, cause=Cause(cause.kind, reply.status))
    return Refused(text, cause=cause)


def is_of_keys(reply: Response) -> bool:
    """Whether AWS does not know who asks, or does not believe it."""
    name = exception(reply)
    return name in OF_KEYS or (reply.status in _DENIED and name not in _OTHERS)


def exception(reply: Response) -> str:
    """The name of an error, as REST says it in JSON: in a header, or within the body."""
    body = document(reply.body)
    said = reply.headers.get("x-amzn-errortype") or body.get("__type") or body.get("code")
    name = said if isinstance(said, str) else ""
    return name.partition(":")[0].rpartition("#")[2]


def _explain(body: Document) -> JsonValue:
    return body.get("message", body.get("Message"))


def _id(body: Document) -> JsonValue:
    return body.get("MessageId")
