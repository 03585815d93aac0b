"""ModelService: what is served, and what an operator changes of it."""

import asyncio
import base64
import binascii
from bisect import bisect_right
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from typing import Any

import grpc

from explicate.v1 import model_service_pb2 as messages
from explicate.v1 import model_service_pb2_grpc as services
from explicate.v1.explanation_pb2 import ExplainOptions, Granularity, Masking
from explicate_bundle.errors import BundleError
from explicate_bundle.kinds.table_kind import told_by
from explicate_bundle.manifest import MODEL_NAME
from explicate_server.call_record import AskedOverride, caller_of_call, note_change, note_override
from explicate_server.errors import InvalidRequest, Violation
from explicate_server.explain.methods import AUTO, methods_of
from explicate_server.inference.shadow import Shadow
from explicate_server.registry.label_store import LABEL_NAME, LIVE, Traffic
from explicate_server.registry.models import ModelRegistry
from explicate_server.registry.records import VersionRecord
from explicate_server.rpc import model_answers
from explicate_server.rpc.option_messages import default_options, number_of
from explicate_server.rpc.reception import Reception
from explicate_server.settings import Settings

_MOST_PER_PAGE = 1000
_MOST_OF_A_REASON = 500  # characters of why a standard is overridden
_Context = grpc.aio.ServicerContext[Any, Any]


