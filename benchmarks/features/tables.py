"""The features subject as tables: each figure beside the peer's on the same work and beside what was asked for."""

from typing import Any

from rich.table import Table

ASKED = {"duck": "ours at least 5x as fast", "kernel": "ours at most 1.5x its time"}
PEAK_MIB = 2_560
READ_US = (15.0, 60.0)
UPDATE_US = 60.0
SET_READ_US = 1_000.0
BULK = 100_000


def tables(found: dict[str, Any]) -> list[Table]:
    """Those of the parts that were measured."""
    made = {"offline": offline, "scale": scale, "feast": feast, "online": online}
    return [make(found[part]) for part, make in made.items() if part in found]


def offline(found: dict[str, Any]) -> Table:
    """The contestants on the offline work."""
    apart = max(difference for columns in found["agreement"].values() for difference in columns.values())
    table = Table(
        title=f"offline: {found['events']:,} events, {found['requests']:,} requests, {found['aggregates']} aggregates, "
        f"Parquet in and out; {found['hottest_key']:,} events of one key",
        caption=f"answers agree within {apart:.0e}, counts exactly; where other work runs beside it, processor seconds tell "
        "more; ours: "
        + ", ".join(f"{stage} {s:.2f} s" for stage, s in found["contestants"]["ours"]["stages_s"].items()),
    )
    for name in ("", "wall s", "ours is", "processor s", "ours is", "peak MiB", "asked", "each wall s"):
        table.add_column(name, justify="left" if name in ("", "asked") else "right")
    ours = found["contestants"]["ours"]
    for name, one in found["contestants"].items():
        peer = name != "ours"
        table.add_row(
            {"ours": "modelwright", "kernel": "by hand, presorted integers", "duck": "DuckDB"}[name],
            f"{one['wall_s']:.2f}", _ratio(ours["wall_s"], one["wall_s"]) if peer else "",
            f"{one['cpu_s']:.2f}", _ratio(ours["cpu_s"], one["cpu_s"]) if peer else "",
            f"{one['peak_mib']:,.0f}", ASKED.get(name, f"peak under {PEAK_MIB:,}"),
            " ".join(f"{seconds:.2f}" for seconds in one["each_wall_s"]),
        )  # fmt: skip
    return table


def scale(found: list[dict[str, Any]]) -> Table:
    """Ours at several sizes."""
    table = Table(title="offline, ours as the work grows")
    for name in ("events", "wall s", "processor s", "peak MiB", "processor us an event", "KiB an event"):
        table.add_column(name, justify="right")
    for one in found:
        table.add_row(
            f"{one['events']:,}", f"{one['wall_s']:.2f}", f"{one['cpu_s']:.2f}", f"{one['peak_mib']:,.0f}",
            f"{1e6 * one['cpu_s'] / one['events']:.2f}", f"{1024 * one['peak_mib'] / one['events']:.2f}",
        )  # fmt: skip
    return table


def feast(found: dict[str, Any]) -> Table:
    """Feast beside us, or why it is not there."""
    table = Table(title="beside Feast: last known values of real sales")
    if "skipped" in found:
        table.add_column("not measured")
        table.add_row(found["skipped"])
        return table
    work = f"{found['features']} last known values of {found['rows']:,} sales at {found['requests']:,} requests"
    table.title = f"beside Feast: {work}"
    table.caption = f"the {found['answered']:,} requests with an answer have equal ones"
    for name in ("", "join s", "online store filled s", "read p50 us", "read p99 us"):
        table.add_column(name, justify="right" if name else "left")
    figures = ("join_s", "materialise_s", "read_p50_us", "read_p99_us")
    for name in ("ours", "feast"):
        digits = (3, 2, 1, 1)
        table.add_row(name, *(f"{found[name][figure]:.{n}f}" for figure, n in zip(figures, digits, strict=True)))
    table.add_row("ours is", *(_ratio(found["ours"][figure], found["feast"][figure]) for figure in figures))
    return table


def online(found: dict[str, Any]) -> Table:
    """Reads and updates of the online host, microseconds; bulk in events a second."""
    table = Table(title="online, in process, commit excluded: microseconds")
    for name in ("", "read p50", "p99", "asked", "update p50", "p99", "asked", "first read ms"):
        table.add_column(name, justify="right" if name else "left")
    for name, one in found.items():
        if not isinstance(one, dict):
            table.add_row(name, f"{one:,}", "", f">= {BULK:,}", "", "", "", "")
            continue
        read, update = one["read"], one["update"]
        asked = f"p99 < {SET_READ_US:.0f}" if _is_set(name) else f"< {READ_US[0]:.0f}, < {READ_US[1]:.0f}"
        table.add_row(
            name, f"{read['p50']:.1f}", f"{read['p99']:.1f}", asked, f"{update['p50']:.1f}", f"{update['p99']:.1f}",
            f"< {UPDATE_US:.0f}", str(one.get("first read ms", "")),
        )  # fmt: skip
    return table


def _is_set(name: str) -> bool:
    from benchmarks.features.online import SETS

    return name.split(",", maxsplit=1)[0] in SETS


def _ratio(ours: float, other: float) -> str:
    return f"{other / ours:,.1f}x faster" if ours <= other else f"{ours / other:.2f}x slower"
