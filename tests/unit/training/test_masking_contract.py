"""Training shows a model exactly the rows that a server asks it for the same coalition."""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from explicate.v1.bundle_pb2 import ColumnSchema, ColumnType, ImageSchema, Resampling, TabularSchema, TextSchema
from explicate_bundle.images import MASKINGS, encode_png, even_grid
from explicate_bundle.model_inputs import ImageInput, TabularInput, TextInput
from explicate_bundle.table_arrays import Background
from explicate_server.modalities.image import ImageModality
from explicate_server.modalities.table import TabularModality
from explicate_server.modalities.text import TextModality
from explicate_training.image.masking import FieldPlayers, with_fields
from explicate_training.table.masking import ColumnPlayers
from explicate_training.text.masking import OWNERS, TextPlayers, token_owners
from explicate_training.text.model import TextModel
from support.tiny_text_model import build_tokenizer
from support.tokenizers_by_kind import TEXTS

STREAM = np.random.default_rng(0)


def coalitions(players: int) -> NDArray[np.bool_]:
    return np.concatenate(
        [np.ones((1, players), bool), np.zeros((1, players), bool), STREAM.random((6, players)) < 0.5]
    )


def fed(modality: Any, value: Any, present: NDArray[np.bool_], players: str, masking: str) -> dict[str, Any]:
    game = modality.game(value, modality.encode(value), players=players, masking=masking)
    assert len(game.players) == present.shape[1]
    return dict(modality.collate(game.rows(present)))


CASES = [
    *((text,) for text in TEXTS.values()),
    ("good tea, bad box: cheap/small & black!", "why not? it's fine"),
    ("a good long text " * 12,),
    ("short tea", "a good long text " * 12),
    ("a good long text " * 12, "the cup was good " * 12),
]


@pytest.mark.parametrize("texts", CASES, ids=[str(number) for number in range(len(CASES))])
@pytest.mark.parametrize("first_position", [0, 2])
def test_a_masked_text_is_the_row_of_its_coalition(texts: tuple[str, ...], first_position: int) -> None:
    tokenizer = build_tokenizer()
    schema = TextSchema(
        max_tokens=24,
        inputs=["input_ids", "attention_mask", "position_ids", "token_type_ids"],
        first_position=first_position,
        padding_id=tokenizer.pad_token_id,
        token_dropping=True,
        pairs=len(texts) == 2,
    )
    model: Any = TextModel(None, tokenizer, 24, first_position=first_position)  # type: ignore[arg-type]
    encoded, (owners,) = model.encode([texts]), token_owners(model, [texts])
    batch = {name: torch.tensor([values]) for name, values in encoded[0].items()} | {
        OWNERS: torch.from_numpy(owners)[None]
    }
    players = TextPlayers(model)
    present = coalitions(int(players.counts(batch)[0]))
    rows = torch.zeros(len(present), dtype=torch.int64)
    shown = players.shown(batch, rows, torch.from_numpy(present))
    server = TextModality(schema, tokenizer.backend_tokenizer.to_str(), max_text_bytes=1 << 16)
    wanted = fed(server, TextInput(*texts), present, "words", "attention")
    there = wanted["attention_mask"] == 1
    np.testing.assert_array_equal(shown["attention_mask"], wanted["attention_mask"])
    for name in ("input_ids", "token_type_ids", "position_ids"):
        np.testing.assert_array_equal(np.where(there, shown[name], -1), np.where(there, wanted[name], -1))
    groups = players.groups(batch, rows, torch.from_numpy(present))
    assert sorted(torch.cat(groups).tolist()) == list(range(len(present)))


@pytest.mark.parametrize("masking", MASKINGS)
def test_a_masked_image_is_the_row_of_its_coalition(masking: str) -> None:
    pixels = STREAM.integers(0, 256, (12, 20, 3), dtype=np.uint8)
    batch = with_fields(
        {"pixels": torch.from_numpy(pixels[np.newaxis])}, [np.random.default_rng(1)], patch_size=0, maskings=[masking]
    )
    count = int(FieldPlayers().counts(batch)[0])
    np.testing.assert_array_equal(batch["segments"][0], even_grid(12, 20, count))
    present = coalitions(count)
    shown = FieldPlayers().shown(batch, torch.zeros(len(present), dtype=torch.int64), torch.from_numpy(present))
    server = ImageModality(
        ImageSchema(width=20, height=12, resampling=Resampling.RESAMPLING_BILINEAR),
        max_image_bytes=1 << 20,
        max_image_pixels=1 << 20,
    )
    wanted = fed(server, ImageInput(encode_png(pixels)), present, f"grid-segments-{count}", masking)
    np.testing.assert_array_equal(shown["pixels"], wanted["pixels"])


def test_fields_are_those_of_patches_too_where_a_model_reads_them_and_cut_by_the_stream_alone() -> None:
    def cut(seed: int) -> dict[str, Tensor]:
        pixels = torch.zeros((1, 16, 16, 3), dtype=torch.uint8)
        return with_fields({"pixels": pixels}, [np.random.default_rng(seed)], patch_size=4)

    counts = {int(FieldPlayers().counts(cut(seed))[0]) for seed in range(40)}
    assert 16 in counts  # patches
    assert len(counts) > 5
    assert torch.equal(cut(3)["segments"], cut(3)["segments"])


def test_a_masked_row_of_a_table_is_a_row_of_its_coalition() -> None:
    kinds = ColumnType.Value
    schema = TabularSchema(
        columns=[
            ColumnSchema(name="price", type=kinds("COLUMN_TYPE_NUMBER")),
            ColumnSchema(name="city", type=kinds("COLUMN_TYPE_CATEGORY"), categories=["oslo", "rome"], group="place"),
            ColumnSchema(name="spend", type=kinds("COLUMN_TYPE_NUMBER"), group="place"),
            ColumnSchema(name="size", type=kinds("COLUMN_TYPE_CATEGORY"), categories=["big", "small"]),
        ],
        background_rows=3,
    )
    background = Background(
        STREAM.random((3, 2)).astype(np.float32), STREAM.integers(1, 4, (3, 2)), np.array([0.5, 0.25, 0.25])
    )
    players = ColumnPlayers(schema, background)
    server = TabularModality(schema, background)
    value = TabularInput({"price": 2.5, "city": "rome", "spend": None, "size": "small"})
    (row,) = server.collate([server.encode(value).row])["numbers"]
    codes = server.collate([server.encode(value).row])["codes"]
    batch = {"numbers": torch.from_numpy(row[np.newaxis]), "codes": torch.from_numpy(codes)}
    present = coalitions(3)
    wanted = fed(server, value, present, "columns", "background")
    for place in range(len(background)):
        ready = players.with_background(batch, [place])
        shown = players.shown(ready, torch.zeros(len(present), dtype=torch.int64), torch.from_numpy(present))
        for name in ("numbers", "codes"):
            np.testing.assert_array_equal(shown[name], wanted[name][place :: len(background)])
    drawn = [players.ready(batch, np.random.default_rng(seed))["background_codes"].tolist() for seed in range(40)]
    assert {tuple(one[0]) for one in drawn} == {tuple(one) for one in background.codes.tolist()}
