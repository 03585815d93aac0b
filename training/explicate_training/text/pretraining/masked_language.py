"""`[pretraining]`: the encoder guesses masked words of texts without labels, before it learns from those with labels.

Devlin and others 2019, "BERT", section 3.1 for the masking (of the chosen tokens 80 % become the mask, 10 % another
token, 10 % stay); Gururangan and others 2020, "Don't Stop Pretraining", for doing it on texts of one's own kind. What
is masked is a function of the seed, the epoch and the place alone, so a resumed run sees what the uninterrupted one
would.

It works in a folder beside the checkpoints of the fine-tuning, and what it learnt lies there until the run is done.
"""

import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any  # tokenizers and models of transformers

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.utils.data import Dataset
from transformers import AutoConfig, AutoModelForMaskedLM, set_seed

from explicate.errors import UsageError
from explicate_training.loop.trainer import Fitting, learn_unlabelled
from explicate_training.text.config import Config, PretrainingConfig
from explicate_training.text.model import LengthGroupedOrder, TextModel, resolve_base

FOLDER = "pretraining"
"""Of a run's checkpoints."""
_WEIGHTS, _FIGURES = "encoder.safetensors", "figures.json"
_AS_MASK, _AS_OTHER = 0.8, 0.9  # shares of the chosen tokens, added up
_IGNORED = -100  # of the labels of tokens that are not guessed, as transformers has it
_HELD_OUT_EPOCH = 2**20  # of the stream that masks held-out texts
_ROWS_TOGETHER = 64
_HEAD = ("predictions", "lm_head", "generator", "mask_predictions", "vocab_", "cls.", "decoder", "head.")

Draw = tuple[int, int, int]  # a text's number, the epoch, its place in the epoch


class _DrawnOrder(LengthGroupedOrder):
    """Texts of like length together, each with what its masks are drawn from."""

    def __iter__(self) -> Iterator[Draw]:  # type: ignore[override]  # the loader hands on what the order gives
        for place, row in enumerate(super().__iter__()):
            yield row, self._epoch, place


class _Texts(Dataset[Any]):
    def __init__(self, ids: Sequence[Sequence[int]]) -> None:
        self._ids = ids

    def __len__(self) -> int:
        return len(self._ids)

    def __getitem__(self, draw: Draw) -> tuple[Sequence[int], Draw]:
        return self._ids[draw[0]], draw


