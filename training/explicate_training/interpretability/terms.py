"""The terms by name, and `[interpretability]`, whose keys are theirs."""

from dataclasses import dataclass, field, fields, make_dataclass
from typing import Any, TypeVar, cast  # Any: configs of any kind

from explicate_training.config.sections import rule_of
from explicate_training.interpretability.additivity import Additivity
from explicate_training.interpretability.consistency import Consistency
from explicate_training.interpretability.masked_rows import MaskedRows
from explicate_training.interpretability.pruning import Pruning
from explicate_training.interpretability.tables.forbidden_columns import ForbiddenColumns
from explicate_training.interpretability.tables.network_form import NetworkForm
from explicate_training.interpretability.tables.sparsity import Sparsity
from explicate_training.interpretability.term import Term
from explicate_training.interpretability.texts.forbidden_words import ForbiddenWords
from explicate_training.interpretability.texts.preview_explainer import PreviewExplainer
from explicate_training.interpretability.texts.rationale_head import Rationales

TERMS: tuple[type[Term], ...] = (
    MaskedRows,
    Additivity,
    Consistency,
    Rationales,
    ForbiddenWords,
    ForbiddenColumns,
    NetworkForm,
    Sparsity,
    Pruning,
    PreviewExplainer,
)
"""In the order in which the section lists their keys and a step asks them; the first that hides players decides.

A key may be that of two terms, such as `forbidden` of texts and of tables: the first says what it means.
"""

AnyTerm = TypeVar("AnyTerm", bound=Term)


@dataclass(frozen=True)
class Interpretability:
    """What makes the model easier to explain; without this section: nothing of it."""


def _section() -> type[Interpretability]:
    """The dataclass with the options of all terms, sections inside it last."""
    declared = [*{one.name: one for term in reversed(TERMS) for one in reversed(fields(term))}.values()][::-1]
    declared.sort(key=lambda one: one.default_factory is dict)
    made = [
        (one.name, one.type, field(default=one.default, default_factory=one.default_factory, metadata=one.metadata))
        for one in declared
    ]
    section = make_dataclass("InterpretabilityConfig", made, bases=(Interpretability,), frozen=True)
    section.__doc__ = Interpretability.__doc__
    return cast(type[Interpretability], section)


InterpretabilityConfig = _section()


def absent() -> Interpretability:
    """What a config without the section has: every term off."""
    return InterpretabilityConfig(**{one.name: rule_of(one).when_absent(one) for one in fields(InterpretabilityConfig)})


def all_terms(section: Interpretability) -> list[Term]:
    """All terms with their keys."""
    return [term(**{one.name: getattr(section, one.name) for one in fields(term)}) for term in TERMS]


def active_terms(section: Interpretability, kind: str) -> list[Term]:
    """Those whose keys are set, and which are for that kind of data."""
    return [term for term in all_terms(section) if term.active and kind in (term.kinds or (kind,))]


def term_of(section: Interpretability, wanted: type[AnyTerm]) -> AnyTerm:
    """One of them with its keys."""
    return next(term for term in all_terms(section) if isinstance(term, wanted))


def check_terms(config: Any) -> None:
    """Raises UsageError, naming the option, as the terms do."""
    for term in all_terms(config.interpretability):
        if term.active:
            term.check(config)
