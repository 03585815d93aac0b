"""What every claim is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

from explicate.sentences.language import Language
from explicate.sentences.told_figures import Figures


class Claim(ABC):
    """One thing that is said."""

    @classmethod
    @abstractmethod
    def found(cls, figures: Figures) -> Iterator[Claim]:
        """Those that the figures allow."""

    @abstractmethod
    def sentence(self, language: Language) -> str:
        """The claim in a language; one sentence, or two."""
