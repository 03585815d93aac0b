"""Answers of a model of several labels that follow from the text by simple formulas, for `canned_server`.

Model "tags" gives a text of k words "toxic" the probability (k mod 10) / 10, "insult" (k mod 5) / 5 and "spam" 0.25.
"""

from __future__ import annotations

from math import log

from explicate.v1 import bundle_pb2 as bundle_pb
from explicate.v1 import inference_service_pb2 as inference_pb

MODEL = "tags"
LABELS = ("toxic", "insult", "spam")


def bundle() -> bundle_pb.Bundle:
    return bundle_pb.Bundle(class_labels=LABELS, text=bundle_pb.TextSchema(max_tokens=128), precision="fp32")


def probabilities(text: str) -> tuple[float, float, float]:
    words = len(text.split())
    return words % 10 / 10, words % 5 / 5, 0.25


def outcome(text: str) -> inference_pb.MultiLabel:
    shares = probabilities(text)
    predicted = sorted((i for i, share in enumerate(shares) if share >= 0.5), key=lambda i: -shares[i])
    return inference_pb.MultiLabel(
        predicted_indices=predicted,
        predicted_labels=[LABELS[i] for i in predicted],
        scores=[
            inference_pb.ClassScore(index=i, label=label, probability=share, logit=log(share + 0.1))
            for i, (label, share) in enumerate(zip(LABELS, shares, strict=True))
        ],
    )
