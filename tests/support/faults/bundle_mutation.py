"""Bundles turned to nonsense: files that are damaged, with and without a digest that fits, and odd manifests."""

import json
import random
import shutil
from pathlib import Path
from typing import Any  # JSON values

from support.bundle_edits import replace_file
from support.faults.mutation import damaged, flipped

_ODD: tuple[Any, ...] = (None, "", "x", "../../etc/passwd", -1, 0, 1, 10**9, 1e308, True, [], {}, [0], "NaN", "9" * 40)


def mutated_bundle(stream: random.Random, origin: Path, target: Path) -> str:
    """A copy of a bundle as the next version, with one thing wrong; returns what was done to it."""
    shutil.copytree(origin, target)
    manifest = json.loads((target / "manifest.json").read_text(encoding="utf-8"))
    manifest["version"] = int(target.name)
    (target / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    names = sorted(path.name for path in target.iterdir())
    match stream.randrange(4):
        case 0:
            name = stream.choice(names)
            (target / name).write_bytes(_damaged_file(stream, (target / name).read_bytes()))
            return f"damaged {name}"
        case 1 | 2:
            name = stream.choice([name for name in names if name != "manifest.json"])
            replace_file(target, name, _damaged_file(stream, (target / name).read_bytes()))
            return f"damaged {name}, with a digest that fits"
        case _:
            path = _disturb(stream, manifest, "manifest")
            (target / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
            return f"odd {path}"


def _damaged_file(stream: random.Random, content: bytes) -> bytes:
    """Damage near its start, where what matters stands, or anywhere."""
    cut = min(len(content), 4096) if stream.random() < 0.5 else len(content)
    edit = flipped if stream.random() < 0.5 else damaged
    return edit(stream, content[:cut]) + content[cut:]


def _disturb(stream: random.Random, values: Any, path: str) -> str:
    """Put something odd into one place of a JSON tree; returns where."""
    keys = sorted(values) if isinstance(values, dict) else range(len(values))
    key = stream.choice(list(keys))
    where = f"{path}.{key}"
    if isinstance(values[key], dict | list) and values[key] and stream.random() < 0.8:
        return _disturb(stream, values[key], where)
    if stream.random() < 0.2:
        del values[key]
        return f"{where} left out"
    values[key] = stream.choice(_ODD)
    return f"{where} = {values[key]!r}"
