"""Bundles of models that read texts, or pairs of texts.

``golden.npz`` holds ``text_utf8`` uint8[bytes], all texts one after the other in UTF-8; ``text_offsets``
int64[texts + 1], where each begins and ends; and for a model that reads pairs ``pair_utf8`` and ``pair_offsets``, the
second texts.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any  # arrays of several types

from numpy.typing import NDArray

from explicate.v1 import bundle_pb2
from explicate_bundle.errors import BundleError
from explicate_bundle.files.array_files import pack_bytes, read_text, unpack_bytes
from explicate_bundle.kinds.kind import Arrays, Check, InputTalk
from explicate_bundle.model_inputs import ModelInput, TextInput
from explicate_bundle.players.word_swaps import folded
from explicate_bundle.writing import EXPLAINER_NAME, GRADIENT_NAME, TOKENIZER_NAME

_GRAPH_INPUTS = frozenset({"input_ids", "attention_mask", "position_ids", "token_type_ids"})


class TextKind:
    """See :class:`explicate_bundle.kinds.kind.InputKind`."""

    name = "text"
    number: int = bundle_pb2.INPUT_KIND_TEXT
    field = "text"
    talk = InputTalk(
        "text", "texts", "reads a text", "words", "in another language, on another subject, or much longer or shorter"
    )
    plural = "texts"
    outputs_array = "logits"
    attributed_array = "attribution_texts"
    has_segments = False

    def files(self, manifest: bundle_pb2.Bundle) -> Sequence[str]:
        """The tokenizer, and the preview explainer and the gradient if there are such."""
        text = manifest.text
        more = {EXPLAINER_NAME: text.preview_explainer, GRADIENT_NAME: text.gradient}
        return [TOKENIZER_NAME, *(name for name, has in more.items() if has)]

    def checks(self, manifest: bundle_pb2.Bundle) -> Iterator[Check]:
        """What must hold of the graph's inputs and the ids of tokens."""
        text = manifest.text
        inputs = set(text.inputs)
        yield 8 <= text.max_tokens <= 1 << 16, f"text.max_tokens is {text.max_tokens}"
        yield {"input_ids", "attention_mask"} <= inputs <= _GRAPH_INPUTS, f"text.inputs are {list(text.inputs)}"
        yield len(inputs) == len(text.inputs), "text.inputs repeat"
        yield not text.token_dropping or "position_ids" in inputs, "text.token_dropping without position_ids"
        yield text.padding_id >= 0 and text.mask_id >= 0 and text.first_position >= 0, "an id in text is negative"
        for words in text.forbidden:
            yield len({folded(word) for word in words.words} - {""}) > 1, "a list in text.forbidden has a single word"

    def check_contents(self, folder: Path, manifest: bundle_pb2.Bundle) -> None:  # noqa: ARG002
        """The tokenizer is UTF-8."""
        read_text(folder / TOKENIZER_NAME)

    def pack(self, inputs: Sequence[ModelInput], manifest: bundle_pb2.Bundle) -> dict[str, NDArray[Any]]:  # noqa: ARG002
        """Texts, and second texts if there are any."""
        texts = [value for value in inputs if isinstance(value, TextInput)]
        pairs = [value.text_pair for value in texts if value.text_pair is not None]
        packed = _packed([value.text for value in texts], "text")
        return packed | _packed(pairs, "pair") if pairs else packed

    def unpack(self, arrays: Arrays, manifest: bundle_pb2.Bundle) -> tuple[ModelInput, ...]:
        """Texts, or pairs if the manifest says that the model reads them."""
        texts = _unpacked(arrays, "text")
        if not manifest.text.pairs:
            return tuple(map(TextInput, texts))
        pairs = _unpacked(arrays, "pair")
        if len(pairs) != len(texts):
            raise BundleError(f"golden.npz has {len(texts)} texts, but {len(pairs)} second texts of pairs")
        return tuple(map(TextInput, texts, pairs))


def _packed(texts: Sequence[str], name: str) -> dict[str, NDArray[Any]]:
    return pack_bytes([text.encode("utf-8") for text in texts], f"{name}_utf8", f"{name}_offsets")


def _unpacked(arrays: Arrays, name: str) -> list[str]:
    return [part.decode("utf-8") for part in unpack_bytes(arrays, f"{name}_utf8", f"{name}_offsets")]


TEXT = TextKind()
