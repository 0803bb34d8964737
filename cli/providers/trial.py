"""`carillon providers test`: one message over a provider, and each step of its way."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

import click

from carillon.cli.dispatches.client import DeliveryAnswer, Wanted, dispatches_of
from carillon.cli.failure import BadInput
from carillon.cli.providers.client import ProviderAnswer, providers_of
from carillon.cli.providers.report import hold
from carillon.cli.service_client import Wish, post_dispatch
from carillon.cli.table import one_line
from carillon.messages.addresses import is_email, phone_number
from carillon.messages.model import Document
from carillon.settings import ClientSettings

StepName = Literal["found", "accepted", "rendered", "waiting", "calling", "tried", "ended"]
_FIELDS: Final = {
    "email": "emailAddress",
    "sms": "phoneNumber",
    "voice": "phoneNumber",
    "push": "deviceToken",
}
_INTERVAL: Final = 0.2
_LONGEST: Final = 300


@dataclass(frozen=True, slots=True)
class Trial:
    """What is to be tried: a provider, an address, and a channel where there is a choice.

    `field` is the field of users that holds the address; the default has the usual names. `wait`
    is in seconds.
    """

    provider: str
    address: str
    channel: str | None = None
    field: str | None = None
    wait: float = 60.0


@dataclass(frozen=True, slots=True)
class Step:
    """One step: its name, a sentence, and what of it is for scripts."""

    name: StepName
    text: str
    more: Document = field(default_factory=dict)

    @property
    def line(self) -> str:
        """For people."""
        return one_line(f"{self.name}: {self.text}", _LONGEST)

    @property
    def document(self) -> Document:
        """For scripts."""
        return {"step": self.name, "text": self.text, **self.more}


def run(service: ClientSettings, trial: Trial, *, as_json: bool) -> bool:
    """Print each step; whether the message was sent, and over this provider.

    Raises:
        BadInput: there is no such provider, or it cannot reach such an address.
        Failure: the service cannot be reached, or has trouble of its own.
    """
    is_sent = False
    for step in steps(service, trial):
        click.echo(json.dumps(step.document, ensure_ascii=False) if as_json else step.line)
        is_sent = step.name == "ended" and step.more["ok"] is True
    return is_sent


def steps(
    service: ClientSettings, trial: Trial, sleep: Callable[[float], None] = time.sleep
) -> Iterator[Step]:
    """Each step as it is seen. Raises as `run` does."""
    with providers_of(service) as providers, dispatches_of(service) as dispatches:
        provider = providers.one(trial.provider)
        channel = channel_of(provider, trial)
        yield _found(provider, channel)
        answer = post_dispatch(service, _body(trial, channel), Wish(is_async=True))
        yield Step("accepted", f"dispatch {answer.dispatch_id}", {"dispatchId": answer.dispatch_id})
        gives_up_at = time.monotonic() + trial.wait
        seen = _Seen()
        while True:
            found = next(dispatches.deliveries(answer.dispatch_id, Wanted()), None)
            if found is not None and found.outcome != "pending":
                yield from seen.news(found, None)
                yield _ended(found, trial, seen.error)
                return
            yield from seen.news(found, providers.one(trial.provider))
            if time.monotonic() >= gives_up_at:
                yield _unfinished(trial, answer.dispatch_id)
                return
            sleep(_INTERVAL)


def channel_of(provider: ProviderAnswer, trial: Trial) -> str:
    """The channel that is tried. Raises BadInput where none can be, or several could."""
    carried = provider.channels
    if trial.channel is not None:
        if trial.channel not in carried:
            raise BadInput(f"{provider.name} does not carry {trial.channel}{_but(carried)}")
        return trial.channel
    fit = [one for one in carried if _fits(one, trial.address)]
    if not fit:
        raise BadInput(f"--to is no address for {provider.name}, which carries {_list(carried)}")
    if len(fit) > 1:
        raise BadInput(f"{provider.name} carries {_list(fit)}: say which with --channel")
    return fit[0]


def _fits(channel: str, address: str) -> bool:
    if channel == "email":
        return is_email(address)
    is_phone = phone_number(address) is not None
    return not (is_phone or is_email(address)) if channel == "push" else is_phone


def _but(carried: Sequence[str]) -> str:
    return f"; it carries {_list(carried)}" if carried else ", and no other channel now"


def _list(channels: Sequence[str]) -> str:
    return " and ".join(channels) or "nothing"


def _body(trial: Trial, channel: str) -> Document:
    user: Document = {trial.field or _FIELDS[channel]: trial.address}
    words = f"This message tries the provider {trial.provider} of Carillon."
    return {
        "channels": [channel],
        "to": [user],
        "messageTitle": f"A test of {trial.provider}",
        "messageContent": words,
        "priority": "high",
        "timeToLive": f"{max(1, round(trial.wait))}s",
    }


def _found(provider: ProviderAnswer, channel: str) -> Step:
    kind = "" if provider.type == provider.name else f" ({provider.type})"
    text = f"{provider.name}{kind} carries {channel} and is {provider.state}"
    return Step("found", text, {"provider": provider.name, "state": provider.state})


@dataclass(slots=True)
class _Seen:
    """What has been told, so that it is told once."""

    is_rendered: bool = False
    attempts: int = 0
    error: str = ""
    why: str = ""

    def news(
        self, delivery: DeliveryAnswer | None, provider: ProviderAnswer | None
    ) -> Iterator[Step]:
        """What is new since the last look; `provider` is None once the delivery has ended."""
        if delivery is not None and not self.is_rendered:
            self.is_rendered = True
            yield Step("rendered", "the message is made and in the journal")
        if provider is None:
            return
        if delivery is not None and delivery.error and delivery.attempts > self.attempts:
            self.attempts, self.error = delivery.attempts, delivery.error
            more: Document = {"attempts": delivery.attempts, "error": delivery.error}
            yield Step("tried", f"{delivery.error}; it is tried again", more)
        if (why := _why(provider)) != self.why:
            self.why = why
            if why:
                name: StepName = "calling" if why == _CALLING else "waiting"
                yield Step(name, why)


_CALLING: Final = "a call is open"


def _why(provider: ProviderAnswer) -> str:
    if provider.in_flight:
        return _CALLING
    return hold(provider.waiting) or ("" if provider.state == "running" else provider.state)


def _ended(delivery: DeliveryAnswer, trial: Trial, last: str) -> Step:
    ours = delivery.provider in (trial.provider, None)
    is_sent = delivery.outcome == "sent"
    times = f"{delivery.attempts} attempt{'' if delivery.attempts == 1 else 's'}"
    name = (delivery.model_extra or {}).get("providerMessageId")
    text = f"{delivery.outcome} over {delivery.provider or 'no provider'}, {times}"
    if isinstance(name, str):
        text += f", there called {name}"
    if not is_sent:
        text += f": {delivery.error or delivery.reason}"
    if delivery.outcome == "expired" and last:
        text += f"; the last attempt: {last}"
    if delivery.reason == "no-address":
        text += "; --field names the field of addresses where userFields has another"
    if not ours:
        text += f"; not over {trial.provider}, behind which it stands or which took no call"
    more: Document = {
        "ok": is_sent and ours,
        "outcome": delivery.outcome,
        "reason": delivery.reason,
        "error": delivery.error,
        "provider": delivery.provider,
        "attempts": delivery.attempts,
        "providerMessageId": name if isinstance(name, str) else None,
    }
    return Step("ended", text, more)


def _unfinished(trial: Trial, dispatch_id: str) -> Step:
    text = (
        f"still pending after {trial.wait:g} s; carillon dispatches watch {dispatch_id} follows it"
    )
    return Step("ended", text, {"ok": False, "outcome": "pending"})
