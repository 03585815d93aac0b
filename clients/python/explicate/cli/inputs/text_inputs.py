"""The texts a command is given: as arguments, from a file, or from stdin, one a line; and pairs of texts."""

from __future__ import annotations

import argparse
import codecs
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from explicate.cli.inputs import asked as line_files
from explicate.cli.inputs.asked import Asked, InputKind
from explicate.errors import InvalidArgument, UsageError, invalid_argument
from explicate.inputs import Input, TextPair
from explicate.reading.text_files import STDIN, encoding_of, standard_input

if TYPE_CHECKING:
    from explicate.model_info import ModelDescription, ServingLimits

_EXAMPLE = '{"text": "Great soup!"}'
_PAIR = '{"text": "...", "text_pair": "..."}'


class TextInputs(InputKind):
    """Texts and pairs of texts."""

    plural = "texts"
    inputs = "texts, pairs of texts"
    players = "in a text each word (default), token or sentence"
    absence = "a word: attention, mask-token or delete"
    parts = (
        'for a text all places of words, "not good", or span:START:END in code points (pair:START:END in the second '
        "text)"
    )
    predict_examples = (
        'explicate predict "Great soup!" "Cold and late."',
        "explicate predict --file reviews.txt --format csv > answers.csv",
        "cat reviews.txt | explicate predict - --format json",
        "explicate predict --file a-million-reviews.txt --format csv --bulk > answers.csv",
        'explicate predict --model entailment "It rains." --text-pair "The street is wet."',
        'explicate predict --model entailment --jsonl pairs.jsonl         {"text": "...", "text_pair": "..."} a line',
    )
    explain_examples = (
        'explicate explain "The soup was great but the service was slow."',
        'explicate explain --target great --against other "Great soup!"     why great rather than other',
        'explicate explain --top-k 3 "Great soup, slow service."            stop once the top three words are certain',
        'explicate explain --granularity sentence --quality full "Great soup. Slow service."',
        'explicate explain --method lime --seed 7 --format json "Great soup!"',
        "explicate explain --file reviews.txt --html reviews.html --format csv --bulk > words.csv",
        'explicate explain --model entailment "It rains." --text-pair "The street is wet."',
        'explicate explain --baseline "Dull soup!" "Great soup!"            why the one and not the other',
    )
    places = ("texts", "file")
    choices = "texts as arguments, or - for stdin, or --file FILE or --jsonl FILE"
    json_lines = 'a text {"text": "..."} or a pair {"text": "...", "text_pair": "..."}'
    baselines = 'for a text another TEXT, for a pair {"text": "...", "text_pair": "..."}'
    needs_model = False

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """TEXT arguments, --text-pair and --file."""
        parser.add_argument("texts", metavar="TEXT", nargs="*", help="a text; - reads one text a line from stdin")
        parser.add_argument(
            "--text-pair",
            metavar="TEXT",
            action="append",
            help="the second text, for a model of pairs; one for each TEXT, in their order",
        )
        parser.add_argument(
            "--file",
            metavar="FILE",
            type=Path,
            help="read one text a line from FILE (UTF-8, or UTF-16 with its mark); of a Parquet or Arrow file "
            "inputs, from the columns that the model reads",
        )

    def add_player_options(self, group: argparse._ArgumentGroup) -> None:
        """--max-players."""
        group.add_argument(
            "--max-players",
            metavar="N",
            type=int,
            help="group a text of more words into phrases (default: 64; from 150 words on by sentences and words)",
        )

    def check(self, arguments: argparse.Namespace) -> None:
        """Raise UsageError unless every TEXT has its --text-pair, or none has."""
        given, wanted = len(arguments.text_pair or ()), len(arguments.texts)
        if given and (given != wanted or arguments.texts == [STDIN]):
            raise UsageError(
                f"--text-pair was given {given} times for {wanted} TEXT arguments: give one for each TEXT,"
                ' or --jsonl FILE with lines {"text": ..., "text_pair": ...}'
            )

    def read(self, arguments: argparse.Namespace, model: ModelDescription | None) -> Iterator[Asked]:  # noqa: ARG002
        """The texts or pairs."""
        if arguments.jsonl:
            yield from _json_texts(arguments.jsonl)
        elif arguments.file:
            try:
                with arguments.file.open("rb") as file:
                    yield from _lines(file)
            except OSError as error:
                raise UsageError(f"cannot read {arguments.file}: {error.strerror}") from error
        elif arguments.texts == [STDIN]:
            yield from _lines(standard_input().buffer)
        elif arguments.text_pair:
            for number, pair in enumerate(zip(arguments.texts, arguments.text_pair, strict=True), start=1):
                yield _pair(number, TextPair(*pair))
        else:
            for number, text in enumerate(arguments.texts, start=1):
                yield _text(number, text)

    def asked(self, number: int, value: Input | None, refusal: InvalidArgument | None) -> Asked:
        if isinstance(value, TextPair):
            return _pair(number, value)
        return _text(number, value if isinstance(value, str) else "", refusal)

    def columns(self, model: ModelDescription) -> tuple[str, ...]:
        return ("text", "text_pair") if model.pairs else ("text",)

    def told(self, model: ModelDescription) -> list[tuple[str, str]]:
        return [("reads", f"{'pairs of texts, ' if model.pairs else ''}{model.max_tokens} tokens at most")]

    def limits(self, limits: ServingLimits) -> list[tuple[str, str]]:
        return [("bytes per text", f"{limits.max_text_bytes:,}")]

    def baseline(self, written: str, model: ModelDescription | None) -> Input:  # noqa: ARG002
        given = line_files.json_object(written, _PAIR) if written.lstrip().startswith("{") else None
        if not isinstance(given, Mapping):
            return written  # a text may begin with a bracket
        text, text_pair = given.get("text"), given.get("text_pair")
        if not (isinstance(text, str) and isinstance(text_pair, str)):
            raise UsageError(f"--baseline: a pair is {_PAIR}")
        return TextPair(text, text_pair)


