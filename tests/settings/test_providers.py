"""Which providers carry a channel, and what each needs."""

from __future__ import annotations

from pathlib import Path

import pytest

from carillon.actors.provider.rate_limit import Rate
from carillon.messages.model import CHANNELS, Document, JsonValue
from carillon.providers.config import Credentials
from carillon.providers.firebase.provider import FirebaseCredentials
from carillon.providers.kaleyra import KaleyraCredentials, KaleyraOptions
from carillon.providers.sandbox import SandboxConfig
from carillon.providers.twilio import TwilioCredentials
from carillon.providers.vonage import VonageCredentials
from carillon.settings import (
    ProviderChoice,
    Secret,
    from_document,
)
from tests.settings.examples import SMS_ENVIRONMENT, problems, settings, sms, sms_provider, url_of

KALEYRA = {
    "KALEYRA_API_KEY": "hunter2",
    "KALEYRA_SID": "HX1",
    "KALEYRA_API_BASE_URL": "https://api.kaleyra.io",
}
TWILIO = {"TWILIO_ACCOUNT_SID": "AC" + "0a" * 16, "TWILIO_AUTH_TOKEN": "hunter2"}
VONAGE = {"VONAGE_API_KEY": "abcd", "VONAGE_API_SECRET": "hunter2"}


def voice(**keys: JsonValue) -> Document:
    return {"activeChannels": ["voice"], "sender": {"voice": "+39021"}, **keys}


def push(**keys: JsonValue) -> Document:
    return {"activeChannels": ["push"], **keys}


def credentials(kind: type[Credentials], **values: object) -> Credentials:
    """Credentials that are complete, whoever gave them."""
    return kind.model_construct(None, **values)


@pytest.fixture
def account(tmp_path: Path) -> str:
    file = tmp_path / "account.json"
    file.write_text("{}")
    return str(file)


@pytest.mark.parametrize("channel", CHANNELS)
def test_an_active_channel_without_a_provider_is_an_error(channel: str) -> None:
    document: Document = {"activeChannels": [channel], "sender": {channel: "a@b.it"}}

    (found,) = problems(document, {})

    assert found.startswith(f"channels.{channel}.providers: nobody carries {channel}")


def test_sandbox_is_never_chosen_by_itself() -> None:
    (found,) = problems(sms(providers={"sandbox": {"concurrency": 1}}), {})

    assert "nobody carries sms" in found


def test_sandbox_carries_every_channel_when_named() -> None:
    channels: Document = {channel: {"providers": ["sandbox"]} for channel in CHANNELS}
    sender: Document = dict.fromkeys(("email", "sms", "voice"), "a@b.it")
    found = from_document(
        {
            "activeChannels": list(CHANNELS),
            "sender": sender,
            "channels": channels,
            "providers": {"sandbox": {"options": {"fail": 0.5, "latency": "20ms", "lose": 0.1}}},
        },
        {},
    )

    (sandbox,) = found.providers.values()
    assert isinstance(sandbox.config, SandboxConfig)
    assert sandbox.on_unknown_outcome == "hold"
    options = sandbox.config.options
    assert (options.latency, options.fail, options.lose, options.refuse) == (0.02, 0.5, 0.1, 0.0)
    assert found.active_channels == CHANNELS


def test_an_order_of_providers_with_weights() -> None:
    found = settings(
        sms(
            channels={"sms": {"providers": ["sms-service", {"name": "backup", "weight": 3}]}},
            providers={"backup": {"type": "sms-service", "url": "http://b", "timeout": "10s"}},
        )
    )

    assert found.channels["sms"].providers == (
        ProviderChoice("sms-service", None),
        ProviderChoice("backup", 3),
    )
    assert [url_of(each) for each in found.providers.values()] == ["http://sms-service", "http://b"]
    assert found.warnings == ()


def test_a_second_provider_of_a_type_shares_its_variables() -> None:
    providers: Document = {"backup": {"type": "sms-service"}}
    document = sms(channels={"sms": {"providers": ["backup"]}}, providers=providers)

    assert url_of(settings(document).providers["backup"]) == "http://sms-service"


