"""`python -m modelwright.features.kernel`: compile the kernel now, so that the first start need not."""

from datetime import UTC, datetime

import pyarrow as pa

from modelwright.features.offline import compute
from modelwright.features.online import OnlineHost
from modelwright.features.plan import LabelColumn
from modelwright.features.strings import MemoryStrings
from modelwright.spec import agg
from modelwright.spec.contract import Contract, Field
from modelwright.spec.view import ViewSpec


def warm_up() -> None:
    """Run both hosts once over a single event, with every aggregate; what they compile is kept in the user's cache."""
    fields = (Field(name="at", kind="time", column="at"), Field(name="x", kind="float", column="x"))
    contract = Contract(name="Event", fields=fields, time="at")
    kinds = (agg.sum, agg.mean, agg.min, agg.max, agg.std, agg.last, agg.first, agg.lag, agg.change)
    features = {make.__name__: make("x", over="1h") for make in kinds}
    sets = (agg.count_distinct, agg.distinct_ratio, agg.top_k)
    features |= {make.__name__: make("x", over="1h") for make in sets}
    features |= {"median": agg.quantile("x", 0.5, over="1h"), "recent": agg.ewm("x", half_life="1h")}
    features |= {
        "some": agg.count(over="1h", where="x > 0"),
        "count": agg.count(over="1h"),
        "idle": agg.time_since_last(),
        "known": agg.mean("y", over="1h"),
    }
    view = ViewSpec(event="Event", by=(), features=features)
    label = LabelColumn("y", "float")
    events = pa.table({"at": pa.array([datetime(2026, 1, 1, tzinfo=UTC)]), "x": [1.0], "_id": ["a"]})
    outcomes = pa.table({"_id": ["a"], "y": [1.0], "_known_at": pa.array([datetime(2026, 1, 2, tzinfo=UTC)])})
    compute([view], contract, label, events, events, outcomes)
    OnlineHost([view], contract, label, MemoryStrings())


if __name__ == "__main__":
    warm_up()
