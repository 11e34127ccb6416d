"""The server a data scientist writes: FastAPI, the pickled estimator, a DataFrame of one row.

It is given every input of the model in the request, reads no history, logs nothing, and forgets what it said.
"""

import os
import pickle
from pathlib import Path

import pandas as pd
from fastapi import FastAPI

app = FastAPI()
model = pickle.loads(Path(os.environ["NAIVE_MODEL"]).read_bytes())


@app.post("/predict")
def predict(payload: dict[str, float | str]) -> dict[str, object]:
    """Score one row."""
    score = float(model.predict_proba(pd.DataFrame([payload]))[0, 1])
    return {"prediction": score >= 0.5, "score": score}
