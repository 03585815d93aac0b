"""The folder of a bundle for the Hugging Face Hub: README.md with figures in its front matter, `.eval_results`, and the
bundle as it is.

Figures are told twice, for the Hub reads both (huggingface.co/docs/hub/eval-results): as `model-index` of the front
matter, which takes any data set, and in `.eval_results/*.yaml`, which is about a benchmark data set of the Hub and
shows the model on its leaderboard.
"""

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any  # YAML values

from explicate.v1 import bundle_pb2
from explicate_bundle.input_kind import ModelKind, kind_of
from explicate_bundle.writing import MODEL_CARD_NAME, STANDARD_RECORD_NAME
from explicate_export.errors import UsageError
from explicate_standards.leaderboard.bundles import whole_bundle

README_NAME = "README.md"
EVAL_RESULTS_FOLDER = ".eval_results"
_HUB = "https://huggingface.co"
_DEFAULT_METRICS = {"class": "accuracy", "labels": "f1_micro", "value": "r2"}
# How the Hub calls metrics, by ours: type and arguments; others keep their name.
_METRICS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "f1_macro": ("f1", {"average": "macro"}),
    "f1_micro": ("f1", {"average": "micro"}),
    "precision_macro": ("precision", {"average": "macro"}),
    "recall_macro": ("recall", {"average": "macro"}),
    "auroc": ("roc_auc", {}),
    "r2": ("r_squared", {}),
    "brier": ("brier_score", {}),
}


@dataclass(frozen=True)
class HubOptions:
    """What the bundle itself does not say.

    Attributes:
        repo: of the Hub, such as "acme/credit".
        license: as the Hub names it; empty to leave it out.
        dataset: of the Hub that the test rows are of; empty for others.
        task: of that data set's benchmark; empty where it is none, so that there are no `.eval_results`.
        dataset_name: what to call the data otherwise.
        split: the part of the data that was tested on.
        metric: the one figure of `.eval_results`; empty for the usual one of what the model predicts.
    """

    repo: str
    license: str = ""
    dataset: str = ""
    task: str = ""
    dataset_name: str = ""
    split: str = "test"
    metric: str = ""


def write_hub_folder(bundle: Path, folder: Path, options: HubOptions) -> list[Path]:
    """Writes the folder; returns what is in it besides the bundle.

    Raises:
        UsageError: it is no whole bundle, the folder has such a version already, or there is no such metric.
    """
    manifest, kind = _checked(bundle)
    card = _card(bundle, manifest)
    results = eval_results(manifest, kind, options) if options.task else None
    version = folder / manifest.model / str(manifest.version)
    if version.exists():
        raise UsageError(f"{version} exists already, and published versions never change: give another --into")
    written = [folder / README_NAME]
    shutil.copytree(bundle, version)
    written[0].write_text(f"{front_matter(manifest, kind, options)}\n{card}", encoding="utf-8")
    if results is not None:
        written.append(folder / EVAL_RESULTS_FOLDER / f"{manifest.model}.yaml")
        written[1].parent.mkdir(exist_ok=True)
        written[1].write_text(_yaml(results), encoding="utf-8")
    return written


def front_matter(manifest: bundle_pb2.Bundle, kind: ModelKind, options: HubOptions) -> str:
    """The metadata of README.md between its lines of "---"."""
    base = manifest.provenance.base_model
    known: dict[str, Any] = {
        "library_name": "explicate",
        "pipeline_tag": pipeline_tag(kind),
        "tags": ["onnx", "explainability"],
        **({"license": options.license} if options.license else {}),
        **({"base_model": base} if "/" in base and not base.startswith("new ") else {}),
        **({"datasets": [options.dataset]} if options.dataset else {}),
    }
    if metrics := list(_metrics(manifest)):
        known["model-index"] = [{"name": manifest.model, "results": [_result(manifest, kind, options, metrics)]}]
    return f"---\n{_yaml(known)}---\n"


