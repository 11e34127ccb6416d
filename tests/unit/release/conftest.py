"""A published release of each runtime, made from a handful of rows."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from modelwright.registry.publish import publish
from modelwright.release.inputs import InputColumn
from modelwright.release.manifest import Manifest, References, encode_pretty
from modelwright.spec.contract import Contract, Field
from modelwright.spec.label import LabelSpec

AMOUNT = InputColumn(name="amount", kind="number")
COUNTRY = InputColumn(name="country", kind="text", vocabulary=("DE", "FR"))
CONTRACT = Contract(name="Pay", fields=(Field(name="at", kind="time", column="at"),), time="at")
ARTEFACT = {"native": "model.pkl", "constant": "model.json", "last_outcome": "model.json"}


@pytest.fixture
def published(tmp_path: Path) -> Callable[..., Path]:
    """Publishes an artefact's bytes; gives the folder."""

    def put(runtime: str, artefact: bytes, kind: str = "bool", number: int = 3, **more: Any) -> Path:
        label = LabelSpec(name="fraud", kind=kind, delay_us=1)  # type: ignore[arg-type]
        classes = (False, True) if kind == "bool" else ()
        manifest = Manifest(
            system="pay",
            kind="baseline",
            runtime=runtime,  # type: ignore[arg-type]
            label=label,
            metric="accuracy" if classes else "mae",
            **{"classes": classes, "inputs": (AMOUNT, COUNTRY)} | more,
        )
        files = {
            ARTEFACT[runtime]: artefact,
            "contract.json": encode_pretty(CONTRACT),
            "reference.json": encode_pretty(References(())),
        }
        name, _ = publish(tmp_path / "releases", number, manifest, files, {"seconds": 1.5})
        return tmp_path / "releases" / name

    return put


@pytest.fixture
def constant(published: Callable[..., Path]) -> Path:
    """A baseline that says one in four."""
    return published("constant", msgspec.json.encode({"otherwise": [0.75, 0.25]}), inputs=())
