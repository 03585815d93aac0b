"""The simple models that trained ones are measured against, and how much of texts a model sees."""

import json
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from explicate_bundle.columns import TableRows
from explicate_training.image.neighbours import neighbour_outputs, shrink
from explicate_training.table import boosted_trees
from explicate_training.table.boosted_trees import boosted_trees_outputs
from explicate_training.table.date_parts import DatePlaces
from explicate_training.table.fitting import TableExamples
from explicate_training.text.config import Config, ModelConfig
from explicate_training.text.tfidf import linear_outputs, weigh
from explicate_training.train import train
from support.imbalanced_texts import write_imbalanced_texts

PARTS = ("train", "validation", "test")


def test_a_linear_model_of_words_tells_classes_that_one_word_tells() -> None:
    words = {0: "great", 1: "bad", 2: "late"}
    rows, targets = {}, {}
    for seed, name in enumerate(PARTS):
        stream = np.random.default_rng(seed)
        targets[name] = stream.integers(0, 3, 90)
        rows[name] = [(f"the {stream.choice(['tea', 'box', 'cup'])} was {words[int(one)]}",) for one in targets[name]]
    outputs = linear_outputs(*weigh(rows, targets), classes=3)
    assert outputs["test"].shape == (90, 3)
    np.testing.assert_allclose(np.exp(outputs["test"]).sum(axis=1), 1)
    assert (outputs["test"].argmax(axis=1) == targets["test"]).all()


@pytest.mark.parametrize("texts", [("味道很好", "味道不好"), ("!!", "??")])
def test_texts_without_spaces_or_words_are_read_by_their_characters(texts: tuple[str, str]) -> None:
    targets = {name: np.arange(40) % 2 for name in PARTS}
    rows = {name: [(texts[int(one)],) for one in targets[name]] for name in PARTS}
    outputs = linear_outputs(*weigh(rows, targets), classes=2)
    assert (outputs["test"].argmax(axis=1) == targets["test"]).all()


def test_a_pair_is_read_as_what_both_texts_have_in_common() -> None:
    rows, targets = {}, {}
    for seed, name in enumerate(PARTS):
        stream = np.random.default_rng(seed)
        firsts = stream.choice(["tea", "box", "cup", "jar"], 200)
        seconds = stream.choice(["tea", "box", "cup", "jar"], 200)
        rows[name], targets[name] = list(zip(firsts, seconds, strict=True)), (firsts == seconds).astype(int)
    outputs = linear_outputs(*weigh(rows, targets), classes=2)
    assert (outputs["test"].argmax(axis=1) == targets["test"]).mean() > 0.95


def test_a_number_is_told_from_words() -> None:
    targets = {name: np.arange(60) % 5 * 1.0 for name in PARTS}
    rows = {
        name: [(f"{['one', 'two', 'three', 'four', 'five'][int(one)]} stars",) for one in targets[name]]
        for name in PARTS
    }
    outputs = linear_outputs(*weigh(rows, targets), classes=0)
    assert np.corrcoef(outputs["test"][:, 0], targets["test"])[0, 1] > 0.95


def test_the_nearest_images_tell_what_is_bright() -> None:
    parts = []
    for seed in range(3):
        stream = np.random.default_rng(seed)
        targets = stream.integers(0, 2, 40)
        levels = 60 + 120 * targets[:, None, None, None]
        pixels = (levels + stream.integers(0, 40, (40, 24, 32, 3))).astype(np.uint8)
        parts.append(shrink(pixels, np.arange(40), targets))
    assert parts[0].values.shape == (40, 16 * 16 * 3)
    outputs = neighbour_outputs(*parts, classes=2)
    np.testing.assert_allclose(np.exp(outputs["validation"]).sum(axis=1), 1)
    assert (outputs["test"].argmax(axis=1) == parts[2].targets).all()
    values = neighbour_outputs(*(replace(part, targets=part.targets * 2.5) for part in parts), classes=0)
    np.testing.assert_allclose(values["test"][:, 0], parts[2].targets * 2.5)


