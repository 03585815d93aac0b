"""Sixteen families that people fine-tune, bundled as they are, served, and explained: against transformers itself."""

import itertools
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from numpy.typing import NDArray
from PIL import Image
from scipy.special import softmax

from explicate.v1 import explanation_pb2 as options_pb
from explicate.v1 import inference_service_pb2 as messages
from explicate_bundle.images import decode, even_grid, hidden_pixels
from explicate_export.export import ExportOptions
from explicate_export.parity import MAX_DIFFERENCE
from explicate_export.sources.bundling import bundle_model
from explicate_export.sources.sources import BundleRequest
from support.families import (
    IMAGE_FAMILIES,
    LABELS,
    SENTENCES,
    TEXT_FAMILIES,
    Family,
    write_pictures,
    write_sentences,
)
from support.harness import explain_input, image_input, reference, running_server, text_input

TEXT = "good tea cold box"
SEGMENTS = 4
# A probability moves by at most a quarter of what its logit does.
CLOSE = MAX_DIFFERENCE / 4
Value = Callable[[NDArray[np.bool_]], NDArray[np.float64]]
"""The logits of a coalition of the players."""


@torch.no_grad()
def logits(model: Any, **inputs: Any) -> NDArray[np.float64]:
    return np.asarray(model(**inputs).logits[0].double().numpy())


def shapley_values(value: Value, players: int, output: int) -> NDArray[np.float64]:
    """Of a probability, by their definition over all coalitions."""
    coalitions = [np.array(bits) for bits in itertools.product((False, True), repeat=players)]
    known = {tuple(one): softmax(value(one))[output] for one in coalitions}
    found = np.zeros(players)
    for one in coalitions:
        weight = math.factorial(one.sum()) * math.factorial(players - one.sum() - 1) if one.sum() < players else 0
        for player in np.flatnonzero(~one):
            joined = one.copy()
            joined[player] = True
            found[player] += weight / math.factorial(players) * (known[tuple(joined)] - known[tuple(one)])
    return found


async def served(folder: Path, inputs: list[messages.Input], **options: Any) -> tuple[Any, Any]:
    """The answers to all inputs, and the explanation of the first one's most probable class."""
    async with running_server(folder / "repository") as running:
        request = messages.PredictRequest(model=reference("model"), inputs=inputs)
        predictions = (await running.inference.Predict(request)).predictions
        asked = explain_input(inputs[0], model="model", method="exact-shap", **options)
        explained = (await running.inference.Explain(asked)).result
        return predictions, explained.explanation


def check(predictions: Any, explanation: Any, expected: list[NDArray[np.float64]], value: Value) -> None:
    """Labels are kept in their order, and answers and exact Shapley values are those of transformers."""
    for prediction, known in zip(predictions, expected, strict=True):
        scores = prediction.classification.scores
        assert tuple(score.label for score in scores) == LABELS
        np.testing.assert_allclose([score.logit for score in scores], known, atol=MAX_DIFFERENCE)
    (attribution,) = explanation.attributions
    highest = int(expected[0].argmax())
    assert attribution.class_label == LABELS[highest]
    found = shapley_values(value, len(attribution.values), highest)
    np.testing.assert_allclose(attribution.values, found, atol=CLOSE)
    assert np.abs(found).max() > 10 * CLOSE  # the model reads its input


def bundled(folder: Path, family: Family, inputs: Path) -> Any:
    request = BundleRequest(model=family.write(folder / "model"), inputs=inputs)
    published = bundle_model(request, folder / "repository", ExportOptions("model"), say=lambda _: None)
    assert published.manifest.provenance.max_logit_difference <= MAX_DIFFERENCE
    assert published.parts.parity.trained_difference <= MAX_DIFFERENCE
    return published.manifest


@pytest.mark.parametrize("name", TEXT_FAMILIES)
async def test_a_family_of_texts_is_served_and_explained_as_transformers_answers(name: str, tmp_path: Path) -> None:
    family = TEXT_FAMILIES[name]
    manifest = bundled(tmp_path, family, write_sentences(tmp_path / "texts.csv"))
    assert manifest.text.token_dropping == family.drops
    model = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path / "model").eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "model")
    limit = manifest.text.max_tokens

    def asked(text: str) -> Any:
        return tokenizer(text, truncation=True, max_length=limit, return_tensors="pt")

    texts = [TEXT, *SENTENCES]
    predictions, explanation = await served(tmp_path, list(map(text_input, texts)))
    expected = [logits(model, **asked(text)) for text in texts]
    without = partial(_without_tokens if name == "GPT-2" else _unattended, model, tokenizer)
    check(predictions, explanation, expected, without)
    assert predictions[-1].text_usage.truncated
    assert [feature.text.text for feature in explanation.features] == TEXT.split()


def _words_of(tokenizer: Any) -> NDArray[np.intp]:
    """The word of each token of TEXT; -1 of those that the tokenizer adds."""
    told = tokenizer(TEXT, return_offsets_mapping=True, return_special_tokens_mask=True)
    ends = np.array([end for _, end in told["offset_mapping"]])
    words = np.array([TEXT[:end].strip().count(" ") for end in ends])
    return np.where(np.array(told["special_tokens_mask"], dtype=bool), -1, words)


def _unattended(model: Any, tokenizer: Any, present: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Tokens of absent words get no attention."""
    inputs, words = tokenizer(TEXT, return_tensors="pt"), _words_of(tokenizer)
    inputs["attention_mask"] = torch.tensor(np.append(present, True)[words])[None].long()
    return logits(model, **inputs)


def _without_tokens(model: Any, tokenizer: Any, present: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Tokens of absent words are not there, and the others keep their positions; of no word its first token is left."""
    ids, keep = tokenizer(TEXT, return_tensors="pt")["input_ids"][0], present[_words_of(tokenizer)]
    if not keep.any():
        return logits(model, input_ids=torch.tensor([[tokenizer.bos_token_id]]))
    places = torch.tensor(np.flatnonzero(keep))
    return logits(model, input_ids=ids[places][None], position_ids=places[None])


@pytest.mark.parametrize("name", IMAGE_FAMILIES)
async def test_a_family_of_images_is_served_and_explained_as_transformers_answers(name: str, tmp_path: Path) -> None:
    pictures = write_pictures(tmp_path / "pictures")
    manifest = bundled(tmp_path, IMAGE_FAMILIES[name], pictures)
    model = transformers.AutoModelForImageClassification.from_pretrained(tmp_path / "model").eval()
    processor = transformers.AutoImageProcessor.from_pretrained(tmp_path / "model", backend="pil")
    contents = [path.read_bytes() for path in sorted(pictures.iterdir())]
    predictions, explanation = await served(
        tmp_path,
        list(map(image_input, contents)),
        granularity=options_pb.GRANULARITY_GRID,
        segments=SEGMENTS,
    )
    images = [decode(content) for content in contents]
    expected = [logits(model, **processor(images=image, return_tensors="pt")) for image in images]

    def value(present: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Absent segments of what the model reads have their mean colour."""
        plain = {"do_rescale": False, "do_normalize": False, "return_tensors": "np"}
        pixels = np.moveaxis(processor(images=images[0], **plain)["pixel_values"][0], 0, -1).astype(np.uint8)
        segments = even_grid(*pixels.shape[:2], SEGMENTS)
        shown = np.where(present[segments][..., None], pixels, hidden_pixels(pixels, segments, "mean"))
        done = processor(images=Image.fromarray(shown), do_resize=False, do_center_crop=False, return_tensors="pt")
        return logits(model, **done)

    check(predictions, explanation, expected, value)
    assert manifest.image.width == explanation.segment_map.width
