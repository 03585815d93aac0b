"""What the words on pages mean: the glossary that reports print and that the console shows where a word is met.

Each language is a file of data in `words/`, named by its tag (BCP 47). Names of methods, maskings and stop reasons are
those of the API, so that a page finds the words for what a server answers.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any  # importlib's folder, whose type differs between versions of Python

DEFAULT = "en"
_MEANS = ("_macro", "_micro")  # over classes, over all labels
_METRICS = {"mae": "errors", "rmse": "errors"}


@dataclass(frozen=True)
class Term:
    """A word and what it means.

    Attributes:
        title: as it is shown.
        says: one or two plain sentences.
    """

    title: str
    says: str


def glossary(tag: str = DEFAULT) -> Mapping[str, Mapping[str, Term]]:
    """The terms of a language by group and name, such as "method" and "kernel-shap"; English for others."""
    return _glossary(tag if tag in glossary_tags() else DEFAULT)


def metric_terms(metrics: Iterable[str], tag: str = DEFAULT) -> Mapping[str, Term]:
    """What each of these metrics is, such as "f1_macro", once; those that have no words are left out."""
    plain = (_METRICS.get(one, one.removesuffix(_MEANS[0]).removesuffix(_MEANS[1])) for one in metrics)
    return {name: terms[name] for terms in [glossary(tag)["report"]] for name in plain if name in terms}


@cache  # of the languages there are: what strangers ask for must not fill the memory
def _glossary(tag: str) -> Mapping[str, Mapping[str, Term]]:
    document = tomllib.loads((_folder() / f"{tag}.toml").read_text("utf-8"))
    groups = {
        group: MappingProxyType({name: Term(*told) for name, told in terms.items()})
        for group, terms in document.items()
    }
    return MappingProxyType(groups)


@cache
def glossary_tags() -> tuple[str, ...]:
    """The tags of all languages that the glossary has."""
    return tuple(sorted(entry.name.removesuffix(".toml") for entry in _folder().iterdir()))


def _folder() -> Any:
    return files("explicate.sentences") / "words"