def test_a_url_in_the_file_configures_a_provider_without_any_variable() -> None:
    found = settings(sms(providers={"sms-service": {"url": "http://x"}}), {})

    assert url_of(found.providers["sms-service"]) == "http://x"


@pytest.mark.parametrize(
    ("channel", "providers", "sections", "expected"),
    [
        (
            "sms",
            ["sms-servce"],
            {},
            'providers[0]: "sms-servce" is not a provider; did you',
        ),
        ("sms", ["backup"], {"backup": {}}, "providers.backup.type: is missing"),
        (
            "sms",
            ["mail-service"],
            {},
            'providers[0]: "mail-service" cannot carry sms; mail',
        ),
        ("sms", ["x"], {"x": {"type": "firebase"}}, 'providers[0]: "x" cannot carry sms'),
        ("sms", ["sandbox", "sandbox"], {}, 'providers[1]: "sandbox" stands there twice'),
        (
            "sms",
            ["sms-service"],
            {},
            "providers.sms-service.url: is missing; set it or SMS",
        ),
        ("sms", [], {}, "channels.sms.providers: a list is not allowed; it must be a list that is"),
        ("sms", ["x"], {"x": 5}, "providers.x: 5 is not allowed; it must be an object"),
        ("sms", ["x"], {"x": {"type": "sms"}}, 'x.type: "sms" is not allowed; it must be one of'),
    ],
)
def test_wrong_providers(
    channel: str, providers: list[JsonValue], sections: Document, expected: str
) -> None:
    document: Document = {
        "activeChannels": [channel],
        "sender": {"sms": "Shop"},
        "channels": {channel: {"providers": providers}},
        "providers": sections,
    }

    (found,) = problems(document, {})

    assert expected in found


@pytest.mark.parametrize("name", ["", "a b", "a/b", "é", "a" * 65, "-a", "a\n"])
def test_names_of_providers_fit_into_addresses_and_metrics(name: str) -> None:
    found = problems(sms(providers={name: {"type": "sms-service"}}))

    assert "a provider's name is" in found[0]


def test_kafka_goes_before_firebase(account: str) -> None:
    environ = {
        "KAFKA_BROKERS": "b:9092",
        "KAFKA_TOPICS": "push",
        "GOOGLE_APPLICATION_CREDENTIALS": account,
    }

    assert [*settings(push(), environ).providers] == ["kafka2firebase", "firebase"]


def test_brokers_alone_are_for_sagas_and_carry_no_push(account: str) -> None:
    environ = {"KAFKA_BROKERS": "b:9092", "GOOGLE_APPLICATION_CREDENTIALS": account}

    assert [*settings(push(), environ).providers] == ["firebase"]
    assert settings(push(), environ).kafka is None


def test_firebase_from_the_environment(account: str) -> None:
    found = settings(push(), {"GOOGLE_APPLICATION_CREDENTIALS": account}).providers["firebase"]

    assert url_of(found) == "https://fcm.googleapis.com"
    assert found.config.credentials == credentials(FirebaseCredentials, file=Path(account))
    assert found.on_unknown_outcome == "retry"


def test_firebase_from_the_file(account: str) -> None:
    providers: Document = {"firebase": {"credentials": {"file": account}, "url": "http://fcm"}}

    found = settings(push(providers=providers), {}).providers["firebase"]

    assert (url_of(found), found.config.credentials) == (
        "http://fcm",
        credentials(FirebaseCredentials, file=Path(account)),
    )


@pytest.mark.parametrize("path", ["/does/not/exist", "/", "a\0b", "x" * 900])
def test_a_service_account_that_is_not_there_is_an_error(path: str) -> None:
    (of_environment,) = problems(push(), {"GOOGLE_APPLICATION_CREDENTIALS": path})
    providers: Document = {"firebase": {"credentials": {"file": path}}}
    (of_file,) = problems(push(providers=providers), {})

    assert of_environment == "GOOGLE_APPLICATION_CREDENTIALS: names no file that exists"
    assert of_file == "providers.firebase.credentials.file: names no file that exists"


