"""From a model to a published bundle: ONNX conversion, comparison with the original, manifest, publication."""

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from explicate_export.estimators.from_sklearn import from_sklearn

# As in explicate_server.runtime: before ONNX Runtime is imported, or it tells its maker what is exported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__all__ = ["from_sklearn"]


def __getattr__(name: str) -> Any:
    """`from_sklearn`, imported when it is wanted: it brings scikit-learn's converters along."""
    if name == "from_sklearn":
        from explicate_export.estimators.from_sklearn import from_sklearn

        return from_sklearn
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
