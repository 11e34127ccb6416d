"""One-row predictions over HTTP: modelwright, which reads history and logs, against the server a notebook becomes."""