@pytest.mark.parametrize("name", ["KALEYRA_SID", "KALEYRA_API_SID"])
def test_kaleyra_from_the_environment(name: str) -> None:
    environ = KALEYRA | {"KALEYRA_SID": "", name: "HX1"}

    found = settings(voice(), environ).providers["kaleyra"]

    assert url_of(found) == "https://api.kaleyra.io"
    assert found.config.credentials == credentials(
        KaleyraCredentials, api_key=Secret("hunter2"), sid="HX1"
    )
    assert found.config.options == KaleyraOptions(target="{text}", fields={})


def test_kaleyra_carries_sms_only_where_it_is_named() -> None:
    (found,) = problems(sms(), KALEYRA)
    assert found.startswith("channels.sms.providers: nobody carries sms")
    assert "KALEYRA" not in found
    beside = settings(sms(), KALEYRA | SMS_ENVIRONMENT)
    assert [*beside.providers] == ["sms-service"]
    named: Document = {"sms": {"providers": ["kaleyra"]}}
    assert [*settings(sms(channels=named), KALEYRA).providers] == ["kaleyra"]


def test_twilio_from_the_environment_carries_sms_and_calls() -> None:
    document: Document = {
        "activeChannels": ["sms", "voice"],
        "sender": {"sms": "Shop", "voice": "+39021"},
    }
    found = settings(document, TWILIO)
    assert [*found.providers] == ["twilio"]
    assert [*found.channels] == ["sms", "voice"]
    config = found.providers["twilio"].config
    assert url_of(found.providers["twilio"]) == "https://api.twilio.com"
    assert config.credentials == credentials(
        TwilioCredentials,
        account_sid=TWILIO["TWILIO_ACCOUNT_SID"],
        auth_token=Secret("hunter2"),
        api_key="",
    )
    assert found.providers["twilio"].on_unknown_outcome == "hold"


def test_vonage_from_the_environment_carries_sms() -> None:
    found = settings(sms(), VONAGE).providers["vonage"]
    assert url_of(found) == "https://rest.nexmo.com"
    assert found.config.credentials == credentials(
        VonageCredentials, api_key="abcd", api_secret=Secret("hunter2")
    )


@pytest.mark.parametrize(
    ("environ", "missing"),
    [
        ({"TWILIO_ACCOUNT_SID": "AC" + "0" * 32}, "providers.twilio.credentials.authToken"),
        ({"TWILIO_AUTH_TOKEN": "x"}, "providers.twilio.credentials.accountSid"),
        ({"VONAGE_API_KEY": "x"}, "providers.vonage.credentials.apiSecret"),
        ({"VONAGE_API_SECRET": "x"}, "providers.vonage.credentials.apiKey"),
    ],
)
def test_half_of_an_account_names_the_other_half(environ: dict[str, str], missing: str) -> None:
    (found,) = problems(sms(), environ)
    assert found.startswith(f"{missing}: is missing; set it or ")


@pytest.mark.parametrize("wrong", ["SK" + "0" * 32, "AC0", "hunter2", "AC" + "g" * 32])
def test_what_is_no_account_of_twilio_is_told_and_not_shown(wrong: str) -> None:
    (of_variable,) = problems(sms(), TWILIO | {"TWILIO_ACCOUNT_SID": wrong})
    section: Document = {"credentials": {"accountSid": wrong, "authToken": "hunter2"}}
    (of_file,) = problems(sms(providers={"twilio": section}), {})
    assert of_variable.startswith("TWILIO_ACCOUNT_SID: ")
    assert of_file.startswith("providers.twilio.credentials.accountSid: ")
    for found in (of_variable, of_file):
        assert "`AC` and 32 hexadecimal digits" in found
        assert wrong not in found


def test_kaleyra_from_the_file() -> None:
    section: Document = {
        "url": "http://k",
        "credentials": {"apiKey": "key", "sid": "sid"},
        "options": {"target": '{"tts": "{jsonText}"}', "fields": {"retry": "1"}},
    }

    found = settings(voice(providers={"kaleyra": section}), {}).providers["kaleyra"]

    assert found.config.credentials == credentials(
        KaleyraCredentials, api_key=Secret("key"), sid="sid"
    )
    assert found.config.options == KaleyraOptions(
        target='{"tts": "{jsonText}"}', fields={"retry": "1"}
    )


def test_half_of_kaleyra_names_the_other_half() -> None:
    found = problems(voice(), {"KALEYRA_SID": "HX1"})

    assert [each.partition(":")[0] for each in found] == [
        "providers.kaleyra.url",
        "providers.kaleyra.credentials.apiKey",
    ]


def test_secrets_are_shown_nowhere() -> None:
    found = settings(voice(), KALEYRA)
    in_header = problems(voice(), KALEYRA | {"KALEYRA_API_KEY": "hunter2\u00e9"})
    section: Document = {
        "url": "http://u:hunter2@k",
        "credentials": {"apiKey": ["hunter2"], "password": "hunter2"},
        "options": {"fields": {"pin": 1234567}},
    }
    in_file = problems(voice(providers={"kaleyra": section}), KALEYRA)

    assert "hunter2" not in repr(found)
    assert "hunter2" not in f"{found.providers['kaleyra'].config.credentials}"
    assert in_header[0].startswith("KALEYRA_API_KEY: ")
    assert len(in_file) == 4
    assert not any(secret in str(in_header + in_file) for secret in ("hunter2", "1234567"))
    assert Secret("a").reveal() == "a"
    assert Secret("a") != Secret("b")
    assert len({Secret("a"), Secret("a")}) == 1


@pytest.mark.parametrize(
    ("section", "key"),
    [
        ({"credentials": {"apiKey": "x"}}, "credentials.apiKey"),
        ({"options": {"fail": 0.5}}, "options.fail"),
        ({"options": {"target": "{text}"}}, "options.target"),
    ],
)
def test_keys_of_another_type_are_errors(section: Document, key: str) -> None:
    (found,) = problems(sms(providers={"sms-service": section}))

    assert found.startswith(f"providers.sms-service.{key}: sms-service does not know this key")


def test_what_only_the_environment_says_is_no_key_of_the_file() -> None:
    section: Document = {"kafka2firebase": {"topics": ["t"]}}
    (found,) = problems(sms(providers=section))

    assert found.startswith("providers.kafka2firebase.topics: unknown key")


def test_kafka_says_where_it_is_in_the_environment() -> None:
    (found,) = problems(sms(providers={"push": {"type": "kafka2firebase", "url": "http://x"}}))

    assert found == "providers.push.url: KAFKA_BROKERS says where Kafka is"


def test_a_section_of_another_types_name_has_the_keys_of_its_own_type() -> None:
    section: Document = {"type": "sms-service", "url": "http://x", "options": {"target": "{text}"}}
    (found,) = problems(sms(providers={"kaleyra": section}))

    assert found == (
        "providers.kaleyra.options.target: sms-service does not know this key; allowed: none"
    )


def test_a_sandbox_has_no_url() -> None:
    (found,) = problems(sms(providers={"sandbox": {"url": "http://x"}}))

    assert found == "providers.sandbox.url: a sandbox has no address"


def test_the_shares_of_a_sandbox_add_up_to_one_at_most() -> None:
    (found,) = problems(sms(providers={"sandbox": {"options": {"fail": 0.6, "lose": 0.5}}}))

    assert "refuse, throttle, fail and lose add up to at most 1" in found


def test_a_provider_nobody_uses_is_warned_of() -> None:
    document = sms(providers={"backup": {"type": "sms-service", "url": "http://b"}})

    found = settings(document, SMS_ENVIRONMENT)

    assert [*found.providers] == ["sms-service"]
    assert found.warnings == ("providers.backup is not used by any active channel",)


@pytest.mark.parametrize(
    "rate",
    [
        "100/1m,10/1s",
        " 100/1m , 10/1s ",
        ["100/1m", "10/1s"],
        [{"limit": 100, "per": "1m"}, "10/1s"],
        [{"limit": 100, "per": "1m"}, {"limit": 10, "per": "1s"}],
    ],
)
def test_windows_may_be_written_as_the_command_line_takes_them(rate: JsonValue) -> None:
    found = settings(sms_provider(rate=rate)).providers["sms-service"]

    assert found.rate == (Rate(100, 60.0), Rate(10, 1.0))


def test_no_window_may_be_said_in_words() -> None:
    assert settings(sms_provider(rate="none")).providers["sms-service"].rate == ()
