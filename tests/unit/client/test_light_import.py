"""The thin client stays thin."""

from __future__ import annotations

import json
import subprocess
import sys

HEAVY = {"numpy", "shap", "rich", "PIL", "torch", "transformers", "onnxruntime", "matplotlib", "pandas", "pyarrow"}
OURS = {"explicate_server", "explicate_training", "explicate_export"}


def modules_after(code: str) -> set[str]:
    program = f"{code}\nimport json, sys\nprint(json.dumps(sorted({{name.partition('.')[0] for name in sys.modules}})))"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(json.loads(answer.stdout.splitlines()[-1]))


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
