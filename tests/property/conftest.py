"""Every kernel that these tests call is called twice: numba's and the image's must agree."""

import pytest
from tests.kernels import both

from modelwright.features import keys


@pytest.fixture(autouse=True)
def kernels_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    """In every host that is made during a test."""
    monkeypatch.setattr(keys, "kernels", both)
