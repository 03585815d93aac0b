"""Hugging Face directories that somebody else fine-tuned: what can be bundled of them is found by reading, not loading.

No code of a directory is ever run: transformers is told not to trust any, weights are safetensors or what torch reads
with `weights_only`. The kinds are `NAME/hugging_face.py`, found by what the model's class is called.
"""

import importlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any  # JSON values, modules

import numpy as np
from numpy.typing import NDArray

from explicate.v1.training_run_pb2 import TrainingRun
from explicate_bundle.kinds.kind import Check
from explicate_bundle.objective import OBJECTIVES
from explicate_export.conversion import Say
from explicate_export.described import DescribedModel, HeldOut, HeldOutInput
from explicate_export.errors import UsageError
from explicate_export.export import HEADS
from explicate_export.markdown import code
from explicate_export.parity import Origin
from explicate_export.sources.given_labels import measured
from explicate_export.sources.sources import Brought, BundleRequest

_CONFIG, _ADAPTER, _RUN = "config.json", "adapter_config.json", "run.json"
# Each as one file, or in parts that an index lists.
_SAFE, _PICKLED = "model.safetensors", "pytorch_model.bin"
_PROBLEM_TYPES = {
    "single_label_classification": "classification",
    "multi_label_classification": "multi-label",
    "regression": "regression",
}
_MOST_CONFIG_BYTES = 64 << 20  # names of a great many labels


@dataclass(frozen=True)
class ModelDirectory:
    """A directory with the config and the weights of one model."""

    path: Path
    config: Mapping[str, Any]

    @property
    def architecture(self) -> str:
        """The class that the weights are of, such as "BertForSequenceClassification"; empty if it is not told."""
        named = self.config.get("architectures")
        return named[0] if isinstance(named, list) and named and isinstance(named[0], str) else ""

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.path.resolve().name

    @property
    def safe(self) -> bool:
        """Whether the weights are safetensors; else they are what torch reads with `weights_only`."""
        return bool(self.weights(_SAFE))

    def weights(self, name: str) -> list[str]:
        """The files of weights of that name: one, or an index with its parts."""
        index = f"{name}.index.json"
        return [found for found in (name, index) if (self.path / found).is_file()]

    @cached_property
    def named_labels(self) -> tuple[str, ...] | None:
        """Of the outputs, by `id2label`; None if the config does not have it."""
        told = self.config.get("id2label")
        if not isinstance(told, Mapping):
            return None
        try:
            by_place = {int(place): str(label) for place, label in told.items()}
        except ValueError:
            raise UsageError(f"{self.path / _CONFIG}: id2label has a key that is not a number") from None
        if sorted(by_place) != list(range(len(by_place))):
            raise UsageError(f"{self.path / _CONFIG}: id2label does not name the outputs from 0 on, one each")
        return tuple(by_place[place] for place in range(len(by_place)))

    @property
    def outputs(self) -> int:
        """How many the model has."""
        told = self.config.get("num_labels")
        if self.named_labels is not None:
            return len(self.named_labels)
        return told if isinstance(told, int) else 2  # transformers' own default

    def objective(self, request: BundleRequest) -> str:
        """What the model predicts: as asked for, as `problem_type` says, or as transformers trains such a model."""
        told = self.config.get("problem_type")
        found = request.objective or (_PROBLEM_TYPES.get(told) if isinstance(told, str) else None)
        found = found or ("regression" if self.outputs == 1 else "classification")
        if not OBJECTIVES[found].least_labels and self.outputs > 1:
            raise UsageError(f"{self.path} predicts {self.outputs} numbers at once, and a bundle's model predicts one")
        if self.outputs < (least := OBJECTIVES[found].least_labels):
            raise UsageError(
                f"{self.path} has {self.outputs} output, and a model of {found} has at least {least}: say what it "
                "predicts with --objective regression or --objective multi-label"
            )
        return found

    def labels(self, request: BundleRequest) -> tuple[str, ...]:
        """Of the outputs: as asked for, as `id2label` names them, or LABEL_0 and so on as transformers does."""
        labels = request.labels or self.named_labels or tuple(f"LABEL_{index}" for index in range(self.outputs))
        if len(labels) != self.outputs:
            raise UsageError(f"--labels names {len(labels)} labels, and {self.path} has {self.outputs} outputs")
        if doubled := next((label for label in labels if labels.count(label) > 1), None):
            raise UsageError(f"{self.path} has the label {doubled!r} twice: give its labels with --labels")
        if not all(label.strip() for label in labels):
            raise UsageError(f"{self.path} has a label without a name: give its labels with --labels")
        return labels

    def named_outputs(self, request: BundleRequest) -> tuple[str, ...]:
        """The labels; none of a regression."""
        return self.labels(request) if OBJECTIVES[self.objective(request)].least_labels else ()

    def several(self, request: BundleRequest) -> bool:
        """Whether several labels can be right at once."""
        return OBJECTIVES[self.objective(request)].answer == "labels"

    def target(self, request: BundleRequest) -> str:
        """What a regression predicts, if somebody gave it a name."""
        (name,) = self.named_labels or ("LABEL_0",)
        return request.target or ("value" if name.startswith("LABEL_") else name)

    def notes(self, request: BundleRequest) -> Iterator[str]:
        """What was assumed of outputs and labels."""
        if request.objective is None and not isinstance(self.config.get("problem_type"), str) and self.outputs == 1:
            yield "it has one output and no problem_type: taken for a regression, as transformers trains such a model"
        given = request.labels or self.named_labels
        if self.outputs > 1 and (given is None or all(label.startswith("LABEL_") for label in given)):
            yield "its labels have no names (LABEL_0, …): give them with --labels"