class Masking:
    """Makes batches of texts with tokens to be guessed."""

    def __init__(self, tokenizer: Any, *, fraction: float, vocabulary: int, seed: int) -> None:
        self._tokenizer, self._fraction, self._vocabulary, self._seed = tokenizer, fraction, vocabulary, seed
        self._special = np.array(sorted(tokenizer.all_special_ids))

    def masked(self, ids: Sequence[int], epoch: int, place: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The ids that the model sees and what it is to guess, int64 [tokens] each; at least one token if it can."""
        stream = np.random.Generator(np.random.Philox([self._seed, epoch, place]))
        seen = np.array(ids, dtype=np.int64)
        labels = np.full(len(seen), _IGNORED, dtype=np.int64)
        usable = np.flatnonzero(~np.isin(seen, self._special))
        if not len(usable):
            return seen, labels
        chosen = usable[stream.random(len(usable)) < self._fraction]
        if not len(chosen):
            chosen = usable[[int(stream.integers(len(usable)))]]
        labels[chosen] = seen[chosen]
        how = stream.random(len(chosen))
        other = stream.integers(0, self._vocabulary, len(chosen))
        seen[chosen] = np.where(
            how < _AS_MASK, self._tokenizer.mask_token_id, np.where(how < _AS_OTHER, other, seen[chosen])
        )
        return seen, labels

    def __call__(self, rows: Sequence[tuple[Sequence[int], Draw]]) -> dict[str, Tensor]:
        """A batch, padded."""
        pairs = [self.masked(ids, epoch, place) for ids, (_, epoch, place) in rows]
        batch = self._tokenizer.pad([{"input_ids": seen.tolist()} for seen, _ in pairs], return_tensors="pt")
        labels = torch.full(batch["input_ids"].shape, _IGNORED)
        for row, (_, wanted) in enumerate(pairs):
            labels[row, : len(wanted)] = torch.from_numpy(wanted)
        return {**batch, "labels": labels}


def load_masked_model(config: Config) -> tuple[Any, bool]:
    """The base with a layer that guesses words, tied to its embeddings, and whether that layer is new.

    Raises UsageError when there is none for its architecture.
    """
    source = resolve_base(config.model.base)
    set_seed(config.training.seed)
    try:
        settings = AutoConfig.from_pretrained(source, trust_remote_code=False)
        model, report = AutoModelForMaskedLM.from_pretrained(
            source,
            config=settings,
            trust_remote_code=False,
            use_safetensors=True,
            dtype=torch.float32,
            output_loading_info=True,
        )
    except (OSError, ValueError, KeyError, ImportError) as error:
        reason = " ".join(str(error).split()).split(". ")[0][:200]
        raise UsageError(
            f"pretraining.epochs: {config.model.base} cannot guess masked words ({reason}): choose an encoder such as "
            "BERT or RoBERTa, or leave [pretraining] out"
        ) from error
    missing = [name for name in report["missing_keys"] if any(part in name for part in _HEAD)]
    return model, bool(missing)


def pretrain(
    model: TextModel,
    texts: Sequence[Sequence[str]],
    held_out: Sequence[Sequence[str]],
    config: Config,
    fitting: Fitting,
) -> dict[str, Any]:
    """Goes on with the encoder of `model` in place, or takes what an interrupted run had finished; returns the figures.

    Args:
        model: whose encoder learns.
        texts: rows of one text or two to learn from.
        held_out: rows that measure what was learnt.
        config: of the run.
        fitting: where checkpoints go, and whether to go on from them.

    Raises:
        UsageError: the base has no mask, or no layer for guessing words.
        ExplicateError: the training diverged.
    """
    folder = fitting.checkpoints / FOLDER
    if fitting.resume and (folder / _FIGURES).is_file():
        _take(model, load_file(folder / _WEIGHTS))
        found: dict[str, Any] = json.loads((folder / _FIGURES).read_text(encoding="utf-8"))
        return found
    options, tokenizer, begin_s = config.pretraining, model.tokenizer, time.monotonic()
    if tokenizer.mask_token_id is None:
        raise UsageError(f"pretraining.epochs: {config.model.base} has no mask token: choose an encoder such as BERT")
    network, new_head = load_masked_model(config)
    masking = Masking(tokenizer, fraction=options.masked_fraction, vocabulary=len(tokenizer), seed=config.training.seed)
    measured = [row["input_ids"] for row in model.encode(held_out)]
    learnt = [row["input_ids"] for row in model.encode(texts)]
    before = held_out_loss(network, measured, masking)
    resume = fitting.resume and any(folder.glob("checkpoint-*/trainer_state.json"))
    steps = _learn(network, learnt, masking, options, fitting, folder=folder, resume=resume)
    after = held_out_loss(network, measured, masking)
    state = {name: value.detach().cpu().contiguous().clone() for name, value in network.base_model.state_dict().items()}
    _take(model, state)
    figures = {
        "texts": len(texts),
        "held_out_texts": len(held_out),
        "epochs": options.epochs,
        "steps": steps,
        "new_head": new_head,
        "loss": {"before": before, "after": after},
        "perplexity": {"before": math.exp(before), "after": math.exp(after)},
        "seconds": round(time.monotonic() - begin_s, 1),
    }
    _keep(folder, state, figures)
    return figures


def _keep(folder: Path, state: dict[str, Tensor], figures: Mapping[str, Any]) -> None:
    """The figures come last: where they are, all of it is."""
    save_file(state, folder / _WEIGHTS)
    unfinished = folder / f".{_FIGURES}"
    unfinished.write_text(json.dumps(figures), encoding="utf-8")
    unfinished.rename(folder / _FIGURES)


def _learn(
    network: Any,
    ids: Sequence[Sequence[int]],
    masking: Masking,
    options: PretrainingConfig,
    fitting: Fitting,
    *,
    folder: Path,
    resume: bool,
) -> int:
    seed = fitting.config.seed
    return learn_unlabelled(
        network,
        _Texts(ids),
        fitting,
        folder=folder,
        resume=resume,
        epochs=options.epochs,
        batch_size=options.batch_size,
        learning_rate=options.learning_rate,
        order=_DrawnOrder([len(row) for row in ids], options.batch_size, seed=seed),
        collate=masking,
    )


@torch.no_grad()
def held_out_loss(network: Any, ids: Sequence[Sequence[int]], masking: Masking) -> float:
    """The mean cross-entropy over the masked tokens of texts, the same ones at each call."""
    network.train(False)
    lost, guessed = 0.0, 0
    for start in range(0, len(ids), _ROWS_TOGETHER):
        places = range(start, min(start + _ROWS_TOGETHER, len(ids)))
        batch = masking([(ids[place], (place, _HELD_OUT_EPOCH, place)) for place in places])
        labels = batch.pop("labels").to(network.device)
        logits = network(**{name: values.to(network.device) for name, values in batch.items()}).logits.float()
        lost += float(torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="sum"))
        guessed += int((labels != _IGNORED).sum())
    return lost / max(guessed, 1)


def _take(model: TextModel, state: Mapping[str, Tensor]) -> None:
    """Puts an encoder's weights into the classifier; a pooler, which guessing words does not train, stays."""
    encoder: Any = model.model.base_model
    found = encoder.load_state_dict(state, strict=False)
    if found.unexpected_keys:
        raise UsageError(
            f"pretraining.epochs: {type(encoder).__name__} has no {found.unexpected_keys[0]} to take: leave "
            "[pretraining] out"
        )


def told(found: Mapping[str, Any]) -> str:
    """The figures for the terminal."""
    before, after = (found["perplexity"][name] for name in ("before", "after"))
    new = " (the layer that guesses was new before)" if found["new_head"] else ""
    return (
        f"pretraining: perplexity of masked words of {found['held_out_texts']:,} held-out texts {before:,.1f} before "
        f"and {after:,.1f} after {found['steps']:,} steps on {found['texts']:,} texts{new}"
    )
