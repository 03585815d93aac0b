"""What the tests of the engine share."""

import warnings
from collections.abc import Iterator
from types import ModuleType

import pytest
from threadpoolctl import threadpool_limits


@pytest.fixture(scope="session", autouse=True)
def _one_blas_thread() -> Iterator[None]:
    """As in the server: on busy cores several threads make small matrices a hundred times slower."""
    with threadpool_limits(limits=1, user_api="blas"):
        yield


@pytest.fixture(scope="session")
def shap() -> ModuleType:
    """The shap library, whose import warns of its own dependencies."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import shap
    return shap
