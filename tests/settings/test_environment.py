"""The variables: their values, their rules, and who wins."""

from __future__ import annotations

from pathlib import Path

import pytest

from carillon.messages.model import Document
from carillon.settings import ClientSettings, ConfigurationError, Secret, client, store
from tests.settings.examples import SMS_ENVIRONMENT, problems, settings, sms, url_of

STATE = ".local/state/carillon"
BESIDE = ["/a/b.db-token", f"/h/{STATE}/operator-token-3000"]
CLUSTER = {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}


@pytest.mark.parametrize(
    ("environ", "host", "wait"),
    [
        ({}, "127.0.0.1", 0),
        (CLUSTER, "0.0.0.0", 10),
        ({"KUBERNETES_SERVICE_HOST": " "}, "127.0.0.1", 0),
        (CLUSTER | {"HTTP_HOST": "127.0.0.1"}, "127.0.0.1", 10),
        (CLUSTER | {"WAIT_BEFORE_SERVER_CLOSE_SEC": "0"}, "0.0.0.0", 0),
        ({"HTTP_HOST": "[::1]", "WAIT_BEFORE_SERVER_CLOSE_SEC": "3"}, "::1", 3),
        ({"HTTP_HOST": "::"}, "::", 0),
        ({"HTTP_HOST": "localhost"}, "localhost", 0),
    ],
)
def test_a_cluster_has_other_defaults(environ: dict[str, str], host: str, wait: int) -> None:
    server = settings(environ=SMS_ENVIRONMENT | environ).server

    assert (server.host, server.wait_before_close) == (host, wait)


@pytest.mark.parametrize(
    ("environ", "field", "value"),
    [
        ({"HTTP_PORT": "0"}, "port", 0),
        ({"HTTP_PORT": " 65535\n"}, "port", 65_535),
        ({"HTTP_PORT": ""}, "port", 3000),
        ({"LOG_LEVEL": "WARN"}, "log_level", "warn"),
        ({"SERVICE_PREFIX": "messaging/"}, "prefix", "/messaging"),
        ({"SERVICE_PREFIX": "/a/b"}, "prefix", "/a/b"),
        ({"SERVICE_PREFIX": "/a/-/documentation"}, "prefix", "/a/-/documentation"),
        ({"SERVICE_PREFIX": "/-a"}, "prefix", "/-a"),
        ({"SERVICE_PREFIX": "/"}, "prefix", ""),
    ],
)
def test_server_variables(environ: dict[str, str], field: str, value: object) -> None:
    assert getattr(settings(environ=SMS_ENVIRONMENT | environ).server, field) == value


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HTTP_PORT", "65536"),
        ("HTTP_PORT", "-1"),
        ("HTTP_PORT", "٣"),
        ("HTTP_PORT", "9" * 5000),
        ("HTTP_HOST", "no-such-host.invalid"),
        ("SSL_CERT_FILE", "/nonexistent/ca.pem"),
        ("SSL_CERT_FILE", __file__),
        ("SSL_CERT_DIR", "/nonexistent"),
        ("HTTP_HOST", "http://localhost"),
        ("HTTP_HOST", "localhost:3000"),
        ("LOG_LEVEL", "loud"),
        ("SERVICE_PREFIX", "/a b"),
        ("SERVICE_PREFIX", "/a/../b"),
        ("SERVICE_PREFIX", "/a//b"),
        ("SERVICE_PREFIX", "/-"),
        ("SERVICE_PREFIX", "-"),
        ("SERVICE_PREFIX", "/-/probes"),
        ("SERVICE_PREFIX", "documentation"),
        ("SERVICE_PREFIX", "/documentation/v2"),
        ("WAIT_BEFORE_SERVER_CLOSE_SEC", "soon"),
        ("WAIT_BEFORE_SERVER_CLOSE_SEC", "nan"),
        ("DEFAULT_LOCALE", "en US"),
        ("DEFAULT_LOCALE", "it_IT.UTF-8"),
        ("DEFAULT_LOCALE", "C"),
        ("DEFAULT_LOCALE", "it-I"),
        ("DEFAULT_LOCALE", "it_IT_"),
        ("STORE_URL", "mongodb://user:hunter2@host/d.b"),
        ("STORE_URL", "mongodb://user:hunter2/db"),
        ("STORE_URL", "mongodb+srv://host:1/db"),
        ("STORE_URL", "sqlite://"),
        ("STORE_URL", "sqlite:///"),
        ("STORE_URL", "sqlite:///:memory:"),
        ("STORE_URL", "sqlite://host/file.db"),
        ("STORE_URL", "sqlite:///folder/"),
        ("STORE_URL", "postgres://host/db"),
        ("STORE_URL", "carillon.db"),
        ("FILES_DIRECTORY", "/does/not/exist"),
        ("FILES_DIRECTORY", "x" * 5000),
        ("OPERATOR_TOKEN_FILE", "/does/not/exist"),
        ("OPERATOR_TOKEN_FILE", "/"),
        ("OPERATOR_TOKEN_FILE", "x" * 5000),
        ("TEMPLATES_CRUD_NAME", "../users"),
        ("TEMPLATES_CRUD_NAME", "templates"),
        ("USERS_CRUD_NAME", "users"),
        ("USERS_CRUD_NAME", "a b"),
        ("CRUD_SERVICE_URL", "crud-service"),
        ("FILE_SERVICE_NAME", "files/path"),
    ],
)
def test_a_wrong_variable_is_named_and_never_shows_a_password(name: str, value: str) -> None:
    found = problems(sms(), SMS_ENVIRONMENT | {name: value})

    assert any(each.startswith(f"{name}: ") and "must be" in each for each in found)
    assert "hunter2" not in str(found)
    assert max(map(len, found)) < 400


