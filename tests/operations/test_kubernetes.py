"""deploy/kubernetes: valid, without privileges, each process with its own secrets only."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import jsonschema_rs
import pytest
import yaml
from redis import Redis
from redis.exceptions import RedisError

from api.core import redis_client
from api.core.settings import Settings
from api.local import data_dir
from tests.support.servers import debians_redis
from tests.support.waiting import eventually

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "kubernetes"
VARIANTS = ("managed", "in-cluster")
#: Of Kubernetes 1.37; tests/data/README.md tells where it is from.
SCHEMAS: Final = json.loads((ROOT / "tests" / "data" / "kubernetes.json").read_text())["$defs"]
#: What a kustomization may say here: what this file understands.
UNDERSTOOD = {"apiVersion", "kind", "resources"}
#: What is set of a bucket, if it is: who migrates is told none of it.
FILES: Final = {"name": "verbatim-files", "optional": True}
#: docs/architecture.md, what each process may touch.
SECRETS: Final = {
    "migrate": {"DATABASE_DIRECT_URL", "DATABASE_URL", "WORKER_DATABASE_URL"},
    "api": {"DATABASE_URL", "REDIS_URL", "SECRET_KEY", "METRICS_TOKEN", "OPENAI_API_KEY"},
    "worker": {"WORKER_DATABASE_URL", "REDIS_URL"},
    "redis": {"REDISCLI_AUTH"},
    "postgres": {"POSTGRES_PASSWORD"},
}
Document = dict[str, Any]


def built(folder: Path) -> Iterator[Document]:
    """Yield what `kubectl apply --kustomize` would send."""
    kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text())
    assert kustomization.keys() <= UNDERSTOOD
    named = [folder / name for name in kustomization["resources"]]
    files = {path for path in folder.glob("*.yaml") if path.name != "kustomization.yaml"}
    assert files == {path for path in named if path.suffix == ".yaml"}, "a file is left out"
    for path in named:
        if path.suffix == ".yaml":
            yield from yaml.safe_load_all(path.read_text())
        else:
            yield from built(path)


@pytest.fixture(params=VARIANTS)
def documents(request: pytest.FixtureRequest) -> list[Document]:
    return list(built(FOLDER / str(request.param)))


def of_kind(documents: list[Document], *kinds: str) -> dict[str, Document]:
    return {one["metadata"]["name"]: one for one in documents if one["kind"] in kinds}


def pods(documents: list[Document]) -> dict[str, Document]:
    """Return the template of each kind of pod, by its part."""
    kinds = ("Deployment", "StatefulSet", "Job")
    templates = [one["spec"]["template"] for one in of_kind(documents, *kinds).values()]
    return {template["metadata"]["labels"]["part"]: template for template in templates}


def container_of(pod: Document) -> Document:
    (container,) = pod["spec"]["containers"]
    return dict(container)


def selects(selector: Document, labels: dict[str, str]) -> bool:
    wanted = selector.get("matchLabels", {}).items() <= labels.items()
    listed = selector.get("matchExpressions", [])
    assert all(one["operator"] == "In" for one in listed)
    return wanted and all(labels.get(one["key"]) in one["values"] for one in listed)


def test_every_document_is_one_that_kubernetes_takes(documents: list[Document]) -> None:
    names = [(one["kind"], one["metadata"]["name"]) for one in documents]
    assert len(set(names)) == len(names)
    for document in documents:
        group, _, version = document["apiVersion"].rpartition("/")
        if group == "keda.sh":
            continue
        kind = f"io.k8s.api.{group.partition('.')[0] or 'core'}.{version}.{document['kind']}"
        schema = {"$ref": f"#/$defs/{kind}", "$defs": SCHEMAS}
        faults = jsonschema_rs.validator_for(schema).iter_errors(document)
        assert [str(fault) for fault in faults] == [], document["metadata"]["name"]


def test_what_an_upgrade_applies_part_by_part_says_its_part(documents: list[Document]) -> None:
    for document in documents:
        if document["kind"] not in {"ConfigMap", "ServiceAccount", "NetworkPolicy"}:
            labels = document["metadata"]["labels"]
            assert labels["app"] == "verbatim"
            assert document["metadata"]["name"] in {"verbatim", f"verbatim-{labels['part']}"}


def test_no_pod_has_privileges_or_writes_to_its_image(documents: list[Document]) -> None:
    for part, pod in pods(documents).items():
        spec, container = pod["spec"], container_of(pod)

        assert spec["automountServiceAccountToken"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] > 0
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert container["securityContext"] == {
            "readOnlyRootFilesystem": True,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["requests"].keys() == {"cpu", "memory"}
        assert container["resources"]["limits"].keys() == {"memory"}
        if part != "migrate":
            assert "livenessProbe" in container


def test_each_process_has_the_secrets_it_needs_and_they_are_only_named(
    documents: list[Document],
) -> None:
    for part, pod in pods(documents).items():
        environment = container_of(pod)["env"]
        secret = {one["name"] for one in environment if "valueFrom" in one}

        assert secret == SECRETS[part]
        for one in environment:
            if "valueFrom" in one:
                assert one["valueFrom"]["secretKeyRef"]["name"] == "verbatim"
    assert not of_kind(documents, "Secret")


def test_every_name_of_a_setting_is_one(documents: list[Document]) -> None:
    known = {name.upper() for name in Settings.model_fields}
    (settings,) = of_kind(documents, "ConfigMap").values()
    named = set(settings["data"])
    for part in ("migrate", "api", "worker"):
        container = container_of(pods(documents)[part])
        named |= {one["name"] for one in container["env"]}
        files = [] if part == "migrate" else [{"secretRef": FILES}]
        assert container["envFrom"] == [{"configMapRef": {"name": "verbatim"}}, *files]

    assert named <= known
    Settings.model_validate({name.lower(): text for name, text in settings["data"].items()})


def test_processes_run_as_the_compose_file_runs_them(documents: list[Document]) -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]

    for part in ("migrate", "worker"):
        assert container_of(pods(documents)[part])["command"] == compose[part]["command"]
    assert "command" not in container_of(pods(documents)["api"])


def test_what_names_others_finds_them(documents: list[Document]) -> None:
    labels = {part: pod["metadata"]["labels"] for part, pod in pods(documents).items()}
    for service in of_kind(documents, "Service").values():
        selected = [
            part for part in labels if service["spec"]["selector"].items() <= labels[part].items()
        ]
        (part,) = selected
        ports = {port["name"] for port in container_of(pods(documents)[part])["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports
    for budget in of_kind(documents, "PodDisruptionBudget").values():
        assert [part for part in labels if selects(budget["spec"]["selector"], labels[part])]
    for scaled in of_kind(documents, "HorizontalPodAutoscaler", "ScaledObject").values():
        target = of_kind(documents, "Deployment")[scaled["spec"]["scaleTargetRef"]["name"]]
        assert "replicas" not in target["spec"], "two would set the number"
    for owner in of_kind(documents, "Deployment", "StatefulSet").values():
        assert selects(owner["spec"]["selector"], owner["spec"]["template"]["metadata"]["labels"])


def test_every_pod_is_closed_but_for_what_is_named(documents: list[Document]) -> None:
    policies = of_kind(documents, "NetworkPolicy").values()
    for part, pod in pods(documents).items():
        labels = pod["metadata"]["labels"]
        own = [one["spec"] for one in policies if selects(one["spec"]["podSelector"], labels)]

        for direction in ("Ingress", "Egress"):
            assert any(direction in policy["policyTypes"] for policy in own)
        taken = [rule for policy in own for rule in policy.get("ingress", [])]
        assert bool(taken) == (part in {"api", "redis", "postgres"})
        assert all(rule["from"] and rule["ports"] for rule in taken)
        assert all(rule["to"] and rule["ports"] for one in own for rule in one.get("egress", []))


def test_workers_are_scaled_by_the_age_of_the_oldest_entry(documents: list[Document]) -> None:
    (scaled,) = of_kind(documents, "ScaledObject").values()
    spec = scaled["spec"]
    (trigger,) = spec["triggers"]

    assert spec.keys() == {
        *("scaleTargetRef", "minReplicaCount", "maxReplicaCount", "pollingInterval"),
        *("cooldownPeriod", "triggers"),
    }
    assert 1 <= spec["minReplicaCount"] <= spec["maxReplicaCount"] <= 16
    assert (trigger["type"], trigger["metricType"]) == ("prometheus", "Value")
    assert trigger["metadata"].keys() == {"serverAddress", "query", "threshold"}
    rules = (ROOT / "deploy" / "prometheus" / "verbatim.rules.yml").read_text()
    assert trigger["metadata"]["query"] in rules


def test_probes_ask_what_the_api_answers(documents: list[Document]) -> None:
    container = container_of(pods(documents)["api"])
    paths = {name: container[name]["httpGet"]["path"] for name in container if "Probe" in name}

    assert paths == {
        "startupProbe": "/livez",
        "livenessProbe": "/livez",
        "readinessProbe": "/readyz",
    }


@pytest.mark.slow
def test_the_redis_in_the_cluster_keeps_what_it_accepts_and_shows_nobody_its_password(
    tmp_path: Path,
) -> None:
    container = container_of(pods(list(built(FOLDER / "in-cluster")))["redis"])
    shell, option, command = container["command"]
    port = data_dir.free_port()
    here = command.replace("/run/redis", str(tmp_path)).replace("--dir /data", f"--dir {tmp_path}")
    search = f"{debians_redis().parent}:{os.environ['PATH']}"

    with subprocess.Popen(
        [shell, option, f"{here} --port {port}"],
        env={"PATH": search, "REDISCLI_AUTH": "hunter2"},
        stdout=subprocess.DEVNULL,
    ) as process:
        try:
            with Redis(port=port, password="hunter2", decode_responses=True) as redis:
                eventually(lambda: answers(redis))
                redis_client.check(redis, "always")
            shown = Path(f"/proc/{process.pid}/cmdline").read_text()
        finally:
            process.terminate()
    assert shown.startswith("redis-server")
    assert not re.search("hunter2", shown)
    assert process.returncode == 0, "a stop does not reach Redis"


def answers(redis: Redis) -> bool:
    try:
        return bool(redis.ping())
    except RedisError:
        return False
