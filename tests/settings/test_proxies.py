"""Proxies of the environment: those on the way of a call must be usable, others do not matter."""

from __future__ import annotations

import ssl
from collections.abc import Mapping

import httpx
import pytest

from carillon.http_client.proxies import Proxies
from carillon.messages.model import Document
from carillon.settings import ConfigurationError, client
from tests.settings.examples import SMS_ENVIRONMENT, problems, settings, sms

WRONG = [
    "socks5://127.0.0.1:1080",
    "socks5h://proxy:1080",
    "socks4://proxy:1080",
    "ftp://proxy",
    "http://",
    "http://a:b:c",
    "http://[::1",
    "http://proxy:99999",
    "http://proxy:port",
    "http://pro xy:3128",
    "http://proxy:0",
    "://",
    "://proxy:1",
]
RIGHT = [
    "http://proxy:3128",
    "https://proxy",
    "http://proxy:3128/",
    "proxy:3128",
    "proxy",
    "http://[::1]:3128",
    "http://ada:hunter2@proxy:3128",
    "http://ada:p%40ss@10.0.0.1:8080",
]


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"])
@pytest.mark.parametrize("value", WRONG)
def test_one_that_cannot_be_used_is_refused(name: str, value: str) -> None:
    (found,) = problems(sms(), SMS_ENVIRONMENT | {name: value})

    assert found.startswith(f'{name}: "{value}" is not allowed; it must be the http:// or https://')
    assert "SOCKS is not supported" in found


@pytest.mark.parametrize("value", RIGHT)
def test_one_that_can_be_used_is_taken(value: str) -> None:
    assert settings(environ=SMS_ENVIRONMENT | {"HTTP_PROXY": value}) == settings()


@pytest.mark.slow
@pytest.mark.parametrize("value", RIGHT)
def test_what_is_taken_httpx_takes_too(value: str) -> None:
    proxy = Proxies({"http_proxy": value}).on_the_way_to("http", "sms-service")

    assert proxy is not None
    httpx.AsyncHTTPTransport(proxy=proxy, verify=ssl.create_default_context(), trust_env=False)


@pytest.mark.parametrize(
    "environ",
    [
        {"HTTPS_PROXY": "socks5://p"},
        {"ALL_PROXY": "socks5://p", "HTTP_PROXY": "http://proxy:3128"},
        {"ALL_PROXY": "socks5://p", "NO_PROXY": "*"},
        {"ALL_PROXY": "socks5://p", "no_proxy": "other,sms-service"},
        {"ALL_PROXY": "socks5://p", "NO_PROXY": "service:80,sms-service:80"} | {"all_proxy": ""},
        {"HTTP_PROXY": "socks5://p", "http_proxy": ""},
        {"HTTP_PROXY": "socks5://p", "http_proxy": "http://proxy:3128"},
        {"HTTP_PROXY": ""},
        {"GIT_PROXY": "socks5://p"},
    ],
)
def test_one_that_no_call_goes_over_does_not_matter(environ: Mapping[str, str]) -> None:
    assert settings(environ={**SMS_ENVIRONMENT, **environ}) == settings()


def test_every_neighbour_counts() -> None:
    section: Document = {
        "metadataSchema": {"channels": "c"},
        "serviceUrl": "https://flow",
        "successEventLabel": "s",
        "failEventLabel": "f",
    }
    environ = {**SMS_ENVIRONMENT, "HTTPS_PROXY": "socks5://p"}
    crud = {"CRUD_SERVICE_URL": "https://crud", "USERS_CRUD_NAME": "users"}

    for document, more in (
        (sms(flowManagerConfiguration=section), {}),
        (sms(), crud),
        (sms(), {"FILE_SERVICE_URL": "https://files"}),
        (sms(), {"SMS_SERVICE_URL": "https://sms"}),
    ):
        (found,) = problems(document, environ | more)
        assert found.startswith('HTTPS_PROXY: "socks5://p" is not allowed')


@pytest.mark.parametrize("value", ["socks5://ada:hunter2@proxy:1", "ada:hunter2@proxy:x"])
def test_a_password_is_never_shown(value: str) -> None:
    (found,) = problems(sms(), SMS_ENVIRONMENT | {"HTTP_PROXY": value})

    assert found.startswith("HTTP_PROXY: ")
    assert "hunter2" not in found


@pytest.mark.parametrize("value", WRONG)
def test_the_command_line_says_so_too(value: str) -> None:
    with pytest.raises(ConfigurationError, match="ALL_PROXY"):
        client({"CARILLON_URL": "http://carillon:3000"}, {"ALL_PROXY": value})


def test_to_this_machine_the_command_line_needs_no_proxy() -> None:
    assert client({}, {"ALL_PROXY": "socks5://p", "HOME": "/root"}).url == "http://127.0.0.1:3000"
