"""The calls about the server and its models: alive, ready, metadata, statistics, and what is loaded."""

from importlib.metadata import version as version_of
from typing import Any

import grpc

from explicate_bundle.manifest import MODEL_NAME
from explicate_server.call_record import note_change
from explicate_server.errors import InvalidRequest, ServerError, Violation
from explicate_server.registry.label_store import LABEL_NAME
from explicate_server.registry.models import ModelRegistry
from explicate_server.registry.records import ModelEntry, ServedModel, State, VersionRecord
from explicate_server.rpc.health_service import INFERENCE, LIVENESS, HealthReport
from explicate_server.rpc.inference_service import selected
from explicate_server.rpc.open_inference.infer_asked import model_ref
from explicate_server.rpc.open_inference.infer_inputs import in_their_words
from explicate_server.rpc.open_inference.model_metadata import model_config, model_metadata
from explicate_server.rpc.open_inference.protocol import (
    ModelReadyResponse,
    ModelStatisticsResponse,
    RepositoryIndexResponse,
    RepositoryModelLoadResponse,
    RepositoryModelUnloadResponse,
    ServerLiveResponse,
    ServerMetadataResponse,
    ServerReadyResponse,
)
from explicate_server.rpc.open_inference.request_sums import RequestSums, SumsOfVersions
from explicate_server.rpc.open_inference.tensors import refuse
from explicate_server.settings import Settings

_Context = grpc.aio.ServicerContext[Any, Any]
_EXTENSIONS = ("model_configuration", "model_repository", "statistics", "parameters")
# Our states in Triton's words, of which it has three.
_STATES = {State.READY: "READY", State.LOADING: "LOADING", State.UNLOADING: "UNLOADING"}
_NANOSECONDS = 1e9
# Parameters of a load or an unload.
_VERSION, _LABEL = "version", "label"
_TRITONS = ("config", "file:", "unload_dependents")


class InspectServicer:
    """Answers from the registry, and hands changes over."""

    def __init__(self, registry: ModelRegistry, health: HealthReport, sums: SumsOfVersions, settings: Settings) -> None:
        self._registry = registry
        self._health = health
        self._sums = sums
        self._settings = settings

    async def ServerLive(self, request: Any, context: _Context) -> Any:
        """Whether the process goes on."""
        return ServerLiveResponse(live=self._health.is_serving(LIVENESS))

    async def ServerReady(self, request: Any, context: _Context) -> Any:
        """Whether all models were started, and one answers."""
        return ServerReadyResponse(ready=self._health.is_serving(INFERENCE))

    async def ModelReady(self, request: Any, context: _Context) -> Any:
        """Whether a model, or the version or label that is named, answers. Of one that there is not it does not."""
        if not request.version:
            return ModelReadyResponse(ready=self._health.is_serving(f"{INFERENCE}/{request.name}"))
        try:
            record = self._find(request)
        except ServerError:
            return ModelReadyResponse(ready=False)
        return ModelReadyResponse(ready=record.standing[0] is State.READY and self._health.is_serving(LIVENESS))

    async def ServerMetadata(self, request: Any, context: _Context) -> Any:
        """Who answers, and which extensions of the protocol it has."""
        return ServerMetadataResponse(name="explicate", version=version_of("explicate"), extensions=_EXTENSIONS)

    async def ModelMetadata(self, request: Any, context: _Context) -> Any:
        """The tensors of a model."""
        served = self._served(request)
        return model_metadata(served, [record.location.version for record in self._loaded(served.name)])

    async def ModelConfig(self, request: Any, context: _Context) -> Any:
        """The same in Triton's words."""
        served = self._served(request)
        most = self._settings.rows_that_may_wait(self._settings.max_inputs, served.modality.row_bytes)
        return model_config(served, most)

    async def ModelStatistics(self, request: Any, context: _Context) -> Any:
        """What this protocol's requests took, of one version, of a model's, or of all."""
        if request.name and request.version:
            chosen = [self._served(request)]
        elif request.name:
            self._served(request)
            chosen = [record.loaded for record in self._loaded(request.name) if record.loaded]
        else:
            chosen = self._registry.ready
        others = [tally.requests for tally in await self._registry.lifecycle.peers.tallies()]
        message = ModelStatisticsResponse()
        for served in chosen:
            _add_statistics(message.model_stats.add(), served, self._sums.with_others(served, others))
        return message

    async def RepositoryIndex(self, request: Any, context: _Context) -> Any:
        """Every known version; with ``ready`` those that answer."""
        self._registry.check_listed()
        message = RepositoryIndexResponse()
        for record in self._registry.records:
            state, reason, _ = record.standing
            if state is State.READY or not request.ready:
                message.models.add(
                    name=record.location.model,
                    version=str(record.location.version),
                    state=_STATES.get(state, "UNAVAILABLE"),
                    reason=reason or ("" if state is State.READY else state.name.lower()),
                )
        return message

    async def RepositoryModelLoad(self, request: Any, context: _Context) -> Any:
        """A version, the newest unless the parameter ``version`` names one, into memory; ``label`` is moved to it."""
        name, given = _named(request), _parameters(request, (_VERSION, _LABEL))
        version, label = _version(given), given.get(_LABEL)
        if label is not None and (type(label) is not str or not LABEL_NAME.fullmatch(label)):
            raise refuse(f"parameters[{_LABEL}]", 'is not a label, such as "live"')
        note_change(f"load {name}/{version or 'newest'}" + (f" as {label}" if label else ""))
        entry = await self._registry.refreshed(name)
        record = await self._registry.changes.load(entry, version)
        if label:
            await self._registry.changes.activate(entry, record.location.version, label=label)
        return RepositoryModelLoadResponse(model_name=name, is_loaded=True)

    async def RepositoryModelUnload(self, request: Any, context: _Context) -> Any:
        """A version, or all that no label points at, out of memory."""
        name = _named(request)
        version = _version(_parameters(request, (_VERSION,)))
        note_change(f"unload {name}/{version or 'all without a label'}")
        entry = self._registry.known(name)
        for number in [version] if version else _unlabelled(entry):
            await self._registry.changes.unload(entry, number)
        return RepositoryModelUnloadResponse(model_name=name, is_unloaded=True)

    def _find(self, request: Any) -> VersionRecord:
        try:
            return self._registry.find(**selected(model_ref(request.name, request.version)))
        except InvalidRequest as error:
            raise in_their_words(error) from None

    def _served(self, request: Any) -> ServedModel:
        """The version that answers for what a request names."""
        try:
            with self._registry.lease(**selected(model_ref(request.name, request.version))) as served:
                return served
        except InvalidRequest as error:
            raise in_their_words(error) from None

    def _loaded(self, model: str) -> list[VersionRecord]:
        return [record for record in reversed(self._registry.known(model).newest_first) if record.loaded]


