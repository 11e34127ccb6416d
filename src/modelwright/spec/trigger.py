"""The protocol of a retraining trigger: when the loop should train a candidate."""

from typing import Protocol


class LoopView(Protocol):
    """What a trigger may ask about the running system."""

    @property
    def now_us(self) -> int: ...

    @property
    def trained_us(self) -> int:
        """When the newest candidate was trained."""
        ...

    @property
    def losses_since_training(self) -> int:
        """Outcomes known for the champion's predictions since then."""
        ...

    def recent_loss(self, rows: int) -> tuple[float, float, int]:
        """Mean, variance and count of the champion's row losses over its last `rows` known outcomes."""
        ...

    def reference_loss(self) -> tuple[float, float, int]:
        """Mean, variance and count of the champion's row losses on the rows it was gated on."""
        ...


class Trigger(Protocol):
    """One reason to retrain."""

    def due(self, view: LoopView) -> str | None:
        """The reason, in words with figures, or None."""
        ...
