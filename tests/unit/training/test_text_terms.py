"""Rationales and forbidden words: what they add to the loss, what they change, what they refuse."""

import csv
import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from explicate.errors import UsageError
from explicate_bundle.players.word_swaps import Swaps
from explicate_training.config.config_file import format_config, load_config, parse_config
from explicate_training.interpretability.terms import InterpretabilityConfig, absent, active_terms
from explicate_training.interpretability.texts.forbidden_words import SwappedTexts, gap_and_flips, gaps
from explicate_training.interpretability.texts.marks import Mark
from explicate_training.interpretability.texts.rationale_head import RationaleHead, word_targets
from explicate_training.loop.progress import StepProgress
from explicate_training.tasks.registry import task_named
from explicate_training.text.config import Config
from explicate_training.text.model import load_text_model
from explicate_training.text.run import TextRun
from explicate_training.train import train
from support.tiny_text_model import WORDS
from support.training_runs import Interruption, to_folder, weights


def section(**keys: Any) -> Any:
    """The section with these keys, all else off."""
    off: Any = absent()
    return replace(off, **keys)


def write_rows(path: Path, header: list[str], rows: list[list[str]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return path


@pytest.fixture(scope="session")
def explained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """160 texts that are good or bad by one word of each, which the column "why" names in 120 of them."""
    stream = random.Random(2)
    plain = [word for word in WORDS if word not in ("good", "bad")]
    rows = []
    for index in range(160):
        label = ("good", "bad")[index % 2]
        words = [*stream.sample(plain, 7), label]
        stream.shuffle(words)
        rows.append([" ".join(words), label, label if index < 120 else ""])
    return write_rows(tmp_path_factory.mktemp("data") / "explained.csv", ["text", "label", "why"], rows)


@pytest.fixture
def config(text_config: Config, explained: Path) -> Config:
    training = replace(text_config.training, epochs=2, label_smoothing=0.0, class_weights="none")
    data = replace(text_config.data, train=str(explained))
    return replace(text_config, data=data, training=training)


# Rationales


def head_and_step(targets: list[list[float]], states: torch.Tensor, owners: torch.Tensor) -> tuple[RationaleHead, Any]:
    told = [np.array(one, dtype=np.float32) for one in targets]
    head = RationaleHead(1.0, told, [[()] * len(one) for one in told], states.shape[2])
    shown = SimpleNamespace(
        rows=torch.arange(len(owners)),
        inputs={"players": owners},
        outputs={"hidden_states": (torch.zeros(0), states)},
    )
    padded = torch.nn.utils.rnn.pad_sequence([torch.tensor(one) for one in targets], batch_first=True, padding_value=-1)
    return head, SimpleNamespace(batch={"rationale": padded}, shown=[shown])


def test_the_head_pools_tokens_to_words_and_pays_cross_entropy_by_hand() -> None:
    states = torch.tensor([[[9.0], [2.0], [4.0], [-1.0], [9.0]], [[9.0], [1.0], [9.0], [9.0], [9.0]]])
    owners = torch.tensor([[-1, 0, 0, 1, -1], [-1, 0, -1, -1, -1]])  # words of two tokens and one; one word is absent
    head, step = head_and_step([[1.0, 0.0, 0.0], [0.25]], states, owners)
    assert head.positive_weight == pytest.approx((0 + 1 + 1 + 0.75) / 1.25)
    with torch.no_grad():
        head.head.weight.fill_(0.5)
        head.head.bias.fill_(0.1)
    weight = head.positive_weight

    def cost(logit: float, target: float) -> float:
        return float(weight * target * np.log1p(np.exp(-logit)) + (1 - target) * np.log1p(np.exp(logit)))

    expected = np.mean([cost(0.5 * 3 + 0.1, 1.0), cost(-0.5 + 0.1, 0.0), cost(0.5 + 0.1, 0.25)])
    loss = head.loss(step)
    assert loss is not None
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_rows_without_a_rationale_teach_the_head_nothing() -> None:
    states, owners = torch.ones((1, 2, 1)), torch.tensor([[0, 1]])
    head, step = head_and_step([[1.0, 0.0]], states, owners)
    step.batch["rationale"] = torch.tensor([[-1.0, -1.0]])
    assert head.loss(step) is None


def test_a_rationale_in_a_part_that_is_not_read_teaches_nothing() -> None:
    run: Any = SimpleNamespace(
        rationales=lambda _: [(Mark(0, 0, 1),), (Mark(0, 90, 94),), None],
        word_spans=lambda _: [[(0, 0, 1), (0, 2, 3)]] * 3,
    )
    first, *others = word_targets(run, "train")
    assert first is not None
    assert first.tolist() == [1, 0]
    assert others == [None, None]


def test_a_run_with_rationales_leaves_the_files_of_one_without_and_rows_to_measure_on(
    config: Config, capfd: pytest.CaptureFixture[str]
) -> None:
    run = train(to_folder(replace(config, interpretability=section(rationales="why")), "run"))
    plain = train(to_folder(config, "plain"))
    assert sorted(one.name for one in run.iterdir()) == sorted(one.name for one in plain.iterdir())
    assert {name: one.shape for name, one in weights(run).items()} == {
        name: one.shape for name, one in weights(plain).items()
    }
    assert any((weights(run)[name] != one).any() for name, one in weights(plain).items())  # but they learnt otherwise
    rows = [json.loads(line) for line in (run / "held_out.jsonl").read_text().splitlines()]
    named = [row for row in rows if "rationale" in row]
    assert 0 < len(named) < len(rows)
    for row in named:
        assert [row["text"][start:stop] for start, stop in row["rationale"]] == [row["label"]]
    assert not any("rationale" in line for line in (plain / "held_out.jsonl").read_text().splitlines())
    said = capfd.readouterr().err
    assert "training texts have one, which names 12% of their words" in said
    assert "rationales: the head, which is not kept, finds the words that the rationales of" in said
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["interpretability"]["terms"]["rationales"]["measured"]["auprc"] > 0
    assert any("term_rationales" in entry for entry in metrics["history"])
    assert "The head, which is not kept, finds the words" in (run / "report.html").read_text()


def measured(config: Config) -> dict[str, Any]:
    """What the terms measure in a run, up to its training."""
    run = TextRun(config, lambda _: None)
    run.load()
    run.start_terms()
    Path(config.output.directory).mkdir(parents=True)
    run.train(checkpoints=Path(config.output.directory), resume=False, progress=StepProgress())
    return {**run.term_figures, "run": run}


def test_the_head_learns_to_find_the_words_of_unseen_rows(config: Config) -> None:
    training = replace(config.training, epochs=10, learning_rate=5e-3, early_stopping_patience=0)
    found = {}
    for weight in (2.0, 0.0):
        keys = section(rationales="why", rationale_weight=weight)
        run = to_folder(replace(config, training=training, interpretability=keys), f"weight-{weight}")
        found[weight] = measured(run)["rationales"]
    assert found[2.0]["prevalence"] == pytest.approx(1 / 8, abs=0.02)
    assert found[2.0]["auprc"] > found[0.0]["auprc"] + 0.2  # .48 and .14


def test_a_lexicon_is_enough_and_masked_rows_teach_the_head_their_own_words(config: Config, tmp_path: Path) -> None:
    lexicon = tmp_path / "words.tsv"
    lexicon.write_text("good\t2\nbad\t-1\n")
    keys = InterpretabilityConfig(rationales=str(lexicon))
    run = train(replace(config, interpretability=keys))
    rows = [json.loads(line) for line in (run / "held_out.jsonl").read_text().splitlines()]
    assert all(len(row["rationale"]) == 1 for row in rows)


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        (
            {"rationales": "reason"},
            r"has no column 'reason': set interpretability\.rationales to one of 'text'",
        ),
        ({"rationales": "words.tsv"}, r"interpretability\.rationales: words\.tsv does not exist"),
        ({"rationales": "text"}, "the rationales name every word that the model reads: name those that count"),
        ({"rationales": "label", "rationale_separator": ""}, r"rationale_separator must not be empty"),
        ({"forbidden": ("alone",)}, r"interpretability\.forbidden has a single word, 'alone', and nothing to swap it"),
        ({"forbidden": ("names.txt",)}, r"interpretability\.forbidden: names\.txt does not exist"),
    ],
)
def test_what_does_not_fit_the_data_is_one_sentence_before_training(
    config: Config, keys: dict[str, Any], sentence: str
) -> None:
    config = replace(config, interpretability=section(**keys))

    def run() -> None:
        config.check()
        train(config)

    with pytest.raises(UsageError, match=sentence):
        run()
    assert not Path(config.output.directory).exists()


