"""What a manifest must say for this server to understand it, by kind of model."""

import re
from collections.abc import Iterator, Mapping

from explicate.v1 import bundle_pb2
from explicate_bundle.input_kind import KINDS, Kind, Reads

FORMAT_VERSION = 1
MODEL_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_MAX_CLASSES = 10_000
_MAX_EVALUATIONS_PER_PLAYER = 1024
_MAX_COLUMNS = 10_000
_MAX_BACKGROUND_ROWS = 1024
_GRAPH_INPUTS = frozenset({"input_ids", "attention_mask", "position_ids", "token_type_ids"})
_BOOLEAN = ["false", "true"]
# Of an image as the model reads it; a row of the largest is 12 MB.
_MAX_EDGE = 2048
_MAX_SHORTEST_EDGE = 4096
_MAX_SEGMENTS = 1024
_READS: Mapping[Reads, str] = {"text": "texts", "tabular": "rows of a table", "image": "images"}

Check = tuple[bool, str]
"""What must hold, and what is wrong otherwise."""


def checks(manifest: bundle_pb2.Bundle, *, model: str, version: int) -> Iterator[Check]:
    """All that must hold, in an order in which each may rely on those before it."""
    yield (
        manifest.format_version == FORMAT_VERSION,
        f"format_version is {manifest.format_version}, not {FORMAT_VERSION}",
    )
    yield manifest.model == model, f"model is {manifest.model!r}, its folder says {model!r}"
    yield manifest.version == version, f"version is {manifest.version}, its folder says {version}"
    kinds = manifest.input_kind, manifest.objective
    yield kinds in KINDS, f"input_kind {kinds[0]} with objective {kinds[1]} is not known"
    kind = KINDS[kinds]
    yield from _output_checks(manifest, kind)
    for schema in _READS:
        fits = schema == kind.reads or not manifest.HasField(schema)
        yield fits, f"{schema} is set, but the model reads {_READS[kind.reads]}"
    yield manifest.golden_tolerance > 0, "golden_tolerance is not above 0"
    yield manifest.golden_reduced_tolerance >= 0, "golden_reduced_tolerance is below 0"
    yield from _attribution_checks(manifest, kind)
    if kind.reads == "text":
        yield from _text_checks(manifest.text)
        yield from _file_checks(manifest, "model.onnx", "golden.npz", "tokenizer.json")
    elif kind.reads == "image":
        yield from _image_checks(manifest.image)
        yield from _file_checks(manifest, "model.onnx", "golden.npz")
    else:
        yield from _tabular_checks(manifest.tabular)
        statistics = ["lime.npz"] if manifest.tabular.lime_statistics else []
        yield from _file_checks(manifest, "model.onnx", "golden.npz", "background.npz", *statistics)


def _output_checks(manifest: bundle_pb2.Bundle, kind: Kind) -> Iterator[Check]:
    labels = manifest.class_labels
    if kind.predicts == "value":
        yield not labels, f"{len(labels)} class_labels of a regression"
        yield bool(manifest.target_name), "target_name is empty"
        return
    least = 1 if kind.predicts == "labels" else 2
    yield not manifest.target_name, "target_name is set, but the model predicts no number"
    yield least <= len(labels) <= _MAX_CLASSES, f"{len(labels)} class_labels"
    yield len(set(labels)) == len(labels), "class_labels repeat"


def _attribution_checks(manifest: bundle_pb2.Bundle, kind: Kind) -> Iterator[Check]:
    if manifest.HasField("golden_attributions"):
        recipe = manifest.golden_attributions
        yield recipe.tolerance > 0, "golden_attributions.tolerance is not above 0"
        rows = recipe.evaluations_per_player
        yield 1 <= rows <= _MAX_EVALUATIONS_PER_PLAYER, f"golden_attributions.evaluations_per_player is {rows}"
        fits = 2 <= recipe.segments <= _MAX_SEGMENTS if kind.reads == "image" else not recipe.segments
        yield fits, f"golden_attributions.segments is {recipe.segments}"


def _text_checks(text: bundle_pb2.TextSchema) -> Iterator[Check]:
    inputs = set(text.inputs)
    yield 8 <= text.max_tokens <= 1 << 16, f"text.max_tokens is {text.max_tokens}"
    yield {"input_ids", "attention_mask"} <= inputs <= _GRAPH_INPUTS, f"text.inputs are {list(text.inputs)}"
    yield len(inputs) == len(text.inputs), "text.inputs repeat"
    yield not text.token_dropping or "position_ids" in inputs, "text.token_dropping without position_ids"
    yield text.padding_id >= 0 and text.mask_id >= 0 and text.first_position >= 0, "an id in text is negative"


def _image_checks(image: bundle_pb2.ImageSchema) -> Iterator[Check]:
    yield 1 <= image.width <= _MAX_EDGE, f"image.width is {image.width}"
    yield 1 <= image.height <= _MAX_EDGE, f"image.height is {image.height}"
    yield 0 <= image.shortest_edge <= _MAX_SHORTEST_EDGE, f"image.shortest_edge is {image.shortest_edge}"
    known = image.resampling in bundle_pb2.Resampling.values() and image.resampling
    yield bool(known), f"image.resampling {image.resampling} is not known"
    patch = image.patch_size
    yield 0 <= patch <= min(image.width, image.height), f"image.patch_size is {patch}"


def _tabular_checks(tabular: bundle_pb2.TabularSchema) -> Iterator[Check]:
    columns, rows = tabular.columns, tabular.background_rows
    yield 1 <= len(columns) <= _MAX_COLUMNS, f"{len(columns)} tabular.columns"
    yield len({column.name for column in columns}) == len(columns), "names in tabular.columns repeat"
    yield 1 <= rows <= _MAX_BACKGROUND_ROWS, f"tabular.background_rows is {rows}"
    for column in columns:
        yield from _column_checks(column, f"tabular.columns[{column.name}]")


def _column_checks(column: bundle_pb2.ColumnSchema, path: str) -> Iterator[Check]:
    categories = list(column.categories)
    yield bool(column.name), "a name in tabular.columns is empty"
    yield len(set(categories)) == len(categories), f"categories of {path} repeat"
    if column.type == bundle_pb2.COLUMN_TYPE_NUMBER:
        yield not categories, f"{path} has numbers and categories"
    elif column.type == bundle_pb2.COLUMN_TYPE_BOOLEAN:
        yield categories == _BOOLEAN, f"categories of {path} are {categories}, not {_BOOLEAN}"
    else:
        known = column.type in (bundle_pb2.COLUMN_TYPE_CATEGORY, bundle_pb2.COLUMN_TYPE_ORDINAL)
        yield known, f"type {column.type} of {path} is not known"
        yield bool(categories), f"{path} has no categories"


def _file_checks(manifest: bundle_pb2.Bundle, *required: str) -> Iterator[Check]:
    names = [file.name for file in manifest.files]
    yield len(set(names)) == len(names), "files repeat"
    for name in required:
        yield name in names, f"files do not list {name}"
    for name in names:
        yield _FILE_NAME.fullmatch(name) is not None, f"files name {name!r}, which is no plain file name"
