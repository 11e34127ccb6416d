"""The public `FeatureView`: the declaration with the one verb it has of its own, `compute`."""

from typing import Any

from modelwright.spec.label import LabelSpec
from modelwright.spec.view import FeatureView as Declaration


class FeatureView(Declaration):
    __doc__ = Declaration.__doc__

    def compute(self, events: Any, requests: Any, outcomes: Any = None, *, label: LabelSpec | None = None) -> Any:
        """The features of each request, point in time correct, in the order of the requests.

        - `events`: a pandas DataFrame or Arrow table with the event's columns.
        - `requests`: the view's key and the event's time (and the columns `agg.change` and `agg.delta` read), in any order.
        - `outcomes`, `label`: for views over past outcomes: the event's id as `_id`, a column named as the label, and
          when each became known as `_known_at`.

        Returns a table of the kind `requests` is. Raises `DataError` where a column is missing.
        """
        import pyarrow as pa

        from modelwright.features.offline import compute
        from modelwright.features.plan import LabelColumn

        self.check_label(label.name if label else None)
        column = LabelColumn(label.name, label.kind) if label else None
        told, asked, known = (
            table if table is None or isinstance(table, pa.Table) else _arrow(table)
            for table in (events, requests, outcomes)
        )
        answer = compute([self.spec()], self.contract, column, told, asked, known)
        return answer if isinstance(requests, pa.Table) else answer.to_pandas()


def _arrow(frame: Any) -> Any:
    """A DataFrame as an Arrow table; instants with a zone as naive ones in UTC, since Arrow reads them in a way that
    pandas 3.1 warns of."""
    import pyarrow as pa

    plain = frame.copy(deep=False)
    for name, kind in frame.dtypes.items():
        if getattr(kind, "tz", None) is not None:
            plain[name] = frame[name].dt.tz_convert(None)
    return pa.Table.from_pandas(plain, preserve_index=False)
