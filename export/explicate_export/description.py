"""What a bundle says about itself: the manifest's provenance and metrics, from the run and the measurements."""

import importlib.metadata
import math
from collections.abc import Mapping
from typing import Any  # JSON values

from explicate.v1 import bundle_pb2
from explicate_bundle.writing import FORMAT_VERSION
from explicate_export.contents import Contents
from explicate_export.training_run import TrainingRun

# In the unit that parity is measured in. Another processor or device adds in another order: ten times what export
# itself allows. A wrong graph, tokenizer or weight is off by far more.
GOLDEN_TOLERANCE = 1e-3
PRECISION = "fp32"
_TOOLS = (
    "explicate",
    "numpy",
    "onnx",
    "onnxruntime",
    "onnxruntime-gpu",
    "onnxscript",
    "safetensors",
    "tokenizers",
    "torch",
    "transformers",
)


def describe(run: TrainingRun, contents: Contents) -> bundle_pb2.Bundle:
    """The manifest but for the model's name, version and files, which publication fills in."""
    manifest = bundle_pb2.Bundle(
        format_version=FORMAT_VERSION,
        precision=PRECISION,
        provenance=bundle_pb2.Provenance(
            data_sha256=run.data_sha256,
            seed=run.seed,
            tool_versions={**_installed_versions(), **run.tool_versions},
            max_logit_difference=contents.parity.absolute_difference,
        ),
        metrics=scalar_metrics(run.test_metrics),
    )
    manifest.MergeFrom(contents.manifest)
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
