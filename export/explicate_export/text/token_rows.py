"""Texts to rows of tokens to padded graph inputs, with the bundle's own tokenizer.json and schema only.

Export makes its comparisons through this path and not through transformers, so that what is compared is what a server
can do with a bundle.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from explicate.v1 import bundle_pb2
from explicate_export.errors import ParityError
from explicate_export.text.run import Texts


@dataclass(frozen=True)
class TokenRow:
    """One row of model input, before padding; all arrays int64 [length]."""

    ids: NDArray[np.int64]
    attention: NDArray[np.int64]  # 1 for tokens that are seen
    positions: NDArray[np.int64]
    special: NDArray[np.bool_]  # [CLS], [SEP] and the like
    types: NDArray[np.int64]  # 0, or 1 for tokens of a second text, as the tokenizer's template says

    def __len__(self) -> int:
        return len(self.ids)


def plain_tokenizer_json(path: Path) -> str:
    """A tokenizer.json without its truncation and padding settings: both are decided where it is used."""
    tokenizer = json.loads(path.read_text(encoding="utf-8"))
    tokenizer["truncation"] = tokenizer["padding"] = None
    return json.dumps(tokenizer, ensure_ascii=False)


def encode(tokenizer_json: str, rows: Sequence[Texts], schema: bundle_pb2.TextSchema) -> list[TokenRow]:
    """Rows of at most `schema.max_tokens` tokens, positions counted from `schema.first_position`."""
    tokenizer = Tokenizer.from_str(tokenizer_json)
    tokenizer.enable_truncation(schema.max_tokens)
    return [
        TokenRow(
            ids=np.array(encoding.ids, dtype=np.int64),
            attention=np.ones(len(encoding.ids), dtype=np.int64),
            positions=schema.first_position + np.arange(len(encoding.ids), dtype=np.int64),
            special=np.array(encoding.special_tokens_mask, dtype=np.bool_),
            types=np.array(encoding.type_ids, dtype=np.int64),
        )
        for encoding in tokenizer.encode_batch([texts[0] if len(texts) == 1 else texts for texts in rows])
    ]


def check_token_ids(rows: Sequence[TokenRow], expected_ids: Sequence[Sequence[int]]) -> None:
    """Raises ParityError when tokenizer.json alone tokenises differently from the training tokenizer."""
    for index, (row, expected) in enumerate(zip(rows, expected_ids, strict=True)):
        if row.ids.tolist() != list(expected):
            raise ParityError(
                f"tokenizer.json does not tokenise held-out text {index + 1} as training did "
                f"({len(row)} tokens against {len(expected)}): nothing was published"
            )


def pad(rows: Sequence[TokenRow], schema: bundle_pb2.TextSchema) -> dict[str, NDArray[np.int64]]:
    """The graph's inputs, int64 [rows, longest row], padded on the right."""
    shape = (len(rows), max(len(row) for row in rows))
    inputs = {
        "input_ids": np.full(shape, schema.padding_id, dtype=np.int64),
        "attention_mask": np.zeros(shape, dtype=np.int64),
        "position_ids": np.full(shape, schema.first_position, dtype=np.int64),
        "token_type_ids": np.zeros(shape, dtype=np.int64),
    }
    for index, row in enumerate(rows):
        inputs["input_ids"][index, : len(row)] = row.ids
        inputs["attention_mask"][index, : len(row)] = row.attention
        inputs["position_ids"][index, : len(row)] = row.positions
        inputs["token_type_ids"][index, : len(row)] = row.types
    return {name: inputs[name] for name in schema.inputs}
