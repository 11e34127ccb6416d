"""LitServe: `python litserve_peer.py PORT`."""

import os
import pickle
import sys
from pathlib import Path
from typing import Any

import litserve
import pandas as pd


class Scores(litserve.LitAPI):
    """Score rows."""

    def setup(self, device: str) -> None:
        """Once a worker."""
        self.model = pickle.loads(Path(os.environ["PEER_MODEL"]).read_bytes())

    def decode_request(self, request: dict[str, Any]) -> pd.DataFrame:
        """The rows of a request."""
        return pd.DataFrame(request["rows"])

    def predict(self, x: pd.DataFrame) -> Any:
        """Probabilities."""
        return self.model.predict_proba(x)[:, 1]

    def encode_response(self, output: Any) -> dict[str, list[float]]:
        """As JSON."""
        return {"scores": output.tolist()}


if __name__ == "__main__":
    server = litserve.LitServer(Scores(), accelerator="cpu", workers_per_device=1)
    server.run(port=int(sys.argv[1]), num_api_servers=1, generate_client_file=False, log_level="warning")
