"""`python -m benchmarks.equal_accuracy`: time to equal accuracy, and error at equal time, against shap and lime.

Held-out reviews and a real fine-tuned model. Each answer is compared with the converged Shapley values of the very game
that it plays: shap's of tokens replaced by the mask token, lime's of distinct words deleted, ours of words that get no
attention. Ours is also asked to play shap's game, the same players and rows. The converged values come from
kernel-shap with another seed and many times the rows; how far they may be off is said first.

For each review: the peer at its defaults; ours with growing budgets until its error is no more than the peer's; ours
with the peer's time as its limit. One after the other, never at once, and nothing is remembered between requests.
"""

import argparse
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import subject
from benchmarks.explain_time import LIME_SAMPLES
from benchmarks.peers import CountingModel
from benchmarks.report import Figure, compared, print_table
from benchmarks.server_process import server_process
from explicate import Attribution, Client
from explicate_server.explain import explain_game

Floats = NDArray[np.float64]
WORDS_FROM, WORDS_TO = 25, 35
BUDGETS_PER_PLAYER = (2, 3, 4, 6, 8, 12, 16, 24, 32)
CONVERGED_PER_PLAYER = 96
TRUTH_SEED = 20_261_122
MOST_EVALUATIONS = 16_384  # the server's own limit
WORDS_GAME: dict[str, Any] = {"method": "kernel-shap"}
SHAP_GAME: dict[str, Any] = {"method": "kernel-shap", "granularity": "token", "masking": "mask-token"}


@dataclass
class Rounds:
    """What one comparison gave, one number per review."""

    seconds_to_equal: list[float] = field(default_factory=list)
    peer_seconds: list[float] = field(default_factory=list)
    error_at_equal_time: list[float] = field(default_factory=list)
    peer_errors: list[float] = field(default_factory=list)

    def figures(self, what: str, peer: str) -> list[Figure]:
        """Both comparisons as lines of a table."""
        return [
            compared(f"{what}: time to {peer}'s error", "s", self.seconds_to_equal, self.peer_seconds, peer),
            compared(f"{what}: error in {peer}'s time", "L2", self.error_at_equal_time, self.peer_errors, peer),
        ]


