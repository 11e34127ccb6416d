"""MLServer: `mlserver start FOLDER`, in the folder the settings that `settings` makes and this file."""

import os
import pickle
from pathlib import Path

import pandas as pd
from mlserver import MLModel
from mlserver.codecs import NumpyCodec, PandasCodec
from mlserver.types import InferenceRequest, InferenceResponse


class Scores(MLModel):
    """Score rows."""

    async def load(self) -> bool:
        """Once a worker."""
        self._model = pickle.loads(Path(os.environ["PEER_MODEL"]).read_bytes())
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Probabilities."""
        frame: pd.DataFrame = PandasCodec.decode_request(payload)
        scores = self._model.predict_proba(frame)[:, 1]
        return InferenceResponse(model_name=self.name, outputs=[NumpyCodec.encode_output("scores", scores)])
