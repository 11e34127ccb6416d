"""`System`: the one declaration everything else is derived from. `app.system` adds the verbs (train, rehearse, run...)."""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from modelwright.core.durations import duration_text, duration_us
from modelwright.core.errors import DeclarationError
from modelwright.spec.contract import Contract, Field
from modelwright.spec.event import contract_of
from modelwright.spec.gate import Gate
from modelwright.spec.label import LabelSpec
from modelwright.spec.metric import DEFAULT, MetricSpec, metric_named
from modelwright.spec.rollout import Shadow, shadow
from modelwright.spec.source import Files
from modelwright.spec.trigger import Trigger
from modelwright.spec.view import FeatureView

T = TypeVar("T")
SETTINGS = (
    "name", "event", "source", "history", "features", "label", "model", "inputs", "metric", "gates", "retrain", "rollout",
    "validation", "check", "seed",
)  # fmt: skip
NOT_BUILT = frozenset({"prepare", "decide", "ask", "sink", "optimize", "alerts", "budget"})
SHADOW_US = duration_us("14d")
"""How long the evidence about a challenger may take where no rollout is declared, or twice the label's delay."""
RESERVED_INPUTS = frozenset({"id", "release"})


class System:
    """What an event looks like, which history to compute, what to predict, how good it must be, when to retrain.

    - `name`: names the state, the releases and the runs.
    - `event`: a class decorated with `@mw.event`; `source`: where its history comes from (`source.files(...)`).
    - `features`: `FeatureView`s over that event, or over other events that have the view's key in common with it;
      `history={Login: source.files(...)}`: where rows of the others come from, besides `POST /events/Login`.
    - `label`: `mw.Label(...)` or `mw.Label.ahead(...)`; `inputs`: the model's columns, by default the event's columns
      except id, entity and time, then every feature under its own name.
    - `model`: anything with `fit` and `predict` (and `predict_proba` for classes). It is never fitted in place.
    - `metric`: what the loop steers by (default `roc_auc`, `accuracy`, `mae` by kind of label).
    - `gates`: what a candidate must pass; `retrain`: when to train one; `rollout`: how one becomes champion.
    - `validation`: the longest tail of history held back (default 7 days, at most the last tenth of the rows).
    - `check`: how often the loop decides. `seed`: for every `random_state` left unset.

    Raises `DeclarationError` for whatever cannot be, when it is made.
    """

    def __init__(
        self,
        *,
        name: str,
        event: Any,
        label: LabelSpec,
        model: Any,
        source: Files | None = None,
        history: Mapping[Any, Files] | None = None,
        features: Sequence[FeatureView] = (),
        inputs: Sequence[str] | None = None,
        metric: str | None = None,
        gates: Sequence[Gate] = (),
        retrain: Sequence[Trigger] = (),
        rollout: Shadow | None = None,
        validation: str | timedelta = "7d",
        check: str | timedelta = "1h",
        seed: int = 0,
        **other: Any,
    ) -> None:
        _refuse(other)
        if not (isinstance(name, str) and name.replace("-", "_").isidentifier()):
            raise DeclarationError(f"System(name={name!r}): letters, digits, - and _ only, not beginning with a digit")
        self.name = name
        self.contract: Contract = contract_of(event)
        if self.contract.time is None:
            raise DeclarationError(
                f"System({name}): {self.contract.name} declares no time; name its time field in @mw.event(time=...) "
                "(plain tables without a time come with a later version)"
            )
        if not isinstance(label, LabelSpec):
            raise DeclarationError(f"System({name}, label={label!r}): declare it with mw.Label(name, kind, delay=...)")
        self.label = label = label.of(self.contract)
        if label.name in {*self.contract.names, *(field.column for field in self.contract.fields)}:
            raise DeclarationError(
                f"System({name}): the label {label.name!r} is also an input: it is a field of {self.contract.name}; "
                "take it out of the class, the label's column is read from the history by its name"
            )
        if source is not None and not isinstance(source, Files):
            raise DeclarationError(f"System({name}, source={source!r}): declare it with source.files(...)")
        self.source = source
        self.features = self._several("features", features)
        self.others: tuple[Contract, ...] = self._check_features()
        self.history = self._check_history(history or {})
        self.inputs = self._check_inputs(None if inputs is None else self._several("inputs", inputs))
        self.model = self._check_model(model)
        self.metric: MetricSpec = metric_named(
            DEFAULT[label.kind] if metric is None else metric, label.kind, f"System({name}, metric=)"
        )
        self.gates = self._several("gates", gates)
        for gate in self.gates:
            if not callable(getattr(gate, "judge", None)):
                raise DeclarationError(
                    f"System({name}, gates=): {gate!r} is no gate; use gate.metric(...) and the like"
                )
            gate.check(label)
        self.retrain = self._several("retrain", retrain)
        for trigger in self.retrain:
            if not callable(getattr(trigger, "due", None)):
                raise DeclarationError(f"System({name}, retrain=): {trigger!r} is no trigger; use retrain.every(...)")
        if rollout is not None and not isinstance(rollout, Shadow):
            raise DeclarationError(f"System({name}, rollout=): {rollout!r} is no rollout; use rollout.shadow(...)")
        self.rollout = rollout or shadow(within=timedelta(microseconds=max(SHADOW_US, 2 * label.delay_us)))
        if self.rollout.within_us <= label.delay_us:
            raise DeclarationError(
                f"System({name}, rollout=): evidence may take {duration_text(self.rollout.within_us)}, and an outcome is "
                f"known {label.known_after} after its event, so no challenger could be promoted; give a "
                "longer within="
            )
        self.validation_us = duration_us(validation, f"System({name}, validation=)")
        self.check_us = duration_us(check, f"System({name}, check=)")
        if not isinstance(seed, int):
            raise DeclarationError(f"System({name}, seed={seed!r}): a whole number")
        self.seed = seed
        self.home = Path.cwd()
        self.path: Path | None = None

    def _several(self, setting: str, values: Iterable[T]) -> tuple[T, ...]:
        if isinstance(values, str) or not isinstance(values, Iterable):
            raise DeclarationError(f"System({self.name}, {setting}={values!r}): give a list, [...], also of one")
        return tuple(values)

    def _check_features(self) -> tuple[Contract, ...]:
        """The contracts of the other events that views read, in the order they are first met."""
        seen = {self.label.name, *self.contract.names}
        others: dict[str, Contract] = {}
        for view in self.features:
            if not isinstance(view, FeatureView):
                raise DeclarationError(f"System({self.name}, features=): {view!r} is no FeatureView")
            if view.contract == self.contract:
                view.check_label(self.label.name, self.label.kind)
            else:
                view.check_asked(self.contract, self.label.name)
                if others.setdefault(view.contract.name.casefold(), view.contract) != view.contract:
                    raise DeclarationError(
                        f"System({self.name}, features=): two different events are called {view.contract.name}; rename one"
                    )
            doubled = seen & view.features.keys()
            if doubled:
                raise DeclarationError(
                    f"System({self.name}, features=): two columns are called {min(doubled)!r}; rename one"
                )
            seen |= view.features.keys()
        return tuple(others.values())

    def _check_history(self, history: Mapping[Any, Files]) -> dict[str, Files]:
        """The other events' sources by the event's name."""
        if not isinstance(history, Mapping):
            raise DeclarationError(
                f"System({self.name}, history={history!r}): give sources by event, {{Login: source.files(...)}}"
            )
        sources: dict[str, Files] = {}
        for event, source in history.items():
            contract = contract_of(event)
            where = f"System({self.name}, history={{{contract.name}: ...}})"
            if contract == self.contract:
                raise DeclarationError(f"{where}: that is the system's own event; its source is source=")
            if contract not in self.others:
                raise DeclarationError(
                    f"{where}: no view reads it; add a FeatureView({contract.name}, ...) or leave it out"
                )
            if not isinstance(source, Files):
                raise DeclarationError(f"{where}: {source!r} is no source; declare it with source.files(...)")
            sources[contract.name] = source
        return sources

    def _check_inputs(self, inputs: Sequence[str] | None) -> tuple[str, ...]:
        features = [name for view in self.features for name in view.features]
        if inputs is None:
            chosen = tuple(name for name in self.contract.input_names() if self.contract.field(name).kind != "time")
            chosen += tuple(features)
        else:
            chosen = tuple(inputs)
            doubled = [name for name in chosen if chosen.count(name) > 1]
            if doubled:
                raise DeclarationError(f"System({self.name}, inputs=): {doubled[0]!r} stands twice; name it once")
            known = [*self.contract.names, *features]
            for name in chosen:
                if name == self.label.name:
                    raise DeclarationError(
                        f"System({self.name}, inputs=): the label {name!r} is also an input; take it out"
                    )
                if name not in known:
                    near = difflib.get_close_matches(name, known, n=1)
                    hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"
                    raise DeclarationError(f"System({self.name}, inputs=): no column or feature {name!r}; {hint}")
        if not chosen:
            raise DeclarationError(f"System({self.name}): the model has no input; add event columns or features")
        return chosen

    def _check_model(self, model: Any) -> Any:
        if isinstance(model, (list, tuple, str)):
            raise DeclarationError(
                f"System({self.name}, model=): a list of candidates and 'auto' are not built yet; give one estimator"
            )
        if isinstance(model, type) or not (
            callable(getattr(model, "fit", None)) and callable(getattr(model, "predict", None))
        ):
            raise DeclarationError(
                f"System({self.name}, model=): {model!r} has no fit and predict; give an estimator object, such as "
                "LGBMClassifier() or a scikit-learn pipeline"
            )
        return model

    def at(self, path: Path) -> "System":
        """This system, declared in that file: relative paths start beside it."""
        self.path = path
        self.home = path.parent
        return self

    def input_fields(self) -> tuple[Field, ...]:
        """The event columns among the inputs."""
        return tuple(self.contract.field(name) for name in self.inputs if name in self.contract.names)


def _refuse(other: dict[str, Any]) -> None:
    for name in other:
        if name in NOT_BUILT:
            raise DeclarationError(f"System({name}=): this setting is not built yet; leave it out")
        near = difflib.get_close_matches(name, [*SETTINGS], n=1)
        raise DeclarationError(f"System({name}=): no such setting" + (f"; did you mean {near[0]!r}?" if near else ""))
