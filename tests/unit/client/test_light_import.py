"""The thin client stays thin."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent import futures

import grpc

HEAVY = {"numpy", "shap", "rich", "PIL", "torch", "transformers", "onnxruntime", "matplotlib", "pandas", "pyarrow"}
OURS = {"explicate_server", "explicate_training", "explicate_export"}


def modules_after(code: str, *arguments: str, whole: bool = False) -> set[str]:
    """The packages that some code loads; with `whole` all modules."""
    program = f"{code}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    answer = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True)
    loaded = set(json.loads(answer.stdout.splitlines()[-1]))
    return loaded if whole else {name.partition(".")[0] for name in loaded}


def test_import_brings_no_grpc():
    assert not modules_after("import explicate") & (HEAVY | OURS | {"grpc", "google"})


def test_clients_need_grpc_and_protobuf_only():
    code = "import explicate\nexplicate.Client('127.0.0.1:1').close()\nexplicate.AsyncClient()"
    assert not modules_after(code) & (HEAVY | OURS)


def test_commands_register_without_what_they_run_with():
    code = """
import argparse
from explicate.cli import register
register(argparse.ArgumentParser().add_subparsers())"""
    assert not modules_after(code) & (HEAVY | OURS | {"grpc", "google"})


def test_every_public_name_is_there():
    import explicate

    assert all(getattr(explicate, name) is not None for name in explicate.__all__)


PROBE = """
import sys
from explicate.cli.main import main
assert main(["health", sys.argv[1]]) == 0"""


def test_a_probe_loads_grpc_alone():
    check = grpc.unary_unary_rpc_method_handler(lambda _request, _context: b"\x08\x01")
    probed = grpc.server(futures.ThreadPoolExecutor(1))
    probed.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Check": check}),))
    port = probed.add_insecure_port("127.0.0.1:0")
    probed.start()
    try:
        loaded = modules_after(PROBE, f"127.0.0.1:{port}", whole=True)
    finally:
        probed.stop(None)
    assert "grpc" in loaded
    assert not {name.partition(".")[0] for name in loaded} & (HEAVY | OURS | {"google"})
    # The commands' own modules, what answers are made of, and what only an error or a file of contexts needs.
    others = {"explicate.results", "explicate.model_info", "explicate.cli.predict", "difflib", "importlib.metadata"}
    assert not loaded & others
