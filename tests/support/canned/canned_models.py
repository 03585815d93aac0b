"""Answers of a canned ModelService to what changes its models: each says what was asked in another way."""

from __future__ import annotations

from explicate.v1 import model_service_pb2 as model_pb

SHADOW = model_pb.ShadowReport(
    live_version=3,
    canary_version=4,
    predictions=120,
    same_outcome=0.975,
    mean_absolute_difference=0.03125,
    attributions=12,
    mean_spearman=0.875,
    dropped=5,
    failed=2,
    last_failure="too slow",
)
LABELS = [
    model_pb.ModelLabel(label="canary", version=4),
    model_pb.ModelLabel(label="live", version=3, previous_version=2),
]
TRAFFIC = model_pb.Traffic(canary_share=0.05, shadow_share=0.25)


def status(model: str, version: int, state: int, *labels: str) -> model_pb.ModelStatus:
    return model_pb.ModelStatus(
        model=model,
        version=version,
        state=state,
        labels=labels,
        runtime="onnxruntime-cpu" if state == model_pb.MODEL_STATE_READY else None,
        precision="fp32" if state == model_pb.MODEL_STATE_READY else None,
        leases=2,
        graph_bytes=90 << 20,
        previous_of=["canary"],
    )


class ChangedModels:
    """The methods of ModelService that change models, for a servicer with `state`."""

    def LoadModel(self, request, context):
        self.state.enter(request, context)
        return model_pb.LoadModelResponse(
            status=status(request.model, request.version or 9, model_pb.MODEL_STATE_READY)
        )

    def UnloadModel(self, request, context):
        self.state.enter(request, context)
        return model_pb.UnloadModelResponse(
            status=status(request.model, request.version, model_pb.MODEL_STATE_AVAILABLE)
        )

    def ActivateVersion(self, request, context):
        self.state.enter(request, context)
        ready = status(request.model, request.version, model_pb.MODEL_STATE_READY, request.label)
        return model_pb.ActivateVersionResponse(status=ready, previous_version=3 if request.label == "live" else None)

    def RollbackModel(self, request, context):
        self.state.enter(request, context)
        ready = status(request.model, 2, model_pb.MODEL_STATE_READY, request.label)
        return model_pb.RollbackModelResponse(status=ready, previous_version=3)

    def RemoveLabel(self, request, context):
        self.state.enter(request, context)
        unloading = status(request.model, 4, model_pb.MODEL_STATE_UNLOADING)
        return model_pb.RemoveLabelResponse(status=unloading)

    def SetTraffic(self, request, context):
        self.state.enter(request, context)
        return model_pb.SetTrafficResponse(traffic=request.traffic)

    def WatchModels(self, request, context):
        self.state.enter(request, context)
        model = request.model or "reviews"
        yield model_pb.WatchModelsResponse(models=[status(model, 3, model_pb.MODEL_STATE_READY, "live")], snapshot=True)
        refused = status(model, 4, model_pb.MODEL_STATE_FAILED)
        refused.reason = "model.onnx: wrong digest"
        yield model_pb.WatchModelsResponse(models=[refused, status(model, 5, model_pb.MODEL_STATE_REMOVED)])