def _json_texts(name: str) -> Iterator[Asked]:
    """The texts or pairs of JSON lines {"text": ...} or {"text": ..., "text_pair": ...}; other keys are left alone."""
    for number, line, given in line_files.json_lines(name, _EXAMPLE):
        if isinstance(given, InvalidArgument):
            yield _text(number, line, given)
            continue
        match given.get("text"), given.get("text_pair"):
            case str(text), None:
                yield _text(number, text)
            case str(text), str(text_pair):
                yield _pair(number, TextPair(text, text_pair))
            case _:
                problem = "needs a text, and if it is a pair a text_pair, each a string"
                yield _text(number, line, invalid_argument("line", problem))


def _lines(file: BinaryIO) -> Iterator[Asked]:
    first = file.readline()
    try:
        encoding = encoding_of(first)
    except UsageError as error:
        raise UsageError(f"cannot read the texts: {error}") from None
    if encoding.startswith("utf-8"):
        lines = chain([first.removeprefix(codecs.BOM_UTF8)], file)
        # What is not UTF-8 becomes lone surrogates, as in arguments; the client then refuses that one row by name.
        texts: Iterator[str] = (line.decode("utf-8", errors="surrogateescape") for line in lines)
    else:
        texts = _wide_lines(chain([first], file), encoding)
    for number, text in enumerate(texts, start=1):
        yield _text(number, text.rstrip("\r\n"))


def _wide_lines(parts: Iterator[bytes], encoding: str) -> Iterator[str]:
    """The lines of UTF-16 or UTF-32, of which a byte \\n ends no character."""
    rest = ""
    for part in codecs.iterdecode(parts, encoding, errors="replace"):
        *lines, rest = (rest + part).split("\n")
        yield from lines
    if rest:
        yield rest


def _text(number: int, text: str, refusal: InvalidArgument | None = None) -> Asked:
    return Asked(number, text, "text", {"text": text}, refusal)


def _pair(number: int, pair: TextPair) -> Asked:
    return Asked(number, pair, "pair", pair._asdict())
