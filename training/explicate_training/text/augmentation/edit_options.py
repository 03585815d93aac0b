"""`[augmentation]` of a config for texts."""

from dataclasses import dataclass

from explicate.errors import UsageError
from explicate_training.config.sections import Names, OptionalSection, option

EDITS = ("deletion", "swap", "synonym", "typos")
"""The options that are probabilities of an edit. "typos" is that disturbance of a standard's robustness test, too."""
_NEGATIONS = ("no", "not", "never", "nor", "none", "nothing", "without", "cannot", "hardly")


@dataclass(frozen=True)
class TextAugmentation(OptionalSection):
    """Edited copies of training texts; validation and test stay as they are."""

    copies: int = option(1, "edited copies of each training text, where an edit has a probability", minimum=1)
    deletion: float = option(0.0, "probability that a word is left out", minimum=0, maximum=0.5)
    swap: float = option(0.0, "probability that a word changes places with the next one", minimum=0, maximum=1)
    typos: float = option(0.0, "probability of a typo in a word of four letters or more", minimum=0, maximum=1)
    synonym: float = option(0.0, "probability that a word of the list is replaced by another one", minimum=0, maximum=1)
    synonyms: str = option("", "the list: a file with words that mean the same in a line, separated by commas")
    kept: Names = option(  # noqa: RUF009 - a tuple
        _NEGATIONS,
        "words that no edit but a swap touches, as those of a rationale: their absence would be another label",
    )

    @property
    def active(self) -> bool:
        """Whether there is anything to do."""
        return any(getattr(self, name) for name in EDITS)

    def check(self) -> None:
        """Whether synonyms come with their list."""
        if bool(self.synonym) != bool(self.synonyms):
            given, missing = ("synonym", "synonyms") if self.synonym else ("synonyms", "synonym")
            raise UsageError(f"augmentation.{given} needs augmentation.{missing}: set both, or leave both out")
