"""A real gRPC server with answers that follow from the request by simple formulas, for testing the client.

A text of k words has words w_0 .. w_{k-1}. Class "great" has probability (k mod 10) / 10. Word i is worth
(i + 1) / 100, negative for odd i, with standard error 0.01 and the interval value ± 0.02; the last word of a text of
more than one word has no standard error yet (NaN). With `max_players` below k each pair of words is a phrase, worth
what the word at its place would be. A contrast is worth ten times its target. A quarter of the evaluations is reused.
Model "entailment" reads pairs: the words of both texts are its words, and count together. Rows of a table have their
answers in `canned_tables`, images in `canned_images`, texts with several labels in `canned_labels`.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import log, nan

import grpc
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from explicate.v1 import bundle_pb2 as bundle_pb
from explicate.v1 import explanation_pb2 as explanation_pb
from explicate.v1 import inference_service_pb2 as inference_pb
from explicate.v1 import model_service_pb2 as model_pb
from explicate.v1.inference_service_pb2_grpc import InferenceServiceServicer, add_InferenceServiceServicer_to_server
from explicate.v1.model_service_pb2_grpc import ModelServiceServicer, add_ModelServiceServicer_to_server
from support.canned import canned_images, canned_labels, canned_models, canned_tables
from support.canned.canned_models import ChangedModels

MODEL = inference_pb.ModelVersion(
    model="reviews", version=3, bundle_digest="ab" * 32, runtime="onnxruntime-cpu", precision="fp32"
)
PAIRS = "entailment"
_OPTIONS = [("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", 16 * 1024 * 1024)]
STREAMED_EVALUATIONS = (8, 16, 32)
# No two alike, so that none can be taken for another.
BASIC_FIGURES = {
    "additivity_gap": 1e-9,
    "held_out_r_squared": 0.75,
    "split_half_spearman": 0.875,
    "infidelity": 0.0625,
    "largest_interval_ratio": 0.5,
    "certain_top_k": 2,
}
FULL_FIGURES = {
    "comprehensiveness": explanation_pb.Faithfulness(value=0.375, random=0.125),
    "sufficiency": explanation_pb.Faithfulness(value=0.03125, random=0.25),
}


MOST_ROWS = 3
"""Of one ExplainTable."""


@dataclass
class CannedServer:
    """What the tests set and see."""

    target: str = ""
    requests: list[object] = field(default_factory=list)
    seconds_left: list[float | None] = field(default_factory=list)
    status: status_pb2.Status | None = None  # answer every call with this
    unavailable_times: int = 0  # answer that many calls with UNAVAILABLE first
    models: list[model_pb.ModelStatus] = field(default_factory=list)
    listed: list[list[model_pb.ModelStatus]] = field(default_factory=list)  # answers of ListModels before `models`
    hold: bool = False  # finish a stream or an Explain only when its caller has gone
    entered: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)

    def enter(self, request: object, context: grpc.ServicerContext) -> None:
        self.requests.append(request)
        # At once: a call that is cancelled while it sends is left there, and would not come to a later line.
        if not context.add_callback(self.ended.set):
            self.ended.set()
        self.entered.set()
        self.seconds_left.append(context.time_remaining())
        if self.status is not None:
            context.abort_with_status(rpc_status.to_status(self.status))
        if self.unavailable_times > 0:
            self.unavailable_times -= 1
            context.abort(grpc.StatusCode.UNAVAILABLE, "draining")

    def held(self, context: grpc.ServicerContext) -> None:
        """Wait until this call's own caller has gone, where calls are held: others may have ended before."""
        gone = threading.Event()
        if self.hold and context.add_callback(gone.set):
            gone.wait(timeout=30)


