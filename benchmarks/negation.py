"""Whether a model of reviews understands "not": praise that is denied must be worse praise.

Additivity must not make a bag of words. Each case is a sentence from a template with a word of praise, and the same
with the word denied; it is understood if the label that praises loses by it. (A test of the kind of CheckList, Ribeiro
and others, ACL 2020.)
"""

from itertools import product

import numpy as np

from benchmarks.sentiment_words import words_of
from explicate_bundle.model_inputs import TextInput
from explicate_standards.evaluated_model import EvaluatedModel

_PRAISE, _DENIED = "The {thing} {was} {word}.", "The {thing} {was} not {word}."
_THINGS = ("soup", "coffee", "chocolate", "tea", "cereal", "sauce")
_TENSES = ("is", "was")
_PRAISES = "great"  # the label


def cases() -> list[tuple[str, str]]:
    """Praise and its denial."""
    return [
        (_PRAISE.format(thing=thing, was=was, word=word), _DENIED.format(thing=thing, was=was, word=word))
        for thing, was, word in product(_THINGS, _TENSES, words_of(1.0, 10))
    ]


def negations_understood(model: EvaluatedModel) -> list[bool]:
    """Of each case, whether the denial is less praise. Of two classes the difference of logits is what counts."""
    texts = [text for case in cases() for text in case]
    rows = [model.modality.encode(TextInput(text)).row for text in texts]
    logits = model.answers(rows)
    praised = model.labels.index(_PRAISES)
    margins = logits[:, praised] - np.delete(logits, praised, axis=1).max(axis=1)
    return (margins[1::2] < margins[::2]).tolist()
