"""An explanation of a text, or of a pair of texts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from explicate.views import amounts
from explicate.views.amounts import translucent
from explicate.views.characters import begun
from explicate.views.kinds.explained import Explained
from explicate.views.kinds.text_in_sections import in_sections

if TYPE_CHECKING:
    from explicate.results import Contribution, ExplainResult, Feature

_LISTED = 5  # features with their figures below the text, for paper and touch screens, which cannot hover
_LISTED_SECTIONS = 10  # sentences with their figures above a long text
_LISTED_CHARACTERS = 40  # of each; a sentence is too long to be repeated
_BETWEEN_TEXTS = " | "


class ExplainedText(Explained):
    """Features are words, tokens, sentences, or phrases when words were grouped."""

    end = "as written"
    csv_columns = ("in_pair",)

    @classmethod
    def explains(cls, result: ExplainResult) -> bool:  # noqa: ARG003 - whatever is not another kind
        return True

    @property
    def noun(self) -> str:
        """ "word", "token", "sentence", or "phrase" when words were grouped."""
        granularity = self.explanation.options.granularity or "word"
        grouped = any(len(feature.text.split()) > 1 or feature.members for feature in self.explanation.features)
        return "phrase" if grouped and granularity != "sentence" else granularity

    def written(self, feature: Feature) -> str:
        return f'"{feature.name}"'

    @property
    def start(self) -> str:
        return "without words"

    @property
    def beside_heading(self) -> str:
        """For pairs, and for what a reference text has in a word's place."""
        told = [] if self.result.text_pair is None else ["in text"]
        return ", ".join(told + (["instead of"] if self._is_set_against else []))

    def beside(self, feature: Feature) -> str:
        told = [] if self.result.text_pair is None else ["second" if feature.in_pair else "first"]
        return ", ".join(told + ([feature.instead or "nothing"] if self._is_set_against else []))

    @property
    def _is_set_against(self) -> bool:
        """Whether a reference text stands in for what is left out."""
        return any(feature.instead is not None for feature in self.explanation.features)

    def tooltip(self, contribution: Contribution) -> str:
        """With what the reference text has in its place."""
        instead = contribution.feature.instead
        return super().tooltip(contribution) + ("" if instead is None else f", instead of: {instead or 'nothing'}")

    @property
    def unread(self) -> str:
        result, usage = self.result, self.result.prediction.text_usage
        if usage is None or not usage.truncated:
            return ""
        what = "text is" if result.text_pair is None else "pair of texts is"
        read = f"the first {usage.characters_used} of {len(result.text)} characters"
        if result.text_pair is not None and usage.pair_characters_used is not None:
            read += f" and of the second text {usage.pair_characters_used} of {len(result.text_pair)}"
        return f"the {what} too long for the model: it read {usage.tokens_used} of {usage.tokens} tokens, {read}"

    @property
    def not_words(self) -> str:
        names = [script.replace("_", " ") for script in self.explanation.unspaced_scripts]
        if not names:
            return ""
        listed = " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
        said = "is written without spaces: its" if len(names) == 1 else "are written without spaces: their"
        return f"{listed} {said} words are the model's tokens"

    @property
    def texts(self) -> list[str]:
        """The text, or both of a pair."""
        pair = self.result.text_pair
        return [self.result.text] if pair is None else [self.result.text, pair]

    def csv_cells(self, feature: Feature) -> tuple[object, ...]:
        return (str(feature.in_pair).lower() if self.result.text_pair is not None else None,)

    def drawer(self) -> Callable[[int], str]:
        """Each text over the figures of the strongest features; of a long one the strongest sentences come first."""
        return self._drawn

    def shap_data(self, np: Any) -> dict[str, Any]:
        features, pair = self.explanation.features, self.result.text_pair
        text = self.result.text
        texts = feature_texts(text, features) if pair is None else pair_texts(text, pair, features)
        return {"data": np.array(texts, dtype=object)}

    def pieces(self, number: int) -> list[Segment]:
        """Everything of `texts[number]`, in order, cut where features begin and end, and where the model stopped."""
        usage = self.result.prediction.text_usage
        read = None
        if usage is not None and usage.truncated:
            read = usage.pair_characters_used if number else usage.characters_used
        features = (*self.explanation.features, *self.explanation.fixed)
        return segments(self.texts[number], features, in_pair=number == 1, read=read)

    def _drawn(self, output: int) -> str:
        contributions = self.explanation.contributions(output)
        scale = amounts.largest(self.explanation.attributions[output])
        texts = [
            f'<div class="text" dir="auto">'
            f"{''.join(self._piece(piece, contributions, scale) for piece in self.pieces(number))}</div>"
            for number in range(len(self.texts))
        ]
        # A phrase may hold commas, so they cannot part the phrases.
        figures = " · ".join(self._figures(contribution) for contribution in self.explanation.top(_LISTED, output))
        sections = in_sections(self.result)
        table = ExplainedText(sections).table(output, most=_LISTED_SECTIONS) if sections else ""
        return table + "".join(texts) + f'<p class="faint" dir="auto">{figures}</p>'

    def _piece(self, piece: Segment, contributions: Sequence[Contribution], scale: float) -> str:
        if not piece.is_read:
            return f'<span class="unread">{escape(piece.text)}</span>'
        if piece.feature is None:
            return escape(piece.text)
        if piece.feature >= len(contributions):
            return f'<span class="fixed" title="never left out">{escape(piece.text)}</span>'
        contribution = contributions[piece.feature]
        unsure = "unsure" if contribution.lower <= 0 <= contribution.upper else ""
        marks = " ".join(filter(None, ("word", amounts.sign(contribution.value), unsure)))
        return (
            f'<span class="{marks}" style="background:{translucent(contribution.value / scale)}"'
            f' title="{escape(self.tooltip(contribution))}">{escape(piece.text)}</span>'
        )

    def _figures(self, contribution: Contribution) -> str:
        text = contribution.feature.name
        shown = text if len(text) <= _LISTED_CHARACTERS else f"{begun(text, _LISTED_CHARACTERS - 1).rstrip()}…"
        value, half_width = (
            amounts.number(contribution.value, self.decimals),
            amounts.half_width(contribution, self.decimals),
        )
        return f"<bdi>{escape(shown)}</bdi> {value} {half_width}".rstrip()