def test_small_images_are_means_of_the_large_ones() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3), dtype=np.uint8)
    means = pixels[0].reshape(16, 2, 16, 2, 3).mean(axis=(1, 3))
    small = shrink(pixels, np.array([0]), np.zeros(1)).values.reshape(3, 16, 16)
    np.testing.assert_allclose(small.transpose(1, 2, 0), means, rtol=1e-6)


def examples(rows: int, classes: int, seed: int) -> TableExamples:
    stream = np.random.default_rng(seed)
    numbers = stream.normal(size=(rows, 3)).astype(np.float32)
    targets = (numbers[:, 0] * 2 + stream.normal(size=rows)).astype(int) % classes
    targets[:classes] = np.arange(classes)
    return TableExamples(TableRows(numbers, np.zeros((rows, 0), dtype=np.int64)), targets)


def test_the_stages_of_the_trees_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is that of a few stages, not of all: 4 settings x 40 stages x 20,000 rows x 4 classes were 102 MB."""
    monkeypatch.setattr(boosted_trees, "_TREES", 40)
    train_part, validation, test = examples(300, 4, 0), examples(20_000, 4, 1), examples(100, 4, 2)
    stage = 20_000 * 4 * 8
    tracemalloc.start()
    outputs = boosted_trees_outputs(train_part, validation, test, classes=4, seed=0, dates=DatePlaces())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 12 * stage
    assert outputs["validation"].shape == (20_000, 4)


def test_the_best_stage_is_the_one_that_is_answered() -> None:
    parts = [examples(200, 3, seed) for seed in range(3)]
    outputs = boosted_trees_outputs(*parts, classes=3, seed=0, dates=DatePlaces())
    losses = []
    for rate in (0.03, 0.1):
        for leaves in (6, 31):
            trees = boosted_trees._fit(parts[0], 3, learning_rate=rate, leaves=leaves, seed=0, monotone={})
            losses += [
                -np.log(share[np.arange(200), parts[1].targets]).mean()
                for share in trees.staged_predict_proba(boosted_trees._matrix(parts[1].encoded))
            ]
    found = -outputs["validation"][np.arange(200), parts[1].targets].mean()
    assert found == pytest.approx(min(losses))


# What a model sees of its texts


def test_texts_that_are_cut_and_tokens_that_are_unknown_are_told_with_the_remedy(
    text_config: Config, base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_imbalanced_texts(tmp_path / "texts.csv", seed=0, rows=120)
    lines = path.read_text(encoding="utf-8").splitlines()
    half = [f"ชา {line}" if place % 2 else line for place, line in enumerate(lines[1:])]  # Thai, which it does not know
    path.write_text("\n".join([lines[0], *half]) + "\n", encoding="utf-8")
    config = replace(
        text_config,
        data=replace(text_config.data, train=str(path)),
        model=ModelConfig(base=str(base), max_tokens=10),
        training=replace(text_config.training, epochs=1),
    )
    report = json.loads((train(config) / "data.json").read_text())
    said = capsys.readouterr().err
    cut = sum(split["truncated"] for split in report["splits"].values())
    texts = sum(split["texts"] for split in report["splits"].values())
    assert 0 < cut < texts
    assert f"tokens: {cut} of {texts} texts ({cut / texts:.1%}) are longer than 10 and cut" in said
    unknown = report["splits"]["train"]["unknown_tokens"]
    assert 0.02 < unknown < 0.1
    assert f"; {unknown:.1%} are unknown to the tokenizer" in said
    of_cut = f"{cut / texts:.0%} of the texts are cut at 10 tokens, the rest unread: raise model.max_tokens (up to 128)"
    of_unknown = (
        f"{unknown:.0%} of the tokens are unknown to the base model, such as 'ชา': choose a base that knows the "
        "language, such as a multilingual one"
    )
    assert f"note: {of_cut}" in said
    assert f"note: {of_unknown}" in said
    assert set(report["warnings"]) >= {of_cut, of_unknown}
