"""Recorded expectations: readable text below `recorded/`, with which a pin compares what it sees today.

`UPDATE_PINS=1 pytest tests/pins` records again what differs, and removes records that no test names any more if the
whole folder ran in one process; `git diff tests/pins/recorded` then shows exactly what changed. Lines that differ by
rounding only keep their recorded text, so that the diff has no noise.

Decimal numbers are equal within a relative 1e-4, an absolute 2e-6, and 5e-6 of the largest in their line; everything
else to the letter: whole numbers, words, order, structure. What no two machines or runs share is taken out
before: see `cleaned`.
"""

import difflib
import hashlib
import json
import math
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any  # JSON values

import numpy as np
import pytest
from numpy.typing import NDArray

FOLDER = Path(__file__).parent / "recorded"
_DECIMAL = re.compile(r"(?<![\w.])-?(?:\d+\.\d+(?:e[-+]?\d+)?|\d+e[-+]?\d+)(?![\w.]*\.\d)")
_RELATIVE, _ABSOLUTE, _OF_THE_LARGEST = 1e-4, 2e-6, 5e-6
_DIGITS = 6
_LINE_WIDTH = 110
_LONGEST_LIST = 400  # numbers; of more the record has the digest only

# What every run and machine has of its own, with what a record shows of it.
_OF_THE_MOMENT = (
    (re.compile(r"\b(?:sha256:)?[0-9a-f]{64}\b"), "<sha256>"),
    (re.compile(r"\b127\.0\.0\.1:\d+"), "<server>"),
    (re.compile(r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)?"), "<time>"),
    # Differences of rounding are written so: 2.1e-06.
    (re.compile(r"\b\d\.\de[-+]\d\d\b"), "<rounding>"),
    (re.compile(r"(?m)^Tools: .*$"), "Tools: <versions>"),
)


# Keys of JSON whose values belong to a machine or a moment: times, memory, digests of graphs, and measured rounding.
OF_THE_MACHINE = frozenset(
    {
        "attribution_difference", "bundle_digest", "create_time", "graph_bytes", "logit_difference",
        "max_logit_difference", "seconds_per_row", "sha256", "size_bytes", "timing", "tool_versions",
    }
)  # fmt: skip


def check(name: str, seen: "str | Mapping[str, Any] | list[Any]") -> None:
    """Fails with a unified diff if what is seen differs from the record `name`, such as "cards/text.md"."""
    path = FOLDER / name
    text = seen.rstrip("\n") + "\n" if isinstance(seen, str) else pretty(seen) + "\n"
    recorded = path.read_text(encoding="utf-8") if path.exists() else ""
    _named.add(path)
    merged = _keep_recorded_rounding(recorded.splitlines(), text.splitlines())
    if merged == recorded.splitlines():
        return
    if os.environ.get("UPDATE_PINS") == "1":
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{line}\n" for line in merged), encoding="utf-8")
        return
    title = f"tests/pins/recorded/{name}"
    difference = difflib.unified_diff(recorded.splitlines(), merged, f"{title} (recorded)", "seen now", lineterm="")
    pytest.fail("\n".join(["a pin differs (UPDATE_PINS=1 records it again):", *difference]), pytrace=False)


_named: set[Path] = set()


def remove_unnamed() -> None:
    """Deletes the records that no check of this session named."""
    for path in FOLDER.rglob("*"):
        if path.is_file() and path not in _named:
            path.unlink()


def _keep_recorded_rounding(recorded: list[str], seen: list[str]) -> list[str]:
    """What is seen, with the recorded line wherever the two differ by rounding only."""
    old_lines, new_lines = ([_DECIMAL.sub("#.#", line) for line in lines] for lines in (recorded, seen))
    merged = list(seen)
    for block in difflib.SequenceMatcher(None, old_lines, new_lines, autojunk=False).get_matching_blocks():
        for offset in range(block.size):
            old, new = recorded[block.a + offset], seen[block.b + offset]
            if _close_line(_DECIMAL.findall(old), _DECIMAL.findall(new)):
                merged[block.b + offset] = old
    return merged


def _close_line(recorded: list[str], seen: list[str]) -> bool:
    """Numbers of one line are often of one sum: the small ones have the rounding of the largest."""
    absolute = max([_ABSOLUTE, *(_OF_THE_LARGEST * abs(float(each)) for each in recorded)])
    pairs = zip(recorded, seen, strict=True)
    return all(math.isclose(float(old), float(new), rel_tol=_RELATIVE, abs_tol=absolute) for old, new in pairs)


def cleaned(text: str, folders: Mapping[Path, str]) -> str:
    """The text without what belongs to one machine or moment; `folders` are paths with what to write instead."""
    for folder, name in sorted(folders.items(), key=lambda item: -len(str(item[0]))):
        text = text.replace(str(folder), name)
    for pattern, replacement in _OF_THE_MOMENT:
        text = pattern.sub(replacement, text)
    return text


def cleaned_values(value: Any, folders: Mapping[Path, str]) -> Any:
    """The JSON value with each of its texts cleaned."""
    if isinstance(value, Mapping):
        return {key: cleaned_values(each, folders) for key, each in value.items()}
    if isinstance(value, list):
        return [cleaned_values(each, folders) for each in value]
    return cleaned(value, folders) if isinstance(value, str) else value


def three_digits(text: str) -> str:
    """The text with its decimal numbers to three significant digits."""
    return _DECIMAL.sub(lambda match: f"{float(match[0]):.3g}", text)


def without(value: Any, names: Iterable[str]) -> Any:
    """The JSON value without the keys of these names, at any depth."""
    left_out = frozenset(names)
    if isinstance(value, Mapping):
        return {key: without(each, left_out) for key, each in value.items() if key not in left_out}
    return [without(each, left_out) for each in value] if isinstance(value, list) else value


def masked(value: Any, names: Iterable[str] = OF_THE_MACHINE) -> Any:
    """The JSON value with "<left out>" for the values of these keys, at any depth."""
    hidden = frozenset(names)
    if isinstance(value, Mapping):
        return {key: "<left out>" if key in hidden else masked(each, hidden) for key, each in value.items()}
    return [masked(each, hidden) for each in value] if isinstance(value, list) else value


def shape_of(value: Any) -> Any:
    """The structure of a JSON value: keys stay, other values become their types; of a list the kinds of its items."""
    if isinstance(value, Mapping):
        return {key: shape_of(each) for key, each in value.items()}
    if isinstance(value, list):
        kinds = {json.dumps(shape_of(each), sort_keys=True) for each in value}
        return [json.loads(kind) for kind in sorted(kinds)]
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__


def described_array(array: NDArray[Any]) -> dict[str, Any]:
    """Type, shape and values of an array; of bytes and of large arrays of whole numbers the digest."""
    described: dict[str, Any] = {"dtype": str(array.dtype), "shape": list(array.shape)}
    if array.dtype == np.uint8 or (array.dtype.kind != "f" and array.size > _LONGEST_LIST):
        return {**described, "sha256": hashlib.sha256(array.tobytes()).hexdigest()}
    return {**described, "values": array.tolist()}


def pretty(value: Any, indent: str = "", *, sort: bool = True) -> str:
    """JSON with decimal numbers of six digits and, by default, sorted keys; on one line what fits there."""
    inline = json.dumps(_rounded(value), ensure_ascii=False, sort_keys=sort)
    if not isinstance(value, dict | list) or not value or (indent and len(inline) + len(indent) <= _LINE_WIDTH):
        return inline
    inner = f"{indent}  "
    if isinstance(value, dict):
        keys = sorted(value) if sort else list(value)
        parts = [f"{json.dumps(key, ensure_ascii=False)}: {pretty(value[key], inner, sort=sort)}" for key in keys]
    elif any(isinstance(each, dict | list) for each in value):
        parts = [pretty(each, inner, sort=sort) for each in value]
    else:
        parts = _rows_of_scalars(value)
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    return f"{opening}\n{inner}" + f",\n{inner}".join(parts) + f"\n{indent}{closing}"


def _rows_of_scalars(values: list[Any]) -> list[str]:
    """Numbers eight to a line, NaN among them, words one to a line."""
    if len(values) > _LONGEST_LIST and all(isinstance(each, int) for each in values):
        digest = hashlib.sha256(json.dumps(values).encode()).hexdigest()
        return [json.dumps(f"{len(values)} whole numbers with SHA-256 {digest}")]
    texts = [json.dumps(_rounded(each), ensure_ascii=False) for each in values]
    if any(isinstance(each, str) and each != "NaN" for each in values):
        return texts
    return [", ".join(texts[start : start + 8]) for start in range(0, len(texts), 8)]


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_rounded(each) for each in value]
    if not isinstance(value, float) or not math.isfinite(value):
        return value
    return 0.0 if abs(value) < _ABSOLUTE / 2 else float(f"{value:.{_DIGITS}g}")