@dataclass(frozen=True)
class Segment:
    """A piece of the text from code point `start`; `feature` is its feature's index, None between features.

    is_read: whether the model read it.
    """

    text: str
    start: int
    feature: int | None
    is_read: bool = True


def segments(
    text: str, features: Sequence[Feature], *, in_pair: bool = False, read: int | None = None
) -> list[Segment]:
    """All of `text`, in order; `in_pair` says that it is the second of a pair, whose features are taken then.

    Where two spans overlap, the text belongs to the first. read: how many characters the model read; None for all.
    """
    parts = [(index, part) for index, feature in enumerate(features) for part in feature.parts]
    places = sorted((s.start, s.end, index) for index, part in parts if part.in_pair == in_pair for s in part.spans)
    read = len(text) if read is None else read
    pieces: list[Segment] = []
    done = 0
    for start, end, index in [*places, (len(text), len(text), None)]:  # the last for what follows them
        start, end = max(start, done), min(end, len(text))
        if start >= end and index is not None:
            continue
        for left, right in ((done, min(start, max(read, done))), (max(done, min(read, start)), start)):
            if left < right:
                pieces.append(Segment(text[left:right], left, None, left < read))
        if index is not None:
            pieces.append(Segment(text[start:end], start, index, start < read))
        done = end
    return pieces


def pair_texts(text: str, text_pair: str, features: Sequence[Feature]) -> list[str]:
    """One string per feature which, joined, give both texts of a pair again with " | " between them."""
    first = feature_texts(text, [feature for feature in features if not feature.in_pair])
    second = feature_texts(text_pair, [feature for feature in features if feature.in_pair])
    if first and second:
        first[-1] += _BETWEEN_TEXTS
    own = {False: iter(first), True: iter(second)}
    return [next(own[feature.in_pair]) for feature in features]


def feature_texts(text: str, features: Sequence[Feature]) -> list[str]:
    """One string per feature which, joined, give the text again: each word with what follows it up to the next.

    When a feature has several places they cannot be joined so; then each is its word and a space.
    """
    if any(len(feature.spans) != 1 for feature in features):
        return [f"{feature.name} " for feature in features]
    starts = [feature.spans[0].start for feature in features]
    cuts = [0, *starts[1:], len(text)]
    return [text[start:end] for start, end in pairwise(cuts)] if features else []
