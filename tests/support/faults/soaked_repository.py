"""The repository that faults and soaks work on."""

import shutil
from pathlib import Path


def build_soaked_repository(directory: Path, tables: Path) -> Path:
    """Versions 1 and 2 of "tiny" for texts, "animals" for images, and "loans" copied from a repository of tables."""
    from support.tiny_bundle import build_tiny_repository  # torch, only where a repository is made
    from support.tiny_image_bundle import build_image_repository

    repository = build_tiny_repository(directory, versions=2)
    shutil.copytree(tables / "loans", repository / "loans")
    shutil.copytree(build_image_repository(directory / "images") / "animals", repository / "animals")
    return repository
