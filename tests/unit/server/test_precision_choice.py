"""Which precision serves: one that suits the device and gives the golden answers there; others are refused by name."""

import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from explicate_bundle.bundle import VerifiedBundle, verify_bundle
from explicate_bundle.errors import BundleError
from explicate_server.device import CPU, Device
from explicate_server.modalities.modalities import open_modality
from explicate_server.registry import runtime_choice
from explicate_server.registry.golden_check import Trial
from explicate_server.registry.runtime_choice import AUTO, NoRuntime, choose_runtime
from explicate_server.runtime.model_runtime import Runtime
from explicate_server.runtime.onnx_runtime import OnnxRuntime
from explicate_server.settings import Settings
from support.bundle_edits import add_variant, edit_manifest
from support.exported import moved_graph

GPU = Device("toy", 0)


@pytest.fixture
def folder(tiny_repository: Path, tmp_path: Path) -> Path:
    """A text classifier's bundle with variants that are copies of its graph."""
    copied = Path(shutil.copytree(tiny_repository / "tiny" / "1", tmp_path / "tiny" / "1"))
    for precision in ("fp16", "int8"):
        add_variant(copied, precision, (copied / "model.onnx").read_bytes())
    return copied


class Loads:
    """Loads with ONNX Runtime, and notes what."""

    def __init__(self) -> None:
        self.files: list[str] = []

    def __call__(self, model_path: Path, *, threads: int, reduced: bool) -> Runtime:
        self.files.append(model_path.name)
        return OnnxRuntime(model_path, threads=threads, reduced=reduced)


def choose(
    folder: Path,
    *,
    precision: str = AUTO,
    device: Device = CPU,
    runtime: str = "onnxruntime",
    loads: Loads | None = None,
) -> tuple[Runtime, list[Trial]]:
    bundle = verify_bundle(folder, model="tiny", version=1)
    loaders = {"onnxruntime": loads or Loads(), "openvino": Loads()}
    return choose_runtime(
        bundle,
        open_modality(bundle, Settings()),
        runtime=runtime,
        threads=1,
        loaders=loaders,
        precision=precision,
        device=device,
    )


def replace_variant(folder: Path, precision: str, content: bytes) -> None:
    """Another graph in the place of a variant, listed as the old one was."""
    edit_manifest(folder, lambda m: m.update(files=[f for f in m["files"] if f["name"] != f"model.{precision}.onnx"]))
    edit_manifest(folder, lambda m: m.update(variants=[v for v in m["variants"] if v["precision"] != precision]))
    add_variant(folder, precision, content)


def off_by(folder: Path, offset: float) -> bytes:
    """The bundle's graph, one output off by an offset."""
    moved_graph(folder / "model.onnx", folder.parent / "moved.onnx", offset=offset)
    return (folder.parent / "moved.onnx").read_bytes()