class _Inference(InferenceServiceServicer):
    def __init__(self, state: CannedServer) -> None:
        self.state = state

    def Predict(self, request, context):
        self.state.enter(request, context)
        model, items = request.model.model, enumerate(request.inputs)
        violations = [problem for i, item in items for problem in _violations(model, item, f"inputs[{i}]")]
        if request.HasField("table"):
            violations += canned_tables.packed_violations(request.table)
        if violations:
            context.abort_with_status(rpc_status.to_status(bad_request(*violations)))
        name = request.model.model
        return inference_pb.PredictResponse(
            model=MODEL,
            predictions=[prediction(name, item) for item in request.inputs],
            packed=canned_tables.packed(name, request.table) if request.HasField("table") else None,
            timing=inference_pb.Timing(queue_seconds=0.125, model_seconds=0.25, total_seconds=0.5),
        )

    def Explain(self, request, context):
        self.state.enter(request, context)
        spec = request.spec
        if violations := _violations(spec.model.model, spec.input, "input"):
            context.abort_with_status(rpc_status.to_status(bad_request(*violations)))
        self.state.held(context)
        return inference_pb.ExplainResponse(result=answer(spec, 32, explanation_pb.STOP_REASON_TOLERANCE))

    def ExplainTable(self, request, context):
        self.state.enter(request, context)
        if request.table.rows > MOST_ROWS:
            problem = ("table.rows", f"{request.table.rows} is over the limit of {MOST_ROWS}")
            context.abort_with_status(rpc_status.to_status(bad_request(problem)))
        if request.options.method == "lime":
            context.abort_with_status(rpc_status.to_status(bad_request(("options.method", "lime explains row by row"))))
        if violations := canned_tables.packed_violations(request.table):
            context.abort_with_status(rpc_status.to_status(bad_request(*violations)))
        self.state.held(context)
        specs = [
            inference_pb.ExplainSpec(
                model=request.model,
                input=inference_pb.Input(tabular=inference_pb.TabularInput(cells=cells)),
                options=request.options,
            )
            for cells in canned_tables.rows_of(request.table)
        ]
        answers = [answer(spec, 32, explanation_pb.STOP_REASON_TOLERANCE) for spec in specs]
        return canned_tables.explained_table(request, answers)

    def StreamExplain(self, request, context):
        self.state.enter(request, context)
        *rounds, last = STREAMED_EVALUATIONS
        for evaluations in rounds:
            running = answer(request.spec, evaluations, explanation_pb.STOP_REASON_RUNNING)
            if evaluations != rounds[0]:
                running.explanation.ClearField("features")
                running.explanation.ClearField("segment_map")
            yield inference_pb.StreamExplainResponse(result=running)
        self.state.held(context)
        final = answer(request.spec, last, explanation_pb.STOP_REASON_TOLERANCE)
        yield inference_pb.StreamExplainResponse(result=final, final=True)


_TEXT_BUNDLE = bundle_pb.Bundle(
    class_labels=["other", "great"],
    text=bundle_pb.TextSchema(max_tokens=128),
    precision="fp32",
    metrics={"accuracy": 0.84},
    provenance=bundle_pb.Provenance(base_model="minilm"),
)


class _Models(ChangedModels, ModelServiceServicer):
    def __init__(self, state: CannedServer) -> None:
        self.state = state

    def ListModels(self, request, context):
        self.state.enter(request, context)
        if request.page_size:
            start = int(request.page_token or 0)
            end = start + request.page_size
            token = str(end) if end < len(self.state.models) else None
            return model_pb.ListModelsResponse(models=self.state.models[start:end], next_page_token=token)
        return model_pb.ListModelsResponse(models=self.state.listed.pop(0) if self.state.listed else self.state.models)

    def GetModel(self, request, context):
        self.state.enter(request, context)
        return model_pb.GetModelResponse(
            status=model_status(request.model, request.version or 3),
            bundle=_bundle(request.model),
            methods=["kernel-shap", "lime"],
            granularities=[explanation_pb.GRANULARITY_WORD, explanation_pb.GRANULARITY_TOKEN],
            maskings=[explanation_pb.MASKING_ATTENTION, explanation_pb.MASKING_DELETE],
            limits=model_pb.ServingLimits(
                max_inputs=1024,
                max_text_bytes=65536,
                max_evaluations=16384,
                max_call_seconds=60,
                max_evaluations_per_caller=65536,
                max_image_bytes=canned_images.MAX_BYTES,
                max_explained_rows=MOST_ROWS,
                max_image_pixels=1_000_000,
            ),
            model_card="# reviews",
            labels=canned_models.LABELS if request.label else [],
            traffic=canned_models.TRAFFIC if request.label else None,
            shadow=canned_models.SHADOW if request.label else None,
            runtimes=[
                model_pb.RuntimeTrial(
                    runtime="onnxruntime-cpu",
                    precision="fp32",
                    passed=True,
                    logit_difference=1e-6,
                    attribution_difference=0.0025,
                    seconds_per_row=0.0025,
                ),
                model_pb.RuntimeTrial(runtime="openvino-cpu", precision="bf16", reason="openvino is not installed"),
            ],
        )


def model_status(model: str, version: int = 3, state: int = model_pb.MODEL_STATE_READY, reason: str = ""):
    return model_pb.ModelStatus(
        model=model,
        version=version,
        state=state,
        labels=["live"] if state == model_pb.MODEL_STATE_READY else [],
        reason=reason or None,
        input_kind=_input_kind(model),
        objective=_objective(model),
        bundle_digest="ab" * 32,
        runtime="onnxruntime-cpu",
        precision="fp32",
    )


