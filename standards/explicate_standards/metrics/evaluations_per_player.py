"""`evaluations_per_player`: what an explanation of the model costs.

Rows through the model (coalitions, of a table each with its background rows) that kernel-shap takes until the widest
interval is a tenth of the values' range (tolerance .1), for each part of the input. The explanation may stop from 2
rows a part on: the server's own floor of 8 would hide what a model with fewer interactions saves. An explanation that
has not got there at the server's default budget counts with that budget, and in `at_cap`.
Fewer interactions and smoother answers make explanations cheaper at the same width of their intervals (Musco & Witter,
ICLR 2025: the error of the regression is that of the best additive fit).
"""

from explicate_server.explain import StopReason
from explicate_standards.metric import Measured, Metric, Statistic, Told, median, quantile, said
from explicate_standards.subject import Effort, Subject

TOLERANCE = 0.1
FLOOR = 2  # rows a player
CHEAP = Effort(tolerance=TOLERANCE, evaluations_per_player=FLOOR)
# Beside the 10 that an explanation at the defaults takes, whose coalitions are the first of these. Measured on reviews
# of 45 words with MiniLM-L6: 14.7 rows a word in all.
_EXPECTED_ROWS = 5.0


def measure(subject: Subject) -> Measured:
    """Rows for each player, whether the budget ended it, and the widest interval of an explanation at the defaults."""
    if not subject.n:
        return {}
    explanation = subject.explained(CHEAP)
    served = subject.explained().quality.largest_interval_ratio
    return {
        "per_player": explanation.evaluations / subject.n,
        "at_cap": float(explanation.stop_reason is StopReason.BUDGET and not explanation.converged),
        **({} if served is None else {"served_interval": float(served)}),
    }


def _sentence(told: Told) -> str:
    return (
        f"An explanation with intervals of a tenth takes {said(told, 'median', 1)} model rows for each part of the "
        f"input at the median and {said(told, 'p90', 1)} at the 90th percentile; a share of {said(told, 'at_cap')} "
        "ends at the budget."
    )


METRIC = Metric(
    id="evaluations_per_player",
    title="Evaluations a player",
    definition="model rows that an explanation with intervals of a tenth takes, for each part of the input",
    measure=measure,
    statistics=(
        Statistic(name="median", key="per_player", reduce=median, better="lower"),
        Statistic(name="p90", key="per_player", reduce=quantile(0.9), better="lower"),
        Statistic(name="at_cap", key="at_cap", better="lower"),
    ),
    rows=lambda n: _EXPECTED_ROWS * n,
    sentence=_sentence,
)
