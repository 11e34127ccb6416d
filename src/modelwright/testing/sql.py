"""What a feature is, in SQL over the log: a second oracle, which DuckDB answers and no kernel.

Each request is joined with the rows it sees; what an aggregate means is then said by SQL's own aggregates. Sums are
compensated, not exact, so this oracle is for values whose squares do not overflow: it judges which rows count, and
`oracle.py` the last bit. Needs the `train` extra.
"""

import ast
from collections.abc import Mapping, Sequence
from typing import Any

import duckdb
import pyarrow as pa

from modelwright.spec.agg import ZERO_WHEN_EMPTY, Aggregate
from modelwright.spec.condition import Condition
from modelwright.spec.contract import Contract
from modelwright.spec.view import ViewSpec

Row = Mapping[str, Any]

EVENTS = """
create table counted as select e.* from events e where {in_time};
create table seen_event as
    select r.rid, r.t, e.* from requests r join counted e on {same_key}
    where e.moment < r.t and (not r.live or e.seq < r.before);
create table seen_outcome as
    select r.rid, r.t, e.* exclude (moment, seq), o.seq, greatest(o.known, e.moment + 1) as moment, o.label
    from requests r join events e on {same_key} join outcomes o on o.of = e.id
    where greatest(o.known, e.moment + 1) <= r.t and (not r.live or o.seq < r.before)
    qualify row_number() over (partition by r.rid, e.id order by greatest(o.known, e.moment + 1) desc, o.seq desc) = 1;
"""
IN_TIME = """not (e.live and exists (
    from events o where {same_key} and o.seq < e.seq and o.moment > e.moment + {lateness}))"""
WINDOW = """
with recent as (
    select *, {edge} as edge from seen_{source} where {in_window}
    qualify row_number() over (partition by rid order by moment desc, seq desc) <= {most}
), kept as (
    select *, {column} as x, row_number() over (order by moment, seq) as place from recent where {condition}
)
"""
ANSWERS = {
    "count": "count(*)",
    "rate": "count(*) * 1e6 / (any_value(t) - any_value(edge))",
    "sum": "coalesce(fsum(x), 0)",
    "mean": "favg(x)",
    "min": "min(x)",
    "max": "max(x)",
    "std": "sqrt(fsum((x - average) * (x - average)) / nullif(count(x) - 1, 0))",
    "last": "arg_max(x, place) filter (where x is not null)",
    "first": "arg_min(x, place) filter (where x is not null)",
    "lag": "(list(x order by place desc) filter (where x is not null))[{k}]",
    "count_distinct": "count(distinct x)",
    "distinct_ratio": "count(distinct x) / nullif(count(x), 0)",
    "quantile": "quantile_cont(x, {q})",
    "top_k": "arg_max(x, times * 1000000 + latest) filter (where x is not null)",
    "ewm": "fsum(x * weight) / nullif(fsum(weight) filter (where x is not null), 0)",
    "time_since_last": "(any_value(t) - max(moment)) / 1e6",
}


def features_by_sql(
    view: ViewSpec, contract: Contract, label: str | None, events: Sequence[Row], outcomes: Sequence[Row],
    requests: Sequence[Row],
) -> list[dict[str, Any]]:  # fmt: skip
    """Every feature of each request; missing is None, booleans are 0.0 and 1.0.

    Rows are as `oracle.features_at` takes them, with `_seq`, `_live` and times in microseconds.
    """
    with duckdb.connect() as database:
        database.register("events", _table(contract, events, at="moment", seq="seq"))
        database.register("requests", _table(contract, requests, at="t", seq="before"))
        told = {"of": [row["_id"] for row in outcomes], "known": [row["_known_at"] for row in outcomes]}
        labels = [_plain(row[label or ""]) for row in outcomes]
        text = any(isinstance(value, str) for value in labels)
        database.register(
            "outcomes",
            pa.table(
                {
                    "of": pa.array(told["of"], pa.string()),
                    "known": pa.array(told["known"], pa.int64()),
                    "seq": pa.array([row["_seq"] for row in outcomes], pa.int64()),
                    "label": pa.array(labels, pa.string() if text else pa.float64()),
                }
            ),
        )
        same_key = " and ".join(["true", *(f'{{0}}."c_{name}" = e."c_{name}"' for name in view.by)])
        late = IN_TIME.format(same_key=same_key.format("o"), lateness=view.lateness_us)
        in_time = "true" if view.lateness_us is None else late
        database.execute(EVENTS.format(same_key=same_key.format("r"), in_time=in_time))
        answers: list[dict[str, Any]] = [{} for _ in requests]
        for name, aggregate in view.features.items():
            found = dict(database.execute(_query(view, contract, label, aggregate)).fetchall())
            for rid, request in enumerate(requests):
                answers[rid][name] = _answer(aggregate, found.get(rid), request)
        return answers


