"""What gRPC alone costs in Python: grpcio's server, with threads or on asyncio, whose answer is a constant of our size.

python -m benchmarks.serving.grpc_ceiling sync|aio PORT
"""

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

ANSWER = bytes(300)


class Threads(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpcio publishes no types
    """Bytes in, bytes out, in a handler's thread."""

    def service(self, details: Any) -> Any:
        return grpc.unary_unary_rpc_method_handler(lambda request, context: ANSWER)


class Tasks(grpc.GenericRpcHandler):  # type: ignore[misc]
    """The same in a task."""

    def service(self, details: Any) -> Any:
        async def answer(request: bytes, context: Any) -> bytes:
            return ANSWER

        return grpc.unary_unary_rpc_method_handler(answer)


async def tasks(address: str) -> None:
    server = grpc.aio.server(handlers=(Tasks(),))
    server.add_insecure_port(address)
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    kind, place = sys.argv[1], f"127.0.0.1:{sys.argv[2]}"
    if kind == "aio":
        asyncio.run(tasks(place))
    else:
        threads = grpc.server(ThreadPoolExecutor(1), handlers=(Threads(),))
        threads.add_insecure_port(place)
        threads.start()
        threads.wait_for_termination()