def _add_statistics(message: Any, served: ServedModel, sums: RequestSums) -> None:
    message.name, message.version = served.name, str(served.version)
    message.last_inference, message.inference_count = sums.last_ms, sums.inputs
    # Not the batcher's count, in which the batches of explanations and of our own calls are.
    message.execution_count = sums.succeeded
    statistics = message.inference_stats
    for part, count, seconds in (
        (statistics.success, sums.succeeded, sums.succeeded_s),
        (statistics.fail, sums.failed, sums.failed_s),
        (statistics.queue, sums.succeeded, sums.queue_s),
        (statistics.compute_input, sums.succeeded, sums.input_s),
        (statistics.compute_infer, sums.succeeded, sums.model_s),
        (statistics.compute_output, sums.succeeded, sums.output_s),
    ):
        part.count, part.ns = count, int(seconds * _NANOSECONDS)


def _named(request: Any) -> str:
    """The model's name: in Triton's field, or where that is empty in KServe's, which is the first."""
    name: str = request.model_name or request.repository_name
    if not MODEL_NAME.fullmatch(name):
        raise refuse("model_name", "is empty" if not name else "is not a model's name; RepositoryIndex gives them")
    return name


def _parameters(request: Any, known: tuple[str, ...]) -> dict[str, Any]:
    """The parameters that are given."""
    for name in request.parameters:
        if name.startswith(_TRITONS) and name not in known:
            problem = "is not offered: what a model is, its bundle says" if name != "unload_dependents" else ""
            if problem:
                raise refuse(f"parameters[{name}]", problem)
        elif name not in known:
            raise refuse(f"parameters[{name}]", f"is not a parameter; there are {', '.join(known)}")
    kinds = {
        name: request.parameters[name].WhichOneof("parameter_choice") for name in known if name in request.parameters
    }
    return {name: getattr(request.parameters[name], kind) if kind else None for name, kind in kinds.items()}


def _version(given: dict[str, Any]) -> int | None:
    """The version that is named, as a number or in digits."""
    version = given.get(_VERSION)
    if type(version) is str and version.isascii() and version.isdigit():
        version = int(version)
    if version is not None and (type(version) is not int or not 1 <= version < 1 << 31):
        raise refuse(f"parameters[{_VERSION}]", f"is {version!r}; versions count from 1")
    return version


def _unlabelled(entry: ModelEntry) -> list[int]:
    """The loaded versions without a label; all that are loaded where each has one, which is then refused."""
    loaded = [record for record in entry.newest_first if record.loaded]
    chosen = [record for record in loaded if not record.labels] or loaded
    if not chosen:
        raise InvalidRequest([Violation("model_name", "is not loaded")])
    return [record.location.version for record in chosen]