class Review:
    """One review: its converged values by game, and ours at any budget."""

    def __init__(self, client: Client, text: str) -> None:
        self.text = text
        self._client = client
        prediction = client.predict(subject.MODEL, [text]).predictions[0]
        self.label, self.index = prediction.label, prediction.index
        self.doubts: list[float] = []

    def ours(self, game: dict[str, Any], **options: Any) -> Floats:
        """Values of the predicted class, float64[players]."""
        return np.array(self._explained(game, options).values)

    def converged(self, game: dict[str, Any]) -> Floats:
        """The game's Shapley values."""
        players = len(self.ours(game, max_evaluations=4))
        most = min(CONVERGED_PER_PLAYER * players, MOST_EVALUATIONS)
        attribution = self._explained(game, {"seed": TRUTH_SEED, "max_evaluations": most})
        self._doubt(np.array(attribution.standard_errors), np.array(attribution.values))
        return np.array(attribution.values)

    def converged_deletion(self) -> Floats:
        """Shapley values of lime's game: the distinct words of its own index, deleted by its own rule."""
        from lime.lime_text import IndexedString

        indexed = IndexedString(self.text)
        n = indexed.num_words()

        def value(coalitions: NDArray[np.bool_]) -> Floats:
            texts = [indexed.inverse_removing(np.flatnonzero(~row)) for row in coalitions]
            return self._probabilities([text if text.strip() else "." for text in texts])

        explanation = explain_game(value, n, seed=TRUTH_SEED, max_evaluations=CONVERGED_PER_PLAYER // 2 * n)
        self._doubt(explanation.standard_errors, explanation.values)
        return explanation.values

    def _explained(self, game: dict[str, Any], options: dict[str, Any]) -> Attribution:
        fixed: dict[str, Any] = {"target": self.label, "max_players": 1024, "tolerance": 0.0, "timeout_s": 300.0}
        answer = self._client.explain(subject.MODEL, self.text, **fixed, **game, **options)
        return answer.explanation.attributions[0]

    def _probabilities(self, texts: list[str]) -> Floats:
        scores: list[float] = []
        for first in range(0, len(texts), 512):
            answer = self._client.predict(subject.MODEL, texts[first : first + 512], timeout_s=120.0)
            scores += [prediction.scores[self.index].probability for prediction in answer.predictions]
        return np.array(scores)

    def _doubt(self, errors: Floats, values: Floats) -> None:
        self.doubts.append(float(np.linalg.norm(errors) / np.linalg.norm(values)))


def relative_error(values: Floats, truth: Floats) -> float:
    """‖values − truth‖ / ‖truth‖."""
    return float(np.linalg.norm(values - truth) / np.linalg.norm(truth))


def compare(review: Review, game: dict[str, Any], truth: Floats, rounds: Rounds) -> str:
    """Our side of one comparison, against the peer's last seconds and error; a line for people."""
    peer_s, peer_error = rounds.peer_seconds[-1], rounds.peer_errors[-1]
    for per_player in BUDGETS_PER_PLAYER:
        values, seconds = timed(partial(review.ours, game, max_evaluations=per_player * len(truth)))
        error = relative_error(values, truth)
        if error <= peer_error:
            break
    rounds.seconds_to_equal.append(seconds)
    in_time = review.ours(game, max_evaluations=MOST_EVALUATIONS, time_limit_s=peer_s)
    rounds.error_at_equal_time.append(relative_error(in_time, truth))
    return (
        f"peer {peer_error:.2f} in {peer_s:.1f} s; ours {error:.2f} in {seconds:.2f} s ({per_player}n), "
        f"{rounds.error_at_equal_time[-1]:.3f} in its time"
    )


def shap_values(model: CountingModel, text: str, label: str) -> Floats:
    """What shap says of a label at its defaults, without the two special tokens."""
    import shap

    explanation = shap.Explainer(model.pipeline)([text], silent=True)[0, :, label]
    return np.asarray(explanation.values, dtype=np.float64)[1:-1]


def lime_values(model: CountingModel, text: str, index: int) -> Floats:
    """What lime says of a class, one coefficient per distinct word."""
    from lime.lime_text import IndexedString, LimeTextExplainer

    answer = LimeTextExplainer(random_state=0).explain_instance(
        text, model.probabilities, labels=[index], num_features=10_000, num_samples=LIME_SAMPLES
    )
    values = np.zeros(IndexedString(text).num_words())
    for word, coefficient in answer.local_exp[index]:
        values[word] = coefficient
    return values


def timed(work: Callable[[], Floats]) -> tuple[Floats, float]:
    """The values and the seconds they took."""
    started_s = time.perf_counter()
    values = work()
    return values, time.perf_counter() - started_s


def measure(reviews: int, *flags: str) -> list[Figure]:
    """Compare on so many reviews, with a server that gets further flags."""
    subject.prepare()
    texts = [text for text in subject.reviews() if WORDS_FROM <= len(text.split()) <= WORDS_TO and text.isascii()]
    model = CountingModel()
    same, own, lime = Rounds(), Rounds(), Rounds()
    doubts: list[float] = []
    with server_process("--max-memo-bytes", "0", *flags) as server, Client(server.address) as client:
        shap_values(model, "warm up", model.labels[0])
        for number, text in enumerate(texts[:reviews]):
            review = Review(client, text)
            words, tokens = review.converged(WORDS_GAME), review.converged(SHAP_GAME)
            values, seconds = timed(partial(shap_values, model, text, review.label))
            for rounds in (same, own):
                rounds.peer_seconds.append(seconds)
                rounds.peer_errors.append(relative_error(values, tokens))
            say(number, "shap's game", compare(review, SHAP_GAME, tokens, same))
            say(number, "shap, own games", compare(review, WORDS_GAME, words, own))

            values, seconds = timed(partial(lime_values, model, text, review.index))
            lime.peer_seconds.append(seconds)
            lime.peer_errors.append(relative_error(values, review.converged_deletion()))
            say(number, "lime, own games", compare(review, WORDS_GAME, words, lime))
            doubts += review.doubts
    print(f"converged values may be off by {statistics.median(doubts):.3f} (median relative standard error)")
    return [
        *same.figures("same game", "shap.Explainer(pipeline)"),
        *own.figures("own games", "shap.Explainer(pipeline)"),
        *lime.figures("own games", f"lime, {LIME_SAMPLES} samples"),
    ]


def say(number: int, what: str, line: str) -> None:
    """Progress, for people."""
    print(f"review {number + 1}, {what}: {line}", file=sys.stderr, flush=True)


def main() -> None:
    """Measure with one runtime and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--reviews", type=int, default=5, help="held-out reviews (default: 5)")
    parser.add_argument("--runtime", default="onnxruntime", help="of our server (default: onnxruntime)")
    arguments = parser.parse_args()
    figures = measure(arguments.reviews, "--runtime", arguments.runtime)
    print_table(figures, name=f"equal-accuracy-{arguments.runtime}")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
