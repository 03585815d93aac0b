"""`effective_players`: on how many parts of the input an explanation really rests.

exp(H) of the shares |φ|/Σ|φ|, H their entropy in nats (Hill's number of order 1, Ecology 1973; as complexity: Bhatt,
Weller & Moura, IJCAI 2020): n where all parts count alike, 1 where one part says all. Fewer are easier to read; it says
nothing of whether they are the right ones. Grouped players count as one.
"""

import numpy as np

from explicate_standards.metric import Floats, Measured, Metric, Statistic, Told, median, said
from explicate_standards.subject import Subject


def measure(subject: Subject) -> Measured:
    """The number, and as a share of all players; nothing where all attributions are 0."""
    values = subject.explained().values if subject.n else np.zeros(0)
    number = effective_number(values)
    return {} if number is None else {"number": number, "share": number / subject.n}


def effective_number(values: Floats) -> float | None:
    """exp(entropy of |φ|/Σ|φ|) of float64[n], from 1 to n; None where there is nothing to share."""
    sizes = np.abs(values)
    total = sizes.sum()
    # Not NaN either, which no comparison holds of.
    if not total > 0:
        return None
    shares = sizes[sizes > 0] / total
    return float(np.exp(-(shares * np.log(shares)).sum()))


def _sentence(told: Told) -> str:
    return (
        f"At the median an explanation rests on {said(told, 'median', 1)} parts of the input, as if these counted "
        f"alike and the others not at all: {said(told, 'share')} of all parts."
    )


METRIC = Metric(
    id="effective_players",
    title="Effective players",
    definition="on how many parts of the input an explanation rests, as if these counted alike and the others not",
    measure=measure,
    statistics=(
        Statistic(name="median", key="number", reduce=median),
        Statistic(name="share", key="share"),
    ),
    rows=lambda _n: 0.0,
    sentence=_sentence,
)
