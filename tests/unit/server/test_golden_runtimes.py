"""Every runtime gives the golden answers of bundles of all kinds, and other weights are noticed."""

import shutil
from pathlib import Path

import pytest

from explicate_bundle.bundle import VerifiedBundle, verify_bundle
from explicate_server.modalities.modalities import open_modality
from explicate_server.registry.runtime_choice import AUTO, choose_runtime
from explicate_server.runtime.runtimes import RUNTIMES
from explicate_server.settings import Settings
from support.bundle_edits import replace_file
from support.tiny_image_bundle import tiny_images


@pytest.fixture(params=["loans", "losses", "animals", "ages", "tags"])
def bundle(table_repository: Path, image_repository: Path, request: pytest.FixtureRequest) -> VerifiedBundle:
    repository = table_repository if request.param in ("loans", "losses") else image_repository
    return verify_bundle(repository / request.param / "1", model=request.param, version=1)


def test_every_runtime_gives_the_golden_answers_and_attributions(bundle: VerifiedBundle) -> None:
    _, trials = choose_runtime(bundle, open_modality(bundle, Settings()), runtime=AUTO, threads=2)
    assert {trial.runtime for trial in trials} == {f"{name}-cpu" for name in RUNTIMES}
    for trial in trials:
        assert trial.passed, trial.reason
        assert trial.attribution_difference is not None
        assert trial.seconds_per_row


def test_other_weights_than_the_golden_answers_come_from_are_noticed(image_repository: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(image_repository / "animals" / "1", tmp_path / "1"))
    other = tiny_images(seed=5).publish(tmp_path / "other", "animals")
    replace_file(folder, "model.onnx", (other / "model.onnx").read_bytes())
    bundle = verify_bundle(folder, model="animals", version=1)
    with pytest.raises(Exception, match="golden outputs differ by"):
        choose_runtime(bundle, open_modality(bundle, Settings()), runtime="onnxruntime", threads=1)
