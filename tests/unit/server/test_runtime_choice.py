"""Which runtime serves: never one whose answers are off, and another than the default only when clearly faster."""

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from explicate_bundle.bundle import VerifiedBundle, verify_bundle
from explicate_server.modalities.modalities import open_modality
from explicate_server.modalities.modality import Modality
from explicate_server.registry.golden_check import GoldenCheck, Trial
from explicate_server.registry.runtime_choice import AUTO, NoRuntime, choose_runtime, fastest
from explicate_server.runtime.model_runtime import Feeds, Runtime, RuntimeUnavailable
from explicate_server.runtime.onnx_runtime import OnnxRuntime
from explicate_server.runtime.runtimes import Loader
from explicate_server.settings import Settings


class OtherRuntime:
    """The tiny model with its answers changed, in a precision that it claims."""

    name = "other-cpu"
    batch_tokens = 256
    lanes = 2

    def __init__(self, inner: Runtime, precision: str, change: Callable[[Feeds, NDArray[np.float32]], object]) -> None:
        self._inner = inner
        self.precision = precision
        self._change = change

    def run(self, feeds: Feeds) -> NDArray[np.float32]:
        logits = self._inner.run(feeds).copy()
        self._change(feeds, logits)
        return logits


def shifted(by: float) -> Callable[[Feeds, NDArray[np.float32]], object]:
    def change(_feeds: Feeds, logits: NDArray[np.float32]) -> None:
        logits += np.float32(by)

    return change


def wrong_where_words_are_left_out(feeds: Feeds, logits: NDArray[np.float32]) -> None:
    """What golden outputs cannot see: positions that are not 0, 1, 2, … are misread."""
    tokens = feeds["attention_mask"].sum(axis=1)
    logits[feeds["position_ids"].max(axis=1) >= tokens] *= np.float32(0.5)


def loading(
    change: Callable[[Feeds, NDArray[np.float32]], object], precision: str = "bf16", allowed: list[bool] | None = None
) -> Loader:
    def load(model_path: Path, *, threads: int, reduced: bool) -> Runtime:
        if allowed is not None:
            allowed.append(reduced)
        return OtherRuntime(OnnxRuntime(model_path, threads=threads), precision, change)

    return load


def failing(error: Exception) -> Loader:
    def load(model_path: Path, *, threads: int, reduced: bool) -> Runtime:
        raise error

    return load


@pytest.fixture
def bundle(tiny_repository: Path) -> VerifiedBundle:
    """The tiny bundle; its manifest belongs to the test."""
    return verify_bundle(tiny_repository / "tiny" / "1", model="tiny", version=1)


@pytest.fixture
def modality(bundle: VerifiedBundle) -> Modality:
    return open_modality(bundle, Settings())


@pytest.fixture
def choose(bundle: VerifiedBundle, modality: Modality) -> Callable[..., tuple[Runtime, list[Trial]]]:
    def choose(other: Loader, *, runtime: str = AUTO) -> tuple[Runtime, list[Trial]]:
        loaders = {"onnxruntime": OnnxRuntime, "other": other}
        return choose_runtime(bundle, modality, runtime=runtime, threads=2, loaders=loaders)

    return choose


Choose = Callable[..., tuple[Runtime, list[Trial]]]


def test_a_lower_precision_within_its_tolerance_passes_and_all_are_timed(choose: Choose) -> None:
    runtime, trials = choose(loading(shifted(0.04)))
    assert {trial.runtime for trial in trials} == {"onnxruntime-cpu", "other-cpu"}
    assert trials[0].runtime == runtime.name
    assert all(trial.passed and trial.seconds_per_row is not None and trial.seconds_per_row > 0 for trial in trials)
    (other,) = (trial for trial in trials if trial.runtime == "other-cpu")
    assert other.precision == "bf16"
    assert other.logit_difference == pytest.approx(0.04, abs=1e-3)
    assert other.attribution_difference == pytest.approx(0, abs=1e-3)  # a constant is in no word


def test_a_lower_precision_out_of_tolerance_leaves_the_default_serving(choose: Choose) -> None:
    runtime, trials = choose(loading(shifted(0.06)))
    assert runtime.name == "onnxruntime-cpu"
    assert [trial.passed for trial in trials] == [True, False]
    assert trials[1].reason == "golden outputs differ by 0.06 on other-cpu in bf16; 0.05 is allowed"
    assert trials[1].seconds_per_row is None
    assert trials[1].attribution_difference is None


def test_the_bundles_own_precision_is_held_to_the_closer_tolerance(choose: Choose) -> None:
    with pytest.raises(NoRuntime, match=r"differ by 0\.04 on other-cpu in fp32; 0\.001 is allowed"):
        choose(loading(shifted(0.04), precision="fp32"), runtime="other")


