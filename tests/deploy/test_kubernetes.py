"""The manifests of Kubernetes are valid, fit each other, and start a service that serves."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, cast

import httpx
import pytest

from carillon.access.keys import draw_key
from carillon.messages.model import Document, JsonValue
from carillon.settings import VARIABLES, ConfigurationError, Settings, key_record, load
from tests.deploy.containerfile import Stage, stages
from tests.deploy.schemas import (
    against_kubernetes,
    against_operator,
    documents,
    with_schemas,
)
from tests.docs.pages import ROOT
from tests.running import running

FOLDER: Final = ROOT / "deploy" / "kubernetes"
FILES: Final = sorted(FOLDER.glob("*.yaml"))
UNSET: Final = "CHANGE-ME"
WAYS: Final = {"replicas.yaml": "Deployment", "one.yaml": "StatefulSet"}
IN_CLUSTER: Final = {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}

pytestmark = [with_schemas]


@pytest.fixture(scope="module")
def found() -> Mapping[str, list[Document]]:
    """The documents of each file."""
    return {file.name: documents(file) for file in FILES}


def at(value: JsonValue, *keys: str | int) -> JsonValue:
    """What stands at a path."""
    for key in keys:
        if isinstance(key, int):
            value = cast("list[JsonValue]", value)[key]
        else:
            value = cast("Document", value)[key]
    return value


def of_kind(found: Mapping[str, list[Document]], kind: str) -> list[Document]:
    return [one for listed in found.values() for one in listed if one["kind"] == kind]


def pod(found: Mapping[str, list[Document]], file: str) -> Document:
    """The template of the pods that a file makes."""
    [workload] = [one for one in found[file] if one["kind"] == WAYS[file]]
    return cast("Document", at(workload, "spec", "template"))


def container(found: Mapping[str, list[Document]], file: str) -> Document:
    return cast("Document", at(pod(found, file), "spec", "containers", 0))


def image() -> Stage:
    """What the image says of itself."""
    return stages()[-1]


def test_every_manifest_is_valid(found: Mapping[str, list[Document]]) -> None:
    every = [one for listed in found.values() for one in listed]
    of_operator = [one for one in every if one["kind"] == "ServiceMonitor"]
    assert {str(one["kind"]) for one in every} >= {*WAYS.values(), "Service", "Secret"}
    assert against_kubernetes([one for one in every if one not in of_operator]) == []
    assert [against_operator(one) for one in of_operator] == [[]]


def broken() -> Iterator[tuple[str, str, tuple[str | int, ...], JsonValue]]:
    """Mistakes, each of which the schemas find: file, kind, where, what."""
    container = ("spec", "template", "spec", "containers", 0)
    yield "replicas.yaml", "Deployment", ("spec", "replica"), 3
    yield "replicas.yaml", "Deployment", (*container, "readinessProbe", "httpget"), {}
    yield "replicas.yaml", "Deployment", (*container, "ports", 0, "containerPort"), "http"
    yield "replicas.yaml", "PodDisruptionBudget", ("spec", "maxUnavailable"), True
    yield "one.yaml", "StatefulSet", ("spec", "volumeClaimTemplates"), {}
    yield "common.yaml", "NetworkPolicy", ("spec", "ingress"), {}
    yield "common.yaml", "Service", ("spec", "ports", 0, "port"), "80"
    yield "secret.yaml", "Secret", ("stringdata",), {}


@pytest.mark.parametrize("mistake", [*broken()], ids=lambda one: f"{one[1]} {one[2][-1]}")
def test_the_schemas_find_mistakes(
    mistake: tuple[str, str, tuple[str | int, ...], JsonValue],
    found: Mapping[str, list[Document]],
) -> None:
    file, kind, place, value = mistake
    document = copy.deepcopy(next(one for one in found[file] if one["kind"] == kind))
    cast("Document", at(document, *place[:-1]))[str(place[-1])] = value
    assert against_kubernetes([document]) != []


def test_the_operators_schema_finds_mistakes(found: Mapping[str, list[Document]]) -> None:
    document = copy.deepcopy(found["servicemonitor.yaml"][0])
    cast("Document", at(document, "spec", "endpoints", 0))["interval"] = "half a minute"
    assert against_operator(document) != []


def test_selectors_select_the_pods(found: Mapping[str, list[Document]]) -> None:
    [service] = of_kind(found, "Service")
    for file in WAYS:
        labels = cast("Document", at(pod(found, file), "metadata", "labels")).items()
        [workload] = [one for one in found[file] if one["kind"] == WAYS[file]]
        selectors = [at(workload, "spec", "selector", "matchLabels")]
        selectors.append(at(service, "spec", "selector"))
        [policy] = of_kind(found, "NetworkPolicy")
        selectors.append(at(policy, "spec", "podSelector", "matchLabels"))
        if file == "replicas.yaml":
            [budget] = of_kind(found, "PodDisruptionBudget")
            selectors.append(at(budget, "spec", "selector", "matchLabels"))
            spread = at(pod(found, file), "spec", "topologySpreadConstraints", 0)
            selectors.append(at(spread, "labelSelector", "matchLabels"))
        for selector in selectors:
            assert cast("Document", selector).items() <= labels
    [monitor] = of_kind(found, "ServiceMonitor")
    wanted = cast("Document", at(monitor, "spec", "selector", "matchLabels")).items()
    assert wanted <= cast("Document", at(service, "metadata", "labels")).items()
    assert at(monitor, "spec", "endpoints", 0, "port") == at(service, "spec", "ports", 0, "name")


def test_both_ways_run_the_same_but_for_what_keeps_their_data(
    found: Mapping[str, list[Document]],
) -> None:
    several, one = (copy.deepcopy(container(found, file)) for file in WAYS)
    env = cast("list[JsonValue]", one["env"])
    assert env.pop() == {"name": "STORE_URL", "value": image().environ["STORE_URL"]}
    assert several == one
    [claim] = cast(
        "list[JsonValue]", at(of_kind(found, "StatefulSet")[0], "spec", "volumeClaimTemplates")
    )
    assert at(claim, "metadata", "name") == "data"
    assert at(of_kind(found, "StatefulSet")[0], "spec", "replicas") == 1


@pytest.mark.parametrize("file", WAYS)
def test_pods_run_as_the_image_does_and_may_do_nothing_more(
    file: str, found: Mapping[str, list[Document]]
) -> None:
    spec, one = cast("Document", pod(found, file)["spec"]), container(found, file)
    user, group = map(int, image().last("USER").split(":"))
    secured = cast("Document", spec["securityContext"])
    assert (secured["runAsUser"], secured["runAsGroup"], secured["fsGroup"]) == (user, group, group)
    assert secured["runAsNonRoot"] is True
    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False
    assert one["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert at(one, "ports", 0, "containerPort") == int(image().last("EXPOSE"))
    mounts = {
        at(mount, "mountPath"): mount for mount in cast("list[JsonValue]", one["volumeMounts"])
    }
    assert [
        path for path, mount in mounts.items() if "readOnly" not in cast("Document", mount)
    ] == [image().last("VOLUME")]
    assert str(Path(image().environ["CONFIGURATION_PATH"]).parent) in mounts


@pytest.mark.parametrize("file", WAYS)
def test_what_a_pod_names_is_there(file: str, found: Mapping[str, list[Document]]) -> None:
    spec, one = cast("Document", pod(found, file)["spec"]), container(found, file)
    secrets = {str(at(each, "metadata", "name")): each for each in of_kind(found, "Secret")}
    [monitor] = of_kind(found, "ServiceMonitor")
    credentials = at(monitor, "spec", "endpoints", 0, "authorization", "credentials")
    token = cast("Document", at(secrets[str(at(credentials, "name"))], "stringData"))
    assert at(credentials, "key") in token
    assert spec["serviceAccountName"] in {
        at(each, "metadata", "name") for each in of_kind(found, "ServiceAccount")
    }
    variables = cast(
        "Document", at(secrets[str(at(one, "envFrom", 0, "secretRef", "name"))], "stringData")
    )
    assert variables.keys() <= VARIABLES.keys()
    assert {
        str(at(each, "name")) for each in cast("list[JsonValue]", one["env"])
    } <= VARIABLES.keys()
    volumes = {at(each, "name"): each for each in cast("list[JsonValue]", spec["volumes"])}
    assert at(volumes["keys"], "secret", "secretName") in secrets
    assert at(volumes["configuration"], "configMap", "name") in {
        at(each, "metadata", "name") for each in of_kind(found, "ConfigMap")
    }


def environ(
    found: Mapping[str, list[Document]], file: str, folder: Path, keys: str
) -> dict[str, str]:
    """What a container finds, with its files in a folder."""
    [variables, kept, _] = found["secret.yaml"]
    assert at(kept, "stringData", "keys.json") == UNSET
    [configuration] = of_kind(found, "ConfigMap")
    (folder / "configuration.json").write_text(str(at(configuration, "data", "configuration.json")))
    (folder / "keys.json").write_text(keys)
    ours = cast("list[dict[str, str]]", container(found, file)["env"])
    return {
        **image().environ,
        **cast("dict[str, str]", variables["stringData"]),
        **{one["name"]: one["value"] for one in ours},
        **IN_CLUSTER,
        "CONFIGURATION_PATH": str(folder / "configuration.json"),
        "API_KEYS_FILE": str(folder / "keys.json"),
    }


def loaded(found: Mapping[str, list[Document]], file: str, folder: Path) -> Settings:
    _, key = draw_key("shop", ["send"])
    return load(environ(found, file, folder, json.dumps([key_record(key)])))


@pytest.mark.parametrize("file", WAYS)
def test_the_service_takes_what_the_manifests_give_it(
    file: str, found: Mapping[str, list[Document]], tmp_path: Path
) -> None:
    settings = loaded(found, file, tmp_path)
    assert [*settings.providers] == ["smtp"]
    assert settings.server.host == "0.0.0.0"
    assert settings.server.port == at(container(found, file), "ports", 0, "containerPort")
    assert len(settings.access.keys) == 1
    assert settings.warnings == ()
    url = environ(found, file, tmp_path, "[]")["STORE_URL"]
    assert url.startswith("mongodb://" if file == "replicas.yaml" else "sqlite:////data/")


@pytest.mark.parametrize("file", WAYS)
def test_a_pod_is_given_the_time_that_stopping_takes(
    file: str, found: Mapping[str, list[Document]], tmp_path: Path
) -> None:
    settings = loaded(found, file, tmp_path)
    takes = settings.server.wait_before_close + settings.drain
    given = at(pod(found, file), "spec", "terminationGracePeriodSeconds")
    assert isinstance(given, int)
    assert given >= takes + 10
    assert given >= 45


def test_what_is_not_filled_in_starts_nothing(
    found: Mapping[str, list[Document]], tmp_path: Path
) -> None:
    with pytest.raises(ConfigurationError, match="API_KEYS_FILE") as raised:
        load(environ(found, "replicas.yaml", tmp_path, UNSET))
    assert UNSET not in str(raised.value)


@pytest.mark.parametrize("file", WAYS)
async def test_probes_and_metrics_are_answered(
    file: str, found: Mapping[str, list[Document]], tmp_path: Path
) -> None:
    token, key = draw_key("prometheus", ["read"])
    keys = {"API_KEYS": json.dumps([key_record(key)])}
    one = container(found, file)
    probes = [
        str(at(one, f"{name}Probe", "httpGet", "path"))
        for name in ("startup", "readiness", "liveness")
    ]
    [monitor] = of_kind(found, "ServiceMonitor")
    path = str(at(monitor, "spec", "endpoints", 0, "path"))
    async with running(tmp_path, environ=keys) as service:
        anonymous = httpx.AsyncClient(base_url=service.url, trust_env=False)
        async with anonymous as client:
            assert [(await client.get(probe)).status_code for probe in probes] == [200, 200, 200]
            assert (await client.get(path)).status_code == 401
            shown = {"authorization": f"Bearer {token}"}
            assert "carillon_" in (await client.get(path, headers=shown)).text
    assert probes[2] != probes[1] == "/-/ready"


def test_nothing_leads_to_the_clouds_metadata(found: Mapping[str, list[Document]]) -> None:
    [policy] = of_kind(found, "NetworkPolicy")
    blocks = [
        one["ipBlock"]
        for rule in cast("list[Document]", at(policy, "spec", "egress"))
        for one in cast("list[Document]", rule["to"])
        if "ipBlock" in one
    ]
    assert blocks == [
        {"cidr": "0.0.0.0/0", "except": ["169.254.0.0/16"]},
        {"cidr": "::/0", "except": ["fe80::/10"]},
    ]
    assert at(policy, "spec", "policyTypes") == ["Ingress", "Egress"]
