"""BentoML: `bentoml serve bentoml_peer:Scores`."""

import os
import pickle
from pathlib import Path
from typing import Any

import bentoml
import pandas as pd


@bentoml.service(workers=1)
class Scores:
    """Score rows."""

    def __init__(self) -> None:
        self.model = pickle.loads(Path(os.environ["PEER_MODEL"]).read_bytes())

    @bentoml.api
    def predict(self, rows: list[dict[str, Any]]) -> dict[str, list[float]]:
        """Probabilities."""
        return {"scores": self.model.predict_proba(pd.DataFrame(rows))[:, 1].tolist()}
