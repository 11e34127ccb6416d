"""`grpc.reflection`, versions v1 and v1alpha: which services there are and what their messages look like.

Reference: https://github.com/grpc/grpc/blob/master/doc/server-reflection.md
"""

from functools import partial
from typing import Any

from modelwright.serving.grpc.calls import Call, Method
from modelwright.serving.grpc.schema import REFLECTION, REFLECTION_ALPHA, Schema

_NOT_FOUND, _UNIMPLEMENTED = 5, 12


class ReflectionService:
    """Answers from the schema's own descriptors."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self.methods = {
            f"/{package}.ServerReflection/ServerReflectionInfo": Method(
                schema.message(f"{package}.ServerReflectionRequest"),
                partial(self._ask, schema.message(f"{package}.ServerReflectionResponse")),
                stream=True,
            )
            for package in (REFLECTION, REFLECTION_ALPHA)
        }

    def _ask(self, response: Any, call: Call, asked: Any) -> None:
        answer = response(valid_host=asked.host, original_request=asked)
        wanted = asked.WhichOneof("message_request")
        pool = self._schema.pool
        try:
            if wanted == "list_services":
                for name in self._schema.services:
                    answer.list_services_response.service.add(name=name)
            elif wanted == "file_by_filename":
                self._give(answer, pool.FindFileByName(asked.file_by_filename))
            elif wanted == "file_containing_symbol":
                self._give(answer, pool.FindFileContainingSymbol(asked.file_containing_symbol))
            else:  # proto3 has no extensions
                answer.error_response.error_code = _UNIMPLEMENTED
                answer.error_response.error_message = f"{wanted or 'nothing'} is not answered"
        except KeyError:
            answer.error_response.error_code = _NOT_FOUND
            answer.error_response.error_message = f"{getattr(asked, wanted)!r} is not here"
        call.answer(answer)

    @staticmethod
    def _give(answer: Any, file: Any) -> None:
        answer.file_descriptor_response.file_descriptor_proto.append(file.serialized_pb)
