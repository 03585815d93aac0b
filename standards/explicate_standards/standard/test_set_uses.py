"""How many models were judged on some rows: each one that is chosen by its test rows makes them less of a test.

Kept below XDG_CACHE_HOME or ~/.cache by the digests of rows and models; what was judged on another machine is not
known.
"""

import json
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile

from explicate_standards.partial_file import partial_folder

_MOST_MODELS = 100_000


def count_use(rows_sha256: str, content_sha256: str) -> int:
    """Note that a model was judged on some rows; returns how many different ones were so far, this one counted."""
    path = _path(rows_sha256)
    known = _models(path)
    if content_sha256 not in known and len(known) < _MOST_MODELS:
        known.append(content_sha256)
        with suppress(OSError):  # a home that cannot be written must not hold up a verdict
            _write(path, known)
    return len(known)


def uses_of(rows_sha256: str) -> int:
    """How many models were judged on some rows here."""
    return len(_models(_path(rows_sha256)))


def _path(rows_sha256: str) -> Path:
    return partial_folder().with_name("test-rows") / f"{rows_sha256}.json"


def _models(path: Path) -> list[str]:
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return [str(one) for one in known] if isinstance(known, list) else []


def _write(path: Path, known: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile("w", dir=path.parent, encoding="utf-8", delete=False) as file:
        json.dump(known, file)
    Path(file.name).replace(path)