def _is_table(model: str) -> bool:
    return model in (*canned_tables.CLASSIFIERS, canned_tables.REGRESSION)


def _bundle(model: str) -> bundle_pb.Bundle:
    if _is_table(model):
        return canned_tables.bundle(model)
    if model in canned_images.MODELS:
        return canned_images.bundle(model)
    if model == canned_labels.MODEL:
        return canned_labels.bundle()
    bundle = bundle_pb.Bundle()
    bundle.CopyFrom(_TEXT_BUNDLE)
    bundle.text.pairs = model == PAIRS
    return bundle


def _input_kind(model: str) -> int:
    if _is_table(model):
        return bundle_pb.INPUT_KIND_TABULAR
    return bundle_pb.INPUT_KIND_IMAGE if model in canned_images.MODELS else bundle_pb.INPUT_KIND_TEXT


def _objective(model: str) -> int:
    if model in (canned_tables.REGRESSION, canned_images.REGRESSION):
        return bundle_pb.OBJECTIVE_REGRESSION
    return bundle_pb.OBJECTIVE_MULTI_LABEL if model == canned_labels.MODEL else bundle_pb.OBJECTIVE_CLASSIFICATION


def _violations(model: str, item: inference_pb.Input, path: str) -> list[tuple[str, str]]:
    if item.HasField("tabular"):
        return canned_tables.violations(item.tabular.cells, path)
    if item.HasField("image"):
        return canned_images.violations(item.image.content, path)
    if item.text.HasField("text_pair") != (model == PAIRS):
        return [(f"{path}.text.text_pair", "is required" if model == PAIRS else "is not what this model reads")]
    return [] if item.text.text else [(f"{path}.text", "must not be empty")]


def great_probability(text: str) -> float:
    return len(text.split()) % 10 / 10


def prediction(model: str, item: inference_pb.Input) -> inference_pb.Prediction:
    if item.HasField("tabular"):
        return canned_tables.prediction(model, item.tabular.cells)
    if item.HasField("image"):
        return canned_images.prediction(model, item.image.content)
    text = item.text.text
    if model == canned_labels.MODEL:
        return inference_pb.Prediction(multi_label=canned_labels.outcome(text))
    if not item.text.HasField("text_pair"):
        return text_prediction(text)
    answer = text_prediction(f"{text} {item.text.text_pair}")
    answer.text_usage.characters_used = len(text)
    answer.text_usage.pair_characters_used = len(item.text.text_pair)
    return answer


def text_prediction(text: str) -> inference_pb.Prediction:
    great = great_probability(text)
    scores = [
        inference_pb.ClassScore(index=i, label=label, probability=p, logit=log(p + 0.1))
        for i, (label, p) in enumerate((("other", 1 - great), ("great", great)))
    ]
    index = int(great > 0.5)
    return inference_pb.Prediction(
        classification=inference_pb.Classification(
            predicted_index=index, predicted_label=scores[index].label, scores=scores
        ),
        text_usage=inference_pb.TextUsage(tokens=9, tokens_used=9, characters_used=len(text)),
    )


def word_value(index: int) -> float:
    return (index + 1) / 100 * (-1) ** index


def answer(spec: inference_pb.ExplainSpec, evaluations: int, stop_reason: int) -> inference_pb.ExplainResult:
    model, asked = spec.model.model, spec.input
    options = _resolved(spec)
    full = options.quality == explanation_pb.QUALITY_LEVEL_FULL
    features = _features(model, asked, options)
    return inference_pb.ExplainResult(
        model=MODEL,
        prediction=prediction(model, asked),
        explanation=explanation_pb.Explanation(
            features=features,
            attributions=_attributions(model, options.target, len(features)),
            quality=explanation_pb.Quality(**BASIC_FIGURES, **(FULL_FIGURES if full else {})),
            evaluations=evaluations,
            reused_evaluations=evaluations // 4,
            rounds=2,
            stop_reason=stop_reason,
            converged=stop_reason == explanation_pb.STOP_REASON_TOLERANCE,
            method_version="1",
            options=options,
            segment_map=canned_images.segment_map() if asked.HasField("image") else None,
        ),
        timing=inference_pb.Timing(total_seconds=0.5, solver_seconds=0.125),
    )


