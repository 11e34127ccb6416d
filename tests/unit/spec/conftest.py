"""A payment and a system about it, complete but for what a test changes."""

from datetime import datetime
from typing import Any

import pytest

import modelwright as mw


class Model:
    """Has what a model must have, and does nothing."""

    def fit(self, x: Any, y: Any) -> None: ...

    def predict(self, x: Any) -> None: ...


@mw.event(id="payment_id", entity="card_id", time="at")
class Payment:
    """A card payment."""

    payment_id: str
    card_id: str
    at: datetime
    amount: float
    country: str


@pytest.fixture
def payment():
    return Payment


@pytest.fixture
def declare():
    """Declares the system, with some settings changed."""

    def system(**changed: Any) -> mw.System:
        settings = {
            "name": "fraud",
            "event": Payment,
            "label": mw.Label("is_fraud", bool, delay="7d"),
            "model": Model(),
        }
        return mw.System(**(settings | changed))

    return system
