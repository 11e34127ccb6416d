"""The messages of our gRPC services, as protobuf has them, made of the .proto files beside this one when a server starts.

So the files that people read, and may generate a client from, are what is served; there is no generated code to keep in
step. Of the language it knows what those files use: proto3 messages, enums, oneofs, maps and services.
"""

import re
from collections.abc import Iterator
from importlib import resources
from typing import Any

REFLECTION, REFLECTION_ALPHA = "grpc.reflection.v1", "grpc.reflection.v1alpha"
_TOKEN = re.compile(r'"[^"]*"|[\w.]+|[{}()<>=;,]')
_COMMENT = re.compile(r"//[^\n]*")
_SCALARS = ("double", "float", "int64", "uint64", "int32", "bool", "string", "bytes", "uint32")


class Schema:
    """The messages and services of all files, in a pool of their own: the process may hold others of the same names."""

    def __init__(self) -> None:
        from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

        self._proto = descriptor_pb2
        self._class_of = message_factory.GetMessageClass
        self.pool: Any = descriptor_pool.DescriptorPool()
        self.services: list[str] = []
        for name in ("inference", "health", "reflection"):
            text = resources.files(__package__).joinpath(f"protos/{name}.proto").read_text()
            self._add(f"{name}.proto", text)
            if name == "reflection":
                self._add(
                    "reflection_alpha.proto", text.replace(f"package {REFLECTION};", f"package {REFLECTION_ALPHA};")
                )

    def message(self, name: str) -> Any:
        """The class of a message, by its full name."""
        return self._class_of(self.pool.FindMessageTypeByName(name))

    def _add(self, name: str, text: str) -> None:
        file = self._proto.FileDescriptorProto(name=name, syntax="proto3")
        tokens = iter(_TOKEN.findall(_COMMENT.sub("", text)))
        for word in tokens:
            if word == "package":
                file.package = next(tokens)
            elif word == "message":
                self._message(file.message_type.add(name=next(tokens)), tokens)
            elif word == "service":
                self._service(file.service.add(name=next(tokens)), tokens)
                self.services.append(f"{file.package}.{file.service[-1].name}")
        for message in file.message_type:
            self._resolve(message, file.package, file.package)
        for service in file.service:
            for method in service.method:
                method.input_type = f".{file.package}.{method.input_type}"
                method.output_type = f".{file.package}.{method.output_type}"
        self.pool.AddSerializedFile(file.SerializeToString())

    def _message(self, message: Any, tokens: Iterator[str]) -> None:
        next(tokens)  # {
        oneof = None
        for word in tokens:
            if word == "}":
                if oneof is None:
                    return
                oneof = None
            elif word == "message":
                self._message(message.nested_type.add(name=next(tokens)), tokens)
            elif word == "enum":
                self._enum(message.enum_type.add(name=next(tokens)), tokens)
            elif word == "oneof":
                message.oneof_decl.add(name=next(tokens))
                oneof = len(message.oneof_decl) - 1
                next(tokens)  # {
            elif word == "map":
                self._map(message, tokens)
            else:
                repeated = word == "repeated"
                field = self._field(message, next(tokens) if repeated else word, tokens, repeated=repeated)
                if oneof is not None:
                    field.oneof_index = oneof

    def _field(self, message: Any, kind: str, tokens: Iterator[str], *, repeated: bool) -> Any:
        """`KIND name = number;`, from the name on."""
        kinds = self._proto.FieldDescriptorProto
        field = message.field.add(name=next(tokens), label=3 if repeated else 1)
        next(tokens)  # =
        field.number = int(next(tokens))
        next(tokens)  # ;
        if kind in _SCALARS:
            field.type = kinds.Type.Value(f"TYPE_{kind.upper()}")
        else:
            field.type_name = kind
        return field

    def _map(self, message: Any, tokens: Iterator[str]) -> None:
        """`map<KEY, VALUE> name = number;`, from `<` on: a repeated message of pairs."""
        _, key, _, value, _ = (next(tokens) for _ in range(5))
        field = self._field(message, "", tokens, repeated=True)
        pair = message.nested_type.add(name="".join(part.capitalize() for part in field.name.split("_")) + "Entry")
        pair.options.map_entry = True
        field.type_name = pair.name
        for number, (name, kind) in enumerate((("key", key), ("value", value)), start=1):
            self._field(pair, kind, iter((name, "=", str(number), ";")), repeated=False)

    def _enum(self, enum: Any, tokens: Iterator[str]) -> None:
        next(tokens)  # {
        while (name := next(tokens)) != "}":
            next(tokens)  # =
            enum.value.add(name=name, number=int(next(tokens)))
            next(tokens)  # ;

    def _service(self, service: Any, tokens: Iterator[str]) -> None:
        """`rpc Name(Request) returns (Response) {}`, either of which may be a stream."""
        next(tokens)  # {
        while next(tokens) == "rpc":
            method = service.method.add(name=next(tokens))
            for way in ("client", "server"):
                next(tokens)  # (
                kind = next(tokens)
                if kind == "stream":
                    setattr(method, f"{way}_streaming", True)
                    kind = next(tokens)
                setattr(method, "input_type" if way == "client" else "output_type", kind)
                next(tokens)  # )
                if way == "client":
                    next(tokens)  # returns
            next(tokens)  # {
            next(tokens)  # }

    def _resolve(self, message: Any, package: str, scope: str) -> None:
        """Give each field that names a type the type's full name: one within its message, or one of the file."""
        kinds = self._proto.FieldDescriptorProto
        own = f"{scope}.{message.name}"
        enums = {enum.name for enum in message.enum_type}
        inner = enums | {nested.name for nested in message.nested_type}
        for field in message.field:
            if field.type_name:
                field.type = kinds.TYPE_ENUM if field.type_name in enums else kinds.TYPE_MESSAGE
                field.type_name = f".{own if field.type_name in inner else package}.{field.type_name}"
        for nested in message.nested_type:
            self._resolve(nested, package, own)
