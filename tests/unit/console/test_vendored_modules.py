"""What the page takes from others is what they published, and its licence lies beside it."""

import hashlib
from importlib import resources

VENDOR = resources.files("explicate_console") / "static" / "vendor"


def test_each_vendored_module_has_the_digest_that_is_written_beside_it() -> None:
    told = dict(reversed(line.split("  ")) for line in (VENDOR / "SHA256SUMS").read_text().splitlines())
    found = {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest()
        for file in VENDOR.iterdir()
        if file.name.endswith(".js")
    }
    assert found
    assert found == told


def test_the_licences_lie_beside_what_they_allow() -> None:
    assert "Apache License" in (VENDOR / "LICENSE-htm.txt").read_text()
    assert "The MIT License" in (VENDOR / "LICENSE-preact.txt").read_text()
