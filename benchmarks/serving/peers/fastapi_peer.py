"""FastAPI, as a data scientist writes it: `uvicorn fastapi_peer:app`."""

import os
import pickle
from pathlib import Path
from typing import Any

import pandas as pd
from fastapi import FastAPI

app = FastAPI()
model = pickle.loads(Path(os.environ["PEER_MODEL"]).read_bytes())


@app.post("/predict")
def predict(rows: list[dict[str, Any]]) -> dict[str, list[float]]:
    """Score rows."""
    return {"scores": model.predict_proba(pd.DataFrame(rows))[:, 1].tolist()}
