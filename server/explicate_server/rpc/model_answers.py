"""Domain to answers: what is known of a model, its versions and where they run."""

from collections.abc import Sequence

from explicate.v1 import bundle_pb2 as bundle_messages
from explicate.v1 import model_service_pb2 as model_messages
from explicate.v1.table_pb2 import Cell
from explicate_bundle.standard.gate import Unmet
from explicate_server.device import Device
from explicate_server.inference.shadow import Comparison
from explicate_server.registry.golden_check import Trial
from explicate_server.registry.label_store import Traffic
from explicate_server.registry.loading import graph_bytes
from explicate_server.registry.peers import Tally
from explicate_server.registry.records import ModelEntry, ServedModel, VersionRecord
from explicate_server.rpc.asked.baseline_messages import cell_message
from explicate_server.rpc.option_messages import number_of
from explicate_server.runtime.devices.cuda import CUDA
from explicate_server.runtime.nvml import open_nvml


def model_status(record: VersionRecord, *, tallies: Sequence[Tally] = ()) -> model_messages.ModelStatus:
    """The state of a version; ``tallies`` count its leases in other processes."""
    manifest = record.bundle.manifest if record.bundle else bundle_messages.Bundle()
    state, reason, _ = record.standing
    return model_messages.ModelStatus(
        model=record.location.model,
        version=record.location.version,
        state=number_of(model_messages.ModelState, state.name.lower()),
        labels=record.labels,
        reason=reason or None,
        input_kind=manifest.input_kind,
        objective=manifest.objective,
        bundle_digest=record.bundle.digest if record.bundle else None,
        runtime=record.loaded.runtime.name if record.loaded else None,
        precision=record.loaded.runtime.precision if record.loaded else None,
        leases=record.leases + sum(tally.leases.get(record.name, 0) for tally in tallies),
        graph_bytes=graph_bytes(record.bundle) if record.bundle else None,
        previous_of=record.previous_of,
        devices=[each.name for each in record.loaded.batcher.instances if not each.lost] if record.loaded else [],
    )


def model_devices(served: ServedModel) -> list[model_messages.ModelDevice]:
    """The devices that a version was to be loaded on, those that serve it first. For a thread: drivers are asked."""
    told = [
        model_messages.ModelDevice(
            **_memory(instance.runtime.device),
            device=instance.name,
            serves=not instance.lost,
            reason=instance.lost or None,
            nodes=instance.runtime.nodes,
            cpu_nodes=instance.runtime.cpu_nodes,
            lanes=instance.lanes,
            out_of_memory=instance.out_of_memory,
        )
        for instance in served.batcher.instances
    ]
    refused = served.sessions.refused.items()
    told += [model_messages.ModelDevice(device=str(device), reason=reason) for device, reason in refused]
    return sorted(told, key=lambda each: not each.serves)


def _memory(device: Device) -> dict[str, int]:
    """What is told of a device's memory now; nothing where its driver is not there."""
    nvml = open_nvml() if device.kind == CUDA.name else None
    reading = nvml.reading(device.number or 0) if nvml else None
    if reading is None:
        return {}
    return {"memory_used_bytes": reading.used_bytes, "memory_free_bytes": reading.free_bytes}


def model_labels(entry: ModelEntry) -> list[model_messages.ModelLabel]:
    """The labels of a model, by name."""
    return [
        model_messages.ModelLabel(label=label, version=target.version, previous_version=target.previous or None)
        for label, target in sorted(entry.targets.items())
    ]


def traffic(shares: Traffic) -> model_messages.Traffic:
    """What the canary gets."""
    return model_messages.Traffic(canary_share=shares.canary_share, shadow_share=shares.shadow_share)


def shadow_report(found: Comparison | None) -> model_messages.ShadowReport | None:
    """How the canary agrees."""
    if found is None:
        return None
    return model_messages.ShadowReport(
        live_version=found.live_version,
        canary_version=found.canary_version,
        predictions=found.predictions,
        same_outcome=found.same_outcome,
        mean_absolute_difference=found.mean_absolute_difference,
        attributions=found.attributions,
        mean_spearman=found.mean_spearman,
        dropped=found.dropped,
        failed=found.failed,
        last_failure=found.last_failure or None,
    )


def runtime_trial(trial: Trial) -> model_messages.RuntimeTrial:
    """How a runtime did."""
    return model_messages.RuntimeTrial(
        runtime=trial.runtime,
        precision=trial.precision,
        passed=trial.passed,
        reason=trial.reason or None,
        logit_difference=trial.logit_difference,
        attribution_difference=trial.attribution_difference,
        seconds_per_row=trial.seconds_per_row,
        score_difference=trial.score_difference,
    )


def typical_values(record: VersionRecord) -> dict[str, Cell]:
    """A value of each column of a table to begin with, by its name; empty unless it is ready."""
    cells = record.loaded.modality.typical if record.loaded else {}
    return {name: cell_message(value) for name, value in cells.items()}


def required_standard(record: VersionRecord) -> model_messages.RequiredStandard | None:
    """How a version meets the standard of this server; None if it was not judged by one."""
    standing = record.required
    if standing is None:
        return None
    message = model_messages.RequiredStandard(
        name=standing.name,
        version=standing.version,
        sha256=standing.sha256,
        verdict=standing.verdict,
        unmet=map(_unmet, standing.unmet),
    )
    if (given := standing.override) is not None:
        message.override.MergeFrom(model_messages.StandardOverride(who=given.who, why=given.why, time=given.time))
    if record.loaded is not None and (scored := record.loaded.recheck) is not None:
        message.recheck.MergeFrom(model_messages.StandardRecheck(**vars(scored)))
    return message


def _unmet(one: Unmet) -> model_messages.UnmetRequirement:
    waiver = None if one.waiver is None else bundle_messages.StandardWaiver(**one.waiver.document())
    return model_messages.UnmetRequirement(requirement=one.requirement, reason=one.problem, waiver=waiver)
