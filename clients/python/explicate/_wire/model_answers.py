"""From the answers of ModelService to the dataclasses of `explicate.model_info`.

Like `explicate._wire.decoding`, it never raises.
"""

from __future__ import annotations

from explicate import model_info
from explicate._wire.enum_names import COLUMN_TYPES, GRANULARITIES, MASKINGS, MODEL_KINDS, MODEL_STATES, name_of
from explicate.v1 import bundle_pb2 as bundle_pb
from explicate.v1 import model_service_pb2 as model_pb


def model_statuses(response: model_pb.ListModelsResponse) -> tuple[model_info.ModelStatus, ...]:
    """The answer of ListModels."""
    return tuple(model_status(status) for status in response.models)


def model_description(response: model_pb.GetModelResponse) -> model_info.ModelDescription:
    """The answer of GetModel."""
    limits = response.limits
    return model_info.ModelDescription(
        status=model_status(response.status),
        class_labels=tuple(response.bundle.class_labels),
        max_tokens=response.bundle.text.max_tokens,
        precision=response.bundle.precision,
        metrics=dict(response.bundle.metrics),
        methods=tuple(response.methods),
        granularities=tuple(name_of(GRANULARITIES, value) for value in response.granularities),
        maskings=tuple(name_of(MASKINGS, value) for value in response.maskings),
        limits=model_info.ServingLimits(
            max_inputs=limits.max_inputs,
            max_text_bytes=limits.max_text_bytes,
            max_evaluations=limits.max_evaluations,
            max_call_s=limits.max_call_seconds,
            max_evaluations_per_caller=limits.max_evaluations_per_caller,
            max_image_bytes=limits.max_image_bytes,
            max_image_pixels=limits.max_image_pixels,
        ),
        base_model=response.bundle.provenance.base_model,
        model_card=response.model_card,
        runtimes=tuple(_runtime_trial(trial) for trial in response.runtimes),
        columns=tuple(_column(column) for column in response.bundle.tabular.columns),
        background_rows=response.bundle.tabular.background_rows,
        target_name=response.bundle.target_name,
        pairs=response.bundle.text.pairs,
        image_width=response.bundle.image.width,
        image_height=response.bundle.image.height,
        patch_size=response.bundle.image.patch_size,
        labels=tuple(
            model_info.ModelLabel(label.label, label.version, label.previous_version or None)
            for label in response.labels
        ),
        traffic=traffic(response.traffic),
        shadow=_shadow_report(response.shadow) if response.HasField("shadow") else None,
    )


def traffic(shares: model_pb.Traffic) -> model_info.Traffic:
    """What the canary gets."""
    return model_info.Traffic(shares.canary_share, shares.shadow_share)


def switched(
    response: model_pb.ActivateVersionResponse | model_pb.RollbackModelResponse,
) -> model_info.Switched:
    """The answer of ActivateVersion or RollbackModel."""
    return model_info.Switched(model_status(response.status), response.previous_version or None)


def changes(response: model_pb.WatchModelsResponse) -> model_info.ModelChanges:
    """One answer of WatchModels."""
    return model_info.ModelChanges(tuple(map(model_status, response.models)), response.snapshot)


def _shadow_report(report: model_pb.ShadowReport) -> model_info.ShadowReport:
    return model_info.ShadowReport(
        live_version=report.live_version,
        canary_version=report.canary_version,
        predictions=report.predictions,
        same_outcome=report.same_outcome if report.HasField("same_outcome") else None,
        mean_absolute_difference=report.mean_absolute_difference
        if report.HasField("mean_absolute_difference")
        else None,
        attributions=report.attributions,
        mean_spearman=report.mean_spearman if report.HasField("mean_spearman") else None,
        dropped=report.dropped,
        failed=report.failed,
        last_failure=report.last_failure,
    )


def _column(column: bundle_pb.ColumnSchema) -> model_info.Column:
    return model_info.Column(
        name=column.name,
        type=name_of(COLUMN_TYPES, column.type),
        categories=tuple(column.categories),
        group=column.group,
        may_be_missing=column.may_be_missing,
    )


def model_status(status: model_pb.ModelStatus) -> model_info.ModelStatus:
    """The state of a version."""
    return model_info.ModelStatus(
        model=status.model,
        version=status.version,
        state=name_of(MODEL_STATES, status.state),
        labels=tuple(status.labels),
        reason=status.reason,
        kind=name_of(MODEL_KINDS, status.kind),
        bundle_digest=status.bundle_digest,
        runtime=status.runtime,
        precision=status.precision,
        leases=status.leases,
        graph_bytes=status.graph_bytes,
        previous_of=tuple(status.previous_of),
    )


def _runtime_trial(trial: model_pb.RuntimeTrial) -> model_info.RuntimeTrial:
    return model_info.RuntimeTrial(
        runtime=trial.runtime,
        precision=trial.precision,
        passed=trial.passed,
        reason=trial.reason,
        logit_difference=trial.logit_difference if trial.HasField("logit_difference") else None,
        attribution_difference=trial.attribution_difference if trial.HasField("attribution_difference") else None,
        row_s=trial.seconds_per_row if trial.HasField("seconds_per_row") else None,
    )
