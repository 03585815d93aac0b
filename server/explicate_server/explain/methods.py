"""The explanation methods by name and by what the model reads. A new one is one file and one line here."""

from collections.abc import Collection, Mapping
from functools import cache
from types import MappingProxyType

from explicate_server.explain.estimators import (
    additive_exact,
    exact_shap,
    integrated_gradients,
    kernel_shap,
    lime,
    lime_stratified,
    occlusion,
    partition_shap,
    permutation_shap,
    tree_shap,
)
from explicate_server.explain.estimators.long_text_shap import with_long_texts
from explicate_server.explain.method import Method

# Stands for the method that `chosen` takes.
AUTO = "auto"
_FILES = (
    *(exact_shap, kernel_shap, lime, lime_stratified, occlusion, partition_shap, permutation_shap),
    *(additive_exact, tree_shap, integrated_gradients),
)
NAMES = tuple(file.METHOD.name for file in _FILES)
"""Names of all methods, of whatever they explain."""


@cache
def methods_of(reads: str) -> Mapping[str, Method]:
    """The methods of a kind of input, by name."""
    methods = [file.METHOD.of(reads) for file in _FILES if file.METHOD.reads is None or reads in file.METHOD.reads]
    if reads == "text":
        methods = [with_long_texts(method) for method in methods]
    return MappingProxyType({method.name: method for method in methods})


METHODS = MappingProxyType({name: method for name, method in methods_of("text").items() if method.needs is None})
"""The methods of texts that explain any game, without a model that tells of itself."""


def chosen(
    name: str,
    *,
    n_players: int,
    max_evaluations: int | None = None,
    reads: str = "text",
    told: Collection[str] = (),
) -> Method:
    """The method of a name; of `AUTO` exact-shap if all coalitions fit the budget, else kernel-shap.

    Of a model that tells enough of itself, `AUTO` is the method that needs no coalitions.

    Args:
        name: `AUTO` or a name in METHODS.
        n_players: n.
        max_evaluations: the budget; None means the default one of kernel-shap.
        reads: the kind of input.
        told: what the model tells of itself, see `Method.needs`.

    Raises:
        KeyError: there is no such method.
    """
    methods = methods_of(reads)
    if name != AUTO:
        return methods[name]
    for method in methods.values():
        if method.needs in told and not method.along_path:
            return method
    otherwise = methods["kernel-shap"]
    budget = otherwise.default_max_evaluations(n_players) if max_evaluations is None else max_evaluations
    return methods["exact-shap"] if 2**n_players <= budget else otherwise
