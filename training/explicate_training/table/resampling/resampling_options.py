"""`[resampling]` of a config for tables."""

from dataclasses import dataclass

from explicate_training.config.sections import OptionalSection, option


@dataclass(frozen=True)
class ResamplingConfig(OptionalSection):
    """Made-up training rows of rare classes; they distort probabilities, so weights are the better remedy mostly."""

    method: str = option(
        "none",
        "smotenc: rows between a rare row and its neighbours, until classes are even",
        choices=("none", "smotenc"),
    )
    neighbours: int = option(5, "rows of its class that a rare row is mixed with", minimum=1, maximum=100)
