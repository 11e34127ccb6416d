"""What a model is made of, as one hash: a candidate of another hash was trained for another declaration."""

import re
from typing import Any

import msgspec

from modelwright.core.canonical import canonical_json, sha256_hex
from modelwright.spec.system import System
from modelwright.spec.tune import Tuned


def describe_model(model: Any) -> str:
    """The estimator as its own repr says, on one line, without what differs from process to process and place to place:
    addresses, and the name the system file is loaded under."""
    return re.sub(r" at 0x[0-9a-f]+|modelwright_user_\w+\.", "", " ".join(repr(model).split()))


def describe_models(system: System) -> str:
    """The declared models on one line."""
    return ", or ".join(describe_model(model) for model in system.models)


def declaration_hash(system: System) -> str:
    """SHA-256 of the contracts, the label, the views, the inputs, the model with all its parameters, the metric, the seed
    and the bounds of its form. Gates, triggers and the rollout are not in it: they judge a model and make none."""
    parts = {
        "contract": msgspec.to_builtins(system.contract),
        "others": msgspec.to_builtins(system.others),
        "label": msgspec.to_builtins(system.label),
        "views": [msgspec.to_builtins(view.spec()) for view in system.features],
        "inputs": list(system.inputs),
        "models": [{"model": describe_model(model), "parameters": _parameters(model)} for model in system.models],
        "train_on": [past.name for past in system.train_on],
        "metric": system.metric.name,
        "seed": system.seed,
        "optimize": msgspec.to_builtins(system.optimize),
    }
    return sha256_hex(canonical_json(parts))


def _parameters(model: Any) -> dict[str, str]:
    if isinstance(model, Tuned):
        return _parameters(model.model)
    found = model.get_params(deep=True) if callable(getattr(model, "get_params", None)) else {}
    return {name: describe_model(value) for name, value in found.items()}