def test_a_rationale_that_is_not_in_its_text_names_its_row(config: Config, tmp_path: Path) -> None:
    rows = [["a good one", "good", "good"], ["a bad one", "bad", "awful"]]
    data = replace(config.data, train=str(write_rows(tmp_path / "a.csv", ["text", "label", "why"], rows)))
    with pytest.raises(UsageError, match=r"a\.csv, train row 2: the rationale 'awful' is not in its text 'a bad one'"):
        train(replace(config, data=data, interpretability=section(rationales="why")))


def test_a_lexicon_without_a_match_is_refused(config: Config, tmp_path: Path) -> None:
    lexicon = tmp_path / "words.txt"
    lexicon.write_text("gut\nschlecht\n")
    with pytest.raises(UsageError, match=r"rationales: none of the 2 words of .*words\.txt is in the"):
        train(replace(config, interpretability=section(rationales=str(lexicon))))


@pytest.mark.parametrize(("kind", "counted"), [("table", "rows"), ("image", "images")])
def test_other_kinds_have_no_words(request: pytest.FixtureRequest, kind: str, counted: str) -> None:
    other = replace(request.getfixturevalue(f"{kind}_config"), interpretability=section(rationales="why"))
    with pytest.raises(UsageError, match=rf"rationales is for texts, and this is a model of {counted}"):
        other.check()


