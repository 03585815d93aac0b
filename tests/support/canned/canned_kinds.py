"""One question of each kind for the canned server, as a value and as arguments of the command line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import explicate
from explicate._wire import calls, decoding
from explicate.inputs import Input
from explicate.v1 import explanation_pb2 as explanation_pb
from explicate.v1 import inference_service_pb2 as inference_pb
from support.canned.canned_images import picture
from support.canned.canned_server import answer

ROW = {"age": 34, "income": None, "job": "clerk", "owner": True}


@dataclass(frozen=True)
class CannedKind:
    """A kind of input.

    noun, plural: what an input is called, and what a model of them is a model of. classes: of the model. feature: the
    name of its first feature. written, refused: the question for the command line, and one that is refused.
    """

    noun: str
    plural: str
    model: str
    classes: tuple[str, str]
    value: Input
    feature: str
    written: tuple[str, ...]
    refused: tuple[str, ...]

    def arguments(self, folder: Path, *questions: tuple[str, ...]) -> list[str]:
        """What gives some questions, by default `written`; `folder` is where the image is."""
        (folder / "beach.png").write_bytes(picture())
        parts = [part.replace("FOLDER", str(folder)) for question in questions or (self.written,) for part in question]
        if self.noun != "pair":
            return parts
        return parts[::2] + [part for second in parts[1::2] for part in ("--text-pair", second)]


TEXT = CannedKind("text", "texts", "reviews", ("other", "great"), "a b c", "a", ("a b c",), ("",))
PAIR = CannedKind(
    *("pair", "texts", "entailment", ("other", "great"), explicate.TextPair("a b", "c"), "a"),
    written=("a b", "c"),
    refused=("a b", "\udcff"),
)
TABLE = CannedKind(
    *("row", "tables", "credit", ("good", "bad"), ROW, "age"),
    written=("--row", "age=34,income=,job=clerk,owner=yes"),
    refused=("--row", "age=34"),
)
IMAGE = CannedKind(
    *("image", "images", "animals", ("dog", "cat"), explicate.Image(picture(), "beach.png"), "segment 0"),
    written=("--image", "FOLDER/beach.png"),
    refused=("--image", "gone.png"),
)
KINDS = (TEXT, PAIR, TABLE, IMAGE)


def explained(value: Input, model: str, **options: object) -> explicate.ExplainResult:
    """What the client makes of the canned server's answer about `value`, without a server."""
    spec = calls.explain(model, value, options, version=None, label=None, priority=None).request.spec
    result = answer(spec, 32, explanation_pb.STOP_REASON_TOLERANCE)
    return decoding.ExplainAnswers(value)(inference_pb.ExplainResponse(result=result))
