"""What the frozen first model would have said to every event of a replay: the line the running system is held against."""

import numpy as np
import pyarrow as pa

from modelwright.app.replay import History
from modelwright.control.material import make_material
from modelwright.core.errors import ReleaseError
from modelwright.monitoring.ledger import Scored
from modelwright.release.folder import Release
from modelwright.spec.system import System


def frozen_answers(system: System, history: History, release: Release) -> dict[str, Scored]:
    """Its answer to each event that follows the given part, by the event's id; none where it cannot answer them all."""
    ids = history.events["_id"].to_pylist()
    seq = {id: place + 1 for place, id in enumerate(ids)}
    events = history.events.append_column("_seq", pa.array(np.arange(1, len(ids) + 1))).append_column(
        "_live", pa.array(np.zeros(len(ids), dtype=bool))
    )
    of = [seq[id] for id in history.outcomes["_id"].to_pylist()]
    outcomes = (
        history.outcomes.append_column("_seq", pa.array(np.arange(len(of)) + len(ids) + 1))
        .append_column("_event_seq", pa.array(of, pa.int64()))
        .append_column("_live", pa.array(np.zeros(len(of), dtype=bool)))
    )
    others = [(other.contract, other.rows) for other in history.others]
    material = make_material(events, outcomes, system, others)
    try:
        said = release.predict(material.rows_for(release.manifest).take(slice(history.start, None)))
    except ReleaseError:
        return {}
    followed = material.examples.ids[history.start :]
    given = (
        [None] * len(followed) if said.probabilities is None else [tuple(row) for row in said.probabilities.tolist()]
    )
    return {
        id: Scored(release.name, value, one, release.manifest.classes)
        for id, value, one in zip(followed, said.value.tolist(), given, strict=True)
    }
