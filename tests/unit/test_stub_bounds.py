"""The bounds in pyproject.toml say what the committed stubs accept, no more and no less."""

import re

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from support.installed import ROOT, base_requirements, project

STUBS = ROOT / "clients" / "python" / "explicate" / "v1"
BASE = {held.name: held.specifier for held in base_requirements()}
EXTRAS = [Requirement(text) for texts in project()["optional-dependencies"].values() for text in texts]


def generated_for(pattern: str, files: str) -> Version:
    """The version that all of these stubs name with the pattern."""
    texts = [path.read_text(encoding="utf-8") for path in STUBS.glob(files)]
    assert texts
    (found,) = {re.findall(pattern, text, re.MULTILINE)[0] for text in texts}
    return Version(found)


def test_protobuf_is_the_one_that_the_stubs_are_generated_for_up_to_the_next_major() -> None:
    """https://protobuf.dev/support/cross-version-runtime-guarantee."""
    generated = generated_for(r"^# Protobuf Python Version: (\S+)$", "*_pb2.py")
    assert BASE["protobuf"] == SpecifierSet(f">={generated},<{generated.major + 2}")


@pytest.mark.parametrize("name", ["grpcio", "grpcio-status"])
def test_grpc_is_at_least_the_one_that_the_stubs_ask_for(name: str) -> None:
    generated = generated_for(r"^GRPC_GENERATED_VERSION = '(\S+)'$", "*_pb2_grpc.py")
    assert BASE[name] == SpecifierSet(f">={generated}")


def test_no_extra_declares_less_than_the_base_does() -> None:
    lowest = generated_for(r"^GRPC_GENERATED_VERSION = '(\S+)'$", "*_pb2_grpc.py")
    bounds = {held.name: held.specifier for held in EXTRAS if held.name.startswith("grpcio-")}
    assert bounds
    assert {name for name, bound in bounds.items() if any(Version(each.version) < lowest for each in bound)} == set()


def test_the_compiler_is_pinned_with_all_that_it_brings() -> None:
    lines = (ROOT / "protos" / "requirements.txt").read_text(encoding="utf-8").splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    assert {"grpcio-tools", "mypy-protobuf", "protobuf"} <= {pin.name for pin in pins}
    assert all(re.fullmatch(r"==[0-9.]+", str(pin.specifier)) for pin in pins)
