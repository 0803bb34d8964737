from __future__ import annotations

import json
from pathlib import Path

from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from tests.cli.command_line import invoke
from tests.running import sandbox_configuration


def write(folder: Path, document: object) -> str:
    file = folder / "carillon.json"
    file.write_text(json.dumps(document))
    return str(file)


def test_a_right_configuration_is_described(tmp_path: Path) -> None:
    result = invoke("config", "check", write(tmp_path, sandbox_configuration()))
    assert result.exit_code == 0
    assert "The configuration is right" in result.output
    assert "sms goes over sms-sandbox" in result.output


def test_everything_wrong_is_named_at_once(tmp_path: Path) -> None:
    document = sandbox_configuration(respondWithin="soon", drain=[])
    result = invoke("config", "check", write(tmp_path, document))
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("carillon: The configuration is wrong in 2 places:")
    assert "respondWithin" in result.stderr
    assert "drain" in result.stderr


def test_a_function_that_cannot_be_loaded_is_wrong_too(tmp_path: Path) -> None:
    function = tmp_path / "data.py"
    function.write_text("def get_data(event):\n    return {\n")
    flow = {"metadataSchema": {"channels": "c"}, "getDataFilePath": str(function)}
    document = sandbox_configuration(flowManagerConfiguration=flow)  # type: ignore[arg-type]
    result = invoke("config", "check", write(tmp_path, document))
    assert result.exit_code == 2
    assert f"flowManagerConfiguration.getDataFilePath: {function}, line " in result.stderr


def test_warnings_and_advice_are_shown_and_stop_nothing(tmp_path: Path) -> None:
    document = sandbox_configuration(nobodyKnows=1, respondWithin="2m")
    file = write(tmp_path, document)
    shown = invoke("config", "check", CONFIGURATION_PATH=file)
    assert shown.exit_code == 0
    assert "warning: nobodyKnows" in shown.output
    assert "advice: respondWithin is 2m" in shown.output
    told = json.loads(invoke("config", "check", "--json", CONFIGURATION_PATH=file).output)
    assert told["valid"] is True
    assert (len(told["warnings"]), len(told["advice"])) == (1, 2)


def test_scripts_read_what_is_wrong(tmp_path: Path) -> None:
    result = invoke("config", "check", "--json", write(tmp_path, {"activeChannels": ["fax"]}))
    assert result.exit_code == 2
    told = json.loads(result.stdout)
    assert told["valid"] is False
    assert "activeChannels[0]" in told["problems"][0]


def test_a_file_that_is_not_there_is_wrong(tmp_path: Path) -> None:
    result = invoke("config", "check", "none.json")
    assert result.exit_code == 2
    assert "none.json" in result.stderr


def test_the_schema_is_one_and_takes_the_examples() -> None:
    schema = json.loads(invoke("config", "schema").output)
    Draft202012Validator.check_schema(schema)
    assert Draft202012Validator(schema).is_valid(sandbox_configuration())
    assert not Draft202012Validator(schema).is_valid({"activeChannels": []})


def test_it_says_how_long_each_provider_tries_a_message(tmp_path: Path) -> None:
    document = sandbox_configuration()
    providers = document["providers"]
    assert isinstance(providers, dict)
    providers["email-sandbox"] = {
        "type": "sandbox",
        "timeout": "5s",
        "retry": {"attempts": 1},
    }
    file = write(tmp_path, document)
    shown = invoke("config", "check", file).output
    assert (
        "retries: sms-sandbox calls 8 times for a message at most: the waits between take 63.5 s "
        "at most and 31.75 s on average, each call 30s at most.\n"
    ) in shown
    assert "retries: email-sandbox calls once for a message, for 5s at most.\n" in shown
    told = json.loads(invoke("config", "check", "--json", file).output)["retries"]
    assert told["sms-sandbox"] == {
        "attempts": 8,
        "atMost": 63.5,
        "onAverage": 31.75,
        "timeout": 30.0,
    }