def pipeline_tag(kind: ModelKind) -> str:
    """What the Hub calls what a model does; it has no name for numbers of texts and pictures."""
    regression = kind.predicts.answer == "value" and kind.reads.field == "tabular"
    return f"{kind.reads.field}-{'regression' if regression else 'classification'}"


def eval_results(manifest: bundle_pb2.Bundle, kind: ModelKind, options: HubOptions) -> list[dict[str, Any]]:
    """The entries of a file in `.eval_results`.

    Raises:
        UsageError: the bundle has no such metric, or no data set was given.
    """
    if not options.dataset:
        raise UsageError("a task is of a benchmark of the Hub: name its data set with --dataset, such as acme/credit")
    name = options.metric or _DEFAULT_METRICS[kind.predicts.answer]
    if name not in manifest.metrics:
        known = ", ".join(sorted(manifest.metrics)) or "none"
        raise UsageError(f"the bundle has no metric {name!r} (--metric); it has {known}")
    ends = manifest.metric_intervals.get(name)
    span = f", 95 % interval {ends.lower:.4f} to {ends.upper:.4f}" if ends is not None else ""
    return [
        {
            "dataset": {"id": options.dataset, "task_id": options.task},
            "value": round(manifest.metrics[name], 6),
            "date": manifest.create_time.ToJsonString(),
            "source": {"url": _record(manifest, options), "name": _record_name(manifest)},
            "notes": f"{name} on the split {options.split}{span}; measured by the publisher",
        }
    ]


def _result(
    manifest: bundle_pb2.Bundle, kind: ModelKind, options: HubOptions, metrics: list[dict[str, Any]]
) -> dict[str, Any]:
    name = options.dataset_name or options.dataset or f"test rows of {manifest.model}"
    digest = manifest.provenance.data_sha256
    return {
        "task": {"type": pipeline_tag(kind)},
        "dataset": {
            "type": options.dataset or manifest.model,
            "name": name,
            "split": options.split,
            **({"args": {"data_sha256": digest}} if digest else {}),
        },
        "metrics": metrics,
        "source": {"name": _record_name(manifest), "url": _record(manifest, options)},
    }


def _metrics(manifest: bundle_pb2.Bundle) -> Iterator[dict[str, Any]]:
    """Of those with an interval: the others are counts, and what rivals reach."""
    for name in sorted(manifest.metric_intervals):
        kind, arguments = _METRICS.get(name, (name, {}))
        ends = manifest.metric_intervals[name]
        yield {
            "type": kind,
            "value": round(manifest.metrics[name], 6),
            "name": name.replace("_", " "),
            "args": {**arguments, "interval_95": [round(ends.lower, 6), round(ends.upper, 6)]},
        }


def _record(manifest: bundle_pb2.Bundle, options: HubOptions) -> str:
    """Where the Hub will have what was measured."""
    name = STANDARD_RECORD_NAME if manifest.HasField("standard") else MODEL_CARD_NAME
    return f"{_HUB}/{options.repo}/blob/main/{manifest.model}/{manifest.version}/{name}"


def _record_name(manifest: bundle_pb2.Bundle) -> str:
    if manifest.HasField("standard"):
        told = manifest.standard
        return f"{told.name} {told.version}: {told.verdict}"
    return f"card of {manifest.model} version {manifest.version}"


def _checked(bundle: Path) -> tuple[bundle_pb2.Bundle, ModelKind]:
    manifest = whole_bundle(bundle.resolve())
    kind = kind_of(manifest)
    assert kind is not None, "a checked manifest is of a known kind"
    return manifest, kind


def _card(bundle: Path, manifest: bundle_pb2.Bundle) -> str:
    path = bundle / MODEL_CARD_NAME
    return path.read_text(encoding="utf-8") if path.is_file() else f"# {manifest.model}\n"


def _yaml(value: Any) -> str:
    try:
        import yaml
    except ImportError:
        raise UsageError("YAML cannot be written: pip install 'explicate[export]'") from None
    text: str = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=1000)
    return text
