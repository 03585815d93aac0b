"""What every modality promises, whatever it reads: rows, players, coalitions and groups that fit each other."""

from collections.abc import Iterator
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from explicate_bundle.bundle import VerifiedBundle, verify_bundle
from explicate_bundle.model_inputs import ModelInput, TextInput
from explicate_server.modalities.modalities import open_modality
from explicate_server.modalities.modality import DrawsRows, EncodedInput, Game, Modality
from explicate_server.runtime.onnx_runtime import OnnxRuntime
from explicate_server.settings import Settings

STREAM = np.random.Generator(np.random.Philox(11))


@pytest.fixture(params=["tiny", "loans", "animals"])
def bundle(
    tiny_repository: Path, table_repository: Path, image_repository: Path, request: pytest.FixtureRequest
) -> VerifiedBundle:
    repositories = {"tiny": tiny_repository, "loans": table_repository, "animals": image_repository}
    return verify_bundle(repositories[request.param] / request.param / "1", model=request.param, version=1)


@pytest.fixture
def modality(bundle: VerifiedBundle) -> Modality:
    return open_modality(bundle, Settings())


@pytest.fixture
def inputs(bundle: VerifiedBundle) -> list[ModelInput]:
    return list(bundle.golden().inputs)


def games(modality: Modality, value: ModelInput) -> Iterator[tuple[EncodedInput, Game]]:
    """A game of every kind that the model offers, but for those that draw their rows."""
    for granularity, masking in product(modality.granularities or [None], modality.maskings):
        players = modality.players_of(granularity, 6 if granularity in modality.counted else None)
        encoded = modality.encode(value)
        game = modality.game(value, encoded, players=players, masking=masking)
        if not isinstance(game, DrawsRows):
            yield encoded, game


def test_it_reads_golden_inputs_without_violations(modality: Modality, inputs: list[ModelInput]) -> None:
    for value in inputs:
        assert isinstance(value, modality.input_type)
        assert modality.violations(value, "input") == []


def test_inputs_encoded_together_are_those_encoded_alone(modality: Modality, inputs: list[ModelInput]) -> None:
    together = modality.encode_all(inputs)
    assert together is not None
    for encoded, value in zip(together, inputs, strict=True):
        alone = modality.encode(value)
        np.testing.assert_array_equal(encoded.row.values, alone.row.values)
        assert (encoded.row.length, encoded.row.count) == (alone.row.length, 1)
        assert list(encoded.unknown_category_columns) == list(alone.unknown_category_columns)


def test_a_row_is_within_the_length_and_the_memory_that_it_declares(
    modality: Modality, inputs: list[ModelInput]
) -> None:
    for value in inputs:
        row = modality.encode(value).row
        assert row.length <= modality.max_length
        assert row.values.nbytes <= modality.row_bytes
        assert modality.stretched(row, modality.max_length).length == modality.max_length


def test_with_every_player_present_the_model_answers_as_for_the_input_itself(
    bundle: VerifiedBundle, modality: Modality, inputs: list[ModelInput]
) -> None:
    runtime = OnnxRuntime(bundle.model_path, threads=1)
    expected = bundle.golden().outputs
    for index, value in enumerate(inputs[:2]):
        for _, game in games(modality, value):
            rows = game.rows(np.ones((1, len(game.players)), np.bool_))
            answers = runtime.run(modality.collate(rows))
            np.testing.assert_allclose(game.weights @ answers, expected[index], atol=1e-4)


def test_a_coalition_is_as_many_rows_as_there_are_weights_which_sum_to_one(
    modality: Modality, inputs: list[ModelInput]
) -> None:
    for _, game in games(modality, inputs[0]):
        coalitions = STREAM.random((5, len(game.players))) < 0.5
        assert [row.count for row in game.rows(coalitions)] == [len(game.weights)] * 5
        assert game.weights.sum() == pytest.approx(1)


def test_groups_are_players_and_each_player_alone_is_itself(modality: Modality, inputs: list[ModelInput]) -> None:
    for _, game in games(modality, inputs[0]):
        n = len(game.players)
        assert list(game.grouped(np.arange(n))) == list(game.players)
        assert len(game.grouped(np.arange(n) // 2)) == (n + 1) // 2
        assert game.breaks is None or game.breaks.shape == (n - 1,)
        assert game.segment_map is None or set(np.unique(game.segment_map)) == set(range(n))


def test_equal_inputs_have_equal_digests_and_others_do_not(
    bundle: VerifiedBundle, modality: Modality, inputs: list[ModelInput]
) -> None:
    again = list(bundle.golden().inputs)
    assert [value.digest for value in inputs] == [value.digest for value in again]
    different = {modality.encode(value).row.values.tobytes() for value in inputs}
    assert len({value.digest for value in inputs}) >= len(different)


def test_inputs_say_what_they_are_and_what_they_cost(inputs: list[ModelInput]) -> None:
    for value in inputs:
        assert value.described.startswith(("a ", "an "))
        assert value.encoding_cost > 0
        assert len(value.document()) >= 1
    assert TextInput("a", "b").document() == {"text": "a", "text_pair": "b"}