def _resolved(spec: inference_pb.ExplainSpec) -> explanation_pb.ExplainOptions:
    options = explanation_pb.ExplainOptions(
        method="kernel-shap",
        output_space=explanation_pb.OUTPUT_SPACE_PROBABILITY,
        granularity=explanation_pb.GRANULARITY_WORD,
        masking=explanation_pb.MASKING_ATTENTION,
        max_evaluations=1000,
        confidence=0.95,
        quality=explanation_pb.QUALITY_LEVEL_BASIC,
        max_players=64,
    )
    if spec.input.HasField("tabular"):
        options.ClearField("granularity")
        options.masking = explanation_pb.MASKING_BACKGROUND
    if spec.input.HasField("image"):
        options.granularity, options.masking = explanation_pb.GRANULARITY_SLIC, explanation_pb.MASKING_MEAN
        options.segments = 49
        options.ClearField("max_players")
    if spec.model.model in (canned_tables.REGRESSION, canned_images.REGRESSION):
        options.output_space = explanation_pb.OUTPUT_SPACE_VALUE
    options.MergeFrom(spec.options)
    return options


def _features(model: str, asked: inference_pb.Input, options) -> list[explanation_pb.Feature]:
    if asked.HasField("tabular"):
        return canned_tables.features(model, asked.tabular.cells)
    if asked.HasField("image"):
        return canned_images.features()
    pair = _words(asked.text.text_pair, options, in_pair=True) if asked.text.HasField("text_pair") else []
    return _words(asked.text.text, options) + pair


def _words(text: str, options, *, in_pair: bool = False) -> list[explanation_pb.Feature]:
    words = re.finditer(r"\S+( +\S+)?" if len(text.split()) > options.max_players else r"\S+", text)
    return [
        explanation_pb.Feature(
            text=explanation_pb.TextFeature(
                text=word[0], spans=[explanation_pb.TextSpan(start=word.start(), end=word.end())], in_pair=in_pair
            )
        )
        for word in words
    ]


def _attributions(model: str, target: explanation_pb.Target, players: int) -> list[explanation_pb.Attribution]:
    if model == canned_tables.REGRESSION:
        return [_attribution(0, canned_tables.TARGET, players, 1000)]
    if model == canned_images.REGRESSION:
        return [_attribution(0, canned_images.TARGET, players, 1000)]
    labels = ("good", "bad") if _is_table(model) else ("other", "great")
    if model in (canned_images.CLASSIFIER, canned_labels.MODEL):
        labels = canned_images.LABELS if model == canned_images.CLASSIFIER else canned_labels.LABELS
    match target.WhichOneof("selector"):
        case "all":
            return [_attribution(0, labels[0], players, -1), _attribution(1, labels[1], players)]
        case "contrast":
            contrast = _attribution(1, labels[1], players, 10)
            contrast.reference_index, contrast.reference_label = 0, labels[0]
            return [contrast]
        case _:
            return [_attribution(1, labels[1], players)]


def _attribution(class_index: int, label: str, players: int, factor: float = 1) -> explanation_pb.Attribution:
    values = [factor * word_value(i) for i in range(players)]
    unknown = {players - 1} if players > 1 else set()
    width = 0.02 * max(factor / 10, 1)
    return explanation_pb.Attribution(
        class_index=class_index,
        class_label=label,
        baseline_value=0.5,
        instance_value=0.5 + sum(values),
        values=values,
        standard_errors=[nan if i in unknown else width / 2 for i in range(players)],
        lower=[nan if i in unknown else value - width for i, value in enumerate(values)],
        upper=[nan if i in unknown else value + width for i, value in enumerate(values)],
    )


def rich_status(code: grpc.StatusCode, reason: str, *details, message: str = "no", **metadata) -> status_pb2.Status:
    status = status_pb2.Status(code=code.value[0], message=message)
    status.details.add().Pack(error_details_pb2.ErrorInfo(reason=reason, domain="explicate", metadata=metadata))
    for detail in details:
        status.details.add().Pack(detail)
    return status


def bad_request(*violations: tuple[str, str]) -> status_pb2.Status:
    detail = error_details_pb2.BadRequest()
    for path, description in violations:
        detail.field_violations.add(field=path, description=description)
    return rich_status(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD", detail, message="the request has a bad field")


@contextmanager
def serve(state: CannedServer, address: str = "127.0.0.1:0") -> Iterator[CannedServer]:
    server = grpc.server(futures.ThreadPoolExecutor(4), options=_OPTIONS)
    add_InferenceServiceServicer_to_server(_Inference(state), server)
    add_ModelServiceServicer_to_server(_Models(state), server)
    state.target = f"127.0.0.1:{server.add_insecure_port(address)}"
    server.start()
    try:
        yield state
    finally:
        state.ended.set()
        server.stop(grace=None).wait()
