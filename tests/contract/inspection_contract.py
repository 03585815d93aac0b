"""What a server must tell about itself: models, health, reflection."""

from __future__ import annotations

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

import explicate
from contract.contract_calls import CALL_S, METHODS, MODEL_SERVICE, SERVICE, Contract
from explicate.v1 import model_service_pb2 as model_pb


class InspectionContract(Contract):
    """Models, health and reflection."""

    def test_model_is_listed_and_described(self, client, model):
        status = next(s for s in client.list_models() if s.model == model and "live" in s.labels)
        description = client.get_model(model)
        assert status.state == "ready"
        assert status.kind == "text-classification"
        assert description.status == status
        assert description.class_labels == ("other", "great")
        assert {"auto", "kernel-shap", "lime"} <= set(description.methods)
        assert description.granularities == ("word", "token", "sentence")
        assert description.maskings[0] == "attention"
        assert description.model_card
        limits = description.limits
        assert min(limits.max_inputs, limits.max_evaluations, limits.max_evaluations_per_caller) > 0

    def test_models_come_by_name_and_version(self, client):
        listed = [(status.model, status.version) for status in client.list_models()]
        assert listed == sorted(listed)

    def test_unknown_version_is_not_described(self, client, model):
        with pytest.raises(explicate.NotFound):
            client.get_model(model, version=987_654)

    @pytest.mark.parametrize("service", ["", SERVICE, MODEL_SERVICE])
    def test_health_is_serving(self, channel, service):
        stub = health_pb2_grpc.HealthStub(channel)
        answer = stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=CALL_S)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING

    @pytest.mark.parametrize("version", ["v1", "v1alpha"])
    def test_reflection_answers_under_both_of_its_names(self, channel, version):
        names = {f"grpc.reflection.{each}.ServerReflection" for each in ("v1", "v1alpha")}
        reflect = channel.stream_stream(
            f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )
        asked = [
            reflection_pb2.ServerReflectionRequest(list_services=""),
            *(reflection_pb2.ServerReflectionRequest(file_containing_symbol=name) for name in sorted(names)),
        ]
        listed, *described = reflect(iter(asked), timeout=CALL_S)
        assert names | {SERVICE, MODEL_SERVICE} <= {each.name for each in listed.list_services_response.service}
        for name, answer in zip(sorted(names), described, strict=True):
            files = map(FileDescriptorProto.FromString, answer.file_descriptor_response.file_descriptor_proto)
            assert name in {f"{file.package}.{service.name}" for file in files for service in file.service}

    def test_reflection_lists_and_describes_the_services(self, channel):
        database = ProtoReflectionDescriptorDatabase(channel)
        listed = set(database.get_services())
        assert {SERVICE, MODEL_SERVICE, "grpc.health.v1.Health"} <= listed
        file = database.FindFileContainingSymbol(SERVICE)
        (service,) = (s for s in file.service if s.name == "InferenceService")
        assert [method.name for method in service.method] == [*METHODS, "ExplainTable"]
        assert "ListModels" in {
            method.name for s in database.FindFileContainingSymbol(MODEL_SERVICE).service for method in s.method
        }
        assert model_pb.DESCRIPTOR.services_by_name["ModelService"].full_name == MODEL_SERVICE
