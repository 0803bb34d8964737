"""Which providers carry which channel: as the file says, else as the environment does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from carillon.messages.model import Channel
from carillon.messages.redaction import printable, without_secrets
from carillon.settings.environment import Environment
from carillon.settings.errors import Problems, nearest
from carillon.settings.file.keys import FileKeys
from carillon.settings.file.provider_keys import ChannelKeys, ChoiceKeys, ProviderKeys
from carillon.settings.kinds import KINDS, Kind
from carillon.settings.model import ChannelSettings, ProviderChoice, ProviderType


def channels(keys: FileKeys, env: Environment) -> Mapping[Channel, ChannelSettings]:
    """The active channels, each with the providers that carry it, first choice first."""
    chosen: dict[Channel, ChannelSettings] = {}
    for channel in dict.fromkeys(keys.active_channels):
        section: ChannelKeys = getattr(keys.channels, channel)
        if section.providers is None:
            names = _configured(channel, keys.providers, env)
            if not names:
                env.problems.add(("channels", channel, "providers"), _nobody(channel))
        else:
            names = _named(channel, section.providers, keys.providers, env.problems)
        chosen[channel] = ChannelSettings(names, section.time_to_live)
    return chosen


def type_of(name: str, sections: Mapping[str, ProviderKeys]) -> ProviderType | None:
    """The type of a provider: what its section says, else its name; None if neither is one."""
    section = sections.get(name)
    if section is not None and section.type is not None:
        return section.type
    return next((known for known in KINDS if known == name), None)


def _configured(
    channel: Channel, sections: Mapping[str, ProviderKeys], env: Environment
) -> tuple[ProviderChoice, ...]:
    return tuple(
        ProviderChoice(name)
        for name, kind in KINDS.items()
        if channel in kind.channels
        and name != "sandbox"
        and type_of(name, sections) == name
        and (env.has(*kind.variables) or _is_told(sections.get(name)))
    )


def _is_told(section: ProviderKeys | None) -> bool:
    """Whether the file itself says where a provider is or who asks it."""
    return section is not None and bool(section.url or section.credentials.model_fields_set)


def _named(
    channel: Channel,
    choices: Sequence[ChoiceKeys],
    sections: Mapping[str, ProviderKeys],
    problems: Problems,
) -> tuple[ProviderChoice, ...]:
    named: dict[str, ProviderChoice] = {}
    for at, choice in enumerate(choices):
        wrong = _wrong(channel, choice.name, sections, problems)
        if choice.name in named:
            wrong = f'"{choice.name}" stands there twice; once is allowed'
        if wrong:
            problems.add(("channels", channel, "providers", at), wrong)
        named.setdefault(choice.name, ProviderChoice(choice.name, choice.weight))
    return tuple(choice for name, choice in named.items() if _carries(channel, name, sections))


def _wrong(
    channel: Channel, name: str, sections: Mapping[str, ProviderKeys], problems: Problems
) -> str | None:
    kind = type_of(name, sections)
    if kind is not None and channel not in KINDS[kind].channels:
        return f'"{name}" cannot carry {channel}; {kind} carries {", ".join(KINDS[kind].channels)}'
    # What is wrong with its own section is said there.
    if kind is not None or problems.knows(("providers", name)):
        return None
    shown = printable(without_secrets(name)[:60])
    return f'"{shown}" is not a provider; {nearest(name, {*sections, *KINDS})}'


def _carries(channel: Channel, name: str, sections: Mapping[str, ProviderKeys]) -> bool:
    kind = type_of(name, sections)
    return kind is not None and channel in KINDS[kind].channels


def _nobody(channel: Channel) -> str:
    ways = [_way(name, kind) for name, kind in KINDS.items() if channel in kind.channels]
    return (
        f"nobody carries {channel}, which is active; set {' or '.join(filter(None, ways))}, "
        "or name a provider here"
    )


def _way(name: ProviderType, kind: Kind) -> str:
    if not kind.variables:
        return ""
    joint = " and " if name == "kaleyra" else " or "
    return joint.join(variable for variable in kind.variables if variable != "KALEYRA_API_SID")
