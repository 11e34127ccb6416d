"""`System`: the one declaration everything else is derived from. `app.system` adds the verbs (train, rehearse, run...)."""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Self, TypeVar

from modelwright.core.durations import duration_text, duration_us
from modelwright.core.errors import DeclarationError
from modelwright.spec.alert import Alert, check_alerts
from modelwright.spec.bounds import Within
from modelwright.spec.contract import Contract, Field
from modelwright.spec.event import contract_of
from modelwright.spec.gate import Gate
from modelwright.spec.label import LabelSpec
from modelwright.spec.metric import DEFAULT, MetricSpec, metric_named
from modelwright.spec.monitor import USUAL, Monitor
from modelwright.spec.past import Past
from modelwright.spec.rollout import Rollout, shadow
from modelwright.spec.source import Files
from modelwright.spec.trigger import Trigger
from modelwright.spec.tune import Tuned
from modelwright.spec.view import FeatureView

T = TypeVar("T")
SETTINGS = (
    "name", "event", "source", "history", "features", "label", "model", "inputs", "metric", "gates", "retrain", "rollout",
    "train_on", "validation", "check", "seed", "optimize", "alerts", "monitor",
)  # fmt: skip
NOT_BUILT = frozenset({"prepare", "decide", "ask", "sink", "budget"})
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
    - `model`: anything with `fit` and `predict` (and `predict_proba` for classes), the same in `mw.tune(...)`, or a list of
      such. It is never fitted in place. `train_on`: the rows it is fitted on, `past.all()` by default, or a list of
      `past.last("90d")` and the like; of several models and pasts, each training takes the pair that does best on folds in
      order of time.
    - `metric`: what the loop steers by (default `roc_auc`, `accuracy`, `mae` by kind of label).
    - `gates`: what a candidate must pass; `retrain`: when to train one; `rollout`: how one becomes champion.
    - `validation`: the longest tail of history held back (default 7 days, at most the last tenth of the rows).
    - `optimize`: what a faster form of the model may give away, `optimize.within(...)`; by default nothing.
    - `alerts`: who is told of trouble and of what waits for a person: `alert.webhook(...)`, `alert.email(...)`,
      `alert.command(...)`.
    - `monitor`: what is watched and how often it may be wrong, `mw.monitor(false_alarm_every=..., slices=[...])`.
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
        rollout: Rollout | None = None,
        validation: str | timedelta = "7d",
        check: str | timedelta = "1h",
        train_on: Past | Sequence[Past] = (),
        seed: int = 0,
        optimize: Within | None = None,
        alerts: Sequence[Alert] = (),
        monitor: Monitor | None = None,
        **other: Any,
    ) -> None:
        self._settings = {name: value for name, value in locals().items() if name in SETTINGS}
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
        self.models = self._check_models(model)
        self.train_on = self._check_train_on(train_on)
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
        if rollout is not None and not isinstance(rollout, Rollout):
            raise DeclarationError(f"System({name}, rollout=): {rollout!r} is no rollout; use rollout.shadow(...)")
        self.rollout = rollout or shadow(within=timedelta(microseconds=max(SHADOW_US, 2 * label.delay_us)))
        if self.rollout.within_us <= label.delay_us:
            raise DeclarationError(
                f"System({name}, rollout=): evidence may take {duration_text(self.rollout.within_us)}, and an outcome is "
                f"known {label.known_after} after its event, so no challenger could be promoted; give a "
                "longer within="
            )
        if optimize is not None and not isinstance(optimize, Within):
            raise DeclarationError(
                f"System({name}, optimize={optimize!r}): declare it with optimize.within(flips=..., drop=...)"
            )
        self.optimize = optimize
        self.alerts = self._several("alerts", alerts)
        check_alerts(name, self.alerts)
        self.monitor = self._check_monitor(monitor)
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

    def _check_models(self, model: Any) -> tuple[Any, ...]:
        models = tuple(model) if isinstance(model, (list, tuple)) else (model,)
        if not models:
            raise DeclarationError(f"System({self.name}, model=): the list is empty; give at least one estimator")
        for one in models:
            if isinstance(one, str):
                raise DeclarationError(f"System({self.name}, model={one!r}): not built yet; give an estimator object")
            one = one.model if isinstance(one, Tuned) else one
            if isinstance(one, type) or not (
                callable(getattr(one, "fit", None)) and callable(getattr(one, "predict", None))
            ):
                raise DeclarationError(
                    f"System({self.name}, model=): {one!r} has no fit and predict; give an estimator object, such as "
                    "LGBMClassifier() or a scikit-learn pipeline"
                )
        return models

    def _check_train_on(self, given: Past | Sequence[Past]) -> tuple[Past, ...]:
        pasts = (given,) if isinstance(given, Past) else self._several("train_on", given) or (Past(),)
        for past in pasts:
            if not isinstance(past, Past):
                raise DeclarationError(
                    f'System({self.name}, train_on=): {past!r} is no part of history; use past.last("90d") and the like'
                )
            if pasts.count(past) > 1:
                raise DeclarationError(f"System({self.name}, train_on=): {past.name} stands twice; name it once")
        return pasts

    def _check_monitor(self, given: Monitor | None) -> Monitor:
        if given is not None and not isinstance(given, Monitor):
            raise DeclarationError(f"System({self.name}, monitor={given!r}): declare it with mw.monitor(...)")
        watched = given or USUAL
        known = [name for name in self.contract.names if name not in (self.contract.id, self.contract.time)]
        for name in watched.slices:
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known) or 'none'}"
                raise DeclarationError(
                    f"System({self.name}, monitor=mw.monitor(slices=)): {self.contract.name} has no column {name!r} to slice "
                    f"by; {hint}"
                )
        return watched

    def replaced(self, **settings: Any) -> Self:
        """A system with other settings in place of some of this one's, declared in the same file."""
        system = type(self)(**{**self._settings, **settings})
        system.home, system.path = self.home, self.path
        return system

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
