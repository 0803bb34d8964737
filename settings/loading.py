"""Puts environment and file together into `Settings`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

from carillon.handlebars import Engine
from carillon.handlebars import Limits as TemplateLimits
from carillon.messages.addresses import is_mailbox
from carillon.messages.durations import unbounded
from carillon.messages.model import Channel, Document, JsonValue, UserFields
from carillon.messages.redaction import without_secrets
from carillon.settings import surroundings
from carillon.settings.access import access
from carillon.settings.channels import channels, sections_of
from carillon.settings.effect import unusable_plugins, unused_providers
from carillon.settings.environment import Environment
from carillon.settings.errors import Problems
from carillon.settings.file.checking import check, check_keys
from carillon.settings.file.keys import DirectoryKeys, FileKeys, UserFieldsKeys, UserKeys
from carillon.settings.file.reading import read_file, without_nulls
from carillon.settings.flow.flow_manager import flow_manager
from carillon.settings.flow.kafka import kafka, kafka_warnings
from carillon.settings.model import JournalSettings, Limits, Settings
from carillon.settings.neighbours import addresses
from carillon.settings.providers import check_names, check_sections, providers
from carillon.settings.proxies import check_proxies


def load(environ: Mapping[str, str] | None = None, path: Path | None = None) -> Settings:
    """The settings of this process, or of the environment given.

    `path` is read instead of the file that `CONFIGURATION_PATH` names.

    Raises:
        ConfigurationError: With everything that is wrong.
    """
    env = Environment(os.environ if environ is None else environ, Problems())
    file = path or configuration_path(env)
    if file is None:
        env.problems.add(("CONFIGURATION_PATH",), "is missing; it must name the JSON file")
        return _settings(None, env)
    return replace(_settings(read_file(file, env.problems), env), file=file)


def user_fields(environ: Mapping[str, str] | None = None) -> UserFields | None:
    """What the configuration file says of users, for commands that need no more of it.

    None where no file is named.

    Raises:
        ConfigurationError: the file cannot be read, or its `userFields` are wrong.
    """
    env = Environment(os.environ if environ is None else environ, Problems())
    file = configuration_path(env)
    if file is None:
        return None
    document = read_file(file, env.problems)
    keys = None
    if isinstance(document, dict) and not env.problems:
        section: Document = {"userFields": document.get("userFields", {})}
        keys = check_keys(UserKeys, section, env.problems, [])
    elif not env.problems:
        env.problems.add((), "must be a JSON object")
    if keys is None or env.problems:
        raise env.problems.error()
    return _user_fields(keys.user_fields)


def configuration_path(env: Environment) -> Path | None:
    """The file that the environment names."""
    named = env.text("CONFIGURATION_PATH")
    return None if named is None else Path(named)


def from_document(document: JsonValue, environ: Mapping[str, str]) -> Settings:
    """The settings of a configuration that is at hand as JSON.

    Raises:
        ConfigurationError: With everything that is wrong.
    """
    env = Environment(environ, Problems())
    try:
        document = without_nulls(document)
    except ValueError as error:
        env.problems.add((), str(error))
        document = None
    return _settings(document, env)


def _settings(document: JsonValue, env: Environment) -> Settings:
    warnings: list[str] = []
    is_read = document is not None or not env.problems
    keys = check(document, env.problems, warnings) if is_read else None
    if keys is None:
        # What the environment alone decides is looked at even so: one start names everything.
        _look_around(env)
        raise env.problems.error()
    settings = _assemble(keys, env, warnings)
    if env.problems:
        raise env.problems.error()
    return settings


def _look_around(env: Environment) -> None:
    surroundings.server(env)
    surroundings.certificates(env)
    access(env)
    surroundings.directory(env, DirectoryKeys())
    surroundings.files(env)
    surroundings.locale(env)


def _assemble(keys: FileKeys, env: Environment, warnings: list[str]) -> Settings:
    check_names(keys.providers, env)
    template_limits, default_locale = _template_limits(keys), surroundings.locale(env)
    make_engine = partial(Engine, limits=template_limits, locale=default_locale)
    check_sections(keys.providers, cache(make_engine), env)
    surroundings.certificates(env)
    chosen = channels(keys, env)
    in_use = [choice.name for channel in chosen.values() for choice in channel.providers]
    sections = sections_of(in_use, keys.providers)
    over_kafka = any(section.facts.uses_kafka for section in sections.values())
    brokers = kafka(env, keys.flow_manager_configuration, has_providers=over_kafka)
    used = providers(sections, env)
    settings = Settings(
        active_channels=tuple(chosen),
        senders=_senders(keys, env),
        user_fields=_user_fields(keys.user_fields),
        providers=used,
        channels=chosen,
        directory=surroundings.directory(env, keys.directory),
        files=surroundings.files(env),
        server=surroundings.server(env),
        access=access(env),
        respond_within=unbounded(keys.respond_within),
        drain=keys.drain,
        escape_everywhere=keys.escaping == "everywhere",
        limits=_limits(keys),
        template_limits=template_limits,
        idempotency_expiry=keys.idempotency.expiry,
        journal=_journal(keys),
        android_intent_action=keys.android_intent_action,
        default_locale=default_locale,
        flow_manager=flow_manager(keys.flow_manager_configuration),
        warnings=tuple(
            map(
                without_secrets,
                (
                    *warnings,
                    *unused_providers(keys, in_use),
                    *unusable_plugins(),
                    *kafka_warnings(brokers),
                    *(told for one in used.values() for told in one.config.warnings()),
                ),
            )
        ),
        kafka=brokers,
    )
    check_proxies(_called(settings), env)
    return settings


def _called(settings: Settings) -> Iterator[str]:
    yield from addresses(settings).values()


def _senders(keys: FileKeys, env: Environment) -> dict[Channel, str]:
    given: dict[Channel, str | None] = {
        "email": keys.sender.email,
        "sms": keys.sender.sms,
        "voice": keys.sender.voice,
    }
    senders: dict[Channel, str] = {}
    for channel in dict.fromkeys(keys.active_channels):
        if channel not in given:
            continue
        sender = given[channel]
        if not sender:
            env.problems.add(("sender", channel), f"is missing; {channel} is active and needs it")
        elif channel == "email" and not is_mailbox(sender):
            allowed = "an email address, bare or as `Name <address>`"
            env.problems.refuse(("sender", channel), sender, allowed)
        elif not sender.isprintable():
            env.problems.refuse(("sender", channel), sender, "a text without control characters")
        senders[channel] = sender or ""
    return senders


def _user_fields(keys: UserFieldsKeys) -> UserFields:
    return UserFields(
        id=keys.id,
        email_address=keys.email_address,
        phone_number=keys.phone_number,
        device_token=keys.device_token,
        clusters=keys.clusters,
    )


def _limits(keys: FileKeys) -> Limits:
    limits = keys.limits
    return Limits(
        limits.body_bytes,
        limits.open_dispatches,
        limits.failures,
        limits.connections,
        limits.values,
    )


def _template_limits(keys: FileKeys) -> TemplateLimits:
    limits = keys.templates
    return TemplateLimits(
        template_bytes=limits.template_bytes,
        nesting=limits.nesting,
        steps=limits.steps,
        output_bytes=limits.output_bytes,
        partial_depth=limits.partial_depth,
        milliseconds=limits.milliseconds,
    )


def _journal(keys: FileKeys) -> JournalSettings:
    journal = keys.journal
    return JournalSettings(journal.fsync, journal.keep_content, journal.retention)
