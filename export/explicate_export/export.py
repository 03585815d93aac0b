"""From a run directory to a published bundle, step by step; nothing is published unless every comparison holds."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from explicate.v1 import bundle_pb2
from explicate_export import torch_model
from explicate_export.comparison import (
    MAX_LOGIT_DIFFERENCE,
    GraphRunner,
    check_parity,
    check_token_ids,
    measure_parity,
    measure_token_dropping,
)
from explicate_export.description import Measurements, describe
from explicate_export.golden import attribute_golden, choose_excerpts, choose_golden
from explicate_export.manifest import GOLDEN_NAME, GRAPH_NAME, MODEL_CARD_NAME, TOKENIZER_NAME
from explicate_export.model_card import model_card
from explicate_export.onnx_graph import write_graph
from explicate_export.publish import StagedBundle, check_target, stage_bundle
from explicate_export.run_directory import TrainingRun, read_run
from explicate_export.token_rows import encode, plain_tokenizer_json
from explicate_server.registry.golden import Golden, write_golden

DEFAULT_COMPARED_TEXTS = 256


@dataclass(frozen=True)
class ExportOptions:
    """What to publish, and on how many held-out texts to compare."""

    model: str
    version: int | None = None
    compared_texts: int = DEFAULT_COMPARED_TEXTS


def export_run(
    run_directory: Path, repository: Path, options: ExportOptions, *, say: Callable[[str], None] = lambda _: None
) -> Path:
    """Converts, compares and publishes; returns the bundle's folder. `say` gets a line for each step.

    Raises UsageError (the run, name or version), ConversionError, ParityError or PublicationError.
    """
    run = read_run(run_directory)
    check_target(repository, options.model, version=options.version)
    say(f"loading {run.model_directory}")
    trained = torch_model.load(run)
    with stage_bundle(repository, options.model, version=options.version) as staged:
        manifest = _fill(staged, run, trained, options, say)
        return staged.publish(manifest)


def _fill(
    staged: StagedBundle,
    run: TrainingRun,
    trained: torch_model.TorchModel,
    options: ExportOptions,
    say: Callable[[str], None],
) -> bundle_pb2.Bundle:
    texts = _choose_texts(run.held_out_texts, options.compared_texts)
    schema = torch_model.text_schema(trained, texts[0])
    tokenizer_json = plain_tokenizer_json(run.model_directory / TOKENIZER_NAME)
    (staged.folder / TOKENIZER_NAME).write_text(tokenizer_json, encoding="utf-8")

    say(f"converting {trained.architecture} to ONNX")
    graph = staged.folder / GRAPH_NAME
    write_graph(trained, schema.inputs, schema.first_position, graph)

    say(f"comparing with torch on {len(texts)} held-out texts")
    # The excerpts are attributed, so they are golden texts too; some may be whole texts.
    excerpts = choose_excerpts(texts)
    compared = list(dict.fromkeys([*texts, *excerpts]))
    rows = encode(tokenizer_json, compared, schema)
    check_token_ids(rows, trained.token_ids(compared))
    reference = trained.logits(compared)
    runner = GraphRunner(graph, schema)
    difference = measure_parity(runner, rows, reference)
    check_parity(difference)
    say(f"largest logit difference {difference:.1e} (allowed {MAX_LOGIT_DIFFERENCE:g})")

    dropping = measure_token_dropping(runner, rows)
    schema.token_dropping = dropping is not None and dropping <= MAX_LOGIT_DIFFERENCE
    say(_say_dropping(dropping, schema.token_dropping))

    chosen = choose_golden([len(row) for row in rows], always=[compared.index(excerpt) for excerpt in excerpts])
    golden = Golden(tuple(compared[index] for index in chosen), reference[chosen])
    recipe, golden = attribute_golden(golden, excerpts, graph=graph, schema=schema, tokenizer_json=tokenizer_json)
    say(f"{len(golden.texts)} golden texts, {len(golden.attributions)} of them attributed")
    write_golden(staged.folder / GOLDEN_NAME, golden)
    measurements = Measurements(len(texts), difference, dropping)
    manifest = describe(run, schema, measurements, recipe)
    card = model_card(options.model, run, manifest, measurements)
    (staged.folder / MODEL_CARD_NAME).write_text(card, encoding="utf-8")
    say(f"model.onnx is {graph.stat().st_size / 1e6:.1f} MB")
    return manifest


def _choose_texts(texts: tuple[str, ...], count: int) -> list[str]:
    """So many of the texts, spread evenly over their lengths in characters and kept in file order."""
    by_length = np.argsort([len(text) for text in texts], kind="stable")
    places = np.linspace(0, len(texts) - 1, min(count, len(texts))).round().astype(int)
    return [texts[index] for index in sorted(by_length[places])]


def _say_dropping(difference: float | None, token_dropping: bool) -> str:
    if difference is None:
        return "token dropping: not measured, no held-out text has two words; a server will mask in place"
    verdict = "equals" if token_dropping else "does not equal"
    return f"token dropping: leaving tokens out {verdict} masking them (largest logit difference {difference:.1e})"
