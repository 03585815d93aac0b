"""Learning from texts without labels before those with labels."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from explicate.errors import UsageError
from explicate_training.config.config_file import load_config
from explicate_training.text.config import Config, FewShotConfig, PretrainingConfig, TrainingConfig
from explicate_training.text.pretraining.masked_language import Masking
from explicate_training.text.pretraining.unlabelled import unlabelled_texts
from explicate_training.train import train
from support.few_labels import few_labels_config, write_texts
from support.tiny_text_model import build_tokenizer
from support.training_runs import Interruption, to_folder, weights


def config_of(folder: Path, **options: Any) -> Config:
    """A run with 10 steps of pretraining and 4 of training."""
    pretraining = PretrainingConfig(epochs=2, batch_size=8, learning_rate=2e-3, **options)
    training = TrainingConfig(precision="fp32", device="cpu", batch_size=8, epochs=1, learning_rate=1e-3)
    return few_labels_config(folder, few_shot=FewShotConfig(), pretraining=pretraining, training=training)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run with pretraining on its own texts."""
    return train(config_of(tmp_path_factory.mktemp("pretrained")))


def test_masks_are_a_function_of_the_draw_and_spare_special_tokens() -> None:
    tokenizer = build_tokenizer()
    masking = Masking(tokenizer, fraction=0.5, vocabulary=len(tokenizer), seed=0)
    ids = tokenizer("the coffee is good and the box was big")["input_ids"]
    seen, labels = masking.masked(ids, 0, 3)
    again, _ = masking.masked(ids, 0, 3)
    assert seen.tolist() == again.tolist()
    chosen = labels != -100
    assert labels[chosen].tolist() == np.array(ids)[chosen].tolist()
    assert seen[~chosen].tolist() == np.array(ids)[~chosen].tolist()
    assert not chosen[[0, -1]].any()
    assert seen.tolist() != masking.masked(ids, 1, 3)[0].tolist()


def test_every_text_has_a_token_to_guess_unless_it_has_none() -> None:
    tokenizer = build_tokenizer()
    masking = Masking(tokenizer, fraction=1e-9, vocabulary=len(tokenizer), seed=0)
    assert (masking.masked(tokenizer("good box")["input_ids"], 0, 0)[1] != -100).sum() == 1
    assert (masking.masked(tokenizer("")["input_ids"], 0, 0)[1] != -100).sum() == 0


def test_figures_of_held_out_texts_are_told_before_and_after(run: Path) -> None:
    found = json.loads((run / "metrics.json").read_text())["pretraining"]
    assert found["perplexity"]["after"] < found["perplexity"]["before"]
    assert found["perplexity"]["after"] == pytest.approx(np.exp(found["loss"]["after"]))
    assert found["new_head"]  # a classifier has none
    assert found["steps"] == 2 * -(-found["texts"] // 8)
    assert "What it learnt without labels" in (run / "report.html").read_text()


@pytest.mark.parametrize("at_step", [7, 3])
def test_an_interrupted_run_goes_on_to_the_same_model(run: Path, tmp_path: Path, at_step: int) -> None:
    config = to_folder(config_of(tmp_path), "again")
    with pytest.raises(KeyboardInterrupt):
        train(config, progress=Interruption(at_step))  # 7: only the pretraining has as many steps; 3: it is the first
    resumed = train(config, resume=True)
    for name, value in weights(run).items():
        assert weights(resumed)[name] == pytest.approx(value, abs=1e-6), name


def test_an_interruption_of_the_training_keeps_what_the_pretraining_did(run: Path, tmp_path: Path) -> None:
    class InTraining(Interruption):
        """At a step of the second stage."""

        stages = 0

        def on_train_begin(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            super().on_train_begin(args, state, control, **more)
            self.stages += 1

        def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            if self.stages == 2:
                super().on_step_end(args, state, control, **more)

    config = to_folder(config_of(tmp_path), "again")
    with pytest.raises(KeyboardInterrupt):
        train(config, progress=InTraining(3))
    seen = InTraining(10**6)
    resumed = train(config, resume=True, progress=seen)
    assert seen.stages == 1  # the pretraining is not done again
    for name, value in weights(run).items():
        assert weights(resumed)[name] == pytest.approx(value, abs=1e-6), name


def test_a_file_of_texts_is_read_without_blank_double_and_held_out_ones(tmp_path: Path) -> None:
    path = tmp_path / "texts.txt"
    path.write_text("a good box\n\na good box\nA Held-Out text\nanother box\n")
    config = replace(Config(), pretraining=PretrainingConfig(epochs=1, texts=str(path)))
    lines: list[str] = []
    found = unlabelled_texts(config, [("a held out text",)], lines.append)
    assert found == [("a good box",), ("another box",)]
    assert "held out (1)" in lines[0]


def test_a_table_of_texts_is_read_by_its_column(tmp_path: Path) -> None:
    path = write_texts(tmp_path / "texts.csv", rows=6)
    config = replace(Config(), pretraining=PretrainingConfig(epochs=1, texts=str(path)))
    assert len(unlabelled_texts(config, [], lambda _: None)) == 6
    other = replace(config, pretraining=replace(config.pretraining, text_column="review"))
    with pytest.raises(UsageError, match=r"pretraining\.text_column"):
        unlabelled_texts(other, [], lambda _: None)


def test_the_file_is_found_from_the_folder_of_the_config(tmp_path: Path) -> None:
    (tmp_path / "my.toml").write_text('[data]\ntrain = "a.csv"\n[pretraining]\nepochs = 1\ntexts = "more.txt"\n')
    config = load_config(str(tmp_path / "my.toml"))
    assert isinstance(config, Config)
    assert config.pretraining.texts == str(tmp_path.resolve() / "more.txt")


def test_a_base_that_cannot_guess_words_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    config = few_labels_config(tmp_path)  # its run's classifier of mean tokens has no such layer
    run = train(config)
    continued = replace(config, model=replace(config.model, base=str(run)), pretraining=PretrainingConfig(epochs=1))
    with pytest.raises(UsageError, match=r"pretraining\.epochs: .* cannot guess masked words"):
        train(to_folder(continued, "second"))
