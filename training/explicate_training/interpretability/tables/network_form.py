"""Which columns a table's network lets work together, and which it lets only raise or only lower an answer.

A sum over columns explains itself: what a column adds is a curve that can be drawn, and Shapley values are differences
of what was added. It gives up what columns tell together; with `pairs` it keeps the strongest of that. Agarwal et al.,
"Neural Additive Models", NeurIPS 2021; Lou et al., "Accurate Intelligible Models with Pairwise Interactions", KDD 2013.
"""

from dataclasses import dataclass
from typing import Any  # configs of any kind

from explicate.errors import UsageError
from explicate_training.config.sections import Entries, entries_option, option
from explicate_training.interpretability.term import Term

FREE, PAIRS, ADDITIVE = FORMS = ("free", "pairs", "additive")
DIRECTIONS = ("increasing", "decreasing")


@dataclass(frozen=True)
class NetworkForm(Term):
    """The form of the network, which is made by the table's run; it adds nothing to the loss."""

    name = "network_form"
    title = "form of the network"
    about = "the network is a sum over columns, with or without some pairs; some columns only raise or lower an answer"

    form: str = option(
        FREE,
        "tables: free: all columns work together; additive: the network is a sum over columns, which explains itself "
        "exactly; pairs: such a sum with the strongest pairs",
        choices=FORMS,
    )
    pairs: int = option(
        10, 'tables: the most pairs of form = "pairs"; fewer where chance explains them', minimum=1, maximum=200
    )
    # On credit and hdma 60 and 100 passes came to the same test AUROC within .004 (one seed).
    form_epochs: int = option(
        60,
        "tables: passes over the training data, at most, of the forms pairs and additive, instead of training.epochs; "
        "patience grows alike",
        minimum=1,
        maximum=100_000,
    )
    monotone: Entries = entries_option(
        "tables, of the forms pairs and additive: columns of numbers that only raise or only lower the answer: name = "
        '"increasing" or "decreasing"; of classes "increasing good" names the one whose probability that is (of two: '
        "the second, unless said)"
    )

    def check(self, config: Any) -> None:
        """Whether it is a table's, and directions are known."""
        if config.kind != "table":
            option_ = "form" if self.form != FREE else "monotone" if self.monotone else ""
            if option_:
                raise UsageError(
                    f"interpretability.{option_} is for tables: {config.kind} models have no columns; leave it out"
                )
        for name, direction in self.monotone.items():
            if not isinstance(direction, str) or direction.partition(" ")[0] not in DIRECTIONS:
                raise UsageError(
                    f"interpretability.monotone.{name} must be 'increasing' or 'decreasing', with a class behind it "
                    f'where one is meant ("increasing good"), not {direction!r}'
                )
        if self.monotone and self.form == FREE:
            raise UsageError(
                f'interpretability.monotone.{next(iter(self.monotone))} does not go with form = "free", which promises '
                'nothing of a column: set interpretability.form = "additive" or "pairs"'
            )
