"""The language that a caller may ask sentences in."""

from functools import partial

from explicate.reading.nearest import did_you_mean
from explicate.sentences.language import DEFAULT, lookup, tags
from explicate_server.errors import InvalidRequest, Violation

_MOST_SHOWN = 40  # characters of what is no language


def language_violations(tag: str | None) -> list[Violation]:
    """What is wrong with the language that was asked for; empty where there is one that is near."""
    if tag is None or lookup(tag) is not None:
        return []
    told, known = tag[:_MOST_SHOWN], tags()
    problem = f"{told!r} is not a language of sentences; there are {', '.join(known)}"
    return [Violation("options.language", problem, partial(did_you_mean, told, known, most=1))]


def taken_language(tag: str | None) -> str:
    """The language that is taken for one that was checked."""
    return lookup(tag or DEFAULT) or DEFAULT


def refuse_language(tag: str | None) -> None:
    """For answers that have no sentences.

    Raises:
        InvalidRequest: a language was asked for.
    """
    if tag is not None:
        problem = "is for sentences, which only explanations of one row at a time have; leave it out"
        raise InvalidRequest([Violation("options.language", problem)])
