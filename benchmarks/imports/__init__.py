"""What `import modelwright` costs: seconds beyond an empty interpreter, modules loaded, and heavy ones among them."""

import json
import statistics
import subprocess
import sys
import time
from typing import Any

HEAVY = ("numba", "numpy", "pandas", "sklearn", "mlflow", "duckdb", "pyarrow", "deltalake", "onnxruntime", "lightgbm")
STATEMENTS = {
    "nothing": "pass",
    "modelwright": "import modelwright",
    "a declaration": "import modelwright as mw; from modelwright import agg, gate, retrain, source; "
    "mw.event, mw.FeatureView, mw.Label, mw.System",
    "numpy": "import numpy",
    "pandas": "import pandas",
}
ROUNDS = 5


def measure() -> dict[str, Any]:
    """For each statement: median seconds of a whole interpreter, beyond the empty one, and what it loaded."""
    seconds: dict[str, list[float]] = {name: [] for name in STATEMENTS}
    loaded: dict[str, list[str]] = {}
    for _ in range(ROUNDS):
        for name, statement in STATEMENTS.items():
            code = f"{statement}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
            began = time.perf_counter()
            said = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True).stdout
            seconds[name].append(time.perf_counter() - began)
            loaded[name] = json.loads(said)
    empty = statistics.median(seconds["nothing"])
    return {
        name: {
            "seconds": statistics.median(seconds[name]) - empty,
            "modules": len(set(loaded[name]) - set(loaded["nothing"])),
            "heavy": [heavy for heavy in HEAVY if heavy in loaded[name]],
        }
        for name in STATEMENTS
        if name != "nothing"
    }
