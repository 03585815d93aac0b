"""Interactions of two features as messages."""

from collections.abc import Sequence

from explicate.v1 import interactions_pb2 as messages
from explicate_server.explain.interactions.strongest_pairs import StrongestPairs


def pair_interactions(found: Sequence[StrongestPairs] | None, output: int) -> list[messages.PairInteraction]:
    """Those of one explained output; none where they were not asked for or could not be found."""
    if found is None:
        return []
    pairs = found[output]
    columns = (pairs.first, pairs.second, pairs.values, pairs.standard_errors, pairs.lower, pairs.upper)
    return [
        messages.PairInteraction(
            first=first, second=second, value=value, standard_error=error, lower=lower, upper=upper
        )
        for first, second, value, error, lower, upper in zip(*(column.tolist() for column in columns), strict=True)
    ]