def described(
    directory: ModelDirectory, request: BundleRequest, record: TrainingRun, answers: "Answers", *, encoder: str
) -> DescribedModel:
    """What is known of a model; `record` has its schema, and `encoder` says what reads inputs, "its own tokenizer".

    Raises UsageError where no server would take it, or it answers with what is not a number.
    """
    if not np.isfinite(answers.outputs).all():
        raise UsageError(f"{directory.path} answers with what is not a number")
    record.objective, record.base_model = directory.objective(request), directory.name
    record.labels.extend(directory.named_outputs(request))
    record.target_name = "" if record.labels else directory.target(request)
    origin = Origin(
        inputs="given",
        library="transformers",
        original="transformers",
        encoder=encoder,
        answers=f"those of transformers through {encoder}",
        difference="the inputs are read otherwise than there",
        metrics_of="the inputs that were given",
        no_verdict="",
        made=f"A {directory.architecture} that was not trained by Explicate, from the folder {code(directory.name)}.",
        data="Nothing is known of the data that it was trained on.",
        reproduction="Bundle the same folder with the same inputs:",
        commands=("explicate bundle MODEL --inputs FILE --repository DIR",),
        spread_of="the given targets' spread" if answers.known else "the answers' spread",
    )
    labelled = sum(one is not None for one in answers.right)
    report = {"source": str(request.inputs), "inputs_compared": len(answers.right), "of_these_with_a_label": labelled}
    model = DescribedModel(record=record, origin=origin, data_report=report)
    if problem := model.draft_problem():
        raise UsageError(f"{directory.path} is a model that no server takes ({problem})")
    objective, outputs = OBJECTIVES[record.objective], answers.outputs.astype(np.float64)
    metrics = measured(objective, model.labels or (record.target_name,), answers.right, outputs)
    return replace(model, test_metrics=metrics)


@dataclass(frozen=True)
class Answers:
    """The given inputs, what transformers answered float32 [inputs, outputs], and what is right of each, or None."""

    values: Sequence[HeldOutInput]
    outputs: NDArray[np.float32]
    right: Sequence[Any]

    @property
    def known(self) -> bool:
        """Whether it is said of some inputs what is right."""
        return any(one is not None for one in self.right)

    def held_out(self, model: DescribedModel) -> list[HeldOut]:
        """Of a regression without right answers the model's own stand in: what counts is how far they lie apart."""
        targets: Sequence[Any] = [None] * len(self.values)
        if not model.labels:
            targets = self.right if self.known else self.outputs[:, 0].tolist()
        three = zip(self.values, self.outputs.tolist(), targets, strict=True)
        return [HeldOut(value, outputs, target) for value, outputs, target in three]


