"""Explain against `shap.Explainer(pipeline)` and `lime` at their defaults, on the same fine-tuned model and reviews.

Wall time and model rows per review. The peers run the torch model in this process, as their users do; ours goes
through gRPC to a server process. One after the other on each review, never at once.
"""

import sys
import time
from collections.abc import Callable
from typing import Any

from benchmarks import subject
from benchmarks.peers import CountingModel
from benchmarks.report import Figure, compared, print_table
from benchmarks.server_process import server_process
from explicate import Client

REVIEWS = 5
WORDS_FROM, WORDS_TO = 40, 50
LIME_SAMPLES = 1000  # what lime's own tutorials take; its default is 5,000


def timed(work: Callable[[], object]) -> float:
    """Seconds of a call."""
    started_s = time.perf_counter()
    work()
    return time.perf_counter() - started_s


def measure() -> list[Figure]:
    """Seconds and model rows per review: ours, shap's, lime's."""
    import shap
    from lime.lime_text import LimeTextExplainer

    subject.prepare()
    texts = [text for text in subject.reviews() if WORDS_FROM <= len(text.split()) <= WORDS_TO][:REVIEWS]
    model = CountingModel()
    seconds: dict[str, list[float]] = {"kernel-shap": [], "shap": [], "our lime": [], "lime": []}
    rows: dict[str, list[float]] = {name: [] for name in seconds}

    def peer(name: str, work: Callable[[], object]) -> None:
        model.rows = 0
        seconds[name].append(timed(work))
        rows[name].append(model.rows)

    with server_process() as server, Client(server.address, timeout_s=120.0) as client:

        def ours(name: str, **options: Any) -> None:
            started_s = time.perf_counter()
            answer = client.explain(subject.MODEL, text, timeout_s=60.0, **options)
            seconds[name].append(time.perf_counter() - started_s)
            rows[name].append(answer.explanation.evaluations)

        for number, text in enumerate(texts):
            ours("kernel-shap")
            peer("shap", lambda text=text: shap.Explainer(model.pipeline)([text], silent=True))  # type: ignore[misc]
            ours("our lime", method="lime", max_evaluations=LIME_SAMPLES)
            peer(
                "lime",
                lambda text=text: LimeTextExplainer(random_state=0).explain_instance(  # type: ignore[misc]
                    text, model.probabilities, num_samples=LIME_SAMPLES
                ),
            )
            latest = ", ".join(
                f"{name} {values[-1]:.2f} s {rows[name][-1]:.0f} rows" for name, values in seconds.items()
            )
            print(f"review {number + 1}/{len(texts)}: {latest}", file=sys.stderr)
    what = f"review of {WORDS_FROM}-{WORDS_TO} words"
    return [
        compared(
            f"Explain kernel-shap, {what}", "s", seconds["kernel-shap"], seconds["shap"], "shap.Explainer(pipeline)"
        ),
        compared("  model rows", "rows", rows["kernel-shap"], rows["shap"], "shap.Explainer(pipeline)"),
        compared(
            f"Explain lime, {LIME_SAMPLES} samples", "s", seconds["our lime"], seconds["lime"], "lime, same samples"
        ),
        compared("  model rows", "rows", rows["our lime"], rows["lime"], "lime, same samples"),
    ]


if __name__ == "__main__":
    print_table(measure())
