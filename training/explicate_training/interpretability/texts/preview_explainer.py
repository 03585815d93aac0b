"""`explainer`: a second pass after the training, for a guess of a text's attributions before any word is removed.

A small network learns from the trained model alone: of a training text it is told what the model answers with some
words present, and its guesses φ must say the same, E_S (v(S) − v(∅) − Σ_{j ∈ S} φ_j)² over sets S by the Shapley kernel
and their complements, whose best answer are the Shapley values (Jethani and others, "FastSHAP", ICLR 2022; that noisy
answers are enough: Covert and others, NeurIPS 2024). Guesses are shifted alike so that they sum to v(N) − v(∅).

It is a preview, never an explanation: it has no interval, and it is wrong where texts are unlike those that it learnt
from. How far it agrees with the model's own Shapley values on test texts is told.
"""

import time
from dataclasses import dataclass
from typing import Any  # runs and configs of any kind

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from explicate.errors import UsageError
from explicate_training.config.sections import option
from explicate_training.interpretability.term import Term
from explicate_training.interpretability.texts.explainer_network import ExplainerConfig, ExplainerNetwork

_STEPS, _TEXTS, _SETS = 150, 16, 6  # of the training, texts of a step, and sets of a text: 14,400 rows of the model
_LEARNING_RATE = 5e-3
_LIMIT_S = 300.0
_COMPARED, _MOST_WORDS, _ORDERS = 12, 40, 12  # test texts, words of one, and random orders of these


@dataclass(frozen=True)
class PreviewExplainer(Term):
    """A network that guesses attributions."""

    name = "explainer"
    title = "agreement of guessed attributions with the model's Shapley values"
    about = "a small network learns to guess attributions, for a preview before any is measured"

    explainer: bool = option(
        False, "texts: after the training a small network learns to guess attributions, which streams show first"
    )

    def check(self, config: Any) -> None:
        """Whether it is a text's."""
        if config.kind != "text":
            raise UsageError(
                "interpretability.explainer is for texts: other explanations take a blink, so leave it out"
            )

    def after(self, run: Any) -> None:
        """Trains the network; `run.explainer` has it then."""
        begin_s = time.monotonic()
        embeddings = run.network.get_input_embeddings().weight
        outputs = len(run.task.outputs(run.labels))
        torch.manual_seed(run.config.training.seed)
        network = ExplainerNetwork(ExplainerConfig(len(embeddings), outputs))
        network.take_embeddings(embeddings.detach().cpu())
        steps = learn(network, run, seed=run.config.training.seed)
        run.explainer = network.eval()
        agreement = agreements(network, run, seed=run.config.training.seed)
        found: dict[str, Any] = {
            "steps": steps,
            "texts": len(agreement),
            "seconds": round(time.monotonic() - begin_s, 1),
        }
        found["agreement"] = float(np.median(agreement)) if agreement else None
        run.term_figures[self.name] = found
        told = f"{found['agreement']:.2f}" if agreement else "unknown, for no test text is short enough"
        run.say(
            f"explainer: guesses attributions after {steps} steps in {found['seconds']:.0f} s; the median correlation "
            f"with the model's Shapley values on {len(agreement)} test texts is {told}"
        )


def learn(network: ExplainerNetwork, run: Any, *, seed: int) -> int:
    """Trains in place, and returns how many steps there was time for."""
    optimiser = torch.optim.AdamW(network.parameters(), lr=_LEARNING_RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, _LEARNING_RATE, total_steps=_STEPS)
    stream = np.random.Generator(np.random.Philox(seed))
    rows, begin_s = len(run.targets["train"]), time.monotonic()
    for step in range(_STEPS):
        if time.monotonic() - begin_s > _LIMIT_S:
            return step
        chosen = stream.choice(rows, min(_TEXTS, rows), replace=False).tolist()
        batch = run.batch_of("train", chosen)
        counts = run.players().counts(batch).numpy()
        if not (counts >= 2).any():
            continue
        loss = _loss(network, run, batch, counts, stream)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        schedule.step()
    return _STEPS


def _loss(
    network: ExplainerNetwork, run: Any, batch: Any, counts: NDArray[np.intp], stream: np.random.Generator
) -> Tensor:
    """The mean squared error of the sums of guesses, over the spread of what they must say."""
    usable = np.flatnonzero(counts >= 2)
    ends = _answers(run, batch, np.repeat(usable, 2), _ends(counts, len(usable)))  # [2 · texts, channels]
    full, empty = ends[::2], ends[1::2]
    present = kernel_sets(counts[usable], _SETS, stream)  # [texts · sets, players]
    values = _answers(run, batch, np.repeat(usable, _SETS), present)
    guessed = guesses(network, batch, torch.from_numpy(usable), full - empty)  # [texts, players, channels]
    sums = torch.einsum("tsp,tpc->tsc", torch.from_numpy(present).float().reshape(len(usable), _SETS, -1), guessed)
    wanted = values.reshape(len(usable), _SETS, -1) - empty[:, None]
    spread = (full - empty).square().mean(dim=0).clamp(min=1e-3)
    loss: Tensor = ((sums - wanted).square().mean(dim=(0, 1)) / spread).mean()
    return loss


