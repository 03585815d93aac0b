"""How a text model numbers its tokens: what explanations, which leave tokens out, need to be able to tell it.

Checked before training, so that no model is trained which cannot be exported, and again at the export.
"""

import inspect
from collections.abc import Mapping
from typing import Any  # transformers' models

import torch

# Two computations of one thing in float32 differ by 1e-6 or so; another position's embedding changes logits far more.
_SAME_LOGITS = 1e-5
OTHER_BASE = "train with another base model, such as BERT, RoBERTa, DistilBERT or ELECTRA"


class UnknownPositions(Exception):
    """A model's positions cannot be told it; the message is a whole sentence."""


@torch.no_grad()
def first_position(model: Any, inputs: Mapping[str, torch.Tensor], padding_id: int) -> int:
    """The position that a model in eval mode gives its first token when it is left to number them itself.

    `inputs` are those of one text. Raises UnknownPositions when the model takes none, or numbers tokens otherwise.
    """
    name = type(model).__name__
    if "position_ids" not in inspect.signature(model.forward).parameters:
        raise UnknownPositions(f"{name} takes no position_ids, and explanations need them: {OTHER_BASE}")
    own = model(**inputs).logits
    counted = torch.arange(inputs["input_ids"].shape[1], device=own.device)[None]
    differences = {
        first: float((model(**inputs, position_ids=counted + first).logits - own).abs().max())
        for first in (0, padding_id + 1)  # BERT; RoBERTa
    }
    closest = min(differences, key=differences.__getitem__)
    if differences[closest] <= _SAME_LOGITS:
        return closest
    raise UnknownPositions(
        f"{name} does not number its tokens from 0 or from its padding index + 1, "
        "so position_ids cannot stand in for its own numbering: train with another base model, such as BERT"
    )
