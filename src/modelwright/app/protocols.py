"""The protocols that every server of ours speaks beside its own routes."""

from modelwright.app.explainer_process import ExplainerProcess
from modelwright.serving.dialect import Dialect
from modelwright.serving.explanation import ExplanationRoute
from modelwright.serving.inference_protocol import InferenceProtocol
from modelwright.serving.invocations import Invocations
from modelwright.serving.plane import Plane


def protocols_of(plane: Plane, name: str, explainer: ExplainerProcess, *, logged: bool) -> list[Dialect]:
    """In the order they are asked whose a path is. `logged`: an id alone may be explained."""
    return [InferenceProtocol(plane, name), Invocations(plane), ExplanationRoute(plane, explainer.ask, logged=logged)]
