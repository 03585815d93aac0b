"""What the texts are like that a model was tested on: scripts and lengths, for the limits of its card."""

import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence

from explicate_bundle.model_inputs import TextInput

_MOST_LETTERS = 400_000
_LEAST_SHARE = 0.001
_MOST_SCRIPTS = 6


def seen_texts(texts: Sequence[TextInput], max_tokens: int) -> Iterator[str]:
    """Sentences without markup."""
    lengths = sorted(sum(len(text.split()) for text in one.texts) for one in texts)
    if not lengths:
        return
    yield (
        f"The {len(lengths):,} test texts have {lengths[0]:,} to {lengths[-1]:,} words, half of them at most "
        f"{lengths[len(lengths) // 2]:,}. Of longer ones nothing is known, and what is beyond {max_tokens:,} tokens is "
        "not read."
    )
    if scripts := scripts_of(texts):
        told = ", ".join(f"{name} {share:.1%}" for name, share in scripts[:_MOST_SCRIPTS])
        yield (
            f"The scripts of their letters are {told}. Which languages they are in was not looked at; it was not "
            "tested on texts in other scripts."
        )


def scripts_of(texts: Sequence[TextInput]) -> list[tuple[str, float]]:
    """Scripts by their share of the letters, the most frequent first; those of less than .1 % are left out.

    By the first word of a letter's name in Unicode, such as "LATIN" of "LATIN SMALL LETTER A".
    """
    letters: Counter[str] = Counter()
    for one in texts:
        letters.update(letter for text in one.texts for letter in text if letter.isalpha())
        if letters.total() > _MOST_LETTERS:
            break
    scripts: Counter[str] = Counter()
    for letter, count in letters.items():
        name = unicodedata.name(letter, "unnamed").split()[0].split("-")[0]
        scripts[{"CJK": "Chinese"}.get(name, name.capitalize())] += count
    whole = scripts.total()
    return [(name, count / whole) for name, count in scripts.most_common() if count / whole >= _LEAST_SHARE]
