"""Every runtime gives the exported model's answers, from as many threads as it has lanes and more."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from explicate_bundle.bundle import VerifiedBundle, verify_bundle
from explicate_server.modalities.modalities import open_modality
from explicate_server.modalities.modality import Modality
from explicate_server.registry.runtime_choice import AUTO
from explicate_server.runtime.model_runtime import RuntimeUnavailable, batched_by_length, run_rows
from explicate_server.runtime.queue import Row
from explicate_server.runtime.runtimes import DEFAULT_RUNTIME, RUNTIMES
from explicate_server.settings import SettingError, Settings

# Two ways of adding the same float32 numbers, in a model whose logits are about 2.
ROUNDING = 1e-4


@pytest.fixture(scope="module")
def bundle(tiny_repository: Path) -> VerifiedBundle:
    return verify_bundle(tiny_repository / "tiny" / "1", model="tiny", version=1)


@pytest.fixture(scope="module")
def modality(bundle: VerifiedBundle) -> Modality:
    return open_modality(bundle, Settings())


@pytest.fixture(scope="module")
def rows(bundle: VerifiedBundle, modality: Modality) -> list[Row]:
    return [modality.encode(value).row for value in bundle.golden().inputs]


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("name", RUNTIMES)
def test_a_runtime_answers_as_torch_did(
    bundle: VerifiedBundle, modality: Modality, rows: list[Row], name: str, threads: int
) -> None:
    runtime = RUNTIMES[name](bundle.model_path, threads=threads, reduced=False)
    assert (runtime.name, runtime.precision) == (f"{name}-cpu", "fp32")
    assert 1 <= runtime.lanes <= threads
    logits = run_rows(runtime, modality.collate, rows)
    np.testing.assert_allclose(logits, bundle.golden().outputs, rtol=0, atol=ROUNDING)


@pytest.mark.parametrize("name", RUNTIMES)
def test_runs_from_more_threads_than_lanes_do_not_mix(
    bundle: VerifiedBundle, modality: Modality, rows: list[Row], name: str
) -> None:
    runtime = RUNTIMES[name](bundle.model_path, threads=2, reduced=False)
    expected = bundle.golden().outputs
    # Each thread has a text of its own, and so a shape of its own, between those of the others.
    with ThreadPoolExecutor(6) as callers:
        answers = list(callers.map(lambda row: runtime.run(modality.collate([row]))[0], rows * 10))
    np.testing.assert_allclose(answers, np.tile(expected, (10, 1)), rtol=0, atol=ROUNDING)


def test_reduced_precision_is_named_and_near(bundle: VerifiedBundle, modality: Modality, rows: list[Row]) -> None:
    runtime = RUNTIMES["openvino"](bundle.model_path, threads=2, reduced=True)
    difference = np.abs(run_rows(runtime, modality.collate, rows) - bundle.golden().outputs).max()
    # bf16 keeps 8 bits of each number; fp32, where the chip has no bf16, keeps 24.
    assert ROUNDING < difference < 0.5 if runtime.precision == "bf16" else difference < ROUNDING
    assert runtime.precision in ("bf16", "fp32")


def test_a_missing_package_is_one_sentence_with_the_pip_line(
    bundle: VerifiedBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(
        RuntimeUnavailable, match=r"^the openvino package is missing: pip install 'explicate\[openvino\]'"
    ):
        RUNTIMES["openvino"](bundle.model_path, threads=1, reduced=True)


_LOAD_AND_WATCH = """
import sys
from pathlib import Path

seen = []
sys.addaudithook(lambda event, arguments: seen.append(event) if event.startswith("socket.") else None)
from explicate_server.runtime.runtimes import RUNTIMES

assert "openvino" not in sys.modules  # imported only when asked for
RUNTIMES[sys.argv[2]](Path(sys.argv[1]), threads=1, reduced=True)
assert not seen, seen
assert not any(name.startswith("openvino_telemetry.") for name in sys.modules)
"""


@pytest.mark.parametrize("name", RUNTIMES)
def test_loading_a_model_neither_calls_home_nor_writes_on_disk(
    bundle: VerifiedBundle, tmp_path: Path, name: str
) -> None:
    # Without the rest of the environment: its makers look for variables of build machines, and are silent there.
    environment = {"HOME": str(tmp_path), "PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", _LOAD_AND_WATCH, str(bundle.model_path), name]
    subprocess.run(command, check=True, env=environment, cwd=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_rows_are_batched_by_length_within_the_tokens() -> None:
    lengths = [9, 2, 30, 3, 10, 2]
    rows = [Row(length, np.zeros((1, length), dtype=np.int64)) for length in lengths]
    assert batched_by_length(rows, 20) == [[1, 5, 3], [0, 4], [2]]


def test_the_setting_takes_every_runtime_and_auto() -> None:
    assert Settings().runtime == DEFAULT_RUNTIME == next(iter(RUNTIMES))
    for name in [*RUNTIMES, AUTO]:
        assert Settings(runtime=name).runtime == name
    with pytest.raises(SettingError, match="--runtime is 'tensorflow'; it must be onnxruntime, openvino or auto"):
        Settings(runtime="tensorflow")


_TWO_AT_ONCE = """
import faulthandler, sys, threading
faulthandler.dump_traceback_later(60, exit=True)  # the process hangs with the interpreter lock: nobody else can end it
from explicate_server.runtime.openvino_runtime import _import_openvino
openvino = _import_openvino()
sys.setswitchinterval(1e-6)
together = threading.Barrier(4)
def use():
    together.wait()
    openvino.Type.f32.to_dtype()
threads = [threading.Thread(target=use) for _ in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print("done")
"""


def test_threads_that_use_openvino_at_first_do_not_wait_for_each_other() -> None:
    """In 24 of 25 processes they did, for ever: a C++ static of its bindings and the interpreter lock."""
    done = subprocess.run([sys.executable, "-c", _TWO_AT_ONCE], capture_output=True, text=True, check=False)
    assert done.stdout == "done\n", done.stderr