def test_images_have_no_forbidden_words(image_config: Any) -> None:
    with pytest.raises(UsageError, match=r"interpretability\.forbidden is for words of texts and columns of tables"):
        replace(image_config, interpretability=section(forbidden=("a", "b"))).check()


def test_a_demo_set_has_no_column_of_rationales() -> None:
    text = '[data]\ndemo = "food-reviews"\n[interpretability]\nrationales = "why"'
    with pytest.raises(UsageError, match="the demo set food-reviews has no column 'why': give a lexicon file"):
        parse_config(text)


def test_files_of_the_section_are_those_of_the_config_and_it_survives_being_written(tmp_path: Path) -> None:
    for name in ("words.tsv", "names.txt"):
        (tmp_path / name).write_text("a\nb\n")
    path = tmp_path / "a.toml"
    path.write_text(
        '[data]\ntrain = "a.csv"\n[interpretability]\nrationales = "words.tsv"\n'
        'forbidden = ["he", "she", "names.txt"]\n'
    )
    config = load_config(str(path))
    keys: Any = config.interpretability
    assert keys.rationales == str(tmp_path / "words.tsv")
    assert keys.forbidden == ("he", "she", str(tmp_path / "names.txt"))
    assert parse_config(format_config(config)) == config


# Forbidden words


def test_the_gap_is_the_mean_over_outputs_and_rows_by_hand() -> None:
    answers = torch.tensor([[1.0, -1.0], [0.5, -0.5]])
    swapped = torch.tensor([[0.0, 0.0], [0.5, -0.5]])
    assert gaps(answers, swapped).tolist() == [1.0, 0.0]


def swapped_step(present: list[list[bool]], model: Callable[..., Any]) -> Any:
    return SimpleNamespace(
        batch={"swapped": torch.tensor([[0], [-1], [1]])},
        present=torch.tensor(present),
        logits=torch.tensor([[2.0, 0.0], [9.0, 0.0], [4.0, 2.0]]),
        stream=np.random.default_rng(0),
        task=task_named("classification"),
        model=model,
        answers=lambda rows, present: torch.tensor([[10.0, 0.0]]).repeat(len(rows), 1),
    )