@pytest.fixture
def speeds(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Sets what the timing of candidates gives, in seconds a row."""

    def set_speeds(**seconds: float) -> None:
        named = {name.replace("_", " "): [value] * 3 for name, value in seconds.items()}
        monkeypatch.setattr(runtime_choice, "_time", lambda check, modality, runtimes: {n: named[n] for n in runtimes})

    return set_speeds


def test_on_a_cpu_int8_serves_where_it_is_faster(folder: Path, speeds: Callable[..., None]) -> None:
    speeds(onnxruntime=1.0, onnxruntime_int8=0.5)
    loads = Loads()
    runtime, trials = choose(folder, loads=loads)
    assert loads.files == ["model.onnx", "model.int8.onnx"]
    assert runtime.precision == "int8"
    assert [(trial.precision, trial.passed, trial.seconds_per_row) for trial in trials] == [
        ("int8", True, 0.5),
        ("fp32", True, 1.0),
    ]
    assert trials[0].score_difference == pytest.approx(0, abs=1e-4)
    assert trials[1].score_difference is None


def test_on_a_cpu_int8_does_not_serve_where_it_is_not_faster(folder: Path, speeds: Callable[..., None]) -> None:
    speeds(onnxruntime=1.0, onnxruntime_int8=0.95)
    runtime, trials = choose(folder)
    assert runtime.precision == "fp32"
    assert [trial.precision for trial in trials] == ["fp32", "int8"]


def test_on_a_gpu_fp16_serves_and_the_reference_is_not_loaded_beside_it(folder: Path) -> None:
    loads = Loads()
    runtime, trials = choose(folder, device=GPU, loads=loads)
    assert loads.files == ["model.fp16.onnx"]
    assert runtime.precision == "fp16"
    assert [(trial.precision, trial.passed) for trial in trials] == [("fp16", True)]


@pytest.mark.parametrize(("device", "precision"), [(CPU, "int8"), (GPU, "fp16")])
def test_a_variant_whose_goldens_fail_is_refused_by_name_and_fp32_serves(
    folder: Path, device: Device, precision: str, caplog: pytest.LogCaptureFixture
) -> None:
    replace_variant(folder, precision, off_by(folder, 0.5))
    # An offset of all logits changes no probability of one class among several, so half of them is moved by the labels.
    edit_manifest(folder, lambda m: m.update(objective="OBJECTIVE_MULTI_LABEL"))
    with caplog.at_level(logging.WARNING):
        runtime, trials = choose(folder, device=device)
    assert runtime.precision == "fp32"
    refused = trials[1]
    assert (refused.precision, refused.passed) == (precision, False)
    assert "golden outputs differ by 0.1" in refused.reason
    assert refused.reason.endswith(f"on onnxruntime-cpu in {precision}; 0.005 is allowed")
    assert refused.score_difference == pytest.approx(0.12, abs=0.02)
    assert refused.logit_difference == pytest.approx(0.5, abs=1e-3)
    assert refused.reason in caplog.text


def test_a_variant_that_predicts_right_and_explains_otherwise_is_refused(folder: Path) -> None:
    edit_manifest(folder, lambda m: m["variants"][1].update(attribution_tolerance=1e-12, attribution_difference=0))
    _, trials = choose(folder)
    assert "golden attributions differ by" in trials[1].reason
    assert trials[1].attribution_difference == pytest.approx(0, abs=1e-4)


def test_a_variant_that_does_not_run_is_refused_by_name(folder: Path) -> None:
    replace_variant(folder, "int8", (folder / "model.onnx").read_bytes()[: 1 << 12] + b"")
    with pytest.raises(BundleError):  # cut within its first weights: not even a graph
        choose(folder)
    broken = (folder / "model.onnx").read_bytes().replace(b"LayerNormalization", b"LayerNormalisation")
    replace_variant(folder, "int8", broken)
    runtime, trials = choose(folder)
    assert runtime.precision == "fp32"
    assert (trials[1].precision, trials[1].passed) == ("int8", False)
    assert trials[1].reason.startswith("onnxruntime int8 failed: ")


def test_attributions_of_another_engine_hold_no_variant(folder: Path) -> None:
    edit_manifest(folder, lambda m: m["golden_attributions"].update(method_version="0.7-beta"))
    runtime, trials = choose(folder)
    assert runtime.precision == "fp32"
    assert "int8 cannot be held to golden attributions of another engine" in trials[1].reason


@pytest.mark.parametrize("device", [CPU, GPU])
@pytest.mark.parametrize(
    ("precision", "file"), [("fp32", "model.onnx"), ("fp16", "model.fp16.onnx"), ("int8", "model.int8.onnx")]
)
def test_a_precision_that_is_asked_for_is_the_only_one_tried(
    folder: Path, device: Device, precision: str, file: str
) -> None:
    loads = Loads()
    runtime, trials = choose(folder, precision=precision, device=device, loads=loads)
    assert loads.files == [file]
    assert runtime.precision == precision
    assert [trial.precision for trial in trials] == [precision]


def test_a_precision_that_is_asked_for_and_fails_is_the_reason_of_the_refusal(folder: Path) -> None:
    replace_variant(folder, "int8", off_by(folder, float("nan")))
    with pytest.raises(NoRuntime, match=r"golden outputs differ by nan on onnxruntime-cpu in int8; 0\.005 is allowed"):
        choose(folder, precision="int8")


def test_a_precision_that_the_bundle_lacks_is_refused_with_what_there_is(folder: Path, tiny_repository: Path) -> None:
    with pytest.raises(NoRuntime, match="--precision is int8, and the bundle has fp32: serve it with --precision auto"):
        choose(tiny_repository / "tiny" / "1", precision="int8")
    edit_manifest(folder, lambda m: m.update(variants=m["variants"][:1]))
    edit_manifest(folder, lambda m: m.update(files=[f for f in m["files"] if f["name"] != "model.int8.onnx"]))
    (folder / "model.int8.onnx").unlink()
    with pytest.raises(NoRuntime, match="--precision is int8, and the bundle has fp32 and fp16: serve it"):
        choose(folder, precision="int8")


def test_openvino_takes_the_graph_as_exported(folder: Path) -> None:
    runtime, _ = choose(folder, runtime="openvino")
    assert runtime.precision == "fp32"
    with pytest.raises(NoRuntime, match="--precision int8 is for --runtime onnxruntime, and --runtime is openvino"):
        choose(folder, runtime="openvino", precision="int8")


def test_fp32_forbids_a_runtime_to_reduce_precision_by_itself(folder: Path) -> None:
    allowed: list[bool] = []

    def load(model_path: Path, *, threads: int, reduced: bool) -> Runtime:
        allowed.append(reduced)
        return OnnxRuntime(model_path, threads=threads)

    bundle: VerifiedBundle = verify_bundle(folder, model="tiny", version=1)
    modality = open_modality(bundle, Settings())
    for precision in (AUTO, "fp32"):
        choose_runtime(
            bundle, modality, runtime="other", threads=1, loaders={"other": load}, precision=precision, device=CPU
        )
    assert allowed == [True, False]
