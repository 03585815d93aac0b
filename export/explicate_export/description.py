"""What a bundle says about itself: the manifest's provenance and metrics, from the run and the measurements."""

import importlib.metadata
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any  # JSON values

from explicate.v1 import bundle_pb2
from explicate_export.manifest import FORMAT_VERSION
from explicate_export.run_directory import TrainingRun

# Another processor or device adds in another order: ten times what export itself allows. A wrong graph, tokenizer or
# weight is off by far more.
GOLDEN_TOLERANCE = 1e-3
# bf16 keeps 8 bits: MiniLM-L6's logits are off by 0.02 at most. int8 is off by 0.2 to 0.5.
GOLDEN_REDUCED_TOLERANCE = 0.05
PRECISION = "fp32"
_TOOLS = (
    "explicate",
    "numpy",
    "onnx",
    "onnxruntime",
    "onnxruntime-gpu",
    "onnxscript",
    "tokenizers",
    "torch",
    "transformers",
)


@dataclass(frozen=True)
class Measurements:
    """What export measured on held-out texts."""

    texts: int
    max_logit_difference: float  # torch against the graph
    dropping_logit_difference: float | None  # tokens left out against masked; None when no text allowed it


def describe(
    run: TrainingRun,
    schema: bundle_pb2.TextSchema,
    measurements: Measurements,
    golden_attributions: bundle_pb2.GoldenAttributions | None,
) -> bundle_pb2.Bundle:
    """The manifest but for the model's name, version and files, which publication fills in."""
    manifest = bundle_pb2.Bundle(
        format_version=FORMAT_VERSION,
        kind=bundle_pb2.MODEL_KIND_TEXT_CLASSIFICATION,
        class_labels=run.labels,
        text=schema,
        precision=PRECISION,
        golden_tolerance=GOLDEN_TOLERANCE,
        golden_reduced_tolerance=GOLDEN_REDUCED_TOLERANCE,
        golden_attributions=golden_attributions,
        provenance=bundle_pb2.Provenance(
            base_model=run.base_model,
            data_sha256=run.data_sha256,
            seed=run.seed,
            tool_versions={**_installed_versions(), **run.tool_versions},
            max_logit_difference=measurements.max_logit_difference,
        ),
        metrics=scalar_metrics(run.test_metrics),
    )
    manifest.create_time.GetCurrentTime()
    return manifest


def scalar_metrics(test_metrics: Mapping[str, Any]) -> dict[str, float]:
    """The metrics that are one finite number; those per class are in the model card."""
    return {
        name: float(value)
        for name, value in test_metrics.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    }


def _installed_versions() -> dict[str, str]:
    versions = {}
    for name in _TOOLS:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # one of the two builds of onnxruntime is not there
    return versions
