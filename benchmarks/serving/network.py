"""The system of the batching contest: 20 numbers and a neural network, which is served by ONNX Runtime.

`MODELWRIGHT_BENCH_EVENTS` names a Parquet file, which `benchmarks.serving.batching` makes.
"""

import os
from datetime import datetime

from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import modelwright as mw
from modelwright import source

WIDTH = 512
"""Of each of the two hidden layers."""
NUMBERS = [f"n{i}" for i in range(20)]

Row = mw.event(time="at")(type("Row", (), {"__annotations__": {"at": datetime} | dict.fromkeys(NUMBERS, float)}))

system = mw.System(
    name="network",
    event=Row,
    source=source.files(os.environ["MODELWRIGHT_BENCH_EVENTS"]),
    label=mw.Label("good", bool, delay="1h"),
    model=make_pipeline(StandardScaler(), MLPClassifier((WIDTH, WIDTH), max_iter=3)),
)