def test_a_mongodb_is_named_and_its_password_is_not_shown() -> None:
    found = settings(sms(), SMS_ENVIRONMENT | {"STORE_URL": "mongodb://a:hunter2@host/db"})
    assert found.directory.mongodb is not None
    assert found.directory.mongodb.database == "db"
    assert "hunter2" not in repr(found)


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        ({"SMS_SERVICE_NAME": "sms"}, "http://sms"),
        ({"SMS_SERVICE_NAME": "sms:8080"}, "http://sms:8080"),
        ({"SMS_SERVICE_NAME": "sms_service"}, "http://sms_service"),
        ({"SMS_SERVICE_NAME": "https://sms.example/"}, "https://sms.example"),
        ({"SMS_SERVICE_URL": "http://sms/base/"}, "http://sms/base"),
        ({"SMS_SERVICE_URL": "http://[::1]:8080"}, "http://[::1]:8080"),
        ({"SMS_SERVICE_NAME": "a", "SMS_SERVICE_URL": "http://b"}, "http://b"),
        ({"SMS_SERVICE_NAME": "a", "SMS_SERVICE_URL": ""}, "http://a"),
    ],
)
def test_service_addresses(environ: dict[str, str], url: str) -> None:
    assert url_of(settings(environ=environ).providers["sms-service"]) == url


def test_the_url_of_the_file_wins() -> None:
    document = sms(providers={"sms-service": {"url": "http://file"}})

    found = settings(document, {"SMS_SERVICE_NAME": "a", "SMS_SERVICE_URL": "http://b"})

    assert url_of(found.providers["sms-service"]) == "http://file"


@pytest.mark.parametrize(
    "url",
    [
        "ftp://sms",
        "sms",
        "http://",
        "http://user:hunter2@sms",
        "http://sms#f",
        "http://sms?x=hunter2#f",
        "http://sms:0",
        "http://sms:",
        "http://sms:99999",
        "http://sms :80",
        "http://[::1",
        "http://[nonsense]",
        "http://sms/ü",
        "http://s\u0000ms",
        "http://-sms",
        "javascript:alert(1)",
        "http://" + "a" * 3000,
    ],
)
def test_nonsense_is_no_url(url: str) -> None:
    (of_environment,) = problems(sms(), {"SMS_SERVICE_URL": url})
    (of_file,) = problems(sms(providers={"sms-service": {"url": url}}))

    assert of_environment.startswith("SMS_SERVICE_URL: ")
    assert of_file.startswith("providers.sms-service.url: ")
    assert "hunter2" not in of_environment + of_file


@pytest.mark.parametrize("url", ["http://host?x=hunter2", "http://host?", "http://host/a?b"])
def test_only_the_url_of_a_provider_has_a_query(url: str) -> None:
    flow: Document = {"metadataSchema": {"channels": "c"}, "serviceUrl": url}
    environ = {**SMS_ENVIRONMENT, "CRUD_SERVICE_URL": url, "USERS_CRUD_NAME": "users"}
    found = problems(sms(flowManagerConfiguration=flow), environ | {"FILE_SERVICE_NAME": url})

    assert [each.partition(":")[0] for each in found] == [
        "flowManagerConfiguration.serviceUrl",
        "CRUD_SERVICE_URL",
        "FILE_SERVICE_NAME",
    ]
    assert "hunter2" not in str(found)
    expected = url.rstrip("?")
    assert url_of(settings(environ={"SMS_SERVICE_NAME": url}).providers["sms-service"]) == expected
    assert url_of(settings(environ={"SMS_SERVICE_URL": url}).providers["sms-service"]) == expected


def test_the_crud_service_needs_the_collection_of_users() -> None:
    (found,) = problems(sms(), SMS_ENVIRONMENT | {"CRUD_SERVICE_NAME": "crud"})

    assert found.startswith("USERS_CRUD_NAME: is missing")


def test_the_crud_service_is_the_directory_when_it_is_set() -> None:
    environ = {"CRUD_SERVICE_NAME": "crud", "USERS_CRUD_NAME": "users", "TEMPLATES_CRUD_NAME": "t"}

    directory = settings(environ=SMS_ENVIRONMENT | environ).directory

    assert directory.crud_url == "http://crud"
    assert (directory.users_collection, directory.templates_collection) == ("users", "t")


