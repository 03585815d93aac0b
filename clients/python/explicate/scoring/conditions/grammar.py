"""The grammar of conditions, such as `probability < 0.6 or label == "bad"`; nothing of it is ever run as a program.

    condition  = conjunct { "or" conjunct }
    conjunct   = negation { "and" negation }
    negation   = "not" negation | comparison
    comparison = operand { ( "<" | "<=" | ">" | ">=" | "==" | "!=" ) operand }
               | operand [ "not" ] "in" "(" constant { "," constant } ")"
               | operand "is" [ "not" ] "null"
    operand    = constant | column | "p" "[" text "]" | "(" condition ")"
    constant   = [ "-" ] number | text | "true" | "false"
    text       = "'...'" | '"..."', in which a backslash goes before a quote or a backslash
    column     = a name of letters, digits, "_" and "." | "`any name`", in which "``" is "`"

`=` is `==`, `<>` is `!=`, lists may have square brackets, and words may be in capitals, as in SQL. `0.4 < x < 0.6` is
`0.4 < x and x < 0.6`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from explicate.reading.nearest import nearest
from explicate.scoring.conditions.condition import (
    COMPARISONS,
    OPTION,
    All,
    Any,
    BadCondition,
    ClassProbability,
    Comparison,
    Constant,
    ExplainIf,
    IsNull,
    Named,
    Not,
    OneOf,
    Part,
    shown,
)

_TOKEN = re.compile(
    r"""\s*(?:
    (?P<number>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?(?![\w.]))
    |(?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    |(?P<quoted>`(?:[^`]|``)+`)
    |(?P<name>[^\W\d][\w.]*)
    |(?P<sign><=|>=|==|!=|<>|[-<>=()\[\],])
    )""",
    re.VERBOSE | re.DOTALL,
)
_WORDS = frozenset({"and", "or", "not", "in", "is", "null", "true", "false"})
_CLOSED_BY = {"(": ")", "[": "]"}
_MOST_NESTED = 100
_HINTS = {"&": "and", "|": "or", "!": "not", "~": "not"}


@dataclass(frozen=True)
class _Token:
    """A word of the condition: "number", "text", "column", "word" or "sign", or "end"."""

    kind: str
    text: str
    at: int

    def __str__(self) -> str:
        return "the end" if self.kind == "end" else self.text


def condition_of(text: str, class_labels: Sequence[str], *, option: str = OPTION) -> ExplainIf:
    """The condition that a text says, for a model with these classes; raises UsageError that shows the place.

    Errors name the `option` that holds it.
    """
    try:
        return ExplainIf(text, _Parser(_tokens(text), class_labels).whole(), option)
    except BadCondition as error:
        raise shown(text, error, option) from None


def _tokens(text: str) -> list[_Token]:
    found, at = [], 0
    while text[at:].strip():
        match = _TOKEN.match(text, at)
        if match is None:
            raise _unreadable(text, at + len(text[at:]) - len(text[at:].lstrip()))
        kind = str(match.lastgroup)
        found.append(_token(kind, match[kind], match.start(kind)))
        at = match.end()
    return [*found, _Token("end", "", len(text))]


def _token(kind: str, written: str, at: int) -> _Token:
    match kind:
        case "name" if written.lower() in _WORDS:
            return _Token("word", written.lower(), at)
        case "name":
            return _Token("column", written, at)
        case "quoted":
            return _Token("column", written[1:-1].replace("``", "`"), at)
        case "text":
            return _Token("text", re.sub(r"\\(.)", r"\1", written[1:-1], flags=re.DOTALL), at)
        case _:
            return _Token(kind, written, at)


def _unreadable(text: str, at: int) -> BadCondition:
    character = text[at]
    if character in "\"'`":
        return BadCondition(f"this {character} is not closed", at)
    if character.isdigit():
        return BadCondition("this is not a number; a column whose name begins with a digit goes in `backquotes`", at)
    hint = f": write {_HINTS[character]!r}" if character in _HINTS else ""
    return BadCondition(f"{character!r} does not belong here{hint}", at)


class _Parser:
    """Reads tokens from the left; each method reads one rule of the grammar."""

    def __init__(self, tokens: Sequence[_Token], class_labels: Sequence[str]) -> None:
        self._tokens = tokens
        self._labels = class_labels
        self._place = 0
        self._nested = 0

    def whole(self) -> Part:
        """The condition up to the end."""
        if self._next.kind == "end":
            raise BadCondition("the condition is empty", 0)
        part = self._condition()
        if self._next.kind != "end":
            raise BadCondition(f"'and', 'or' or the end is wanted here, not {self._next}", self._next.at)
        return part

    def _condition(self) -> Part:
        return self._joined("or", self._conjunct, Any)

    def _conjunct(self) -> Part:
        return self._joined("and", self._negation, All)

    def _joined(self, word: str, rule: Callable[[], Part], join: type[All]) -> Part:
        parts = [rule()]
        while self._takes(word):
            parts.append(rule())
        return parts[0] if len(parts) == 1 else join(parts[0].at, tuple(parts))

    def _negation(self) -> Part:
        at = self._next.at
        if not self._takes("not"):
            return self._comparison()
        self._go_deeper(at)
        part = Not(at, self._negation())
        self._nested -= 1
        return part

    def _comparison(self) -> Part:
        first = self._operand()
        if self._takes("is"):
            is_not = self._takes("not")
            self._wanted("null")
            return self._perhaps_not(IsNull(first.at, first), is_not=is_not)
        is_not = self._next.text == "not" and self._takes("not")
        if is_not or self._next.text == "in":
            self._wanted("in")
            return self._perhaps_not(OneOf(first.at, first, self._list()), is_not=is_not)
        return self._chain(first)

    def _chain(self, left: Part) -> Part:
        found: list[Part] = []
        while self._next.kind == "sign" and self._next.text in COMPARISONS:
            sign = self._take()
            right = self._operand()
            found.append(Comparison(sign.at, left, sign.text, right))
            left = right
        if not found:
            return left
        return found[0] if len(found) == 1 else All(found[0].at, tuple(found))

    def _list(self) -> tuple[Constant, ...]:
        opened = self._take()
        if opened.text not in _CLOSED_BY or opened.kind != "sign":
            raise BadCondition(f"a list such as ('a', 'b') is wanted here, not {opened}", opened.at)
        listed = [self._constant()]
        while self._takes(","):
            listed.append(self._constant())
        self._wanted(_CLOSED_BY[opened.text])
        return tuple(listed)

    def _constant(self) -> Constant:
        at = self._next.at
        part = self._operand()
        if not isinstance(part, Constant):
            raise BadCondition("a number, a text in quotes, true or false is wanted in a list", at)
        return part

    def _operand(self) -> Part:
        token = self._take()
        match token.kind, token.text:
            case "number", _:
                return Constant(token.at, _number(token))
            case "text", _:
                return Constant(token.at, token.text)
            case "word", "true" | "false":
                return Constant(token.at, token.text == "true")
            case "column", "p" if self._next.text == "[" and self._next.kind == "sign":
                return self._class_probability(token)
            case "column", _:
                return Named(token.at, token.text)
            case "sign", "-" if self._next.kind == "number":
                return Constant(token.at, -_number(self._take()))
            case "sign", "(":
                return self._in_brackets(token)
        raise BadCondition(f"a column, a number, a text in quotes or a bracket is wanted here, not {token}", token.at)

    def _in_brackets(self, opened: _Token) -> Part:
        self._go_deeper(opened.at)
        part = self._condition()
        self._wanted(")")
        self._nested -= 1
        return part

    def _class_probability(self, token: _Token) -> Part:
        self._wanted("[")
        label = self._take()
        if label.kind != "text":
            raise BadCondition(f'a class in quotes is wanted here, such as p["bad"], not {label}', label.at)
        self._wanted("]")
        if label.text not in self._labels:
            close = nearest(label.text, self._labels, most=1)
            hint = f" (did you mean {close[0]}?)" if close else f": there are {', '.join(self._labels) or 'none'}"
            raise BadCondition(f"the model does not have a class {label.text}{hint}", label.at)
        return ClassProbability(token.at, self._labels.index(label.text))

    @property
    def _next(self) -> _Token:
        return self._tokens[self._place]

    def _take(self) -> _Token:
        token = self._next
        if token.kind != "end":
            self._place += 1
        return token

    def _takes(self, text: str) -> bool:
        """Whether a word or a sign comes next; then it is taken."""
        found = self._next.text == text and self._next.kind in ("word", "sign")
        if found:
            self._take()
        return found

    def _wanted(self, text: str) -> None:
        at, found = self._next.at, str(self._next)
        if not self._takes(text):
            raise BadCondition(f"{text!r} is wanted here, not {found}", at)

    def _go_deeper(self, at: int) -> None:
        self._nested += 1
        if self._nested > _MOST_NESTED:
            raise BadCondition(f"more than {_MOST_NESTED} brackets within one another", at)

    @staticmethod
    def _perhaps_not(part: Part, *, is_not: bool) -> Part:
        return Not(part.at, part) if is_not else part


def _number(token: _Token) -> float | int:
    if token.text.isdecimal() and len(token.text) <= 18:  # exact in 64 bits
        return int(token.text)
    number = float(token.text)
    if math.isinf(number):
        raise BadCondition("this number is too large", token.at)
    return number
