"""Changes to a published bundle, for tests of what a server makes of them."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from explicate_bundle.golden import Golden, read_golden, write_golden


def edit_manifest(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Changes manifest.json in place."""
    manifest = json.loads((folder / "manifest.json").read_text())
    change(manifest)
    (folder / "manifest.json").write_text(json.dumps(manifest))


def replace_file(folder: Path, name: str, content: bytes) -> None:
    """Gives a file another content, with a digest in the manifest that fits."""
    (folder / name).write_bytes(content)

    def update(manifest: dict[str, Any]) -> None:
        (entry,) = (file for file in manifest["files"] if file["name"] == name)
        entry |= {"sha256": hashlib.sha256(content).hexdigest(), "size_bytes": str(len(content))}

    edit_manifest(folder, update)


def edit_golden(folder: Path, change: Callable[[Golden], Golden]) -> None:
    """Changes the golden texts, their outputs or attributions."""
    changed = folder.parent / "changed.npz"
    write_golden(changed, change(read_golden(folder / "golden.npz", classes=2, attributed=True)))
    replace_file(folder, "golden.npz", changed.read_bytes())
    changed.unlink()