def test_the_file_service_goes_before_the_folder(tmp_path: Path) -> None:
    folder = {"FILES_DIRECTORY": str(tmp_path)}
    service = {"FILE_SERVICE_NAME": "files"}

    assert settings(environ=SMS_ENVIRONMENT | folder).files.directory == tmp_path
    both = settings(environ=SMS_ENVIRONMENT | folder | service).files
    assert (both.url, both.directory) == ("http://files", None)


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///carillon.db", "carillon.db"),
        ("sqlite:///data/c.db", "data/c.db"),
        ("sqlite:////var/lib/c.db", "/var/lib/c.db"),
    ],
)
def test_three_slashes_are_relative_and_four_absolute(url: str, path: str) -> None:
    assert store({"STORE_URL": url}) == Path(path)


def test_commands_that_need_only_the_store_get_its_path() -> None:
    assert store({}) == Path("carillon.db")
    with pytest.raises(ConfigurationError, match="STORE_URL"):
        store({"STORE_URL": "x"})


def test_commands_that_need_only_the_store_may_be_given_a_mongodb() -> None:
    found = store({"STORE_URL": "mongodb://ada:hunter2@host/shop"})
    assert str(found) == "mongodb://host/shop"
    with pytest.raises(ConfigurationError, match="may hold a password") as raised:
        store({"STORE_URL": "mongodb://ada:hunter2host"})
    assert "hunter2" not in str(raised.value)


def test_the_command_line_finds_the_service() -> None:
    beside = (Path("carillon.db-token"),)
    assert client({}, {}) == ClientSettings("http://127.0.0.1:3000", None, beside)
    found = client({}, {"CARILLON_URL": "https://c.example/", "CARILLON_API_KEY": "id.key"})
    assert found == ClientSettings("https://c.example", Secret("id.key"))
    assert client({"CARILLON_URL": "http://d"}, {"CARILLON_URL": "http://c"}).url == "http://d"
    with pytest.raises(ConfigurationError, match="CARILLON_URL"):
        client({"CARILLON_URL": "c"}, {})


@pytest.mark.parametrize(
    ("environ", "files"),
    [
        ({}, ["carillon.db-token"]),
        ({"HOME": "/home/ada"}, ["carillon.db-token", f"/home/ada/{STATE}/operator-token-3000"]),
        ({"HOME": "ada", "STORE_URL": "mongodb://h"}, []),
        (
            {"HOME": "/home/ada", "STORE_URL": "mongodb://h", "CARILLON_URL": "http://[::1]:77"},
            [f"/home/ada/{STATE}/operator-token-77"],
        ),
        (
            {"HOME": "/home/ada", "XDG_STATE_HOME": "/s", "CARILLON_URL": "https://localhost"},
            ["carillon.db-token", "/s/carillon/operator-token-443"],
        ),
        ({"HOME": "/h", "XDG_STATE_HOME": "s", "STORE_URL": "sqlite:////a/b.db"}, BESIDE),
        ({"HOME": "/h", "OPERATOR_TOKEN_FILE": "/run/token"}, ["/run/token"]),
        ({"OPERATOR_TOKEN_FILE": "t", "CARILLON_URL": "http://127.9.9.9"}, ["t"]),
        ({"OPERATOR_TOKEN_FILE": "t", "CARILLON_API_KEY": "a.b"}, []),
    ],
)
def test_the_command_line_finds_the_operator_token(
    environ: dict[str, str], files: list[str]
) -> None:
    assert client({}, environ).token_files == tuple(map(Path, files))


@pytest.mark.parametrize(
    "url", ["http://carillon", "http://10.0.0.1", "http://localhost.evil.example", "http://0.0.0.0"]
)
def test_no_token_is_looked_for_when_the_service_is_elsewhere(url: str) -> None:
    assert client({}, {"CARILLON_URL": url, "HOME": "/home/ada"}).token_files == ()


@pytest.mark.parametrize("key", ["two words", "kéy", "a\nb", "a\x7f"])
def test_a_key_that_no_header_can_hold_is_refused_without_showing_it(key: str) -> None:
    with pytest.raises(ConfigurationError, match="carillon keys new") as found:
        client({}, {"CARILLON_API_KEY": key})
    assert key not in str(found.value)


@pytest.mark.parametrize(
    ("text", "locale"),
    [("it_IT", "it-IT"), ("it-IT", "it-IT"), ("zh_Hant_TW", "zh-Hant-TW"), ("de", "de")],
)
def test_a_locale_may_be_written_as_systems_write_it(text: str, locale: str) -> None:
    assert settings(environ=SMS_ENVIRONMENT | {"DEFAULT_LOCALE": text}).default_locale == locale


@pytest.mark.parametrize("name", ["USERS_CRUD_NAME", "TEMPLATES_CRUD_NAME"])
def test_a_collection_without_the_crud_service_is_a_mistake(name: str) -> None:
    (found,) = problems(sms(), SMS_ENVIRONMENT | {name: "people"})

    assert found == (
        f'{name}: "people" is not allowed; it must be unset where there is no CRUD Service; name '
        "that in CRUD_SERVICE_NAME or CRUD_SERVICE_URL"
    )