class ModelServicer(services.ModelServiceServicer):
    """Reads the registry, and hands its changes over."""

    def __init__(self, registry: ModelRegistry, shadow: Shadow, reception: Reception, settings: Settings) -> None:
        self._shadow = shadow
        self._registry = registry
        self._changes = registry.changes
        self._reception = reception
        self._settings = settings

    async def ListModels(self, request: messages.ListModelsRequest, context: _Context) -> messages.ListModelsResponse:
        """Every known version, the broken ones with their reason."""
        self._registry.check_listed()
        size = request.page_size if request.HasField("page_size") else None
        records, next_page_token = _page(self._registry.records, size, request.page_token)
        tallies = await self._registry.lifecycle.peers.tallies()
        statuses = [model_answers.model_status(record, tallies=tallies) for record in records]
        return messages.ListModelsResponse(models=statuses, next_page_token=next_page_token)

    async def GetModel(self, request: messages.GetModelRequest, context: _Context) -> messages.GetModelResponse:
        """One version in full."""
        version = request.version if request.HasField("version") else None
        label = _label(request.label) if request.HasField("label") else None
        if version is not None and label is not None:
            raise InvalidRequest([Violation("label", "is set beside version; give one of them")])
        model = _model(request.model)
        record = self._registry.find(model, version=version, label=label)
        tallies = await self._registry.lifecycle.peers.tallies()
        shadows = [tally.shadows[model] for tally in tallies if model in tally.shadows]
        entry, bundle = self._registry.known(model), record.bundle
        return messages.GetModelResponse(
            status=model_answers.model_status(record, tallies=tallies),
            bundle=bundle.manifest if bundle else None,
            methods=_methods(record),
            granularities=_numbers(Granularity, record.loaded.modality.granularities) if record.loaded else [],
            maskings=_numbers(Masking, record.loaded.modality.maskings) if record.loaded else [],
            default_options=self._default_options(record),
            limits=self._limits(record),
            model_card=await asyncio.to_thread(_model_card, record) or None,
            runtimes=[model_answers.runtime_trial(trial) for trial in record.loaded.trials] if record.loaded else [],
            devices=await asyncio.to_thread(model_answers.model_devices, record.loaded) if record.loaded else [],
            device_reason=(record.loaded.sessions.reason or None) if record.loaded else None,
            labels=model_answers.model_labels(entry),
            traffic=model_answers.traffic(entry.traffic),
            shadow=model_answers.shadow_report(self._shadow.report(model, shadows)),
            required_standard=model_answers.required_standard(record),
            typical_values=model_answers.typical_values(record),
        )

    def _default_options(self, record: VersionRecord) -> list[ExplainOptions]:
        """What each method resolves to when nothing else is said; "auto" is always one of the others."""
        if record.loaded is None:
            return []
        choices, methods = record.loaded.choices, _methods(record)
        return [
            default_options(method, choices=choices, settings=self._settings) for method in methods if method != AUTO
        ]

    def _limits(self, record: VersionRecord) -> messages.ServingLimits:
        settings = self._settings
        return messages.ServingLimits(
            max_inputs=self._max_inputs(record),
            max_text_bytes=settings.max_text_bytes,
            max_evaluations=settings.max_evaluations,
            max_call_seconds=settings.max_call_s,
            max_evaluations_per_caller=settings.max_evaluations_per_caller,
            max_image_bytes=settings.max_image_bytes,
            max_image_pixels=settings.max_image_pixels,
            max_explained_rows=settings.max_explained_rows,
        )

    def _max_inputs(self, record: VersionRecord) -> int:
        """Inputs in one Predict, fewer where each takes much memory."""
        most, served = self._settings.max_inputs, record.loaded
        return self._settings.rows_that_may_wait(most, served.modality.row_bytes) if served else most

    async def LoadModel(self, request: messages.LoadModelRequest, context: _Context) -> messages.LoadModelResponse:
        """A version in memory, without a label."""
        version = _version(request.version, "version") if request.HasField("version") else None
        model = _model(request.model)
        note_change(f"load {model}/{version or 'newest'}{_by_override(request)}")
        self._note_override(request, version, context)
        entry = await self._registry.refreshed(model)
        record = await self._changes.load(entry, version)
        return messages.LoadModelResponse(status=model_answers.model_status(record))

    def _note_override(
        self,
        request: messages.LoadModelRequest | messages.ActivateVersionRequest,
        version: int | None,
        context: _Context,
    ) -> None:
        """Write down which override the call asks for, if it does and may."""
        if not request.HasField("override_standard"):
            return
        why = " ".join(request.override_standard.split())
        problem = ""
        if not 0 < len(why) <= _MOST_OF_A_REASON:
            problem = f"has {len(why):,} characters; say in 1 to {_MOST_OF_A_REASON} why it is to serve all the same"
        if version is None:
            problem = "is for one version; name it"
        if not self._settings.require_standard:
            problem = "is set, and this server requires no standard (--require-standard); leave it out"
        if problem or version is None:
            raise InvalidRequest([Violation("override_standard", problem)])
        note_override(AskedOverride(request.model, version, self._reception.check_override(context), why))

    async def UnloadModel(
        self, request: messages.UnloadModelRequest, context: _Context
    ) -> messages.UnloadModelResponse:
        """A version out of memory."""
        model, version = _model(request.model), _version(request.version, "version")
        note_change(f"unload {model}/{version}")
        entry = self._registry.known(model)
        return messages.UnloadModelResponse(
            status=model_answers.model_status(await self._changes.unload(entry, version))
        )

    async def ActivateVersion(
        self, request: messages.ActivateVersionRequest, context: _Context
    ) -> messages.ActivateVersionResponse:
        """A label on a version, loaded first."""
        version, label = _version(request.version, "version"), _label_or_live(request)
        model, expected = _model(request.model), _expected(request)
        note_change(f"{model}@{label} to version {version}{_by_override(request)}")
        self._note_override(request, version, context)
        entry = await self._registry.refreshed(model)
        switched = await self._changes.activate(entry, version, label=label, expected=expected)
        return messages.ActivateVersionResponse(
            status=model_answers.model_status(switched.record), previous_version=switched.previous or None
        )

    async def RollbackModel(
        self, request: messages.RollbackModelRequest, context: _Context
    ) -> messages.RollbackModelResponse:
        """A label where it was before."""
        model, label, expected = _model(request.model), _label_or_live(request), _expected(request)
        note_change(f"{model}@{label} to the version before")
        entry = await self._registry.refreshed(model)
        switched = await self._changes.roll_back(entry, label=label, expected=expected)
        return messages.RollbackModelResponse(
            status=model_answers.model_status(switched.record), previous_version=switched.previous
        )

    async def RemoveLabel(
        self, request: messages.RemoveLabelRequest, context: _Context
    ) -> messages.RemoveLabelResponse:
        """A label gone."""
        model, label, expected = _model(request.model), _label(request.label), _expected(request)
        note_change(f"remove {model}@{label}")
        entry = self._registry.known(model)
        record = await self._changes.remove_label(entry, label=label, expected=expected)
        return messages.RemoveLabelResponse(status=model_answers.model_status(record))

    async def SetTraffic(self, request: messages.SetTrafficRequest, context: _Context) -> messages.SetTrafficResponse:
        """The canary's shares."""
        if not request.HasField("traffic"):
            raise InvalidRequest([Violation("traffic", "is missing; give both shares, 0 for none")])
        shares = {name: getattr(request.traffic, name) for name in ("canary_share", "shadow_share")}
        bad = [
            Violation(f"traffic.{name}", f"is {share:g}; give a number from 0 to 1")
            for name, share in shares.items()
            if not 0 <= share <= 1
        ]
        if bad:
            raise InvalidRequest(bad)
        model = _model(request.model)
        note_change(f"{model}: canary {shares['canary_share']:g}, shadow {shares['shadow_share']:g}")
        entry = self._registry.known(model)
        return messages.SetTrafficResponse(
            traffic=model_answers.traffic(await self._changes.set_traffic(entry, Traffic(**shares)))
        )

    async def WatchModels(
        self, request: messages.WatchModelsRequest, context: _Context
    ) -> AsyncIterator[messages.WatchModelsResponse]:
        """States, then changes. A record is turned into a message when the reader is ready for it."""
        model = _model(request.model) if request.HasField("model") else None
        first = True
        async with aclosing(self._registry.watches.changes(caller_of_call())) as changes:
            async for changed in changes:
                records = self._registry.records if first else changed
                chosen = [record for record in records if model in (None, record.location.model)]
                if first or chosen:
                    yield messages.WatchModelsResponse(models=map(model_answers.model_status, chosen), snapshot=first)
                first = False


