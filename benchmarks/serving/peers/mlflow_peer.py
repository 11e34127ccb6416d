"""MLflow: `python mlflow_peer.py FOLDER` saves the estimator there for `mlflow models serve`."""

import os
import pickle
import sys
from pathlib import Path

import mlflow.sklearn

if __name__ == "__main__":
    model = pickle.loads(Path(os.environ["PEER_MODEL"]).read_bytes())
    mlflow.sklearn.save_model(model, sys.argv[1], pyfunc_predict_fn="predict_proba", serialization_format="cloudpickle")
