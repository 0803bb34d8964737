"""Which providers carry which channel: as the file says, else as the environment does."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from carillon.messages.model import Channel
from carillon.messages.redaction import printable, without_secrets
from carillon.providers.config import (
    ProviderConfig,
    ProviderType,
    by_itself,
    name_of,
    needs,
    variables,
)
from carillon.providers.registry import PLUGINS, TYPES
from carillon.settings.environment import Environment
from carillon.settings.errors import Problems, nearest
from carillon.settings.file.keys import FileKeys
from carillon.settings.file.provider_keys import ChannelKeys, ChoiceKeys
from carillon.settings.model import ChannelSettings, ProviderChoice

Sections = Mapping[str, ProviderConfig]


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


def sections_of(names: Collection[str], sections: Sections) -> Sections:
    """The section of each, once, or one of the type that it is named after."""
    of_types = {name: TYPES[name]() for name in names if name in TYPES}
    known = {**of_types, **sections}
    return {name: known[name] for name in dict.fromkeys(names)}


def _type_of(name: str, sections: Sections) -> ProviderType | None:
    return type(sections[name]) if name in sections else TYPES.get(name)


def _configured(
    channel: Channel, sections: Sections, env: Environment
) -> tuple[ProviderChoice, ...]:
    return tuple(
        ProviderChoice(name)
        for name, kind in TYPES.items()
        if by_itself(kind, channel)
        and _carries(channel, name, sections)
        and _type_of(name, sections) is kind
        and (env.has(*_activating(kind)) or _is_told(sections.get(name)))
    )


def _activating(kind: ProviderType) -> Sequence[str]:
    return [one.name for one in variables(kind) if one.activates]


def _is_told(section: ProviderConfig | None) -> bool:
    """Whether the file itself gives the address or the credentials of a provider."""
    if section is None:
        return False
    return "url" in section.model_fields_set or bool(section.credentials.model_fields_set)


def _named(
    channel: Channel, choices: Sequence[ChoiceKeys], sections: Sections, problems: Problems
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


def _wrong(channel: Channel, name: str, sections: Sections, problems: Problems) -> str | None:
    kind = _type_of(name, sections)
    # What is wrong with its own section is said there.
    if _carries(channel, name, sections) or problems.knows(("providers", name)):
        return None
    if kind is not None:
        what = name if _carried(name, sections) != kind.facts.channels else name_of(kind)
        carried = ", ".join(_carried(name, sections)) or "nothing"
        return f'"{name}" cannot carry {channel}; {what} carries {carried}'
    if name in PLUGINS.broken:
        return PLUGINS.broken[name]
    shown = printable(without_secrets(name)[:60])
    return f'"{shown}" is not a provider; {nearest(name, {*sections, *TYPES})}'


def _carries(channel: Channel, name: str, sections: Sections) -> bool:
    return channel in _carried(name, sections)


def _carried(name: str, sections: Sections) -> Sequence[Channel]:
    """What the section says that it carries, else what its type does."""
    if name in sections:
        return sections[name].carried
    return TYPES[name].facts.channels if name in TYPES else ()


def _nobody(channel: Channel) -> str:
    ways = [_way(kind) for kind in TYPES.values() if by_itself(kind, channel)]
    return (
        f"nobody carries {channel}, which is active; set {' or '.join(filter(None, ways))}, "
        "or name a provider here"
    )


def _way(kind: ProviderType) -> str:
    """The variables that configure a type: one of each kind where it needs several."""
    marks = [mark for mark in needs(kind) if not mark.optional]
    keys = [[one.name for one in mark.variables if not one.alias] for mark in marks]
    keys = [names for names in keys if names]
    if len(keys) == 1:
        return " or ".join(keys[0])
    return " and ".join(names[-1] for names in keys)