def test_a_runtime_that_predicts_right_but_explains_wrong_is_refused(choose: Choose) -> None:
    runtime, trials = choose(loading(wrong_where_words_are_left_out, precision="fp32"))
    assert runtime.name == "onnxruntime-cpu"
    assert trials[1].logit_difference is not None
    assert trials[1].logit_difference < 1e-3
    assert trials[1].attribution_difference is not None
    assert trials[1].attribution_difference > 0.05
    assert "golden attributions differ" in trials[1].reason


def test_answers_that_are_no_numbers_are_refused(choose: Choose) -> None:
    with pytest.raises(NoRuntime, match="golden outputs differ by nan"):
        choose(loading(shifted(float("nan"))), runtime="other")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (RuntimeUnavailable("the other package is missing"), "the other package is missing"),
        (ValueError("no such\n  operator"), "other failed: ValueError: no such operator"),
    ],
)
def test_a_runtime_that_cannot_load_is_a_failed_trial_or_when_named_the_reason(
    choose: Choose, error: Exception, reason: str
) -> None:
    runtime, trials = choose(failing(error))
    assert runtime.name == "onnxruntime-cpu"
    assert trials[1] == Trial("other", reason=reason)
    with pytest.raises(NoRuntime) as caught:
        choose(failing(error), runtime="other")
    assert str(caught.value) == reason


def test_when_all_fail_every_reason_is_named(bundle: VerifiedBundle, modality: Modality) -> None:
    loaders = {"one": failing(RuntimeUnavailable("first")), "two": failing(RuntimeUnavailable("second"))}
    with pytest.raises(NoRuntime, match=r"^first; second$"):
        choose_runtime(bundle, modality, runtime=AUTO, threads=1, loaders=loaders)


@pytest.mark.parametrize(("tolerance", "expected"), [(0.05, True), (0.0, False)])
def test_a_lower_precision_is_allowed_only_by_a_bundle_that_bounds_it(
    bundle: VerifiedBundle, choose: Choose, tolerance: float, expected: bool
) -> None:
    bundle.manifest.golden_reduced_tolerance = tolerance
    allowed: list[bool] = []
    choose(loading(shifted(0), precision="fp32", allowed=allowed), runtime="other")
    assert allowed == [expected]


@pytest.mark.parametrize(
    ("field", "value"), [("method", "0.7-beta"), ("method_version", "0.7-beta"), ("players_version", 7)]
)
def test_attributions_of_another_engine_are_not_compared_and_the_log_says_so(
    bundle: VerifiedBundle, choose: Choose, caplog: pytest.LogCaptureFixture, field: str, value: object
) -> None:
    setattr(bundle.manifest.golden_attributions, field, value)
    with caplog.at_level(logging.WARNING):
        _, (trial,) = choose(loading(wrong_where_words_are_left_out, precision="fp32"), runtime="other")
    assert trial.passed
    assert trial.attribution_difference is None
    assert "golden attributions are not compared" in caplog.text
    assert str(value) in caplog.text


def test_the_log_tells_all_trials_in_one_line(choose: Choose, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        choose(loading(shifted(0.06)))
    (line,) = (record.getMessage() for record in caplog.records)
    assert line.startswith("tiny/1 runtimes: onnxruntime-cpu in fp32 passed; other-cpu refused (golden outputs differ")


def test_the_check_covers_every_golden_text(bundle: VerifiedBundle, modality: Modality) -> None:
    check = GoldenCheck(bundle, modality)
    logits = check.answers(OnnxRuntime(bundle.model_path, threads=1), check.rows)
    np.testing.assert_allclose(logits, bundle.golden().outputs, rtol=0, atol=1e-4)


def test_another_runtime_must_be_a_tenth_faster_than_the_default() -> None:
    default = [1.0, 1.0, 1.0]
    assert fastest({"onnxruntime": default, "a": [0.95] * 3}) == "onnxruntime"
    assert fastest({"onnxruntime": default, "a": [0.8] * 3, "b": [0.5] * 3}) == "b"
    assert fastest({"a": default, "b": [0.95] * 3}) == "a"  # the default failed: the first that passed stands for it


def test_speed_is_compared_within_a_round() -> None:
    # The machine slows down to a tenth after the first round; in each round the other takes 80 %.
    assert fastest({"onnxruntime": [1.0, 10.0, 10.0], "a": [0.8, 8.0, 8.0]}) == "a"
    # One round in which something else ran does not decide.
    assert fastest({"onnxruntime": [1.0, 1.0, 1.0], "a": [0.1, 1.0, 1.0]}) == "onnxruntime"
