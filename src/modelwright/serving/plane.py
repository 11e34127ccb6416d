"""The port between a transport and what answers: what a data plane offers, with a log or without.

`dataplane.Dataplane` reads history and logs; `stateless.StatelessPlane` does neither. A transport knows only this.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from modelwright.core.clock import Clock
from modelwright.release.folder import Release
from modelwright.serving.messages import Counters
from modelwright.serving.stages import Stages
from modelwright.spec.contract import Contract
from modelwright.spec.label import LabelSpec


class Operation(NamedTuple):
    """One thing that may be asked: the kind of its jobs, the type of a body, and what makes an entry of a decoded one."""

    kind: str
    body: Any
    take: Callable[[Any], Any]


class Live(Protocol):
    """A release that answers."""

    @property
    def name(self) -> str: ...

    @property
    def release(self) -> Release: ...


class Plane(Protocol):
    """What a transport needs. One thread owns a plane.

    `work` takes jobs, a kind and entries each, and gives for each a list with one answer an entry, or an error;
    `stages` holds where its time went.
    `operations` are by name, and of one plane always the same. `events` and `head` are of the log, None without one.
    """

    contract: Contract
    label: LabelSpec
    clock: Clock
    counters: Counters
    stages: Stages

    @property
    def others(self) -> Sequence[Contract]: ...

    @property
    def operations(self) -> Mapping[str, Operation]: ...

    @property
    def champion(self) -> Live | None: ...

    @property
    def previous(self) -> Live | None: ...

    @property
    def challenger(self) -> Live | None: ...

    @property
    def share(self) -> float:
        """Of the answers, the challenger's."""
        ...

    @property
    def shadow_waiting(self) -> int: ...

    def work(self, jobs: Sequence[tuple[str, Any]]) -> list[Any]: ...

    def score_shadow(self) -> None: ...

    def events(self) -> int | None: ...

    def head(self) -> int | None: ...
