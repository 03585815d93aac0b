"""Scaling and batch jobs: objects that Kubernetes takes, metrics that a server has, bounds that hurt nobody."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from explicate.cli.main import build_parser
from support.harness import predict_request, running_server
from support.served_arguments import DEPLOY

SCALING = DEPLOY / "kubernetes" / "scaling"
QUERY_METRIC = re.compile(r"(explicate_\w+)\{([^}]*)\}")
MATCHER = re.compile(r"(\w+)(?:=~|!~|!=|=)\"([^\"]*)\"")
# Labels that Prometheus itself adds to what it reads of a pod.
FROM_PROMETHEUS = {"namespace", "pod"}


def held(path: Path) -> dict[str, Any]:
    value: dict[str, Any] = yaml.safe_load(path.read_text("utf-8"))
    return value


def deployment() -> dict[str, Any]:
    return held(DEPLOY / "kubernetes" / "deployment.yaml")


def queries() -> Iterator[str]:
    """What KEDA asks, and the rule that a comment of hpa.yaml gives prometheus-adapter."""
    for trigger in held(SCALING / "keda.yaml")["spec"]["triggers"]:
        yield trigger["metadata"]["query"]
    (rule,) = re.findall(r"metricsQuery: '(.*)'", (SCALING / "hpa.yaml").read_text("utf-8"))
    yield rule.replace("<<.LabelMatchers>>, ", "")


async def test_what_is_asked_for_is_what_a_server_tells(tiny_repository: Path) -> None:
    async with running_server(tiny_repository, metrics_listen="127.0.0.1:0") as running:
        await running.inference.Predict(predict_request("good tea"))
        text = generate_latest(running.server.metrics.registry).decode()
    samples: dict[str, list[dict[str, str]]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            samples.setdefault(sample.name, []).append(sample.labels)
    asked = [found for query in queries() for found in QUERY_METRIC.findall(query)]
    assert len(asked) == 3
    for metric, matchers in asked:
        told = samples[metric]
        for label, wanted in MATCHER.findall(matchers):
            if label not in FROM_PROMETHEUS:
                assert set(wanted.split("|")) <= {labels[label] for labels in told}


def test_rows_of_every_class_are_watched_and_bulk_may_wait_longest() -> None:
    live, bulk = held(SCALING / "keda.yaml")["spec"]["triggers"]
    classes = [dict(MATCHER.findall(each["metadata"]["query"]))["priority"].split("|") for each in (live, bulk)]
    assert classes == [["predict", "explain"], ["bulk"]]
    assert float(live["metadata"]["threshold"]) < float(bulk["metadata"]["threshold"])
    assert {each["metricType"] for each in (live, bulk)} == {"Value"}, "a time is not a sum over servers"


@pytest.mark.parametrize("name", ["hpa", "keda"])
def test_it_scales_the_deployment_quickly_up_and_slowly_down(name: str) -> None:
    spec = held(SCALING / f"{name}.yaml")["spec"]
    assert spec["scaleTargetRef"]["name"] == deployment()["metadata"]["name"]
    least = spec.get("minReplicas", spec.get("minReplicaCount"))
    most = spec.get("maxReplicas", spec.get("maxReplicaCount"))
    assert deployment()["spec"]["replicas"] <= least < most
    assert least > held(DEPLOY / "kubernetes" / "poddisruptionbudget.yaml")["spec"]["minAvailable"]
    behaviour = spec.get("behavior") or spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    up, down = behaviour["scaleUp"], behaviour["scaleDown"]
    assert up["stabilizationWindowSeconds"] < down["stabilizationWindowSeconds"]
    assert [each["value"] for each in down["policies"]] == [1], "one server at a time"


def test_kedas_part_for_kubernetes_fits_the_schema_of_an_autoscaler() -> None:
    keda, hpa = held(SCALING / "keda.yaml")["spec"], held(SCALING / "hpa.yaml")
    hpa["spec"]["behavior"] = keda["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    kubernetes_validate.validate(hpa, kubernetes_validate.latest_version(), strict=True)
    assert keda["fallback"]["replicas"] <= keda["maxReplicaCount"]


def test_each_pod_of_a_scoring_job_has_a_shard_of_its_own(tmp_path: Path) -> None:
    spec = held(DEPLOY / "kubernetes" / "score" / "job.yaml")["spec"]
    (container,) = spec["template"]["spec"]["containers"]
    assert spec["completionMode"] == "Indexed"
    assert spec["parallelism"] <= spec["completions"]
    stub = tmp_path / "explicate"  # the pod's shell runs the line; what it would run is read by the real parser
    stub.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    stub.chmod(0o755)
    shards = []
    for index in range(spec["completions"]):
        environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "JOB_COMPLETION_INDEX": str(index)}
        told = subprocess.run(container["command"], env=environment, capture_output=True, text=True, check=True)
        arguments = build_parser().parse_args(told.stdout.splitlines())
        assert arguments.run.__module__ == "explicate.cli.score"
        assert arguments.inputs == ["/data/in/*.parquet"], "the pattern is the command's own, not the shell's"
        shards.append(arguments.shard)
    assert shards == [f"{number}/{len(shards)}" for number in range(1, 1 + len(shards))]
    mounts = {mount["name"] for mount in container["volumeMounts"]}
    assert mounts == {volume["name"] for volume in spec["template"]["spec"]["volumes"]}


def test_a_job_is_given_up_by_what_the_command_says() -> None:
    spec = held(DEPLOY / "kubernetes" / "score" / "job.yaml")["spec"]
    rules = spec["podFailurePolicy"]["rules"]
    by_code = {
        code: rule["action"] for rule in rules if "onExitCodes" in rule for code in rule["onExitCodes"]["values"]
    }
    assert by_code == {1: "FailIndex", 2: "FailJob", 143: "Ignore"}, "3, no server, is tried again"
    assert spec["template"]["spec"]["restartPolicy"] == "Never", "which a podFailurePolicy needs"
