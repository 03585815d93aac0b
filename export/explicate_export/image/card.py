"""What the model card of an image model says beside the rest: what it sees, its limits, how absence is expressed."""

from explicate.v1 import bundle_pb2
from explicate_export.contents import CardText
from explicate_export.image.run import ImageRun
from explicate_export.markdown import code


def image_card(run: ImageRun) -> CardText:
    """The sentences for the card of a classifier, a model of several labels or a regression."""
    return CardText(
        summary=f"{_summary(run)} {_origin(run)}",
        inputs="images",
        limits=_limits(run),
        absence="A segment of an image (a superpixel, or a cell of a grid) is absent when its pixels take its mean "
        "colour; answers that were asked for another masking (blurred, or grey) say so. Segments are cut from the "
        "pixels that the model reads, not from those of the file. Pictures with patches in one colour do not occur "
        "in life: what the model makes of them is part of what is measured.",
        sections=(_seen(run),),
    )


def _summary(run: ImageRun) -> str:
    if run.regression:
        return f"A regression that predicts {code(run.target_name)} from an image, in its own unit."
    labels = ", ".join(map(code, run.labels))
    if run.kind == bundle_pb2.MODEL_KIND_IMAGE_MULTI_LABEL:
        return f"A model that says of an image which of {len(run.labels)} labels fit, any number of them: {labels}."
    return f"An image classifier with {len(run.labels)} classes: {labels}."


def _origin(run: ImageRun) -> str:
    if run.base_model.startswith("new "):
        return f"A small {code(run.base_model.removeprefix('new '))}, trained from nothing."
    return f"Fine-tuned from {code(run.base_model)}."


def _seen(run: ImageRun) -> str:
    schema = run.schema
    size = f"{schema.width} x {schema.height} pixels"
    how = (
        f"its shorter edge is resized to {schema.shortest_edge} pixels, and the middle {size} are cut out; what lies "
        "outside is not seen, and answers say which part was"
        if schema.shortest_edge
        else f"it is stretched to {size}, whatever its shape"
    )
    return "\n".join(
        [
            "## What it sees of an image",
            "",
            f"The first frame, upright, on white where it is transparent, in RGB with 8 bits a channel. Then {how} "
            f"({run.preparation.resampling} resampling, antialiased). Scaling and normalising are part of the graph.",
        ]
    )


def _limits(run: ImageRun) -> tuple[str, ...]:
    always = f"It always answers one of its {len(run.labels)} classes, also for images that show none of them."
    if run.regression:
        always = "It answers a number for every image, also for images unlike all that it was trained on."
    elif run.kind == bundle_pb2.MODEL_KIND_IMAGE_MULTI_LABEL:
        always = "It knows its labels only: an image that shows something else gets none of them, or a wrong one."
    little = "" if run.regression else ", and its probabilities mean little"
    return (
        "Meant for images like those it was trained on: same subjects, cameras, light and framing. On others its "
        f"metrics do not hold{little}.",
        always,
    )
