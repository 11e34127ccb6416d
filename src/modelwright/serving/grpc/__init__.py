"""The Open Inference Protocol over gRPC: calls on h2's HTTP/2, on the event loop that answers HTTP."""
