"""The files of Google service accounts: read once, at the start."""

from __future__ import annotations

from typing import Final

from carillon.providers.firebase.token import ServiceAccount, read_service_account
from carillon.settings.errors import ConfigurationError
from carillon.settings.file.opening import read_start
from carillon.settings.model import FirebaseCredentials, ProviderSettings, Settings

_LARGEST: Final = 1 << 20


def service_account(section: ProviderSettings) -> ServiceAccount:
    """The account of a provider over Firebase.

    Raises:
        ConfigurationError: With the file and what is wrong with it.
    """
    credentials = section.credentials
    if not isinstance(credentials, FirebaseCredentials):
        raise ConfigurationError([f"providers.{section.name}.credentials are missing"])
    file = credentials.file
    try:
        return read_service_account(read_start(file, _LARGEST))
    except OSError as error:
        reason = error.strerror or "it cannot be read"
    except ValueError as error:
        reason = str(error)
    raise ConfigurationError([f"providers.{section.name}.credentials.file {file}: {reason}"])


def check_service_accounts(settings: Settings) -> None:
    """Read every account that is used. Raises ConfigurationError with all that is wrong."""
    problems: list[str] = []
    for section in settings.providers.values():
        if section.type == "firebase":
            try:
                service_account(section)
            except ConfigurationError as error:
                problems += error.problems
    if problems:
        raise ConfigurationError(problems)
