"""What the environment alone decides: the server, its neighbours, the store, the client."""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, get_args
from urllib.parse import urlsplit

from carillon.handlebars.locales.tags import read_tag
from carillon.http_client.urls import base_url, service_url
from carillon.messages.secret import Secret
from carillon.settings.environment import Environment
from carillon.settings.errors import Problems
from carillon.settings.file.keys import DirectoryKeys
from carillon.settings.model import (
    DirectorySettings,
    FilesSettings,
    LogFormat,
    LogLevel,
    ServerSettings,
)
from carillon.settings.operator_token import token_files
from carillon.settings.proxies import check_proxies
from carillon.settings.urls import is_own_machine, listening_host, store_url
from carillon.stores.mongodb.url import MongoUrl

_HIGHEST_PORT: Final = 65_535
_LONGEST_WAIT: Final = 3600
_CLUSTER_WAIT: Final = 10
_FORMS: Final[tuple[LogFormat, ...]] = get_args(LogFormat)
_LEVELS: Final[tuple[LogLevel, ...]] = get_args(LogLevel)
_PREFIX: Final = re.compile(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*")
_COLLECTION: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_KEY: Final = re.compile(r"[!-~]+")
_DEFAULT_STORE: Final = Path("carillon.db")


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """How the command line reaches a running service.

    In one of `token_files` may be the operator token; a service elsewhere is never shown one.
    """

    url: str
    api_key: Secret | None
    token_files: tuple[Path, ...] = ()


def server(env: Environment) -> ServerSettings:
    """Where the service listens and how it stops; a cluster has other defaults."""
    in_cluster = env.has("KUBERNETES_SERVICE_HOST")
    return ServerSettings(
        host=env.read("HTTP_HOST", listening_host, "0.0.0.0" if in_cluster else "127.0.0.1"),  # noqa: S104
        port=env.read("HTTP_PORT", _whole(_HIGHEST_PORT), 3000),
        prefix=env.read("SERVICE_PREFIX", _prefix, ""),
        log_level=env.read("LOG_LEVEL", _level, "info"),
        log_format=env.read("LOG_FORMAT", _form, "json"),
        wait_before_close=env.read(
            "WAIT_BEFORE_SERVER_CLOSE_SEC", _whole(_LONGEST_WAIT), _CLUSTER_WAIT * in_cluster
        ),
        in_cluster=in_cluster,
        h2c=env.read("HTTP_H2C", _truth, default=False),
    )


def certificates(env: Environment) -> None:
    """Check that the certificates that TLS shall trust can be read."""
    env.maybe("SSL_CERT_FILE", _certificate_file)
    if not env.has("SSL_CERT_FILE"):
        env.folder("SSL_CERT_DIR")


def _certificate_file(text: str) -> Path:
    try:
        ssl.create_default_context(cafile=text)
    except (OSError, ValueError):
        raise ValueError("a PEM file with certificates that this user may read") from None
    return Path(text)


def neighbour(env: Environment, service: str) -> str | None:
    """The base URL from `<service>_URL`, else from `<service>_NAME`."""
    named = env.maybe(f"{service}_NAME", service_url)
    return env.maybe(f"{service}_URL", base_url) or named


def directory(env: Environment, keys: DirectoryKeys) -> DirectorySettings:
    """Where users and templates are read."""
    users = env.maybe("USERS_CRUD_NAME", _matching(_COLLECTION, "the name of a collection"))
    _check_collections(env)
    named = env.maybe("STORE_URL", store_url) or _DEFAULT_STORE
    mongodb = named if isinstance(named, MongoUrl) else None
    return DirectorySettings(
        crud_url=neighbour(env, "CRUD_SERVICE"),
        users_collection=users,
        templates_collection=env.maybe(
            "TEMPLATES_CRUD_NAME", _matching(_COLLECTION, "the name of a collection")
        ),
        store_path=_DEFAULT_STORE if isinstance(named, MongoUrl) else named,
        mongodb=mongodb,
        timeout=keys.timeout,
        attempts=keys.attempts,
    )


def _check_collections(env: Environment) -> None:
    """See that collections of the CRUD Service are named where there is one, and only there."""
    if env.has("CRUD_SERVICE_NAME", "CRUD_SERVICE_URL"):
        if not env.has("USERS_CRUD_NAME"):
            env.problems.add(("USERS_CRUD_NAME",), "is missing; the CRUD Service needs it")
        return
    for name in ("USERS_CRUD_NAME", "TEMPLATES_CRUD_NAME"):
        if (named := env.text(name)) is not None:
            env.problems.refuse(
                (name,),
                named,
                "unset where there is no CRUD Service; name that in CRUD_SERVICE_NAME or "
                "CRUD_SERVICE_URL",
            )


def files(env: Environment) -> FilesSettings:
    """Where attachments are read."""
    url = neighbour(env, "FILE_SERVICE")
    return FilesSettings(url=url, directory=None if url else env.folder("FILES_DIRECTORY"))


def locale(env: Environment) -> str:
    """The default of `toLocale`."""
    return env.read("DEFAULT_LOCALE", _locale, "en-US")


def store(environ: Mapping[str, str]) -> Path | MongoUrl:
    """The embedded store's file or the MongoDB, for commands that need nothing else.

    Raises:
        ConfigurationError: If `STORE_URL` is none.
    """
    problems = Problems()
    named = Environment(environ, problems).maybe("STORE_URL", store_url) or _DEFAULT_STORE
    if problems:
        raise problems.error()
    return named


def client(
    given: Mapping[str, str | None], environ: Mapping[str, str] | None = None
) -> ClientSettings:
    """How the command line reaches a running service.

    What is `given` (None: nothing is) wins over the environment, which is that of this process.

    Raises:
        ConfigurationError: If `CARILLON_URL` or `CARILLON_API_KEY` is none.
    """
    problems = Problems()
    environ = dict(os.environ if environ is None else environ)
    environ |= {name: value or "" for name, value in given.items()}
    env = Environment(environ, problems)
    url = env.read("CARILLON_URL", base_url, "http://127.0.0.1:3000")
    key = env.text("CARILLON_API_KEY")
    if key is not None and not _KEY.fullmatch(key):
        problems.add(("CARILLON_API_KEY",), "must be a key as `carillon keys new` prints it")
    if problems:
        raise problems.error()
    parts = urlsplit(url)
    if not is_own_machine(parts.hostname or ""):
        check_proxies([url], env)
    if problems:
        raise problems.error()
    is_here = key is None and is_own_machine(parts.hostname or "")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return ClientSettings(
        url, None if key is None else Secret(key), token_files(environ, port) if is_here else ()
    )


def _whole(most: int) -> Callable[[str], int]:
    def convert(text: str) -> int:
        is_short = text.isascii() and text.isdigit() and len(text) <= len(str(most))
        if not is_short or int(text) > most:
            raise ValueError(f"a whole number from 0 to {most}")
        return int(text)

    return convert


def _matching(pattern: re.Pattern[str], allowed: str) -> Callable[[str], str]:
    def convert(text: str) -> str:
        if not pattern.fullmatch(text):
            raise ValueError(allowed)
        return text

    return convert


def _locale(text: str) -> str:
    name = text.replace("_", "-")  # as most systems write it
    try:
        read_tag(name)
    except ValueError:
        raise ValueError('a locale such as "en-US" or "it_IT"') from None
    return name


def _truth(text: str) -> bool:
    if text not in {"true", "false"}:
        raise ValueError("true or false")
    return text == "true"


def _prefix(text: str) -> str:
    prefix = f"/{text.strip('/')}".rstrip("/")
    if not _PREFIX.fullmatch(prefix):
        raise ValueError('a path such as "/messaging"')
    if prefix.split("/")[1:2] in (["-"], ["documentation"]):
        raise ValueError('a path such as "/messaging" outside of /- and /documentation')
    return prefix


def _form(text: str) -> LogFormat:
    for form in _FORMS:
        if form == text.lower():
            return form
    raise ValueError(f"one of {', '.join(_FORMS)}")


def _level(text: str) -> LogLevel:
    for level in _LEVELS:
        if level == text.lower():
            return level
    raise ValueError(f"one of {', '.join(_LEVELS)}")
