"""Runs of random models of every kind, exported: each when it is first asked for, because converting takes seconds."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol  # ONNX Runtime and onnx have no types

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import numpy_helper

from explicate.v1 import bundle_pb2
from explicate_bundle.bundle import VerifiedBundle, verify_bundle
from explicate_bundle.golden import Golden
from explicate_export.export import ExportOptions, export_run
from explicate_server.modalities.modalities import open_modality
from explicate_server.modalities.modality import Modality
from explicate_server.settings import Settings
from support.tiny_bundle import TARGET_SPREAD, write_tiny_run
from support.tiny_image_run import write_image_run
from support.tiny_table_run import category, number, write_table_run

NUMBERS = tuple(number(f"n{index}") for index in range(4))
CATEGORIES = (category("colour", "red", "green"), category("sold", "false", "true", kind="boolean"))
WIDE = tuple(number(f"c{i}") if i % 2 else category(f"c{i}", "a", "b", "c") for i in range(500))


@dataclass(frozen=True)
class Case:
    """How a run is written, what its graph reads, and the unit of its outputs."""

    write: Callable[[Path], Path]
    reads: str
    unit: float = 1.0  # the spread of a regression's target
    files: tuple[str, ...] = ()
    reduced_tolerance: float = 0.0


def _text(**options: Any) -> Case:
    unit = 1.0 if options.get("labels", True) else TARGET_SPREAD
    return Case(lambda folder: write_tiny_run(folder, **options), "text", unit, ("tokenizer.json",), 0.05 * unit)


def _table(*columns: tuple[Any, ...], **options: Any) -> Case:
    unit = 1.0 if options.get("labels", True) else 25.0
    return Case(
        lambda folder: write_table_run(folder, *columns, **options), "table", unit, ("background.npz", "lime.npz")
    )


def _image(family: str, **options: Any) -> Case:
    regression = not options.get("labels", True)
    return Case(
        lambda folder: write_image_run(folder, family, **options),
        "image",
        25.0 if regression else 1.0,
        reduced_tolerance=0.0 if regression else 0.1,
    )


FLAGS = ("late", "rude", "wrong")
CASES: Mapping[str, Case] = {
    "text": _text(),
    "text-labels": _text(kind="text-multi-label", labels=FLAGS),
    "text-pairs": _text(kind="text-regression", labels=(), pairs=True),
    "mixed": _table(),
    "numbers": _table(NUMBERS),
    "categories": _table(CATEGORIES, labels=("low", "middle", "high")),
    "flags": _table(labels=FLAGS, kind="tabular-multi-label"),
    "regression": _table(labels=()),
    "wide": _table(WIDE),
    "resnet": _image("resnet"),
    "vit": _image("vit"),
    "mobilenet-v2": _image("mobilenet-v2"),
    "image-labels": _image("resnet", kind="image-multi-label"),
    "image-regression": _image("resnet", kind="image-regression", labels=()),
}


class Exported:
    """A run, its bundle, and the bundle's graph."""

    def __init__(self, name: str, directory: Path) -> None:
        self.case = CASES[name]
        (directory / name).mkdir()
        self.run = self.case.write(directory / name)
        self.lines: list[str] = []
        self.folder = export_run(self.run, directory / "repository", ExportOptions(name), say=self.lines.append)
        self.verified: VerifiedBundle = verify_bundle(self.folder, model=name, version=1)
        self.manifest: bundle_pb2.Bundle = self.verified.manifest
        with np.load(self.folder / "golden.npz") as arrays:
            self.arrays = dict(arrays)
        self.unit = self.case.unit
        self._session: Any = onnxruntime.InferenceSession(self.folder / "model.onnx")

    @cached_property
    def golden(self) -> Golden:
        """As a server reads it."""
        return self.verified.golden()

    @cached_property
    def modality(self) -> Modality:
        """As a server reads inputs."""
        return open_modality(self.verified, Settings())

    def ask(self, **feeds: NDArray[Any]) -> NDArray[np.float32]:
        """float32 [inputs, outputs] of the graph's inputs; those without columns do not exist."""
        (answers,) = self._session.run(None, {name: feed for name, feed in feeds.items() if feed.shape[1]})
        return np.asarray(answers, dtype=np.float32)


class Bundles(dict[str, Exported]):
    """By name, made when they are first asked for."""

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self._directory = directory

    def __missing__(self, name: str) -> Exported:
        self[name] = Exported(name, self._directory)
        return self[name]


class ReuseGraph(Protocol):
    """Makes exports take the graph of a bundle instead of converting, its outputs off by `offset`."""

    def __call__(self, bundle: Exported, *, offset: float = 0.0) -> None:
        """Until the test ends."""


def moved_graph(graph: Path, path: Path, *, offset: float) -> None:
    """Writes a graph whose outputs are off by `offset`."""
    model = onnx.load(graph)
    (output,) = model.graph.output
    for node in model.graph.node:
        node.output[:] = ["plain" if name == output.name else name for name in node.output]
    model.graph.initializer.append(numpy_helper.from_array(np.float32(offset).reshape(1), "moved_by"))
    model.graph.node.append(onnx.helper.make_node("Add", ["plain", "moved_by"], [output.name]))
    onnx.save(model, path)
