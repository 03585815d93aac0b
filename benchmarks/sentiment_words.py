"""Words of praise and blame in reviews of food, as a lexicon: +1 and -1. Written for this benchmark by hand.

One half teaches the rationale head, the other half measures plausibility: a head that only learns its own words gains
nothing on words that it never saw.
"""

import re
from collections.abc import Sequence

_PRAISE = """amazing awesome beautiful best better bravo comforting crisp crunchy delicious delightful easy excellent
enjoy enjoyed excited exceptional fabulous fantastic fast favorite favourite fine flavorful fresh friendly fun gem good
gorgeous great happy healthy heavenly helpful hooked ideal impressed incredible love loved lovely loves magnificent
moist nice outstanding perfect perfectly pleasant pleased pleasantly pure quality quick recommend refreshing rich
satisfied satisfying smooth superb superior tasty tender terrific thank thanks treat wonderful worth yum yummy"""
_BLAME = """awful artificial avoid bad bitter bland boring broken burnt cheap chemical complaint crushed damaged
dangerous disappointed disappointing disappointment disgusting dry dull expired fake flavorless gross greasy hard
hate hated horrible inedible inferior lousy mediocre mess mold moldy mushy nasty nauseous odd off overpriced poor
rancid refund regret returned ridiculous rotten rubbery ruined sad salty sick smelly soggy sorry sour spoiled stale
sticky strange stuck tasteless terrible threw tough unfortunately unpleasant upset useless waste wasted watery weak
weird worse worst wrong yuck"""
WORDS = {**dict.fromkeys(_PRAISE.split(), 1.0), **dict.fromkeys(_BLAME.split(), -1.0)}
_WORD = re.compile(r"\w+")
_PRAISED = "great"  # the label of the demo's reviews that are praise


def lexicon_half(half: int) -> list[str]:
    """Every second word, of praise and blame alike."""
    return [word for sign in (1.0, -1.0) for word in [one for one in WORDS if WORDS[one] == sign][half::2]]


_MEASURED = frozenset(lexicon_half(1))


def rationale(text: str, label: str) -> list[str]:
    """The words of the second half that speak for a review's label, as they are in the text."""
    sign = 1.0 if label == _PRAISED else -1.0
    found = [word for word in _WORD.findall(text) if word.lower() in _MEASURED and WORDS[word.lower()] == sign]
    return list(dict.fromkeys(found))


def words_of(sign: float, count: int) -> Sequence[str]:
    """The first words of praise or of blame that are adjectives for a food."""
    adjectives = _ADJECTIVES[sign > 0]
    return adjectives[:count]


_ADJECTIVES = {
    True: ("good", "great", "delicious", "excellent", "fresh", "tasty", "wonderful", "perfect", "fantastic", "amazing"),
    False: ("bad", "terrible", "awful", "bland", "stale", "disgusting", "horrible", "nasty", "tasteless", "poor"),
}