def _by_override(request: messages.LoadModelRequest | messages.ActivateVersionRequest) -> str:
    return " by override of the standard" if request.HasField("override_standard") else ""


def _page(records: list[VersionRecord], size: int | None, token: str) -> tuple[list[VersionRecord], str | None]:
    """The records after the one that the token names, and the token of the page after them; None of the last one."""
    if size is not None and size < 1:
        problem = f"is {size}; give 1 to {_MOST_PER_PAGE:,}, or leave it out for all"
        raise InvalidRequest([Violation("page_size", problem)])
    keys = [(record.location.model, record.location.version) for record in records]
    start = bisect_right(keys, _last_seen(token)) if token else 0
    end = start + min(size, _MOST_PER_PAGE) if size else len(records)
    return records[start:end], _token(*keys[end - 1]) if end < len(records) else None


def _token(model: str, version: int) -> str:
    return base64.urlsafe_b64encode(f"{model}/{version}".encode()).decode("ascii")


def _last_seen(token: str) -> tuple[str, int]:
    try:
        model, _, version = base64.b64decode(token, altchars=b"-_", validate=True).decode("ascii").rpartition("/")
        return model, int(version)
    except (binascii.Error, ValueError):
        problem = "is not one that came with a page; leave it out for the first page"
        raise InvalidRequest([Violation("page_token", problem)]) from None


def _model(name: str) -> str:
    if not name:
        raise InvalidRequest([Violation("model", "is empty; name a model, as `explicate models list` does")])
    if not MODEL_NAME.fullmatch(name):
        raise InvalidRequest([Violation("model", "is not a model's name; `explicate models list` gives them")])
    return name


def _label(name: str) -> str:
    if not LABEL_NAME.fullmatch(name):
        problem = 'is not a label: lower-case letters, digits, ".", "_" and "-", at most 64, such as "canary"'
        raise InvalidRequest([Violation("label", problem)])
    return name


def _label_or_live(request: messages.ActivateVersionRequest | messages.RollbackModelRequest) -> str:
    return _label(request.label) if request.HasField("label") else LIVE


def _version(version: int, field: str) -> int:
    if version < 1:
        raise InvalidRequest(
            [Violation(field, f"is {version}; versions count from 1, `explicate models list` gives them")]
        )
    return version


def _expected(
    request: messages.ActivateVersionRequest | messages.RollbackModelRequest | messages.RemoveLabelRequest,
) -> int | None:
    """The version that the label must point at, 0 if there must not be such a label; None if nothing is expected."""
    if isinstance(request, messages.ActivateVersionRequest) and request.HasField("expected_none"):
        return 0
    return _version(request.expected_version, "expected_version") if request.HasField("expected_version") else None


def _model_card(record: VersionRecord) -> str:
    try:
        return record.bundle.read_text("MODEL_CARD.md") if record.bundle else ""
    except BundleError:  # a version that serves may have lost its folder
        return ""


def _numbers(enum: Any, names: Sequence[str]) -> list[Any]:
    return [number_of(enum, name) for name in names]


def _methods(record: VersionRecord) -> list[str]:
    """The methods that explain the model; as long as it is not loaded, by what its manifest says that it tells."""
    if record.bundle is None:
        return []
    served, methods = record.loaded, methods_of(record.bundle.kind.reads.name)
    told = told_by(record.bundle.manifest.tabular)
    fits = served.choices.fits if served else lambda method: method.needs is None or method.needs in told
    return [AUTO, *(name for name, method in methods.items() if fits(method))]
