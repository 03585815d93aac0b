"""What the documents name is there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_test_that_a_document_names_exists() -> None:
    source = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    documents = [*(ROOT / "docs").glob("*.md"), ROOT / "README.md"]
    named = {name for path in documents for name in re.findall(r"`(test_\w+)`", path.read_text(encoding="utf-8"))}
    assert len(named) > 20
    assert {name for name in named if f"def {name}(" not in source} == set()
