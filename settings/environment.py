"""The environment variables, and how their texts become values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final, TypeVar

from carillon.providers.config import variables
from carillon.providers.registry import TYPES
from carillon.settings.errors import Problems

VARIABLES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "CONFIGURATION_PATH": "the JSON file",
        "CRUD_SERVICE_NAME": "the CRUD Service; unset: users and templates are in the store",
        "CRUD_SERVICE_URL": "the same as a URL; wins over the name",
        "USERS_CRUD_NAME": "its collection of users",
        "TEMPLATES_CRUD_NAME": "its collection of templates",
        "FILE_SERVICE_NAME": "the file service, for attachments",
        "FILE_SERVICE_URL": "the same as a URL; wins over the name",
        "FILES_DIRECTORY": "the folder of attachments where there is no file service",
        "KAFKA_CLIENT_ID": "the name by which brokers know this client",
        "KAFKA_BROKERS": "the brokers of Kafka, `host:port` with commas between",
        "KAFKA_AUTH_MECHANISM": "of SASL: PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512",
        "KAFKA_USERNAME": "of SASL over TLS; needs a password too",
        "KAFKA_PASSWORD": "the same",
        "KAFKA_CONNECTION_TIMEOUT": "milliseconds to connect to a broker",
        "KAFKA_AUTHENTICATION_TIMEOUT": "milliseconds more to authenticate",
        "DEFAULT_LOCALE": "the locale of `toLocale`",
        "HTTP_HOST": "where the service listens",
        "HTTP_PORT": "its port; 0 is any free one",
        "SSL_CERT_FILE": "certificates in PEM that TLS trusts instead of those it comes with",
        "SSL_CERT_DIR": "a folder of them, prepared by c_rehash",
        "HTTP_H2C": "true: HTTP/2 with prior knowledge too, for a mesh",
        "LOG_LEVEL": "how much is logged",
        "LOG_FORMAT": "json, or text for people",
        "SERVICE_PREFIX": "what paths begin with, but for /-/ and /documentation/",
        "WAIT_BEFORE_SERVER_CLOSE_SEC": "seconds of normal service after SIGTERM",
        "KUBERNETES_SERVICE_HOST": "set by Kubernetes: changes the defaults of the above",
        "STORE_URL": "the embedded store or MongoDB",
        "API_KEYS": "the API keys of callers, as a JSON array of records",
        "API_KEYS_FILE": "a file with such an array; both may be set",
        "OPERATOR_TOKEN_FILE": "the file of the operator token of a service without keys",
        "XDG_STATE_HOME": "the folder of what programs keep, for that file where the store is none",
        "HOME": "the same: .local/state is in it",
        "CARILLON_URL": "where the command line finds the service",
        "CARILLON_API_KEY": "the key that the command line shows it",
        **{one.name: one.meaning for kind in TYPES.values() for one in variables(kind)},
    }
)

Value = TypeVar("Value")


class Environment:
    """Variables as values; what is wrong is noted, and its default stands in."""

    def __init__(self, environ: Mapping[str, str], problems: Problems) -> None:
        self._environ = environ
        self.problems = problems

    @property
    def variables(self) -> Mapping[str, str]:
        """All of it, as it is."""
        return self._environ

    def text(self, name: str) -> str | None:
        """A variable without the white space around it; None if nothing is left."""
        return self._environ.get(name, "").strip() or None

    def has(self, *names: str) -> bool:
        """Whether any of these is set."""
        return any(self.text(name) for name in names)

    def read(
        self,
        name: str,
        convert: Callable[[str], Value],
        default: Value,
        *,
        is_secret: bool = False,
    ) -> Value:
        """A variable as `convert` reads it; its ValueError says what is allowed."""
        text = self.text(name)
        if text is None:
            return default
        try:
            return convert(text)
        except ValueError as error:
            self.problems.refuse((name,), text, str(error), is_secret=is_secret)
            return default

    def maybe(
        self, name: str, convert: Callable[[str], Value], *, is_secret: bool = False
    ) -> Value | None:
        """As `read`, where there is no default."""
        found: list[Value] = []
        self.read(name, lambda text: found.append(convert(text)), None, is_secret=is_secret)
        return found[0] if found else None

    def folder(self, name: str) -> Path | None:
        """A folder that is there."""
        return self.maybe(name, _folder)


def _folder(text: str) -> Path:
    path = Path(text)
    try:
        is_folder = path.is_dir()
    except OSError:
        is_folder = False
    if not is_folder:
        raise ValueError("a folder that exists")
    return path
