"""connect-web and connect-node, the libraries of browsers and Node for the Connect protocol, against the console.

Skipped where there is no Node 20 or npm, and where npm cannot install them: without a network and without a cache.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from google.protobuf import descriptor_pb2
from google.protobuf.descriptor import Descriptor, FileDescriptor
from google.rpc import error_details_pb2

from explicate.v1 import inference_service_pb2, model_service_pb2
from support.console import console_process
from support.harness import server_process

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
PROGRAM = Path(__file__).parent / "connect"
OLDEST_NODE = 20


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program with the packages that it imports."""
    if shutil.which("npm") is None or int(_run("node", "--version").lstrip("v").split(".")[0]) < OLDEST_NODE:
        pytest.skip(f"connect-web is tried on Node {OLDEST_NODE} or later with npm; here there is none")
    folder = tmp_path_factory.mktemp("connect")
    shutil.copytree(PROGRAM, folder, dirs_exist_ok=True)
    install = ["npm", "ci", "--ignore-scripts", "--prefer-offline", "--no-audit", "--no-fund", "--loglevel=error"]
    ended = subprocess.run(install, cwd=folder, capture_output=True, text=True, timeout=200)
    if ended.returncode:
        pytest.skip(f"npm cannot install connect-web: {ended.stderr.strip()[:300]}")
    return folder / "asks.mjs"


def test_connect_web_and_connect_node_call_every_kind_of_method(program: Path, tiny_repository: Path) -> None:
    descriptors = program.parent / "descriptors.bin"
    descriptors.write_bytes(_descriptors().SerializeToString())
    with server_process(tiny_repository, "--threads", "1") as (_, target), console_process(target) as url:
        lines = _run("node", str(program), url, str(descriptors)).splitlines()
    found = {told.pop("by"): told for told in map(json.loads, lines)}
    assert set(found) == {f"connect-{name} {kind}" for name in ("web", "node") for kind in ("JSON", "protobuf")}
    for told in found.values():
        assert told["requestId"] == told["streamRequestId"] == "from-node"
        assert told["label"] in ("bad", "great")
        assert (told["finals"], told["features"]) == (1, 10)
        for refused in (told["refused"], told["refusedStream"]):
            assert (refused["code"], refused["fields"]) == ("InvalidArgument", ["options.confidence"])
        assert told["late"] == "DeadlineExceeded"
        assert told["aborted"] == "Canceled"
    assert len({json.dumps(told) for told in found.values()}) == 1


def _descriptors() -> descriptor_pb2.FileDescriptorSet:
    """The contract with all that it imports, in the order that readers need."""
    made, seen = descriptor_pb2.FileDescriptorSet(), set[str]()

    def add(file: FileDescriptor) -> None:
        if file.name in seen:
            return
        seen.add(file.name)
        for each in file.dependencies:
            add(each)
        told = made.file.add()
        file.CopyToProto(told)
        for message in told.message_type:
            _name_fields(message, file.message_types_by_name[message.name])

    for file in (inference_service_pb2.DESCRIPTOR, model_service_pb2.DESCRIPTOR, error_details_pb2.DESCRIPTOR):
        add(file)
    return made


def _name_fields(message: descriptor_pb2.DescriptorProto, known: Descriptor) -> None:
    """CopyToProto leaves out the names that fields have in JSON."""
    for field in message.field:
        field.json_name = known.fields_by_name[field.name].json_name
    for nested in message.nested_type:
        _name_fields(nested, known.nested_types_by_name[nested.name])


def _run(*command: str) -> str:
    ended = subprocess.run(command, env=os.environ, capture_output=True, text=True, timeout=100)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout
