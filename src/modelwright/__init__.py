"""modelwright: a data scientist's prototype in, a self-running production ML system out.

    import modelwright as mw
    from modelwright import agg, gate, retrain, rollout, source

Names are loaded when they are first used, so that `import modelwright` costs next to nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from modelwright import gates as gate
    from modelwright.app.system import System, load
    from modelwright.control import triggers as retrain
    from modelwright.features.view import FeatureView
    from modelwright.spec import agg, rollout, source
    from modelwright.spec.event import Meta, event
    from modelwright.spec.label import Label

_HOME = {
    "event": "modelwright.spec.event:event",
    "Meta": "modelwright.spec.event:Meta",
    "Label": "modelwright.spec.label:Label",
    "FeatureView": "modelwright.features.view:FeatureView",
    "System": "modelwright.app.system:System",
    "load": "modelwright.app.system:load",
    "agg": "modelwright.spec.agg",
    "source": "modelwright.spec.source",
    "rollout": "modelwright.spec.rollout",
    "gate": "modelwright.gates",
    "retrain": "modelwright.control.triggers",
}

__all__ = ["FeatureView", "Label", "Meta", "System", "agg", "event", "gate", "load", "retrain", "rollout", "source"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'modelwright' has no attribute {name!r}")
    module_name, _, attribute = _HOME[name].partition(":")
    module = importlib.import_module(module_name)
    value = getattr(module, attribute) if attribute else module
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
