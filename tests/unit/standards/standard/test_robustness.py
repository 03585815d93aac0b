"""Disturbed inputs: what is done to them, and what it costs models of which the right value is known."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from explicate.errors import UsageError
from explicate_bundle.model_inputs import ImageInput
from explicate_standards.evaluated_model import open_published
from explicate_standards.held_out_rows import read_rows
from explicate_standards.image import disturbances as images
from explicate_standards.outcomes.outcomes import answered, labelled
from explicate_standards.outcomes.robustness import disturbances_of, right_when_disturbed
from explicate_standards.text.disturbances import case, contractions, punctuation, typos
from support.measured_models import LABELS, linear, publish_table, publish_texts, table_line, write_rows

WORDS = {"good": 2.0, "bad": -2.0, "soup": 0.0}


def stream() -> np.random.Generator:
    return np.random.Generator(np.random.Philox(3))


def test_a_typo_is_in_one_of_eight_words_and_keeps_the_rest() -> None:
    text = " ".join(["wonderful"] * 24)
    for _ in range(20):
        changed = typos(text, stream()).split()
        assert len(changed) == 24
        assert sum(word != "wonderful" for word in changed) <= 3
    assert typos(text, stream()) != text
    assert typos("a an of", stream()) == "a an of"


def test_case_punctuation_and_contractions_are_changed_and_words_stay() -> None:
    drawn = {case("Good Soup", np.random.Generator(np.random.Philox(seed))) for seed in range(20)}
    assert drawn == {"GOOD SOUP", "good soup"}
    assert punctuation("It's good, isn't it?! (yes)", stream()) == "It's good isn't it yes"
    assert punctuation("?!", stream()) == "?!"
    assert contractions("Do not go; it isn't good.", stream()) == "Don't go; it is not good."
    assert contractions("knot", stream()) == "knot"


def test_a_model_of_known_words_loses_what_a_typo_takes(tmp_path: Path) -> None:
    model = open_published(publish_texts(tmp_path, WORDS))
    lines = [{"text": f"{word} soup", "label": label} for word, label in (("good", "yes"), ("bad", "no"))] * 20
    rows = labelled(read_rows(write_rows(tmp_path / "rows.jsonl", lines), model, count=100))
    outcomes = answered(model, rows)
    assert outcomes.right.all()
    # Its tokenizer knows whole words in lower case alone: an unknown one adds nothing, and a tie is answered "no".
    upper = right_when_disturbed(model, outcomes, rows, "case")
    assert set(upper[[row.line["label"] == "no" for row in rows]]) == {1.0}
    assert set(upper[[row.line["label"] == "yes" for row in rows]]) == {0.0, 1.0}
    assert right_when_disturbed(model, outcomes, rows, "punctuation").all()
    with pytest.raises(UsageError, match="there are typos, case, punctuation, contractions"):
        right_when_disturbed(model, outcomes, rows, "blur")


def test_a_table_loses_cells_and_gets_noise_and_each_run_the_same(tmp_path: Path) -> None:
    model = open_published(publish_table(tmp_path, linear([1, 0]), 2, labels=LABELS, spread=True))
    values = stream().normal(size=(400, 2)).round(3)
    lines = [table_line(row.tolist(), label=LABELS[int(row[0] > 0)]) for row in values]
    rows = labelled(read_rows(write_rows(tmp_path / "rows.jsonl", lines), model, count=400))
    outcomes = answered(model, rows)
    noisy = right_when_disturbed(model, outcomes, rows, "noise")
    assert 0.9 < noisy.mean() < 1.0
    np.testing.assert_array_equal(right_when_disturbed(model, outcomes, rows, "noise"), noisy)
    generator, missing = stream(), disturbances_of(model)["missing"]
    cells = [cell for row in rows for value in missing(model, row.value, generator) for cell in value.cells.values()]
    assert 0.06 < np.mean([cell is None for cell in cells]) < 0.14


def test_what_predicts_a_number_is_not_right_or_wrong(tmp_path: Path) -> None:
    model = open_published(publish_table(tmp_path, linear([1, 0]), 2))
    lines = [table_line([1.0, 2.0], value=1.0)]
    rows = labelled(read_rows(write_rows(tmp_path / "rows.jsonl", lines), model, count=1))
    with pytest.raises(UsageError, match="predicts a number"):
        right_when_disturbed(model, answered(model, rows), rows, "noise")


class Reads:
    """A model that reads images as they are."""

    def __init__(self, pixels: np.ndarray) -> None:
        self.modality = self
        self.row = self
        self.values = pixels

    def encode(self, _value: ImageInput) -> "Reads":
        return self


@pytest.mark.parametrize("name", images.DISTURBANCES)
def test_an_image_is_disturbed_in_three_strengths_that_grow(name: str) -> None:
    pixels = stream().integers(40, 200, (24, 32, 3)).astype(np.uint8)
    files = images.DISTURBANCES[name](Reads(pixels), ImageInput(b""), stream())  # type: ignore[arg-type]
    assert len(files) == 3
    assert [Image.open(_content(file)).size for file in files] == [(32, 24)] * 3
    gone = [np.abs(np.asarray(Image.open(_content(file)), float) - pixels).mean() for file in files]
    assert gone[0] < gone[2]
    assert gone[0] > 0


def _content(file: object) -> object:
    import io

    assert isinstance(file, ImageInput)
    return io.BytesIO(file.content)
