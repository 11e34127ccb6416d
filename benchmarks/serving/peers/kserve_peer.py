"""KServe's Python server: `python kserve_peer.py PORT`."""

import os
import pickle
import sys
from pathlib import Path
from typing import Any

import kserve
import pandas as pd


class Scores(kserve.Model):
    """Score rows."""

    def load(self) -> bool:
        """Once a server."""
        self.model = pickle.loads(Path(os.environ["PEER_MODEL"]).read_bytes())
        self.ready = True
        return True

    def predict(self, payload: dict[str, Any], headers: dict[str, str] | None = None) -> dict[str, list[float]]:
        """Probabilities, by the first version of its protocol."""
        frame = pd.DataFrame(payload["instances"])
        return {"predictions": self.model.predict_proba(frame)[:, 1].tolist()}


if __name__ == "__main__":
    scores = Scores("scores")
    scores.load()
    kserve.ModelServer(http_port=int(sys.argv[1]), workers=1, enable_grpc=False, access_log_format=None).start([scores])
