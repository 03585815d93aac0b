"""What stands in for absent players in the place of the model's own background or masking.

It is another input of the model's kind, a group of rows that the bundle has by name, or a colour, as far as the model's
modality takes them (`BaselineChoices`).
"""

import re
from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import Any  # JSON values

from explicate.reading.nearest import did_you_mean
from explicate_bundle.files.baseline_rows import OWN_BACKGROUND
from explicate_bundle.model_inputs import ModelInput
from explicate_server.errors import InvalidRequest, Violation
from explicate_server.explain.method import Method
from explicate_server.inference.predictor import encode_inputs
from explicate_server.modalities.modality import BASELINE_PATH, BaselineChoices, NamedRows, StandIn
from explicate_server.registry.records import ServedModel

_COLOUR = re.compile(r"#[0-9a-f]{6}", re.IGNORECASE)


@dataclass(frozen=True)
class Baseline:
    """One of these: the name of a group of rows, a colour, or another input. ``group`` is known once it was checked."""

    name: str = ""
    colour: str = ""
    value: ModelInput | None = None
    group: NamedRows | None = None

    @property
    def key(self) -> Hashable:
        """What tells it from others of the same model. The digest of a large file takes 10 ms when first asked for."""
        return self.name, self.colour, None if self.value is None else self.value.digest

    @property
    def encoding_cost(self) -> int:
        """What encoding it takes, see `ModelInput`."""
        return self.value.encoding_cost if self.value else 0

    @property
    def described(self) -> str:
        """What people call it: a group's name, a colour, or what kind of other input it is."""
        return self.name or self.colour or f"another {self.value.described.partition(' ')[2] if self.value else ''}"

    @property
    def rows(self) -> int:
        """Rows that an absent column takes the values of; else 1."""
        return self.group.rows if self.group else 1

    @property
    def sha256(self) -> str | None:
        """The digest of the group or the input, in hexadecimal; None of a colour."""
        if self.value is not None:
            return self.value.digest.hex()
        return self.group.sha256 if self.group else None

    def document(self, *, with_input: bool) -> dict[str, Any]:
        """What the audit log says of it: of an input its digest, and itself only ``with_input``; of a file never."""
        if self.value is None:
            return {"name": self.name} if self.name else {"colour": self.colour}
        told = self.value.document() if with_input and not self.value.is_file else {}
        return {"sha256": self.sha256, **told}


def baseline_violations(asked: Baseline | None, method: Method, choices: BaselineChoices) -> list[Violation]:
    """What is wrong with a baseline for a model and a method; of an input that is known once it is encoded."""
    if asked is None:
        return []
    if not method.takes_baseline:
        problem = (
            f"is set, and {method.name} leaves players out by a rule of its own; take another method or leave it out"
        )
        return [Violation(BASELINE_PATH, problem)]
    if asked.colour and not choices.colours:
        return [Violation(f"{BASELINE_PATH}.colour", "is for models that read pictures; leave it out")]
    if asked.colour and not _COLOUR.fullmatch(asked.colour):
        return [Violation(f"{BASELINE_PATH}.colour", f"is {asked.colour[:40]!r}; give one such as '#ff8800'")]
    if asked.name and asked.name not in (OWN_BACKGROUND, *choices.groups):
        return [Violation(f"{BASELINE_PATH}.name", _unknown(asked.name, choices))]
    if asked == Baseline():
        return [Violation(BASELINE_PATH, "says nothing; set one of its fields")]
    return []


def _unknown(name: str, choices: BaselineChoices) -> str:
    if choices.masking != OWN_BACKGROUND:
        return "names a group of rows, which models of tables have; give another input in its place"
    known = (OWN_BACKGROUND, *choices.groups)
    advice = did_you_mean(name, known, most=1) or f"; there are {', '.join(known)}"
    return f"{name[:80]!r} is not a group of rows of this model{advice}"


def resolved_baseline(asked: Baseline | None, choices: BaselineChoices) -> Baseline | None:
    """A baseline without violations, with its group; None for the model's own background."""
    if asked is None or asked.name == OWN_BACKGROUND:
        return None
    return replace(asked, colour=asked.colour.lower(), group=choices.groups.get(asked.name))


def baseline_masking(masking: str | None, choices: BaselineChoices) -> str:
    """How absence is expressed with a baseline.

    Raises:
        InvalidRequest: another masking was asked for.
    """
    if masking not in (None, choices.masking):
        problem = f"is {masking}, and options.baseline says what is in the place of an absent player; leave one out"
        raise InvalidRequest([Violation("options.masking", problem)])
    return choices.masking


def stand_in(served: ServedModel, baseline: Baseline | None) -> StandIn | None:
    """What a game takes; for a worker, as another input is encoded like the first one.

    Raises:
        NotServable: the input is not of the model's kind.
        InvalidRequest: names what is wrong with it.
    """
    if baseline is None or baseline.value is None:
        return None if baseline is None else StandIn(name=baseline.name, colour=baseline.colour)
    (encoded,) = encode_inputs(served, [baseline.value], [BASELINE_PATH])
    _ = baseline.value.digest  # kept, and not to be made on the event loop
    return StandIn(encoded)
