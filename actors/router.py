"""Which provider a message of a channel may go to now.

Providers without a weight are tried in their order: a message goes to the first one that is fit
(not paused, not throttled, its breaker not open, quota left) and waits for it when it is merely
busy. Providers with a weight share the load: among those that can take a call at once the one
that is furthest behind its share gets it (smooth weighted round robin, as nginx has it). So a slow
one holds up nobody, and the shares hold exactly while all of them keep up.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from carillon.actors.lane import Signature
    from carillon.actors.provider.guard import Guard
    from carillon.messages.envelope import Envelope


@dataclass(frozen=True, slots=True)
class Choice:
    """A provider of a channel; without a weight it is tried in its order."""

    guard: Guard
    weight: int | None = None


class Route:
    """The providers of one channel, which may be arranged anew while it runs."""

    def __init__(self, choices: Sequence[Choice]) -> None:
        self.choices: Sequence[Choice] = ()
        self._listeners: list[Callable[[], None]] = []
        self._known: dict[str, Guard] = {}
        self._credit: dict[str, int] = {}
        self.arrange(choices)

    @property
    def workers(self) -> int:
        """How many deliveries may be under way at once."""
        return sum(choice.guard.limits.concurrency for choice in self.choices)

    def leads_to(self, provider: str) -> bool:
        """Whether a message of this channel may go to the provider of this name."""
        return any(choice.guard.name == provider for choice in self.choices)

    def arrange(self, choices: Sequence[Choice]) -> None:
        """Put another order or other weights in force."""
        self.choices = tuple(choices)
        self._credit = {choice.guard.name: 0 for choice in choices if choice.weight is not None}
        for choice in choices:
            if choice.guard.name not in self._known:
                self._known[choice.guard.name] = choice.guard
                choice.guard.listen(self.notify)
        self.notify()

    def listen(self, listener: Callable[[], None]) -> None:
        """Call this whenever a message may start earlier than was said."""
        self._listeners.append(listener)

    def notify(self) -> None:
        """A provider may take a call earlier than was said."""
        for listener in self._listeners:
            listener()

    def restore(self, envelope: Envelope) -> None:
        """Let a delivery go on that an earlier process tried, or end it.

        One whose last call was never answered goes on only where repeats are recognised, and ends
        in doubt elsewhere. A repeat is an attempt: none is made beyond those that are allowed.
        """
        guard = self._known.get(envelope.at or "")
        if envelope.open_attempt is not None:
            envelope.in_doubt = True
            envelope.repeatable = guard is not None and guard.limits.on_unknown_outcome == "retry"
        if envelope.in_doubt:
            if guard is None or not (envelope.repeatable or envelope.open_attempt is None):
                error = "Outcome unknown: stopped before the provider answered"
                envelope.end("in-doubt", "unknown-outcome", error, envelope.at)
            elif self._is_used_up(guard.name, envelope.tries.get(guard.name, 0)):
                number = envelope.attempts
                error = f"Outcome unknown: an attempt was never answered ({number} attempts)"
                envelope.end("in-doubt", "unknown-outcome", error, envelope.at)
            envelope.open_attempt = None
            return
        envelope.given_up = tuple(
            name for name, tries in envelope.tries.items() if self._is_used_up(name, tries)
        )
        if envelope.given_up and not self.left(envelope.given_up):
            error = f"The last attempt failed before a restart ({envelope.attempts} attempts)"
            envelope.end("failed", "exhausted", error, envelope.at)
        elif envelope.at in envelope.given_up:
            envelope.at = None

    def _is_used_up(self, name: str, tries: int) -> bool:
        guard = self._known.get(name)
        return guard is None or tries >= guard.limits.retry.attempts

    def left(self, given_up: Sequence[str]) -> list[Choice]:
        """The providers that have not given a message up."""
        return [choice for choice in self.choices if choice.guard.name not in given_up]

    def give_up(self, envelope: Envelope, name: str, error: str) -> None:
        """A provider has used up its attempts for a delivery: another one is next, or its end."""
        envelope.given_up = (*envelope.given_up, name)
        if envelope.in_doubt or not self.left(envelope.given_up):
            envelope.end("failed", "exhausted", error, name)
        else:
            envelope.at = None

    def choose(self, kind: Signature, now: float) -> tuple[Guard | None, float]:
        """The provider that takes such a message now; else when to ask again, on trio's clock."""
        last, given_up, in_doubt = kind
        if in_doubt and last is not None:
            return _now_or_later([self._known[last]], now)
        left = self._candidates(given_up)
        stays = None if last is None else _stays(last, left, now)
        if stays is not None:
            return _now_or_later([stays], now)
        fit = [choice for choice in left if choice.guard.takes(now, begun=False)]
        if not fit:
            # What is draining would be open for others, so it does not say when this may go.
            waits_for = [one.guard for one in left if _may_take(one.guard, last)]
            return None, min((guard.opens_at(now) for guard in waits_for), default=inf)
        if fit[0].weight is None:
            return _now_or_later([fit[0].guard], now)
        return self._by_weight([choice for choice in fit if choice.weight is not None], now)

    def awaited(self, kind: Signature) -> str:
        """The provider that such a message waits for, as things stand."""
        last, given_up, in_doubt = kind
        now = trio.current_time()
        if in_doubt and last is not None:
            return last
        left = self._candidates(given_up)
        stays = None if last is None else _stays(last, left, now)
        if stays is not None:
            return stays.name
        fit = (choice.guard for choice in left if choice.guard.takes(now, begun=False))
        return next(fit, left[0].guard).name

    def _candidates(self, given_up: Sequence[str]) -> Sequence[Choice]:
        # When those that are left were taken out of the channel, what tried it may try again.
        return (self.left(given_up) if given_up else self.choices) or self.choices

    def _by_weight(self, fit: Sequence[Choice], now: float) -> tuple[Guard | None, float]:
        able = [choice for choice in fit if choice.guard.opens_at(now) <= now]
        if not able:
            return _now_or_later([choice.guard for choice in fit], now)
        credit = self._credit
        for choice in able:
            credit[choice.guard.name] += choice.weight or 0
        chosen = max(able, key=lambda choice: credit[choice.guard.name])
        credit[chosen.guard.name] -= sum(choice.weight or 0 for choice in able)
        return chosen.guard, now


def _stays(last: str, left: Sequence[Choice], now: float) -> Guard | None:
    """The provider that tried a message before, while it is fit or the only one."""
    for guard in (choice.guard for choice in left if choice.guard.name == last):
        if len(left) == 1 or guard.takes(now, begun=True):
            return guard
    return None


def _may_take(guard: Guard, last: str | None) -> bool:
    return not guard.limits.draining or guard.name == last


def _now_or_later(guards: Sequence[Guard], now: float) -> tuple[Guard | None, float]:
    soonest = inf
    for guard in guards:
        opens_at = guard.opens_at(now)
        if opens_at <= now:
            return guard, now
        soonest = min(soonest, opens_at)
    return None, soonest
