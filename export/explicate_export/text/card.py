"""What the model card of a text model says beside the rest: what it reads, its limits, how absence is expressed."""

from explicate.v1 import bundle_pb2
from explicate_export.contents import CardText
from explicate_export.markdown import code
from explicate_export.parity import Scale
from explicate_export.text.run import TextRun


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
