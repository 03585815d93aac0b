"""ModelService: what is served."""

from typing import Any

import grpc

from explicate.v1 import model_service_pb2 as messages
from explicate.v1 import model_service_pb2_grpc as services
from explicate_server.errors import InvalidRequest, Violation
from explicate_server.explain.registry import AUTO, METHODS
from explicate_server.registry.models import ModelRegistry, VersionRecord
from explicate_server.rpc import answers
from explicate_server.settings import Settings

_Context = grpc.aio.ServicerContext[Any, Any]


class ModelServicer(services.ModelServiceServicer):
    """Reads the registry."""

    def __init__(self, registry: ModelRegistry, settings: Settings) -> None:
        self._registry = registry
        self._settings = settings

    async def ListModels(self, request: messages.ListModelsRequest, context: _Context) -> messages.ListModelsResponse:
        """Every known version, the broken ones with their reason."""
        return messages.ListModelsResponse(models=[answers.model_status(record) for record in self._registry.records])

    async def GetModel(self, request: messages.GetModelRequest, context: _Context) -> messages.GetModelResponse:
        """One version in full."""
        if not request.model:
            raise InvalidRequest([Violation("model", "is empty; name the model, as ListModels gives it")])
        version = request.version if request.HasField("version") else None
        record = self._registry.find(request.model, version=version)
        bundle = record.bundle
        return messages.GetModelResponse(
            status=answers.model_status(record),
            bundle=bundle.manifest if bundle else None,
            methods=_methods(record),
            limits=messages.ServingLimits(
                max_inputs=self._settings.max_inputs,
                max_text_bytes=self._settings.max_text_bytes,
                max_evaluations=self._settings.max_evaluations,
                max_call_seconds=self._settings.max_call_s,
                max_evaluations_per_caller=self._settings.max_evaluations_per_caller,
            ),
            model_card=bundle.read_text("MODEL_CARD.md") if bundle else "",
            runtimes=[answers.runtime_trial(trial) for trial in record.served.trials] if record.served else [],
        )


def _methods(record: VersionRecord) -> list[str]:
    """The methods that explain the model; all there are as long as it is not loaded."""
    if record.bundle is None:
        return []
    served = record.served
    return [AUTO, *(name for name, method in METHODS.items() if served is None or served.choices.fits(method))]