def _table(contract: Contract, rows: Sequence[Row], *, at: str, seq: str) -> pa.Table:
    columns = {
        "rid": pa.array(range(len(rows)), pa.int64()),
        "id": pa.array([row[contract.id or ""] for row in rows], pa.string()),
        at: pa.array([row[contract.time or ""] for row in rows], pa.int64()),
        seq: pa.array([row["_seq"] for row in rows], pa.int64()),
        "live": pa.array([bool(row["_live"]) for row in rows], pa.bool_()),
    }
    if at == "moment":
        del columns["rid"]
    for field in contract.fields:
        kind = pa.string() if field.kind == "str" else pa.float64()
        columns[f"c_{field.name}"] = pa.array([_plain(row[field.name]) for row in rows], kind)
    return pa.table(columns)


def _plain(value: Any) -> Any:
    if value is None or value != value:
        return None
    return value if isinstance(value, str) else float(value)


def _query(view: ViewSpec, contract: Contract, label: str | None, aggregate: Aggregate) -> str:
    kind = "last" if aggregate.kind == "change" else aggregate.of or aggregate.kind
    names = {name: f'"c_{name}"' for name in contract.names} | {label or "": "label"}
    back, step = f"(t - {aggregate.over_us or 0})", view.step_us
    edge = back if step is None else f"({back} - (({back} % {step}) + {step}) % {step})"
    window = WINDOW.format(
        source="event" if aggregate.columns() <= set(contract.names) else "outcome",
        edge=edge,
        in_window="true" if aggregate.over_us is None else f"moment >= {edge}",
        most=aggregate.most or 2**62,
        condition="true" if aggregate.where is None else _truth(Condition(aggregate.where).tree, names),
        column=names[aggregate.column] if aggregate.column else "null",
    )
    rows = "kept"
    if kind == "std":
        rows = "(select *, favg(x) over (partition by rid) as average from kept)"
    elif kind == "top_k":
        rows = "(select rid, x, count(*) as times, max(place) as latest from kept group by rid, x)"
    elif kind == "ewm":
        newest = "max(moment) filter (where x is not null) over (partition by rid)"
        rows = f"(select *, power(2.0, (moment - {newest}) / {aggregate.half_life_us}) as weight from kept)"
    answer = ANSWERS[kind].format(k=aggregate.k, q=aggregate.q)
    return f"{window} select rid, {answer} from {rows} group by rid"


def _answer(aggregate: Aggregate, found: Any, request: Row) -> Any:
    if aggregate.kind in ("change", "delta"):
        own = _plain(request[aggregate.column or ""])
        return None if own is None or found is None else own - found
    return 0 if found is None and aggregate.kind in ZERO_WHEN_EMPTY else found


def _truth(node: ast.expr, names: Mapping[str, str]) -> str:
    """A condition that is true or false, never null."""
    if isinstance(node, ast.BoolOp):
        joint = " and " if isinstance(node.op, ast.And) else " or "
        return f"({joint.join(_truth(part, names) for part in node.values)})"
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return f"(not {_truth(node.operand, names)})"
    if isinstance(node, ast.Compare):
        sides = [_value(side, names) for side in (node.left, *node.comparators)]
        pairs = [
            f"coalesce({a} {_SIGNS[type(op)]} {b}, false)" for a, op, b in zip(sides, node.ops, sides[1:], strict=False)
        ]
        return f"({' and '.join(pairs)})"
    return f"coalesce({_value(node, names)} <> 0, false)"


def _value(node: ast.expr, names: Mapping[str, str]) -> str:
    if isinstance(node, ast.Name):
        return names[node.id]
    if isinstance(node, ast.Constant):
        return "'" + node.value.replace("'", "''") + "'" if isinstance(node.value, str) else repr(float(node.value))  # type: ignore[arg-type]
    if isinstance(node, ast.List | ast.Tuple):
        return f"({', '.join(_value(element, names) for element in node.elts)})"
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return f"(-{_value(node.operand, names)})"
    if isinstance(node, ast.BinOp):
        return f"({_value(node.left, names)} {_SIGNS[type(node.op)]} {_value(node.right, names)})"
    return f"({_truth(node, names)})::double"


_SIGNS: dict[type[ast.AST], str] = {
    ast.Eq: "=", ast.NotEq: "<>", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.In: "in",
    ast.NotIn: "not in", ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/",
}  # fmt: skip