def guesses(network: ExplainerNetwork, batch: Any, texts: Tensor, total: Tensor) -> Tensor:
    """φ float32 [texts, players, channels] of some texts of a batch, which sum to `total` [texts, channels]."""
    ids, mask, owners = (batch[name][texts] for name in ("input_ids", "attention_mask", "players"))
    of_tokens = network(ids, mask)
    players = int(batch["players"].max()) + 1
    places = torch.where(owners < 0, players, owners).unsqueeze(2).expand_as(of_tokens)
    sums = torch.zeros((len(texts), players + 1, of_tokens.shape[2])).scatter_add(1, places, of_tokens)[:, :-1]
    there = torch.arange(players)[None, :, None] < (owners.amax(dim=1) + 1)[:, None, None]
    missing = (total - (sums * there).sum(dim=1)) / there.sum(dim=1)
    shifted: Tensor = (sums + missing[:, None]) * there
    return shifted


def kernel_sets(counts: NDArray[np.intp], sets: int, stream: np.random.Generator) -> NDArray[np.bool_]:
    """Sets of players bool [rows · sets, most players], sizes by the Shapley kernel, each with its complement.

    Of n players a size k comes with a chance proportional to 1 / (k (n − k)). Places beyond a row's players are absent.
    """
    found = np.zeros((len(counts), sets, int(counts.max())), dtype=np.bool_)
    for row, count in enumerate(counts.tolist()):
        sizes = np.arange(1, count)
        weights = 1 / (sizes * (count - sizes))
        for place in range(0, sets, 2):
            size = stream.choice(sizes, p=weights / weights.sum())
            found[row, place, stream.permutation(count)[:size]] = True
            found[row, place + 1, :count] = ~found[row, place, :count]
    return found.reshape(len(counts) * sets, -1)


def _ends(counts: NDArray[np.intp], texts: int) -> NDArray[np.bool_]:
    """All players, then none, for each of some texts; bool [2 · texts, most players]."""
    return np.tile(np.array([[True], [False]]), (texts, int(counts.max())))


@torch.no_grad()
def _answers(run: Any, batch: Any, rows: NDArray[np.intp], present: NDArray[np.bool_]) -> Tensor:
    """What the model answers to views of texts, float32 [views, 2 · outputs]: centred logits, then scores."""
    players, most = run.players(), int(batch["players"].max()) + 1
    wide = np.zeros((len(present), most), dtype=np.bool_)
    wide[:, : present.shape[1]] = present
    found = players.answered(run.answers_to, batch, rows, wide)
    centred = run.task.centred(torch.from_numpy(found)).numpy()
    return torch.from_numpy(np.concatenate([centred, run.task.scores(found)], axis=1).astype(np.float32))


@torch.no_grad()
def agreements(network: ExplainerNetwork, run: Any, *, seed: int) -> list[float]:
    """Of a few test texts the correlation of the guesses with Shapley values by random orders, of the top score."""
    stream = np.random.Generator(np.random.Philox([seed, 1]))
    found: list[float] = []
    for row in stream.permutation(len(run.targets["test"])).tolist():
        if len(found) == _COMPARED:
            break
        batch = run.batch_of("test", [row])
        count = int(run.players().counts(batch)[0])
        if not 3 <= count <= _MOST_WORDS:
            continue
        ends = _answers(run, batch, np.zeros(2, np.intp), _ends(np.array([count]), 1))
        channel = ends.shape[1] // 2 + int(ends[0, ends.shape[1] // 2 :].argmax())
        guessed = guesses(network, batch, torch.zeros(1, dtype=torch.int64), (ends[:1] - ends[1:]))[0, :count, channel]
        measured = _shapley(run, batch, count, channel, stream)
        if guessed.std() > 0 and measured.std() > 0:
            found.append(float(np.corrcoef(guessed.numpy(), measured)[0, 1]))
    return found


def _shapley(run: Any, batch: Any, count: int, channel: int, stream: np.random.Generator) -> NDArray[np.float64]:
    """Of each player float64 [players], by random orders and their reverses."""
    values = np.zeros(count)
    for _ in range(_ORDERS // 2):
        order = stream.permutation(count)
        for each in (order, order[::-1]):
            ranks = np.argsort(each)
            present = ranks[np.newaxis] < np.arange(count + 1)[:, np.newaxis]
            answers = _answers(run, batch, np.zeros(count + 1, np.intp), present)[:, channel].numpy()
            values[each] += np.diff(answers)
    return values / _ORDERS
