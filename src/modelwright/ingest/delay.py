"""One log holds outcomes that files told with one delay: those of another are known at the wrong moment.

An outcome that is in the log already is not written again, so a declaration with another delay would change nothing, and
training would go on with outcomes known too early or too late.
"""

import pyarrow as pa
import pyarrow.compute as pc

from modelwright.core.durations import duration_text
from modelwright.core.errors import WorkspaceError
from modelwright.ingest.convert import LAST_US
from modelwright.lake.log import Log
from modelwright.spec.contract import Contract
from modelwright.spec.label import LabelSpec

NOTE = "label delay"
"""The note that says after how many microseconds what files told is known."""


def agree_on_delay(log: Log, contract: Contract, label: LabelSpec) -> None:
    """Note the label's delay with the log; what came live is known when it came, whatever the delay.

    Raises `WorkspaceError` where files have told outcomes of this log with another one.
    """
    wanted = str(label.delay_us).encode()
    if log.journal.read_note(NOTE) == wanted:
        return
    told = _told_after_us(log, contract)
    if told not in (None, label.delay_us):
        raise WorkspaceError(
            f"{log.workspace.root}: files told this log's outcomes of {label.name} with delay {duration_text(told)}, and the "
            f"label has {duration_text(label.delay_us)} now; point MODELWRIGHT_HOME at a new folder and ingest again, or change "
            "the delay back"
        )
    log.journal.note(NOTE, wanted)


def _told_after_us(log: Log, contract: Contract) -> int | None:
    """How long after its event an outcome of a file is known in this log; None where there is none."""
    assert contract.time is not None
    outcomes = log.outcomes()
    known_us = outcomes["_known_at"].cast(pa.int64())
    told = outcomes.filter(pc.and_(pc.invert(outcomes["_live"]), pc.less(known_us, LAST_US))).slice(0, 1)
    if not told.num_rows:
        return None
    at_us = log.events_at(told["_event_seq"].to_numpy())[contract.time].cast(pa.int64())
    return int(pc.subtract(told["_known_at"].cast(pa.int64()), at_us)[0].as_py())
