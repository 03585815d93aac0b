"""Explain against `shap.Explainer(pipeline)` and `lime` at their defaults, on the same fine-tuned model and reviews.

Wall time and model rows per review. The peers run the torch model in this process, as their users do; ours goes
through gRPC to a server process. One after the other on each review, never at once.
"""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import subject
from benchmarks.report import Figure, compared, print_table
from explicate import Client

REVIEWS = 5
WORDS_FROM, WORDS_TO = 40, 50
LIME_SAMPLES = 1000  # what lime's own tutorials take; its default is 5,000


@contextmanager
def server() -> Iterator[Client]:
    """`explicate serve` on the demo's repository, and a client."""
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "explicate",
            "serve",
            "--repository",
            str(subject.REPOSITORY),
            "--listen",
            "127.0.0.1:0",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    try:
        with Client(process.stdout.readline().strip(), timeout_s=120.0) as client:
            yield client
    finally:
        process.terminate()
        process.communicate(timeout=60)


class CountingModel:
    """The torch pipeline, with a count of the rows that went through its model."""

    def __init__(self) -> None:
        import torch
        from transformers import pipeline

        torch.manual_seed(0)
        self.pipeline: Any = pipeline(
            "text-classification",
            model=str(subject.RUN / "model"),
            top_k=None,
            device="cpu",
            truncation=True,
            max_length=128,
        )
        self.rows = 0
        self.pipeline.model.register_forward_hook(self._count, with_kwargs=True)
        self.labels = [
            self.pipeline.model.config.id2label[index] for index in range(self.pipeline.model.config.num_labels)
        ]

    def probabilities(self, texts: list[str]) -> NDArray[np.float64]:
        """float64[texts, labels], for lime."""
        answers = self.pipeline(list(texts), batch_size=32)
        return np.array(
            [[{s["label"]: s["score"] for s in scores}[label] for label in self.labels] for scores in answers]
        )

    def _count(self, _module: Any, _arguments: Any, _keywords: Any, output: Any) -> None:
        self.rows += len(output.logits)


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

    with server() as client:

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
