"""Which device trains, in which precision, and what the Trainer is told of it; on machines that a test makes up."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import TrainerCallback

from explicate.errors import UsageError
from explicate_training.config.sections import TrainingOptions
from explicate_training.loop import trainer
from explicate_training.loop.checkpoints import CheckpointRule
from explicate_training.loop.trainer import Fitting
from explicate_training.loop.training_device import placement
from explicate_training.tasks.classification import Classification
from explicate_training.tasks.task import TargetScale
from explicate_training.text.config import Config
from explicate_training.train import train


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU with bf16, as torch tells of it."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device=0: "NVIDIA Test")


@pytest.fixture
def cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing but a CPU, without arithmetic in bf16."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize(
    ("device", "precision", "told"),
    [
        ("auto", "auto", "on cuda NVIDIA Test in bf16, its weights in fp32"),
        ("cuda", "fp32", "on cuda NVIDIA Test in fp32"),
        ("cpu", "fp32", "on cpu in fp32"),
    ],
)
def test_a_gpu_trains_when_there_is_one_in_bf16_when_it_has_it(device: str, precision: str, told: str) -> None:
    assert str(placement(TrainingOptions(device=device, precision=precision))) == told


@pytest.mark.usefixtures("cpu")
def test_without_a_gpu_the_cpu_trains_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.version, "cuda", None)
    assert str(placement(TrainingOptions())).startswith("on cpu in fp32 (torch ")
    with pytest.raises(UsageError, match=r"training.device is cuda, but torch .* is built without CUDA: use auto or"):
        placement(TrainingOptions(device="cuda"))
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    with pytest.raises(UsageError, match=r"training\.device is cuda, but torch finds no CUDA device"):
        placement(TrainingOptions(device="cuda"))


@pytest.mark.usefixtures("cpu")
@pytest.mark.parametrize(("capability", "precision"), [("avx512_bf16", "bf16"), ("amx_bf16", "bf16"), ("amx", "fp32")])
def test_a_cpu_trains_in_bf16_where_it_has_it(monkeypatch: pytest.MonkeyPatch, capability: str, precision: str) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {capability: True})
    assert placement(TrainingOptions()).precision == precision


@pytest.mark.usefixtures("gpu")
def test_a_gpu_without_bf16_trains_in_fp32_and_is_not_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: False)
    assert placement(TrainingOptions()).precision == "fp32"
    with pytest.raises(UsageError, match=r"training\.precision is bf16, which this cuda device does not do"):
        placement(TrainingOptions(precision="bf16"))


class Arguments:
    """What the Trainer was told; the real class asks for the device."""

    def __init__(self, gpus: int, **told: Any) -> None:
        self.told = told
        self._n_gpu = gpus

    @property
    def n_gpu(self) -> int:
        return self._n_gpu


def arguments(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, config: TrainingOptions, *, gpus: int = 1) -> Arguments:
    monkeypatch.setattr(trainer, "TrainingArguments", lambda **told: Arguments(gpus, **told))
    rule = CheckpointRule("accuracy", smaller_is_better=False, of_decisions=True)
    scale = TargetScale(0.0, 1.0)
    fitting = Fitting(
        Classification(),
        config,
        labels=("a", "b"),
        targets=torch.zeros(4).numpy(),
        scale=scale,
        checkpoints=tmp_path,
        resume=False,
        callback=TrainerCallback(),
    )
    found: Any = trainer._arguments(fitting, rule, rows=100, evaluation_rows=10)
    return found  # type: ignore[no-any-return]


@pytest.mark.usefixtures("gpu")
def test_on_a_gpu_the_trainer_computes_in_bf16_from_pinned_memory_in_a_fixed_order(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    told = arguments(monkeypatch, tmp_path, TrainingOptions()).told
    chosen = {name: told[name] for name in ("use_cpu", "bf16", "dataloader_pin_memory", "full_determinism")}
    assert chosen == {"use_cpu": False, "bf16": True, "dataloader_pin_memory": True, "full_determinism": True}


@pytest.mark.usefixtures("gpu")
def test_the_cpu_trains_beside_a_gpu_when_the_config_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    told = arguments(monkeypatch, tmp_path, TrainingOptions(device="cpu", precision="fp32")).told
    chosen = {name: told[name] for name in ("use_cpu", "bf16", "dataloader_pin_memory", "full_determinism")}
    assert chosen == {"use_cpu": True, "bf16": False, "dataloader_pin_memory": False, "full_determinism": False}


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize(("gpus", "used"), [(0, 0), (1, 1), (4, 1)])
def test_of_several_gpus_one_trains_so_that_a_batch_is_as_large_as_configured(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, gpus: int, used: int
) -> None:
    assert arguments(monkeypatch, tmp_path, TrainingOptions(), gpus=gpus).n_gpu == used


def test_a_run_says_first_where_it_trains_and_records_it(
    text_config: Config, capfd: pytest.CaptureFixture[str]
) -> None:
    config = replace(text_config, training=replace(text_config.training, device="cpu", epochs=1))
    run = train(config)
    first = capfd.readouterr().err.splitlines()[0]
    assert first == "trains on cpu in fp32"
    assert json.loads((run / "run.json").read_text(encoding="utf-8"))["device"] == "cpu"


def test_a_device_that_is_not_there_is_told_before_the_data_are_read(
    text_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    data = replace(text_config.data, train="no-such-file.csv")
    config = replace(text_config, data=data, training=replace(text_config.training, device="cuda"))
    with pytest.raises(UsageError, match=r"training\.device is cuda"):
        train(config)
