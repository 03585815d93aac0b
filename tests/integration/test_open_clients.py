"""tritonclient and KServe's client, unchanged and in an environment of their own, against the real server's process."""

import json
import os
import platform
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from explicate_server.rpc.open_inference.protocol import POOL, SERVICE
from support.harness import server_process
from support.open_inference import columns, infer_request, message
from support.process_group import CONNECTIONS
from support.tiny_table_bundle import LABELS, tiny_table
from tools.shape import ROOT

ENVIRONMENT = ROOT / ".venv" / "open_inference" / "bin"
FOLDER = ROOT / "tests" / "open_inference"
CLOSE = 5e-6
LOSSES = tiny_table(labels=(), seed=1)
ROW = LOSSES.cells(*(each[0] for each in LOSSES.rows(1, missing=0.0)))
pytestmark = pytest.mark.skipif(
    not (ENVIRONMENT / "python").exists(), reason="no tritonclient here: `make open-inference` installs it"
)
NUMBERS = {"income", "debt_short", "age", "debt_long"}


@pytest.fixture(scope="module")
def address(tiny_repository: Path, table_repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of two processes with a text model and tables."""
    repository = tmp_path_factory.mktemp("open") / "repository"
    for source in (tiny_repository, table_repository):
        shutil.copytree(source, repository, dirs_exist_ok=True)
    flags = ["--processes", "2"] if platform.system() == "Linux" else []
    with server_process(repository, "--device", "cpu", "--threads", "1", *flags) as (_, listening):
        yield listening


def printed(script: str, *arguments: str) -> Any:
    """What a script of this folder prints, in the environment that has the clients and not the server."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "clients" / "python")}
    command = [str(ENVIRONMENT / "python"), str(FOLDER / script), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_tritonclient_is_answered_unary_in_streams_and_by_asyncio(address: str) -> None:
    found = printed("triton_script.py", address)
    unary, streamed, own = found["unary"], found["stream"], found["explicate"]
    assert (unary["live"], unary["ready"], unary["model_ready"]) == (True, True, [True, True, False])
    assert {"statistics", "model_configuration", "model_repository"} <= set(unary["server"]["extensions"])
    assert {tensor["name"] for tensor in unary["metadata"]["inputs"] if tensor["datatype"] == "FP64"} == NUMBERS
    assert [tensor["name"] for tensor in unary["metadata"]["outputs"]] == ["label", "probabilities"]
    assert unary["config"]["config"]["max_batch_size"] == 1024
    assert {model["name"]: model["state"] for model in unary["index"]["models"]} == dict.fromkeys(
        ("loans", "losses", "tiny"), "READY"
    )
    assert unary["rows"]["label"] == [LABELS[int(np.argmax(row))] for row in own["loans"]]
    assert np.array(unary["rows"]["probabilities"]) == pytest.approx(np.array(own["loans"]), abs=CLOSE)
    assert unary["explained"]["attributions"] == own["explained"]
    assert len(unary["explained"]["features"]) == np.size(own["explained"])
    assert json.loads(unary["explained"]["explanation"][0])["model"]["model"] == "loans"
    (statistics,) = unary["statistics"]["model_stats"]
    assert int(statistics["inference_stats"]["success"]["count"]) >= 1
    assert unary["refused"].startswith("StatusCode.INVALID_ARGUMENT")
    assert "inputs[income]: is left out" in unary["refused"]
    assert unary["missing"].startswith("StatusCode.UNIMPLEMENTED")
    assert "tensors come in the request" in unary["missing"]
    assert streamed["ids"] == ["first", "third"]
    assert "inputs[text][0]: is empty" in streamed["second"]
    assert len(streamed["third"]["attributions"][0]) == 2
    for texts in (streamed["first"], found["aio"]["infer"]):
        assert np.array(texts["probabilities"]) == pytest.approx(np.array(own["tiny"]), abs=CLOSE)
    alone = np.array([each["probabilities"][0] for each in found["aio"]["stream"]])
    assert alone == pytest.approx(np.array(own["tiny"]), abs=CLOSE)


def test_kserves_client_is_answered_and_loads_by_its_own_field(address: str) -> None:
    found = printed("kserve_script.py", address)
    assert (found["live"], found["ready"], found["model_ready"]) == (True, True, [True, False])
    assert found["texts_id"] == "7"
    assert np.sum(found["texts"]["probabilities"], axis=1) == pytest.approx([1.0, 1.0])
    assert found["raw"] == found["typed"]
    assert [row[0] for row in found["raw"]["value"]] == found["explicate"]
    assert found["metadata"] == ["tiny", ["text"]]
    assert found["loaded"] == ["tiny", True]


@pytest.mark.parametrize("client", ["triton", "kserve"])
def test_every_field_has_the_number_and_the_type_of_the_clients(client: str) -> None:
    theirs = printed("told_fields.py", client)
    common = 0
    for whole in POOL.FindFileByName("open_inference.proto").message_types_by_name.values():
        for each in (whole, *whole.nested_types):
            fields = theirs.get(each.full_name, {})
            for field in each.fields:
                if str(field.number) in fields and (client, each.name) not in _OTHER_DIALECT:
                    name, *kind = fields[str(field.number)]
                    assert _plain(name) == _plain(field.name)
                    assert kind == [field.type, field.is_repeated], field.full_name
                    common += 1
    assert common > 60


def _plain(name: str) -> str:
    return name.lower().replace("_", "")


# KServe has the model's name in field 1 of these, and what a load did in field 2 of its answers.
_OTHER_DIALECT = {("kserve", f"RepositoryModel{verb}Request") for verb in ("Load", "Unload")}


def test_the_statistics_of_several_processes_are_told_by_each(address: str) -> None:
    request = infer_request("losses", columns([ROW] * 3))
    with ExitStack() as held:
        options = [("grpc.use_local_subchannel_pool", 1)]
        channels = [held.enter_context(grpc.insecure_channel(address, options)) for _ in range(CONNECTIONS)]
        before = requests_of(channels[0])
        for channel in channels:
            of_method(channel, "ModelInfer")(request)
        assert {requests_of(channel) - before for channel in channels} == {CONNECTIONS}


def requests_of(channel: grpc.Channel) -> int:
    """Requests for "losses" that were answered, as one process tells it."""
    answer = of_method(channel, "ModelStatistics")(message("ModelStatisticsRequest")(name="losses"))
    count: int = answer.model_stats[0].inference_stats.success.count
    return count


def of_method(channel: grpc.Channel, name: str) -> Any:
    """A method to call."""
    return channel.unary_unary(
        f"/{SERVICE}/{name}",
        request_serializer=lambda each: each.SerializeToString(),
        response_deserializer=message(f"{name}Response").FromString,
    )


@pytest.mark.skipif(
    platform.libc_ver()[0] == "glibc" and tuple(map(int, platform.libc_ver()[1].split("."))) < (2, 38),
    reason="perf_analyzer on PyPI needs glibc 2.38; this machine's is older",
)
def test_perf_analyzer_measures_a_table(address: str, tmp_path: Path) -> None:
    analyzer, data = ENVIRONMENT / "perf_analyzer", tmp_path / "rows.json"
    assert analyzer.exists(), "make open-inference installs it where glibc allows"
    rows: dict[str, list[Any]] = {"income": [1.5], "purpose": ["car"], "debt_short": [0.5], "owner": ["true"]}
    rows |= {"age": [0.2], "rating": ["low"], "debt_long": [1.0]}
    data.write_text(json.dumps({"data": [rows]}), encoding="utf-8")
    command = [str(analyzer), "-m", "loans", "-i", "grpc", "-u", address, "--input-data", str(data), "-p", "1000"]
    done = subprocess.run([*command, "-s", "50"], capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "infer/sec" in done.stdout