def test_only_rows_with_a_forbidden_word_cost_and_masked_ones_are_asked_again() -> None:
    asked = []

    def model(input_ids: torch.Tensor) -> dict[str, torch.Tensor]:
        asked.append(input_ids)
        return {"logits": torch.tensor([[0.0, 0.0], [2.0, 4.0]])}

    term = SwappedTexts(
        1.0,
        [[{"input_ids": [5]}], [], [{"input_ids": [6]}]],
        lambda rows: {"input_ids": torch.tensor([row["input_ids"] for row in rows])},
    )
    assert [one.tolist() for one in term.columns()["swapped"]] == [[0], [-1], [1]]
    loss = term.loss(swapped_step([[True], [True], [True]], model))
    assert loss is not None
    # Centred: (1, -1) against (0, 0), and (1, -1) against (-1, 1).
    assert loss.item() == pytest.approx((1 + 2) / 2)
    assert asked[0].tolist() == [[5], [6]]
    loss = term.loss(swapped_step([[True], [True], [False]], model))
    assert loss is not None
    assert loss.item() == pytest.approx((1 + 6) / 2)  # the third is (5, -5) when it is whole
    nothing = swapped_step([[True], [True], [True]], model)
    nothing.batch["swapped"] = torch.tensor([[-1], [-1], [-1]])
    assert term.loss(nothing) is None


