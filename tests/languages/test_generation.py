"""buf.gen.yaml gives code in each language, and docs/languages.md says where it is.

Its plugins run at buf.build. Here each language whose plugins this machine has runs by these; the others are skipped.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
TEMPLATE = yaml.safe_load((ROOT / "buf.gen.yaml").read_text())
# What is the same plugin on this machine.
LOCAL = {
    "buf.build/bufbuild/es": {"local": str(ROOT / "clients/typescript/node_modules/.bin/protoc-gen-es")},
    "buf.build/protocolbuffers/go": {"local": "protoc-gen-go"},
    "buf.build/grpc/go": {"local": "protoc-gen-go-grpc"},
    "buf.build/protocolbuffers/java": {"protoc_builtin": "java"},
    "buf.build/grpc/java": {"local": "grpc_java_plugin"},
}
LANGUAGES = sorted({plugin["out"].removeprefix("gen/") for plugin in TEMPLATE["plugins"]})
# A file of each with the messages, and one with the calls.
FILES = {
    "typescript": ("explicate/v1/explanation_pb.ts", "explicate/v1/inference_service_pb.ts"),
    "go": ("explicate/v1/explanation.pb.go", "explicate/v1/inference_service_grpc.pb.go"),
    "java": ("dev/explicate/v1/Explanation.java", "dev/explicate/v1/InferenceServiceGrpc.java"),
}


def test_every_language_of_the_template_is_told() -> None:
    told = (ROOT / "docs" / "languages.md").read_text(encoding="utf-8").lower()
    names = {"cpp": "c++", "csharp": "c#"}
    assert [each for each in LANGUAGES if names.get(each, each) not in told] == []


@pytest.mark.parametrize("language", FILES)
def test_template_gives_messages_and_calls(language: str, tmp_path: Path) -> None:
    plugins = [plugin for plugin in TEMPLATE["plugins"] if plugin["out"] == f"gen/{language}"]
    here = [{**_without_remote(plugin), **LOCAL[plugin["remote"]]} for plugin in plugins]
    missing = [_program(plugin) for plugin in here if shutil.which(_program(plugin)) is None]
    if missing:
        pytest.skip(f"{language} is not generated here: {', '.join(missing)} is not installed")
    template = json.dumps({**TEMPLATE, "plugins": here})
    buf = Path(sys.executable).parent / "buf"
    command = [str(buf), "generate", "--template", template, "--output", str(tmp_path)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    assert ended.returncode == 0, ended.stderr
    for name in FILES[language]:
        assert "explicate.v1" in (tmp_path / "gen" / language / name).read_text(encoding="utf-8")


def _without_remote(plugin: dict[str, object]) -> dict[str, object]:
    return {key: value for key, value in plugin.items() if key != "remote"}


def _program(plugin: dict[str, object]) -> str:
    return str(plugin.get("local", "protoc"))
