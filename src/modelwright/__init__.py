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
    from modelwright import optimize
    from modelwright.app.asgi import asgi
    from modelwright.app.system import System, load
    from modelwright.control import triggers as retrain
    from modelwright.features.view import FeatureView
    from modelwright.spec import agg, alert, guard, past, rollout, source, space
    from modelwright.spec.event import Meta, event
    from modelwright.spec.label import Label
    from modelwright.spec.monitor import monitor
    from modelwright.spec.tune import tune

_HOME = {
    "event": "modelwright.spec.event:event",
    "Meta": "modelwright.spec.event:Meta",
    "Label": "modelwright.spec.label:Label",
    "FeatureView": "modelwright.features.view:FeatureView",
    "System": "modelwright.app.system:System",
    "load": "modelwright.app.system:load",
    "asgi": "modelwright.app.asgi:asgi",
    "agg": "modelwright.spec.agg",
    "alert": "modelwright.spec.alert",
    "source": "modelwright.spec.source",
    "rollout": "modelwright.spec.rollout",
    "guard": "modelwright.spec.guard",
    "past": "modelwright.spec.past",
    "space": "modelwright.spec.space",
    "monitor": "modelwright.spec.monitor:monitor",
    "tune": "modelwright.spec.tune:tune",
    "gate": "modelwright.gates",
    "optimize": "modelwright.optimize",
    "retrain": "modelwright.control.triggers",
}

__all__ = [
    "FeatureView", "Label", "Meta", "System", "agg", "alert", "asgi", "event", "gate", "guard", "load", "monitor", "optimize",
    "past", "retrain", "rollout", "source", "space", "tune",
]  # fmt: skip


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
