"""`pip install explicate` gives the thin client, and nothing that belongs to the other packages.

It works with the lowest versions that it declares, and beside a package that holds protobuf back.
"""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.installed import ROOT, Environment, lowest_versions

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]
Install = Callable[..., Environment]

TEXT = "this tea is great but the box was not good"
_PROBE = """
import sys
import explicate
from explicate.v1 import inference_service_pb2_grpc

with explicate.Client("127.0.0.1:1", timeout_s=0.1) as client:
    try:
        client.predict("any", ["text"])
    except explicate.errors.ServerError as error:
        print(type(error).__name__)
print(sorted({"numpy", "onnxruntime", "torch", "rich", "shap"} & {name.partition(".")[0] for name in sys.modules}))
"""
# Every way to call, and an error whose details are messages of grpcio-status.
_CALLS = """
import asyncio
import json
import sys
import explicate

TEXT = "this tea is great but the box was not good"


async def score(address):
    async with explicate.AsyncClient(address, timeout_s=60) as client:
        return (await client.predict("tiny", [TEXT])).predictions[0].scores


address = sys.argv[1]
with explicate.Client(address, timeout_s=60) as client:
    prediction = client.predict("tiny", [TEXT]).predictions[0]
    explained = client.explain("tiny", TEXT, seed=7).explanation
    *_, streamed = client.stream_explain("tiny", TEXT, seed=7)
    try:
        client.predict("absent", [TEXT])
    except explicate.NotFound as error:
        refused = error.resource
values = [attribution.values for attribution in explained.attributions]
scores = [score.probability for score in prediction.scores]
awaited = [score.probability for score in asyncio.run(score(address))]
same = [attribution.values for attribution in streamed.explanation.attributions] == values and awaited == scores
print(json.dumps({"label": prediction.label, "scores": scores, "values": values, "refused": refused, "same": same}))
"""


def answers_here(address: str) -> Any:
    """What the same calls give in the ordinary environment."""
    done = subprocess.run([sys.executable, "-c", _CALLS, address], capture_output=True, text=True, check=True)
    answers = json.loads(done.stdout)
    assert answers["same"]
    assert answers["refused"] == ["model", "absent"]
    return answers


def test_the_bare_wheel_is_a_working_client(install: Install) -> None:
    installed = install("-c", str(ROOT / "constraints.txt"))
    error, imported = installed.python(_PROBE).splitlines()
    assert error in ("Unavailable", "DeadlineExceeded")
    assert imported == "[]"
    versions = installed.versions()
    assert "grpcio" in versions
    assert not {"torch", "numpy"} & set(versions)
    helped = installed.command("--help")
    assert helped.returncode == 0, helped.stderr
    assert "predict" in helped.stdout
    missing = installed.command("serve")
    assert missing.returncode == 1
    assert "pip install 'explicate[server]'" in missing.stderr


def test_the_readme_runs_on_the_bare_wheel(install: Install, tiny_address: str) -> None:
    (snippet,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert 'Client("127.0.0.1:8500")' in snippet
    program = snippet.replace("127.0.0.1:8500", tiny_address).replace("food-reviews", "tiny").replace("2.0", "60.0")
    told = install("-c", str(ROOT / "constraints.txt")).python(program)
    assert "Contribution(" in told
    assert "tiny version 1" in told
    assert "│" in told


def test_the_command_line_and_scoring_run_on_their_extras(wheel: Path, tiny_address: str, tmp_path: Path) -> None:
    installed = Environment.make(tmp_path / "extras", f"{wheel}[cli,batch]", "-c", str(ROOT / "constraints.txt"))
    explained = installed.command("explain", "--server", tiny_address, "--format", "text", "--top-k", "3", TEXT)
    assert explained.returncode == 0, explained.stderr
    assert explained.stdout.startswith(("great ", "other "))
    predicted = installed.command("predict", "--server", tiny_address, TEXT)
    assert json.loads(predicted.stdout)["prediction"]["label"] in ("great", "other")
    (tmp_path / "in.csv").write_text(f"id,text\n1,{TEXT}\n2,a box of tea\n", encoding="utf-8")
    scored = installed.command(
        *("score", "--server", tiny_address, "--model", "tiny", "--input", str(tmp_path / "in.csv")),
        *("--output", str(tmp_path / "out"), "--explain", "kernel-shap", "--explain-if", "probability < 1.1"),
    )
    assert scored.returncode == 0, scored.stderr
    assert (tmp_path / "out" / "_SUCCESS").exists()
    assert not {"numpy", "torch", "pandas"} & set(installed.versions())


def test_the_client_works_with_the_lowest_versions_it_declares(install: Install, tiny_address: str) -> None:
    lowest = lowest_versions()
    installed = install(*(f"{name}=={version}" for name, version in lowest.items()))
    assert lowest.items() <= installed.versions().items()
    installed.pip("check")
    assert json.loads(installed.python(_CALLS, tiny_address)) == answers_here(tiny_address)


def test_the_client_works_beside_tritonclient(install: Install, tiny_address: str) -> None:
    installed = install("tritonclient[grpc]==2.73.0")  # asks for protobuf below 7
    installed.pip("check")
    answers = installed.python("import tritonclient.grpc\n" + _CALLS, tiny_address)
    assert json.loads(answers) == answers_here(tiny_address)
    installed.python("import explicate.v1.inference_service_pb2_grpc\nimport tritonclient.grpc")  # in either order
