"""`[fairness]` of a config."""

from dataclasses import dataclass

from explicate_training.config.sections import OptionalSection, option

REWEIGHING, GROUP_WEIGHTS = "reweighing", "group_weights"


@dataclass(frozen=True)
class FairnessOptions(OptionalSection):
    """Groups of rows that are weighed, so that they are treated more alike; without `over`: nothing."""

    over: str = option("", "the column that makes the groups; the model need not read it (interpretability.forbidden)")
    method: str = option(
        REWEIGHING,
        "reweighing: rows weigh so that group and label are independent; group_weights: all groups weigh alike",
        choices=(REWEIGHING, GROUP_WEIGHTS),
    )
