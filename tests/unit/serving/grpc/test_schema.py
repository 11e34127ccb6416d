"""The messages made of our .proto files are those that independent clients were generated with."""

import pytest
from google.protobuf import descriptor_pb2
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from tritonclient.grpc import service_pb2

from modelwright.serving.grpc.schema import Schema

THEIRS = {
    "inference": service_pb2.DESCRIPTOR,
    "grpc.health.v1": health_pb2.DESCRIPTOR,
    "grpc.reflection.v1alpha": reflection_pb2.DESCRIPTOR,
}


def proto(descriptor, made):
    descriptor.CopyToProto(made)
    return made


def fields(message, where=""):
    """Every field of a message and of those within it, by its full name: what decides how it is on the wire."""
    oneofs = [oneof.name for oneof in message.oneof_decl]
    found = {
        f"{where}{message.name}.{field.name}": (
            field.number, field.type, field.label, field.type_name,
            oneofs[field.oneof_index] if field.HasField("oneof_index") else None,
        )
        for field in message.field
    }  # fmt: skip
    for nested in message.nested_type:
        assert nested.options.map_entry == nested.name.endswith("Entry")
        found |= fields(nested, f"{where}{message.name}.")
    for enum in message.enum_type:
        found |= {f"{where}{message.name}.{enum.name}.{value.name}": value.number for value in enum.value}
    return found


def messages(pool, package):
    """Of one of our packages."""
    names = {"inference": "inference", "grpc.health.v1": "health", "grpc.reflection.v1alpha": "reflection_alpha"}
    return proto(pool.FindFileByName(f"{names[package]}.proto"), descriptor_pb2.FileDescriptorProto())


@pytest.mark.parametrize("package", THEIRS)
def test_every_message_is_on_the_wire_as_theirs(package):
    ours = messages(Schema().pool, package)
    theirs = proto(THEIRS[package], descriptor_pb2.FileDescriptorProto())
    assert ours.package == theirs.package == package
    expected = {message.name: fields(message) for message in theirs.message_type}
    found = {message.name: fields(message) for message in ours.message_type}
    assert found
    # Newer versions have more; what both have is the same.
    assert found == {name: {field: expected[name][field] for field in each} for name, each in found.items()}


@pytest.mark.parametrize("package", THEIRS)
def test_every_method_takes_and_gives_as_theirs(package):
    def methods(file):
        return {
            (service.name, method.name): (
                method.input_type, method.output_type, method.client_streaming, method.server_streaming
            )
            for service in file.service
            for method in service.method
        }  # fmt: skip

    ours = methods(messages(Schema().pool, package))
    theirs = methods(proto(THEIRS[package], descriptor_pb2.FileDescriptorProto()))
    assert ours
    assert ours.items() <= theirs.items()


def test_both_reflections_are_the_same():
    schema = Schema()
    assert schema.services == [
        "inference.GRPCInferenceService", "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
    ]  # fmt: skip
    new = schema.message("grpc.reflection.v1.ServerReflectionRequest")(list_services="*")
    old = schema.message("grpc.reflection.v1alpha.ServerReflectionRequest").FromString(new.SerializeToString())
    assert old.WhichOneof("message_request") == "list_services"
