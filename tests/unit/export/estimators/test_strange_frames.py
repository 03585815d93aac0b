"""Frames, labels and models as strangers have them: answered as their model does, or refused in one sentence."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression, RidgeClassifier
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from unit.export.estimators.test_fitted_models import answers_of, published

import explicate_export
from explicate.errors import UsageError
from explicate_bundle.columns import TableColumns
from explicate_export.errors import ParityError
from explicate_export.estimators.forest.ensemble import OneTree, joined, settle
from support.fitted_models import Fitted

pytestmark = pytest.mark.filterwarnings("ignore")  # of the libraries, about the models
ROWS = 220
STREAM = np.random.default_rng(5)
NUMBERS = pd.DataFrame({"a": STREAM.normal(size=ROWS), "b": STREAM.normal(size=ROWS)})
TARGET = (NUMBERS["a"] + STREAM.normal(size=ROWS) > 0).astype(int)


def held(model: Any, rows: Any, target: Any, tmp_path: Path, **options: Any) -> Any:
    """Publishes; the bundle answers the cells as the model answers the frame."""
    given = Fitted(model, rows, target)
    folder, manifest = published(given, tmp_path, **options)
    off = np.abs(answers_of(folder, manifest, given) - given.answers).max()
    assert off <= 1e-5
    return manifest


def refusal(model: Any, rows: Any, tmp_path: Path, **options: Any) -> str:
    with pytest.raises((UsageError, ParityError)) as error:
        explicate_export.from_sklearn(model, rows, repository=tmp_path / "r", name="own", quiet=True, **options)
    assert not (tmp_path / "r" / "own").exists()
    return str(error.value)


def test_names_of_columns_may_be_anything(tmp_path: Path) -> None:
    names = ["two words", "🏙" * 300, "a,b;c\"d'e", " spaces ", "ünïcödé\tтаб", "0"]
    rows = pd.DataFrame(STREAM.normal(size=(ROWS, len(names))), columns=names)
    manifest = held(LogisticRegression().fit(rows, TARGET), rows, TARGET, tmp_path)
    assert [column.name for column in manifest.tabular.columns] == names


def test_columns_with_numbers_for_names(tmp_path: Path) -> None:
    rows = pd.DataFrame(STREAM.normal(size=(ROWS, 3)))
    model = LogisticRegression().fit(rows, TARGET)
    _, manifest = published(Fitted(model, rows, TARGET), tmp_path)
    assert [column.name for column in manifest.tabular.columns] == ["0", "1", "2"]


def test_integers_with_none_and_numbers_as_texts_and_flags_as_objects(tmp_path: Path) -> None:
    counts = pd.array(STREAM.integers(0, 9, ROWS), dtype="Int64")
    counts[::7] = None
    rows = pd.DataFrame(
        {
            "counts": counts,
            "texts": pd.Series([f"{value:.3f}" for value in NUMBERS["a"]], dtype=object),
            "mixed": pd.Series([None if index % 5 == 0 else index for index in range(ROWS)], dtype=object),
            "flags": pd.Series(STREAM.random(ROWS) < 0.5, dtype=object),
            "same": 3,
            "small": NUMBERS["b"].astype(np.float32),
        }
    )
    manifest = held(HistGradientBoostingClassifier(max_iter=6).fit(rows, TARGET), rows, TARGET, tmp_path)
    types = {column.name: column.type for column in manifest.tabular.columns}
    assert types == {"counts": 1, "texts": 1, "mixed": 1, "flags": 3, "same": 1, "small": 1}
    assert [column.may_be_missing for column in manifest.tabular.columns] == [True, False, True, False, False, False]


def test_categories_that_only_the_encoder_knows_and_those_that_nobody_knows(tmp_path: Path) -> None:
    rows = NUMBERS.assign(city=STREAM.choice(["Bern", "Oslo"], ROWS), rooms=STREAM.integers(1, 5, ROWS))
    encode = OneHotEncoder(categories=[["Bern", "Rome", "Oslo"], [1, 2, 3, 4, 9]], handle_unknown="ignore")
    model = make_pipeline(
        ColumnTransformer([("names", encode, ["city", "rooms"])], remainder="passthrough"), LogisticRegression()
    ).fit(rows, TARGET)
    manifest = held(model, rows, TARGET, tmp_path)
    assert list(manifest.tabular.columns[2].categories) == ["Bern", "Rome", "Oslo"]
    assert list(manifest.tabular.columns[3].categories) == ["1", "2", "3", "4", "9"]
    asked = rows.iloc[[0, 0, 0]].assign(city=["Rome", "Lima", "Bern"], rooms=[9, 7, 1])
    folder = tmp_path / "own" / "1"
    given = Fitted(model, asked, None)
    np.testing.assert_allclose(answers_of(folder, manifest, given), given.answers, atol=1e-6)


def test_what_the_model_refuses_is_answered_by_the_usual_and_said_in_the_card(tmp_path: Path) -> None:
    rows = NUMBERS.assign(city=STREAM.choice(["Bern", "Oslo", "Oslo"], ROWS))
    model = make_pipeline(
        ColumnTransformer([("names", OneHotEncoder(), ["city"])], remainder="passthrough"), LogisticRegression()
    ).fit(rows, TARGET)
    manifest = held(model, rows, TARGET, tmp_path)
    card = (tmp_path / "own" / "1" / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "refuses missing values" in card
    assert "refuses categories that it does not know in `city`" in card
    asked = rows.iloc[[0, 0]].assign(city=[None, "Lima"], a=[np.nan, 1.0])
    usual = rows.iloc[[0, 0]].assign(city=["Oslo", "Oslo"], a=[rows["a"].median(), 1.0])
    found = answers_of(tmp_path / "own" / "1", manifest, Fitted(model, asked, None))
    np.testing.assert_allclose(found, model.predict_proba(usual), atol=1e-6)


@pytest.mark.parametrize(
    ("labels", "wanted"),
    [
        (np.array([False, True]), ["False", "True"]),
        (np.array([3, 7], dtype=np.int8), ["3", "7"]),
        (np.array([0.0, 1.0]), ["0", "1"]),
        (np.array(["nein", "já 🙂"], dtype=object), ["já 🙂", "nein"]),
    ],
)
def test_classes_of_every_type_have_names(labels: Any, wanted: list[str], tmp_path: Path) -> None:
    target = labels[TARGET.to_numpy()]
    weights = STREAM.random(ROWS)
    model = RandomForestClassifier(4, random_state=0).fit(NUMBERS, target, sample_weight=weights)
    manifest = held(model, NUMBERS, target, tmp_path, y=target)
    assert list(manifest.class_labels) == wanted
    assert manifest.metrics["accuracy"] == pytest.approx(model.score(NUMBERS, target))


def test_five_hundred_columns(tmp_path: Path) -> None:
    rows = pd.DataFrame(STREAM.normal(size=(ROWS, 500)), columns=[f"c{place}" for place in range(500)])
    manifest = held(HistGradientBoostingClassifier(max_iter=3).fit(rows, TARGET), rows, TARGET, tmp_path)
    assert len(manifest.tabular.columns) == 500


def test_rows_of_the_background_and_of_strangers_are_taken_by_the_bundle(tmp_path: Path) -> None:
    manifest = held(LinearRegression().fit(NUMBERS, NUMBERS["b"]), NUMBERS, None, tmp_path, target_name="b in kg")
    assert manifest.target_name == "b in kg"
    rows = TableColumns(manifest.tabular).encoded([{"a": None, "b": "1.5"}])
    assert np.isnan(rows.numbers[0, 0])


class TestRefusals:
    def test_models(self, tmp_path: Path) -> None:
        assert "not fitted" in refusal(LogisticRegression(), NUMBERS, tmp_path)
        assert "RidgeClassifier" in refusal(RidgeClassifier().fit(NUMBERS, TARGET), NUMBERS, tmp_path)
        assert "one class only, 1" in refusal(DummyClassifier().fit(NUMBERS, [1] * ROWS), NUMBERS, tmp_path)
        both = np.column_stack((TARGET, TARGET))
        several = MultiOutputClassifier(LogisticRegression()).fit(NUMBERS, both)
        assert "several things" in refusal(several, NUMBERS, tmp_path)
        assert "several things" in refusal(RandomForestClassifier(2).fit(NUMBERS, both), NUMBERS, tmp_path)
        assert "model of each" in refusal(LinearRegression().fit(NUMBERS, both), NUMBERS, tmp_path)
        assert "neither" in refusal(KMeans(2).fit(NUMBERS), NUMBERS, tmp_path)
        assert "does not predict" in refusal(StandardScaler().fit(NUMBERS), NUMBERS, tmp_path)
        assert "does not predict" in refusal("model.pkl", NUMBERS, tmp_path)

    def test_steps_by_name(self, tmp_path: Path) -> None:
        rows = NUMBERS.assign(review="good tea")
        words = ColumnTransformer([("words", TfidfVectorizer(), "review")], remainder="passthrough")
        model = make_pipeline(words, LogisticRegression()).fit(rows, TARGET)
        assert "'words' (TfidfVectorizer)" in refusal(model, rows, tmp_path)
        own = make_pipeline(FunctionTransformer(np.log1p), LogisticRegression()).fit(NUMBERS.abs(), TARGET)
        assert "'functiontransformer' (FunctionTransformer)" in refusal(own, NUMBERS.abs(), tmp_path)

        class Mine(StandardScaler):
            def transform(self, X: Any, copy: Any = None) -> Any:
                return super().transform(X) * 2

        mine = make_pipeline(Mine(), LogisticRegression()).fit(NUMBERS, TARGET)
        assert "'mine' (Mine)" in refusal(mine, NUMBERS, tmp_path)

    def test_rows(self, tmp_path: Path) -> None:
        model = RandomForestClassifier(3).fit(NUMBERS, TARGET)
        assert "199 rows" in refusal(model, NUMBERS[:199], tmp_path)
        assert "sparse" in refusal(model, scipy.sparse.csr_matrix(NUMBERS), tmp_path)
        assert "list" in refusal(model, NUMBERS.to_numpy().tolist(), tmp_path)
        assert "two columns with the name 'a'" in refusal(model, NUMBERS.set_axis(["a", "a"], axis=1), tmp_path)
        assert "does not take the rows" in refusal(model, NUMBERS[["a"]], tmp_path)
        dated = NUMBERS.assign(b=pd.to_datetime(np.arange(ROWS) % 5, unit="D"))
        days = make_pipeline(OneHotEncoder(handle_unknown="ignore"), LogisticRegression()).fit(dated[["b"]], TARGET)
        assert "'b' holds dates" in refusal(days, dated[["b"]], tmp_path)
        texts = NUMBERS.assign(b="x")
        assert "does not take" in refusal(model, texts, tmp_path)
        assert "columns" in refusal(model, NUMBERS, tmp_path, columns=["a", "b"])
        assert "3 names" in refusal(model, NUMBERS.to_numpy(), tmp_path, columns=["a", "b", "c"])

    def test_labels_and_targets(self, tmp_path: Path) -> None:
        model = LogisticRegression().fit(NUMBERS, TARGET)
        assert "3 names" in refusal(model, NUMBERS, tmp_path, labels=["a", "b", "c"])
        assert "'a'" in refusal(model, NUMBERS, tmp_path, labels=["a", "a"])
        assert "class 1" in refusal(model, NUMBERS, tmp_path, labels={0: "no"})
        assert "empty" in refusal(model, NUMBERS, tmp_path, labels=["", "b"])
        assert "one text" in refusal(model, NUMBERS, tmp_path, labels="ab")
        assert "shape" in refusal(model, NUMBERS, tmp_path, y=TARGET[:10])
        assert "'2', which is none" in refusal(model, NUMBERS, tmp_path, y=TARGET + 1)
        assert "missing values" in refusal(model, NUMBERS, tmp_path, y=TARGET.where(TARGET > 0))
        line = LinearRegression().fit(NUMBERS, TARGET)
        assert "predicts a number" in refusal(line, NUMBERS, tmp_path, labels=["a", "b"])
        assert "predicts a number" in refusal(line, NUMBERS, tmp_path, y=["x"] * ROWS)
        assert "background_rows" in refusal(line, NUMBERS, tmp_path, background_rows=0)


class TestThirtyTwoBits:
    """Trees that were grown on 64 bits, asked with 32."""

    def test_a_condition_between_two_rows_moves_so_that_both_go_their_own_way(self) -> None:
        # 1 + 1e-8 is 1 in 32 bits; 1.1 is not.
        own = np.array([[1.0], [1.1], [1.2]])
        tree = OneTree([0, -1, -1], [1.1, 0, 0], [False] * 3, [1, 0, 0], [2, 0, 0], np.array([[0.0], [1.0], [2.0]]))
        settled = settle(joined([tree], np.zeros(1), features=1), own, own.astype(np.float32))
        assert settled.torn.tolist() == [False, False, False]
        np.testing.assert_array_equal(settled.trees.leaves(own.astype(np.float32).astype(np.float64))[:, 0], [1, 1, 2])

    def test_rows_that_32_bits_cannot_tell_apart_are_torn(self) -> None:
        own = np.array([[1.0], [1.0 + 1e-9], [3.0]])
        tree = OneTree([0, -1, -1], [1.0, 0, 0], [False] * 3, [1, 0, 0], [2, 0, 0], np.array([[0.0], [1.0], [2.0]]))
        settled = settle(joined([tree], np.zeros(1), features=1), own, own.astype(np.float32))
        assert settled.torn.tolist() == [False, True, False]

    def test_large_numbers_that_32_bits_cannot_hold(self, tmp_path: Path) -> None:
        account = 1e9 + np.arange(ROWS) + STREAM.random(ROWS)
        rows = NUMBERS.assign(account=account)
        target = (np.arange(ROWS) // 3 % 2).astype(int)
        model = HistGradientBoostingClassifier(max_iter=20, min_samples_leaf=1).fit(rows, target)
        assert "32 bits cannot tell" in refusal(model, rows, tmp_path)
        smaller = rows.assign(account=account - 1e9)
        held(model.fit(smaller, target), smaller, target, tmp_path)

    def test_a_torn_row_is_told_and_left_out(self, tmp_path: Path) -> None:
        position = np.arange(ROWS) - 5.0
        position[5:7] = [0.25, 0.25 + 1e-9]
        rows = pd.DataFrame({"position": position})
        target = (position > 0.25).astype(int)
        model = HistGradientBoostingClassifier(max_iter=3, min_samples_leaf=1).fit(rows, target)
        folder, manifest = published(Fitted(model, rows, target), tmp_path)
        card = (folder / "MODEL_CARD.md").read_text(encoding="utf-8")
        assert f"1 of the {ROWS} rows lie so close to a condition" in card
        off = np.abs(answers_of(folder, manifest, Fitted(model, rows, target)) - model.predict_proba(rows)).max(axis=1)
        assert np.flatnonzero(off > 1e-5).tolist() == [6]
