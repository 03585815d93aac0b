"""The real Envoy with the configuration of deploy/envoy, in front of a test's servers."""

import json
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from support.served_arguments import DEPLOY

CONFIG = DEPLOY / "envoy" / "envoy.yaml"
TLS_MARK = "#tls "


def envoy_binary() -> str | None:
    """Where `make envoy` put it, or the machine's own; None where there is none."""
    own = DEPLOY.parent / ".venv" / "envoy" / "bin" / "envoy"
    return str(own) if own.exists() else shutil.which("envoy")


def configuration(*, tls: bool = False) -> dict[str, Any]:
    """The file as a person would run it, with its anchors resolved; `tls` takes the marks off."""
    text = CONFIG.read_text("utf-8")
    held: dict[str, Any] = yaml.safe_load(text.replace(TLS_MARK, "") if tls else text)
    return held


@dataclass(frozen=True)
class Envoy:
    """An Envoy that runs: its process, the address of the calls, and those of the watching and the admin port."""

    process: "subprocess.Popen[bytes]"
    target: str
    watching: str
    admin: str
    folder: Path

    def counts(self, *names: str) -> dict[str, dict[str, int]]:
        """Counters of each server that calls go to, added up over the clusters, by its address: rq_total and others."""
        told = json.loads(_read(f"http://{self.admin}/clusters?format=json"))
        counts: dict[str, dict[str, int]] = {}
        of_servers = (each for each in told["cluster_statuses"] if each["name"].startswith("explicate"))
        for host in (host for cluster in of_servers for host in cluster.get("host_statuses", ())):
            place = host["address"]["socket_address"]
            of_host = counts.setdefault(f"{place['address']}:{place['port_value']}", dict.fromkeys(names, 0))
            for stat in host["stats"]:
                if stat["name"] in names:
                    of_host[stat["name"]] += int(stat.get("value", 0))
        return counts

    def statistic(self, name: str) -> int:
        """A counter or gauge by its full name."""
        (line,) = _read(f"http://{self.admin}/stats?filter=^{name}$").splitlines()
        return int(line.rpartition(" ")[2])

    def access_log(self) -> list[dict[str, Any]]:
        """The lines written so far."""
        return [json.loads(line) for line in (self.folder / "access.log").read_text("utf-8").splitlines()]


@contextmanager
def envoy_before(
    folder: Path, servers: Sequence[str], *, weights: Sequence[int] = (), config: dict[str, Any] | None = None
) -> Iterator[Envoy]:
    """The shipped configuration with these addresses of servers in place of its own, and free ports of 127.0.0.1."""
    binary = envoy_binary()
    assert binary is not None
    held = config or configuration()
    admin = _port()
    held["admin"]["address"]["socket_address"]["port_value"] = admin
    for listener in held["static_resources"]["listeners"]:
        listener["address"]["socket_address"] = {"address": "127.0.0.1", "port_value": 0}
    _set_servers(held, servers, weights or [1] * len(servers))
    path = folder / "envoy.json"
    path.write_text(json.dumps(held), "utf-8")
    command = [binary, "-c", str(path), "--use-dynamic-base-id", "--concurrency", "1", "-l", "warning"]
    with (folder / "access.log").open("wb") as out, (folder / "envoy.log").open("wb") as told:
        process = subprocess.Popen(command, stdout=out, stderr=told)
    try:
        ports = _listening(process, f"127.0.0.1:{admin}", folder)
        yield Envoy(process, ports["calls"], ports["watching"], f"127.0.0.1:{admin}", folder)
    finally:
        process.terminate()
        process.wait(20)


def _set_servers(held: dict[str, Any], servers: Sequence[str], weights: Sequence[int]) -> None:
    """The marked lines of the file. pyyaml resolves an anchor to one object, so the other cluster has them too."""
    hosts = [(*server.rsplit(":", 1), weight) for server, weight in zip(servers, weights, strict=True)]
    endpoints = held["static_resources"]["clusters"][0]["load_assignment"]["endpoints"]
    endpoints[0]["lb_endpoints"] = [
        {
            "load_balancing_weight": weight,
            "endpoint": {"address": {"socket_address": {"address": host, "port_value": int(port)}}},
        }
        for host, port, weight in hosts
    ]


def _listening(process: "subprocess.Popen[bytes]", admin: str, folder: Path) -> dict[str, str]:
    """The listeners' addresses by name, once they listen: after the first health checks."""
    while process.poll() is None:
        try:
            told = json.loads(_read(f"http://{admin}/listeners?format=json"))
        except OSError:
            told = {}
        places = {each["name"]: each["local_address"]["socket_address"] for each in told.get("listener_statuses", ())}
        if len(places) == 2 and _read(f"http://{admin}/server_info").find('"LIVE"') >= 0:
            return {name: f"{place['address']}:{place['port_value']}" for name, place in places.items()}
        time.sleep(0.02)  # another process, which has no event for us
    raise AssertionError((folder / "envoy.log").read_text("utf-8"))


def _read(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:
        text: str = answer.read().decode()
    return text


def _port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
    return port
