"""Pickles: refused, for reading one runs code of whoever wrote it; what to do instead is told in lines to paste."""

from pathlib import Path

from explicate_export.conversion import Say
from explicate_export.errors import UsageError
from explicate_export.sources.sources import Brought, BundleRequest

_LOADERS = {
    ".pkl": ("pickle", "pickle.load(open({path!r}, 'rb'))"),
    ".pickle": ("pickle", "pickle.load(open({path!r}, 'rb'))"),
    ".sav": ("pickle", "pickle.load(open({path!r}, 'rb'))"),
    ".joblib": ("joblib", "joblib.load({path!r})"),
    ".cloudpickle": ("cloudpickle", "cloudpickle.load(open({path!r}, 'rb'))"),
    ".dill": ("dill", "dill.load(open({path!r}, 'rb'))"),
    ".skops": ("skops.io", "skops.io.load({path!r})"),
}


class _Pickles:
    about = "a model in a format that is data only"

    def knows(self, path: Path) -> bool:
        """By the ending."""
        return path.suffix.lower() in _LOADERS

    def opened(self, request: BundleRequest, say: Say) -> Brought:  # noqa: ARG002
        """Always raises UsageError."""
        module, load = _LOADERS[request.model.suffix.lower()]
        lines = (
            f"import {module}, explicate_export",
            f"model = {load.format(path=str(request.model))}",
            "# X: the training rows, or others like them, as the model takes them",
            f"explicate_export.from_sklearn(model, X, repository='repository', name={request.model.stem.lower()!r})",
        )
        raise UsageError(
            f"{request.model} is a pickle, and reading one runs code of whoever wrote it, so this command does not; if "
            "you trust it, export the model in a process of your own:\n\n" + "\n".join(f"    {line}" for line in lines)
        )


SOURCE = _Pickles()