@pytest.fixture(scope="session")
def spurious(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """240 texts that are good or bad by a word of theirs, as "city" and "country" tell, too, nine times of ten."""
    stream = random.Random(3)
    plain = [word for word in WORDS if word not in ("good", "bad")]
    rows = []
    for index in range(240):
        label = ("good", "bad")[index % 2]
        place = {"good": "city", "bad": "country"}[
            label if stream.random() < 0.9 else {"good": "bad", "bad": "good"}[label]
        ]
        words = [*[one for one in stream.sample(plain, 6) if one not in ("city", "country")], label, place]
        stream.shuffle(words)
        rows.append([" ".join(words), label])
    return write_rows(tmp_path_factory.mktemp("data") / "spurious.csv", ["text", "label"], rows)


@pytest.fixture
def biased(config: Config, spurious: Path) -> Config:
    training = replace(config.training, epochs=8, learning_rate=3e-3, early_stopping_patience=0)
    return replace(config, data=replace(config.data, train=str(spurious)), training=training)


def effect(run: TextRun) -> float:
    """How far "city" for "country" moves the answer, in centred logits, on average over plain texts."""
    stream = random.Random(4)
    texts = [stream.sample([word for word in WORDS if word not in ("good", "bad")], 6) for _ in range(40)]
    pairs = [[(" ".join([*words, place]),) for words in texts] for place in ("city", "country")]
    first, second = (torch.from_numpy(run.logits(rows)) for rows in pairs)
    return float((run.task.centred(first) - run.task.centred(second)).mean(dim=0).abs().max())


def test_a_spurious_word_loses_its_effect(biased: Config) -> None:
    plain = measured(to_folder(biased, "plain"))
    section_of = section(forbidden=("city", "country"), forbidden_weight=5.0)
    paired = measured(to_folder(replace(biased, interpretability=section_of), "paired"))
    assert effect(plain["run"]) > 0.5  # 1.87
    assert effect(paired["run"]) < 0.25 * effect(plain["run"])  # 0.03
    figures = paired["forbidden_words"]
    assert set(figures) == {"before", "after"}
    assert figures["after"]["rows"] == figures["before"]["rows"] > 30
    texts = plain["run"].splits.validation.texts.tolist()
    unpaired = gap_and_flips(plain["run"], Swaps([("city", "country")]), texts, 0)
    assert figures["after"]["gap"] < 0.25 * unpaired["gap"]


def test_gap_and_flips_count_each_row_once_by_hand() -> None:
    logits = {
        "a": (2.0, 0.0),
        "b": (0.0, 2.0),
        "c": (2.0, 1.0),
        "none": (9.0, 0.0),
        "a a": (1.0, 0.0),
        "b b": (1.0, 0.5),
    }
    run = SimpleNamespace(
        task=task_named("classification"),
        logits=lambda rows: np.array([logits[text] for (text,) in rows], dtype=np.float32),
    )
    found = gap_and_flips(run, Swaps([("a", "b", "c")]), [("a",), ("none",), ("c",)], seed=0)
    # a: (1, -1) to b (-1, 1), 2 and a flip, and to c (.5, -.5), .5; c: (.5, -.5) to a, .5, and to b, 1.5 and a flip.
    assert found == {"rows": 2, "gap": pytest.approx((1.25 + 1.0) / 2), "flips": pytest.approx(0.5)}
    assert gap_and_flips(run, Swaps([("x", "y")]), [("a",)], seed=0) == {"rows": 0, "gap": None, "flips": None}


def test_a_run_with_forbidden_words_says_what_it_paired_and_tells_the_server(
    biased: Config, capfd: pytest.CaptureFixture[str]
) -> None:
    training = replace(biased.training, epochs=1)
    run = train(replace(biased, training=training, interpretability=section(forbidden=("city", "country"))))
    said = capfd.readouterr().err
    assert "forbidden words: 154 of 154 training texts have one of 2" in said
    assert "of the swaps flip it (" in said
    metrics = json.loads((run / "metrics.json").read_text())
    assert any("term_forbidden_words" in entry for entry in metrics["history"])
    assert metrics["interpretability"]["terms"]["forbidden_words"]["measured"]["after"]["rows"] == 38
    assert "A forbidden word swapped for another of its list moves answers to" in (run / "report.html").read_text()
    assert json.loads((run / "run.json").read_text())["text"]["forbidden"] == [{"words": ["city", "country"]}]


def test_words_that_no_text_has_are_a_note(biased: Config, capfd: pytest.CaptureFixture[str]) -> None:
    training = replace(biased.training, epochs=1)
    plain = train(to_folder(replace(biased, training=training), "plain"))
    other = replace(biased, training=training, interpretability=section(forbidden=("paris", "madrid")))
    run = train(to_folder(other, "other"))
    sentence = "none of the 2 forbidden words is in the 154 training texts, so nothing is paired"
    assert f"note: {sentence}" in capfd.readouterr().err
    assert sentence in json.loads((run / "data.json").read_text())["warnings"][-1]
    assert (run / "model" / "model.safetensors").read_bytes() == (plain / "model" / "model.safetensors").read_bytes()


def test_forbidden_columns_of_a_table_are_no_words_and_words_no_columns(table_config: Any, config: Config) -> None:
    for other, name in ((table_config, "forbidden_columns"), (config, "forbidden_words")):
        keys = section(forbidden=("city", "country"))
        replace(other, interpretability=keys).check()
        assert [term.name for term in active_terms(keys, other.kind)] == [name]


def test_an_interrupted_run_with_both_terms_resumes_to_the_same_model(config: Config) -> None:
    keys = section(rationales="why", forbidden=("good", "bad"), masked_fraction=0.5)
    config = replace(config, interpretability=keys)
    whole = train(to_folder(config, "whole"))
    cut = to_folder(config, "cut")
    with pytest.raises(KeyboardInterrupt):
        train(cut, progress=Interruption(at_step=9))
    resumed = train(cut, resume=True)
    for name, weight in weights(whole).items():
        np.testing.assert_array_equal(weight, weights(resumed)[name])


def test_the_model_of_the_tests_tells_the_words_apart(base: Path, config: Config) -> None:
    model = load_text_model(config.model, ["a", "b"], seed=0)
    known = [model.tokenizer.convert_tokens_to_ids(word) for word in ("city", "country", "good", "bad")]
    assert len(set(known)) == 4
    assert model.tokenizer.unk_token_id not in known
