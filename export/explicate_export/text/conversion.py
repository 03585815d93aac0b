"""Models of texts and of pairs: graph, tokenizer and golden texts of their bundles."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from explicate.v1 import bundle_pb2
from explicate_bundle.golden import write_golden
from explicate_bundle.input_kind import split_kind
from explicate_bundle.writing import GOLDEN_NAME, GRAPH_NAME, TOKENIZER_NAME
from explicate_export.contents import CardText, Contents, Say
from explicate_export.description import GOLDEN_TOLERANCE
from explicate_export.evenly import evenly
from explicate_export.model_card import code
from explicate_export.onnx_graph import write_graph
from explicate_export.parity import LOGITS, MAX_DIFFERENCE, Scale, check_parity, measure_parity
from explicate_export.text import model as text_model
from explicate_export.text.golden import attribute_golden, choose_excerpts, choose_golden, golden_texts, length_of
from explicate_export.text.model import TextGraph, check_token_ids, encode, measure_token_dropping, plain_tokenizer_json
from explicate_export.text.run import TextRun, Texts, read_text_run
from explicate_export.training_run import TrainingRun


def text_card(run: TextRun, schema: bundle_pb2.TextSchema, dropping: float | None, scale: Scale) -> CardText:
    """The sentences for the card; `dropping` is what leaving tokens out was off by, None when not measured."""
    removal = "leaving its tokens out" if schema.token_dropping else "masking its tokens in place"
    measured = "not measured, the held-out texts were too short"
    if dropping is not None:
        measured = f"largest difference {dropping:.1e} {scale.words}"
    return CardText(
        summary=f"{_summary(run)} Fine-tuned from {code(run.base_model)}. {_reading(run)}",
        inputs="pairs of texts" if run.pairs else "texts",
        limits=_limits(run),
        absence=f"With attention masking, a word is removed by {removal} (leaving out against masking: {measured}).",
    )


def _summary(run: TextRun) -> str:
    what = "a pair of texts" if run.pairs else "a text"
    if run.regression:
        return f"A regression that predicts {code(run.target_name)} from {what}, in its own unit."
    labels = ", ".join(map(code, run.labels))
    if run.kind == bundle_pb2.MODEL_KIND_TEXT_MULTI_LABEL:
        return f"A model that says of {what} which of {len(run.labels)} labels fit, any number of them: {labels}."
    kind = "classifier of pairs of texts" if run.pairs else "text classifier"
    return f"A {kind} with {len(run.labels)} classes: {labels}."


def _reading(run: TextRun) -> str:
    if run.pairs:
        return (
            f"It reads at most {run.max_tokens} tokens of both texts together: where they are longer, the longer one "
            "is cut first, then both alike, and answers say so."
        )
    return f"It reads at most {run.max_tokens} tokens of a text: what comes after is not seen, and answers say so."


def _limits(run: TextRun) -> tuple[str, ...]:
    alike = "Meant for texts like those it was trained on: same language, topic and length. On others its metrics do "
    if run.regression:
        return (f"{alike}not hold.", "It answers a number for every text, also for texts where there is none to tell.")
    if run.kind == bundle_pb2.MODEL_KIND_TEXT_MULTI_LABEL:
        always = f"It knows its {len(run.labels)} labels only, and judges each of them on its own."
    else:
        always = f"It always answers one of its {len(run.labels)} classes, also for texts that belong to none."
    return (f"{alike}not hold, and its probabilities mean little.", always)


# bf16 keeps 8 bits: MiniLM-L6's logits are off by 0.02 at most. int8 is off by 0.2 to 0.5.
GOLDEN_REDUCED_TOLERANCE = 0.05
_BATCH_ROWS = 16


def open_text_run(directory: Path, say: Say) -> "TextExport":
    """Raises UsageError when the run is not complete, or its model does not fit what run.json says."""
    run = read_text_run(directory)
    say(f"loading {run.model_directory}")
    return TextExport(run, text_model.load(run))


@dataclass(frozen=True)
class TextExport:
    """A finished run of a classifier, a model of several labels or a regression of texts or pairs."""

    text_run: TextRun
    trained: text_model.TextModel

    @property
    def run(self) -> TrainingRun:
        """What all runs say of themselves."""
        return self.text_run.training

    def fill(self, folder: Path, *, compared_inputs: int, say: Say) -> Contents:
        """Writes model.onnx, tokenizer.json and golden.npz; see ModelExport."""
        texts = _choose_texts(self.text_run.held_out, compared_inputs)
        schema = text_model.text_schema(self.trained, texts[0])
        target = self.text_run.target
        scale = Scale(target.spread, "of the target's spread") if self.text_run.regression else LOGITS
        tokenizer_json = plain_tokenizer_json(self.text_run.model_directory / TOKENIZER_NAME)
        (folder / TOKENIZER_NAME).write_text(tokenizer_json, encoding="utf-8")

        say(f"converting {self.trained.architecture} to ONNX")
        path = folder / GRAPH_NAME
        write_graph(text_model.graph_source(self.trained, schema), path)

        say(f"comparing with torch on {len(texts)} held-out texts")
        # The excerpts are attributed, so they are golden texts too; some may be whole texts.
        excerpts = choose_excerpts(texts)
        compared = list(dict.fromkeys([*texts, *excerpts]))
        rows = encode(tokenizer_json, compared, schema)
        check_token_ids(rows, self.trained.token_ids(compared))
        reference = self.trained.outputs(compared)
        lengths = [len(row) for row in rows]
        graph = TextGraph(path, schema)
        parity = measure_parity(
            lambda indices: graph.outputs([rows[index] for index in indices]),
            reference,
            order=np.argsort(lengths, kind="stable").tolist(),  # little padding; shuffled it is much
            batch_rows=_BATCH_ROWS,
            scale=scale,
        )
        check_parity(parity)
        say(f"largest difference {parity.difference:.1e} {scale.words} (allowed {MAX_DIFFERENCE:g})")

        measured = measure_token_dropping(graph, rows)
        dropping = None if measured is None else measured / scale.unit
        schema.token_dropping = dropping is not None and dropping <= MAX_DIFFERENCE
        say(_say_dropping(dropping, schema.token_dropping, scale))

        chosen = choose_golden(lengths, always=[compared.index(excerpt) for excerpt in excerpts])
        golden = golden_texts([compared[index] for index in chosen], reference[chosen])
        recipe, golden = attribute_golden(
            golden, excerpts, graph=path, schema=schema, tokenizer_json=tokenizer_json, unit=scale.unit
        )
        say(f"{len(golden.inputs)} golden texts, {len(golden.attributions)} of them attributed")
        manifest = self._manifest(schema, recipe, scale)
        write_golden(folder / GOLDEN_NAME, golden, manifest)
        return Contents(manifest, parity, text_card(self.text_run, schema, dropping, scale))

    def _manifest(
        self, schema: bundle_pb2.TextSchema, recipe: bundle_pb2.GoldenAttributions | None, scale: Scale
    ) -> bundle_pb2.Bundle:
        run = self.text_run
        manifest = bundle_pb2.Bundle(
            kind=run.kind,  # type: ignore[arg-type]  # an enum's number, which the stubs know by another name
            class_labels=run.labels,
            target_name=run.target_name or None,
            text=schema,
            golden_tolerance=GOLDEN_TOLERANCE * scale.unit,
            golden_reduced_tolerance=GOLDEN_REDUCED_TOLERANCE * scale.unit,
            golden_attributions=recipe,
            provenance=bundle_pb2.Provenance(base_model=run.base_model),
        )
        return split_kind(manifest)


def _choose_texts(texts: Sequence[Texts], count: int) -> list[Texts]:
    """So many of the rows, spread evenly over their lengths in characters and kept in file order."""
    by_length = np.argsort([length_of(row) for row in texts], kind="stable")
    return [texts[index] for index in sorted(evenly(by_length.tolist(), count))]


def _say_dropping(difference: float | None, token_dropping: bool, scale: Scale) -> str:
    if difference is None:
        return "token dropping: not measured, no held-out text has two words; a server will mask in place"
    verdict = "equals" if token_dropping else "does not equal"
    return (
        f"token dropping: leaving tokens out {verdict} masking them (largest difference {difference:.1e} {scale.words})"
    )
