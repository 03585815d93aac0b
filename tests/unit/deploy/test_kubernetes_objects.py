"""The Kubernetes objects: by Kubernetes' own schemas, and as the server needs them."""

from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from explicate._wire.channel import service_config
from explicate.v1 import inference_service_pb2
from support.served_arguments import DEPLOY, served_settings

FOLDER = DEPLOY / "kubernetes"
FILES = sorted(FOLDER.rglob("*.yaml"))
# Kinds that come with operators and not with Kubernetes.
FOREIGN = {"monitoring.coreos.com/v1", "keda.sh/v1alpha1"}
# The oldest that is supported upstream today, and the newest that the schemas know.
VERSIONS = ("1.33", kubernetes_validate.latest_version())


def objects() -> list[dict[str, Any]]:
    """What `kubectl apply -f` takes of the folder: not what is in folders inside it."""
    return [held for path in FOLDER.glob("*.yaml") for held in yaml.safe_load_all(path.read_text("utf-8"))]


def one(kind: str) -> dict[str, Any]:
    (found,) = [held for held in objects() if held["kind"] == kind]
    return found


@pytest.fixture(name="pod")
def _pod() -> dict[str, Any]:
    pod: dict[str, Any] = one("Deployment")["spec"]["template"]["spec"]
    return pod


@pytest.fixture(name="container")
def _container(pod: dict[str, Any]) -> dict[str, Any]:
    (container,) = pod["containers"]
    held: dict[str, Any] = container
    return held


def on_a_gpu() -> dict[str, Any]:
    """The deployment that takes the place of the one on CPUs."""
    held: dict[str, Any] = yaml.safe_load((FOLDER / "gpu" / "deployment.yaml").read_text("utf-8"))
    return held


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_object_fits_the_schema_of_its_kind(path: Path, version: str) -> None:
    for held in yaml.safe_load_all(path.read_text("utf-8")):
        if held["apiVersion"] not in FOREIGN:
            kubernetes_validate.validate(held, version, strict=True)


def test_the_schema_would_refuse_a_misspelt_field() -> None:
    held = one("Deployment")
    held["spec"]["template"]["spec"]["containers"][0]["readynessProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(held, VERSIONS[-1], strict=True)


def test_the_command_is_one_that_the_server_takes(container: dict[str, Any]) -> None:
    settings = served_settings(container["args"])
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert settings.listen == f"0.0.0.0:{ports['grpc']}"
    assert settings.metrics_listen == f"0.0.0.0:{ports['metrics']}"
    mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
    assert mounts[str(settings.repository)]["readOnly"] is True
    assert settings.max_connection_age_s > 0


def test_threads_follow_the_limit_of_the_container(container: dict[str, Any]) -> None:
    assert "env" not in container
    assert served_settings(container["args"]).threads == 0, "the server reads the quota of its control group"
    assert int(container["resources"]["limits"]["cpu"]) >= 1


def test_nothing_runs_as_root_or_can_write_to_its_image(pod: dict[str, Any], container: dict[str, Any]) -> None:
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] >= 10000
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    own = container["securityContext"]
    assert own["readOnlyRootFilesystem"] is True
    assert own["allowPrivilegeEscalation"] is False
    assert own["capabilities"] == {"drop": ["ALL"]}
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}


def test_it_may_be_killed_only_after_the_drain(pod: dict[str, Any], container: dict[str, Any]) -> None:
    command, seconds = container["lifecycle"]["preStop"]["exec"]["command"]
    assert command == "sleep"
    assert pod["terminationGracePeriodSeconds"] > int(seconds) + served_settings(container["args"]).drain_s


def test_probes_ask_for_readiness_and_liveness_by_their_names(container: dict[str, Any]) -> None:
    ready = inference_service_pb2.DESCRIPTOR.services_by_name["InferenceService"].full_name
    port = container["ports"][0]["containerPort"]
    assert container["startupProbe"]["grpc"] == {"port": port, "service": ready}
    assert container["readinessProbe"]["grpc"] == {"port": port, "service": ready}
    assert container["livenessProbe"]["grpc"] == {"port": port}, "a server without a model is alive"


def test_the_service_is_headless_for_clients_that_balance(container: dict[str, Any]) -> None:
    service = one("Service")["spec"]
    assert service["clusterIP"] == "None"
    names = {port["name"] for port in container["ports"]}
    assert {port["targetPort"] for port in service["ports"]} == names
    assert '"round_robin"' in service_config("dns:///explicate:8500"), "what the address's comment promises"


def test_everything_selects_the_labels_of_the_pods() -> None:
    labels = one("Deployment")["spec"]["template"]["metadata"]["labels"]
    assert one("Deployment")["spec"]["selector"]["matchLabels"] == labels
    assert one("Service")["spec"]["selector"] == labels
    assert one("PodDisruptionBudget")["spec"]["selector"]["matchLabels"] == labels
    assert (
        one("ServiceMonitor")["spec"]["selector"]["matchLabels"].items() <= one("Service")["metadata"]["labels"].items()
    )
    assert one("ServiceMonitor")["spec"]["endpoints"][0]["port"] in {
        port["name"] for port in one("Service")["spec"]["ports"]
    }


def test_the_budget_leaves_room_for_a_node_to_be_drained() -> None:
    assert 0 < one("PodDisruptionBudget")["spec"]["minAvailable"] < one("Deployment")["spec"]["replicas"]


def test_the_claim_is_the_one_that_is_mounted(pod: dict[str, Any]) -> None:
    claims = {
        volume["persistentVolumeClaim"]["claimName"] for volume in pod["volumes"] if "persistentVolumeClaim" in volume
    }
    assert claims == {one("PersistentVolumeClaim")["metadata"]["name"]}


def test_a_server_on_a_gpu_asks_for_the_device_for_its_memory_and_for_more_of_the_machines() -> None:
    pod = on_a_gpu()["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert served_settings(container["args"]).device == "cuda", "it must not serve from the CPU unnoticed"
    (term,) = pod["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    (memory,) = term["matchExpressions"]
    assert (memory["key"], memory["operator"]) == ("nvidia.com/gpu.memory", "Gt")
    (mib,) = memory["values"]
    assert int(mib) << 20 > served_settings(container["args"]).device_reserve_bytes
    assert pod["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
    (on_cpu,) = one("Deployment")["spec"]["template"]["spec"]["containers"]
    for bound in ("requests", "limits"):
        ours, theirs = container["resources"][bound]["memory"], on_cpu["resources"][bound]["memory"]
        assert int(ours.removesuffix("Gi")) > int(theirs.removesuffix("Gi"))


def test_a_rollout_on_gpus_needs_no_device_more_and_leaves_one_server_answering() -> None:
    spec = on_a_gpu()["spec"]
    update = spec["strategy"]["rollingUpdate"]
    assert update == {"maxSurge": 0, "maxUnavailable": 1}
    assert spec["replicas"] - update["maxUnavailable"] >= one("PodDisruptionBudget")["spec"]["minAvailable"]


def test_on_a_gpu_nothing_differs_but_what_it_asks_for() -> None:
    cpu, gpu = one("Deployment"), on_a_gpu()
    for held in (cpu, gpu):
        del held["spec"]["strategy"]
        pod = held["spec"]["template"]["spec"]
        pod.pop("tolerations", None)
        pod.pop("affinity", None)
        (container,) = pod["containers"]
        assert container.pop("image").removesuffix("-cuda") == "explicate:0.1.0"
        del container["resources"]
        container["args"] = [each for each in container["args"] if not each.startswith("--device=")]
    assert gpu == cpu
