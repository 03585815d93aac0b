"""Columns that a table's model must not use: it never sees them, and what is measured still can.

Their values stay in the rows that are held out and in the groups that the report measures apart. That other columns may
tell of them (proxies) is not undone by leaving them out.
"""

from dataclasses import dataclass
from typing import Any  # configs of any kind

from explicate.errors import UsageError
from explicate_training.config.sections import Names, option
from explicate_training.interpretability.term import Term


@dataclass(frozen=True)
class ForbiddenColumns(Term):
    """Columns that leave the model; the table's run takes them out."""

    name = "forbidden_columns"
    title = "forbidden columns"
    about = "columns that the model must not use were not shown to it"
    kinds = ("table",)

    forbidden: Names = option(  # noqa: RUF009 - a tuple
        (), "tables: columns that the model must not use; they stay in the rows for measurement"
    )

    def check(self, config: Any) -> None:
        """Whether none of them is named otherwise."""
        if config.kind not in self.kinds:  # words of texts, which `texts.forbidden_words` looks after
            return
        labels = config.data.columns_with_labels().values()
        for name in self.forbidden:
            if name in labels:
                raise UsageError(f"interpretability.forbidden: {name!r} is the label, and the model must learn it")
            if any(name in columns for columns in config.data.groups.values()):
                raise UsageError(
                    f"interpretability.forbidden: {name!r} is in a group of data.groups: take it out there"
                )