class _HuggingFace:
    """See `sources.Source`."""

    about = f"a Hugging Face directory ({_CONFIG})"

    def knows(self, path: Path) -> bool:
        """Any folder: what it lacks is told."""
        return path.is_dir()

    def opened(self, request: BundleRequest, say: Say) -> Brought:
        """By the kind of its head."""
        directory = read_directory(request.model)
        kind = next(kind for ending, kind in HEADS.items() if directory.architecture.endswith(ending))
        module: Any = importlib.import_module(f"explicate_export.{kind}.hugging_face")
        brought: Brought = module.bring(directory, request, say)
        return brought


SOURCE = _HuggingFace()
MEND = "give a directory as save_pretrained() leaves it"
"""What to do about a directory that cannot be loaded."""


def read_directory(path: Path) -> ModelDirectory:
    """What a directory says of its model; raises UsageError, in one sentence, for what cannot be bundled."""
    file = path / _CONFIG
    if not file.is_file():
        raise UsageError(_no_config(path))
    try:
        if file.stat().st_size > _MOST_CONFIG_BYTES:
            raise UsageError(f"{file} is larger than {_MOST_CONFIG_BYTES >> 20} MiB, so it is not a model's config")
        config = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{file} cannot be read ({error})") from None
    if not isinstance(config, dict):
        raise UsageError(f"{file} is not a JSON object")
    directory = ModelDirectory(path, config)
    for holds, otherwise in _checks(directory):
        if not holds:
            raise UsageError(f"{path} {otherwise}")
    return directory


def _no_config(path: Path) -> str:
    """What to say of a folder that has no config.json, by what it has."""
    if (path / _RUN).is_file():
        return f"{path} is a run of `explicate train`: explicate export {path} --repository DIR"
    if (path / _ADAPTER).is_file():
        return f"{path} {_ADAPTER_ALONE}"
    inner = sorted(folder.name for folder in path.iterdir() if (folder / _CONFIG).is_file())
    if inner:
        return f"{path} has no {_CONFIG}, and {inner[-1]} in it has: give {path / inner[-1]}"
    return f"{path} is not a Hugging Face directory: it has no {_CONFIG}"


_ADAPTER_ALONE = (
    "holds an adapter (PEFT) and not a model: merge it into its base model first, with merge_and_unload() and "
    "save_pretrained(), and give the folder that this makes"
)


def _checks(directory: ModelDirectory) -> Iterator[Check]:
    """What must hold before anything is loaded, in an order in which each may rely on those before it."""
    config, architecture, path = directory.config, directory.architecture, directory.path
    whole = bool(directory.weights(_SAFE) or directory.weights(_PICKLED))
    yield whole or not (path / _ADAPTER).is_file(), _ADAPTER_ALONE
    yield bool(architecture), f"does not say which class its weights are of ('architectures' of {_CONFIG} is empty)"
    yield (
        not config.get("is_encoder_decoder"),
        f"is an encoder-decoder ({architecture}), which generates: a bundle holds one graph that classifies",
    )
    yield architecture.endswith(tuple(HEADS)), _wrong_head(architecture)
    own_code = config.get("auto_map")
    yield (
        not own_code or _is_known(architecture),
        f"needs code of its own (auto_map of {_CONFIG}), which is never run: use a model that transformers knows",
    )
    quantised = config.get("quantization_config")
    yield not quantised, "has quantised weights (quantization_config): give the folder of the model in full precision"
    yield whole, _no_weights(path)


def _wrong_head(architecture: str) -> str:
    said = f"is a {architecture}"
    if architecture.endswith("ForTokenClassification"):
        return f"{said}, which labels each token: a bundle's model answers for a whole text"
    if architecture.endswith(("ForCausalLM", "LMHeadModel", "ForConditionalGeneration")):
        return f"{said}, which generates text: a bundle's model classifies, or predicts a number"
    wanted = " or ".join(f"…{ending}" for ending in HEADS)
    return f"{said}, without a head that classifies: fine-tune it first; what can be bundled is {wanted}"


def _is_known(architecture: str) -> bool:
    """Whether transformers itself has the class."""
    import transformers

    return hasattr(transformers, architecture)


def _no_weights(path: Path) -> str:
    found: Sequence[str] = sorted(
        file.name
        for file in path.iterdir()
        if file.suffix in (".pkl", ".pickle", ".joblib", ".pt", ".pth", ".ckpt", ".bin", ".h5", ".msgpack", ".gguf")
    )
    has = f", and {found[0]} is not read" if found else ""
    return f"has no {_SAFE} or {_PICKLED}{has}: save the model with save_pretrained()"
