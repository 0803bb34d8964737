"""The settings of providers and channels: the configuration file with the operators' overrides.

A plan is a value: a new one is built beside the one in force, compared with it, and replaces it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from carillon.actors.provider.limits import Limits
from carillon.messages.durations import written
from carillon.messages.model import Channel, Document
from carillon.settings.model import ChannelSettings, ProviderChoice, ProviderSettings, Settings
from carillon.tuning.patch import Override, in_force, limits
from carillon.tuning.reload import followed_channels, followed_providers

_NOTHING: Final = Override()


@dataclass(frozen=True, slots=True)
class Plan:
    """`providers` and `channels` are those that run; overrides may be of others, and wait."""

    providers: Mapping[str, ProviderSettings]
    channels: Mapping[Channel, ChannelSettings]
    overrides: Mapping[str, Override] = field(default_factory=dict)

    def override(self, name: str) -> Override:
        """What wins over the file for a provider."""
        return self.overrides.get(name, _NOTHING)

    def limits(self, name: str) -> Limits:
        """What the guard of a provider holds to."""
        return limits(self.providers[name], self.override(name))

    def order(self, channel: Channel) -> Sequence[ProviderChoice]:
        """The providers of a channel with the weights that hold."""
        return [
            replace(choice, weight=self.override(choice.name).weight or choice.weight)
            for choice in self.channels[channel].providers
        ]

    def channels_of(self, name: str) -> Sequence[Channel]:
        """The channels that a provider carries."""
        return [channel for channel in self.channels if channel in self._weights(name)]

    def settings_of(self, name: str) -> Mapping[str, Document]:
        """Each key of a provider with its `value` and `source`."""
        return in_force(self.providers[name], self._weights(name), self.override(name))

    def overriding(self, name: str, override: Override) -> Plan:
        """The plan with another override of one provider."""
        return replace(self, overrides={**self.overrides, name: override})

    def following(self, new: Settings) -> Plan:
        """The plan with as much of another configuration as a running service can take on."""
        return replace(
            self,
            providers=followed_providers(self.providers, new),
            channels=followed_channels(self.channels, self.providers, new),
        )

    def _weights(self, name: str) -> Mapping[str, int | None]:
        return {
            channel: choice.weight
            for channel, section in self.channels.items()
            for choice in section.providers
            if choice.name == name
        }


def changes_of(name: str, old: Plan, new: Plan) -> tuple[Document, Document]:
    """The keys of a provider whose value or source differs, with the values before and after."""
    before, after = old.settings_of(name), new.settings_of(name)
    changed = [key for key in after if before[key] != after[key]]
    return (
        {key: before[key]["value"] for key in changed},
        {key: after[key]["value"] for key in changed},
    )


def changes_of_channels(old: Plan, new: Plan) -> tuple[Document, Document]:
    """The same for the channels, whose keys are written as `channels.sms.providers`."""
    before, after = _channels(old), _channels(new)
    changed = [key for key in after if before[key] != after[key]]
    return {key: before[key] for key in changed}, {key: after[key] for key in changed}


def _channels(plan: Plan) -> Document:
    """Names and times; the weights are listed with the providers."""
    told: Document = {}
    for name, section in plan.channels.items():
        told[f"channels.{name}.providers"] = [choice.name for choice in section.providers]
        lives = section.time_to_live
        told[f"channels.{name}.timeToLive"] = None if lives is None else written(lives)
    return told
