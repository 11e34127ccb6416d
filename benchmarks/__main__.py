"""`python -m benchmarks [serving] [imports] [features] [predict] [forms] [streams] [loop] [--part PART] [--json]`: run, print."""

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import imports
from benchmarks.processes import fsync_ms, pinning
from benchmarks.serving.stateless import PEERS

SUBJECTS = ("serving", "imports", "features", "predict", "forms", "streams", "loop")
SERVING = ("durable", "electricity", "stateless", "grpc", "batching", "explain")
PLAIN = ("durable", "electricity")
"""What is measured where no part is named."""
FEATURES = ("offline", "feast", "online", "scale")
LOOP = ("drift", "rehearsal")


def main() -> int:
    """Measure what was asked for; exit code 0 when it was measured, whatever the figures."""
    options = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    options.add_argument("subjects", nargs="*", help=f"of {', '.join(SUBJECTS)} (default: all)")
    options.add_argument("--json", action="store_true", help="print one JSON object instead of tables")
    options.add_argument(
        "--events", type=int, default=5_000_000, help="of the offline features work (default: %(default)s)"
    )
    options.add_argument(
        "--part", action="append", choices=(*SERVING, *FEATURES, *LOOP),
        help="of serving (default: durable, electricity), of features (default: all but scale, which takes minutes), "
        "of loop (default: all)",
    )  # fmt: skip
    options.add_argument(
        "--peers", default=",".join(PEERS), metavar="NAME,...", help="of the stateless contest (default: %(default)s)"
    )
    options.add_argument("--rows", type=int, default=1_000_000, help="to predict (default: %(default)s)")
    options.add_argument("--rounds", type=int, default=1, help="of the stateless contest (default: %(default)s)")
    chosen = options.parse_args()
    if unknown := set(chosen.subjects) - set(SUBJECTS):
        options.error(f"no such subject: {', '.join(sorted(unknown))}; there are {', '.join(SUBJECTS)}")
    subjects = chosen.subjects or SUBJECTS
    peers = [name for name in chosen.peers.split(",") if name]
    if unknown := set(peers) - set(PEERS):
        options.error(f"no such peer: {', '.join(sorted(unknown))}; there are {', '.join(PEERS)}")
    parts = chosen.part or ()
    console = Console(stderr=chosen.json, width=None if sys.stdout.isatty() else 160)
    found: dict[str, Any] = {"machine": machine()}
    console.print(", ".join(str(value) for value in found["machine"].values()), style="dim")
    if "imports" in subjects:
        found["imports"] = imports.measure()
        console.print(_imports_table(found["imports"]))
    if "serving" in subjects:
        for part in [part for part in SERVING if part in parts] or PLAIN:
            if part == "stateless":
                found[part] = _stateless(peers, chosen.rounds)
                console.print(_stateless_table(found[part]))
            elif part == "grpc":
                found[part] = _grpc()
                console.print(_grpc_table(found[part]))
            elif part == "batching":
                found[part] = _batching()
                console.print(_batching_table(found[part]))
            elif part == "explain":
                found[part] = _explain()
                console.print(_explain_table(found[part]))
            else:
                found[part] = _with_history(part)
                console.print(_servers_table(found[part]))
                console.print(_parts_table(found[part]["in_process_us"]))
    if "features" in subjects:
        from benchmarks.features import tables

        found["features"] = _features([part for part in FEATURES if part in parts] or FEATURES[:-1], chosen.events)
        for table in tables.tables(found["features"]):
            console.print(table)
    if "predict" in subjects:
        from benchmarks import predict

        os.environ["MODELWRIGHT_TRACKING"] = "off"
        found["predict"] = predict.compare(chosen.rows)
        console.print(_predict_table(found["predict"]))
    if "forms" in subjects:
        from benchmarks import forms

        found["forms"] = forms.measure()
        console.print(forms.table(found["forms"]))
    if "streams" in subjects:
        from benchmarks import streams

        found["streams"] = streams.compare()
        console.print(_streams_table(found["streams"]))
    if "loop" in subjects:
        from benchmarks.loop import drift, rehearsal
        from benchmarks.loop import tables as loop_tables

        if "drift" in parts or not set(parts) & set(LOOP):
            found["drift"] = drift.compare()
            for table in loop_tables.of_drift(found["drift"]):
                console.print(table)
        if "rehearsal" in parts or not set(parts) & set(LOOP):
            found["rehearsal"] = rehearsal.measure()
            console.print(loop_tables.of_rehearsal(found["rehearsal"]))
    if chosen.json:
        print(json.dumps(found))
    return 0


def machine() -> dict[str, Any]:
    """What the figures depend on, and how busy it was."""
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "cores": f"{os.cpu_count()} cores",
        "python": f"Python {platform.python_version()}",
        "load": f"load average before {os.getloadavg()[0]:.2f}",
        "fsync": f"fsync {fsync_ms():.2f} ms",
        "pinning": pinning(),
    }


def _with_history(part: str) -> dict[str, Any]:
    from benchmarks.serving import durable, electricity, inprocess
    from benchmarks.serving.http import Contest

    subject = durable if part == "durable" else electricity
    os.environ["MODELWRIGHT_TRACKING"] = "off"
    with tempfile.TemporaryDirectory(prefix="modelwright-bench-") as name:
        work = subject.prepare(Path(name))
        return Contest(work, subject.CONNECTIONS).compare() | {"in_process_us": inprocess.parts(work)}


def _stateless(peers: Sequence[str], rounds: int) -> dict[str, Any]:
    from benchmarks.serving import rows, stateless

    os.environ["MODELWRIGHT_TRACKING"] = "off"
    with tempfile.TemporaryDirectory(prefix="modelwright-bench-") as name:
        return stateless.compare(rows.prepare(Path(name)), Path(name), peers, rounds)


def _batching() -> dict[str, Any]:
    from benchmarks.serving import batching

    with tempfile.TemporaryDirectory(prefix="modelwright-bench-") as name:
        return batching.compare(Path(name))


def _explain() -> dict[str, Any]:
    from benchmarks.serving import electricity, explain

    os.environ["MODELWRIGHT_TRACKING"] = "off"
    with tempfile.TemporaryDirectory(prefix="modelwright-bench-") as name:
        return explain.compare(electricity.prepare(Path(name)))


def _grpc() -> dict[str, Any]:
    from benchmarks.serving import rows, rpc

    os.environ["MODELWRIGHT_TRACKING"] = "off"
    with tempfile.TemporaryDirectory(prefix="modelwright-bench-") as name:
        return rpc.compare(rows.prepare(Path(name)))


def _features(parts: Sequence[str], events: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if "offline" in parts:
        from benchmarks.features import offline

        found["offline"] = offline.compare(events)
    if "scale" in parts:
        from benchmarks.features import offline

        found["scale"] = [offline.scale(times * events) for times in (1, 2, 4)]
    if "feast" in parts:
        from benchmarks.features import retail

        found["feast"] = retail.compare()
    if "online" in parts:
        from benchmarks.features import online

        found["online"] = online.measure()
    return found


def _servers_table(found: dict[str, Any]) -> Table:
    table = Table(
        title=f"POST /predict, one row, {found['connections']} connections, {found['features']} features of history",
        caption=f"medians of up to {found['rounds']} runs, the servers in turn; each run's rate in the last column",
    )
    for name in (
        "server",
        "requests/s",
        "x naive",
        "a CPU second",
        "x naive",
        "p50 ms",
        "p99 ms",
        "memory MiB",
        "its own",
        "cold start s",
        "runs",
    ):
        table.add_column(name, justify="left" if name == "server" else "right")
    for name, run in found["servers"].items():
        table.add_row(
            name, f"{run['per_second']:,.0f}", f"{run['times_naive']:.1f}", f"{run['per_cpu_second']:,.0f}",
            f"{run['times_naive_cpu']:.1f}", f"{run['p50_ms']:.2f}", f"{run['p99_ms']:.2f}",
            f"{run['resident_mb']:.0f}", f"{run['own_mb']:.0f}", f"{run['cold_start_s']:.2f}",
            " ".join(f"{rate:,}" for rate in run["each_per_second"]),
        )  # fmt: skip
    return table


def _predict_table(found: dict[str, Any]) -> Table:
    numbers, texts = found["inputs"]
    table = Table(
        title=f"{found['rows']:,} rows of {numbers} numbers and {texts} texts, Parquet in and out",
        caption=f"medians of {found['rounds']} processes in turn, from start to end; scores at most {found['apart']:.1g} apart",
    )
    for name in ("", "rows/s", "x naive", "cpu s", "cpu us/row", "memory MiB", "small file s", "runs"):
        table.add_column(name, justify="right" if name else "left")
    for name, run in found["contestants"].items():
        table.add_row(
            name, f"{run['per_second']:,.0f}", f"{run['times_naive']:.1f}", f"{run['cpu_s']:.1f}", f"{run['cpu_us_a_row']:.2f}",
            f"{run['peak_mib']:.0f}", f"{run['small_wall_s']:.2f}", " ".join(f"{rate:,}" for rate in run["each_per_second"]),
        )  # fmt: skip
    return table


def _streams_table(found: dict[str, Any]) -> Table:
    table = Table(
        title="events answered a second, history read, events and predictions durable",
        caption=f"medians of {found['rounds']} runs in turn; each run's rate in the last column",
    )
    for name in ("in flight", "by", "a second", "of HTTP", "server CPU us", "runs"):
        table.add_column(name, justify="left" if name == "by" else "right")
    for many, ways in found["in_flight"].items():
        for way, name in (("http", "POST /predict"), ("nats", "NATS JetStream")):
            rate = ways[way]["per_second"]
            share = _of(rate, ways["http"]["per_second"], "{:.2f}")
            table.add_row(str(many), name, f"{rate:,.0f}", share, " ".join(f"{one:,.0f}" for one in ways[way]["each"]))
    return table


def _stateless_table(found: dict[str, Any]) -> Table:
    table = Table(
        title=f"POST /predict without history or log, {found['connections']} connections, answers equal to the bit",
        caption="x best: of the best peer, by the clock and a processor second. Asked of ours: 40 x at one row and 6 x at 64, "
        "40 % of the do-nothing server a processor second, 110 MiB, 1.5 s",
    )
    names = (
        "rows", "server", "requests/s", "x best", "p50 ms", "p99 ms", "a CPU second", "x best", "of do nothing",
        "memory MiB", "cold start s",
    )  # fmt: skip
    for name in names:
        table.add_column(name, justify="left" if name == "server" else "right")
    servers = found["servers"]
    peers = [one for name, one in servers.items() if name not in ("ours", "do nothing")]
    for size in found["sizes"]:
        nothing = servers["do nothing"][size]["per_cpu_second"]
        best = {
            rate: max((peer[size][rate] or 0.0 for peer in peers), default=None)
            for rate in ("per_second", "per_cpu_second")
        }
        for name, one in servers.items():
            run = one[size]
            table.add_row(
                size.removesuffix(" rows"), name,
                f"{run['per_second']:,.0f}", _of(run["per_second"], best["per_second"], "{:.1f}"),
                f"{run['p50_ms']:.2f}", f"{run['p99_ms']:.2f}",
                _of(run["per_cpu_second"], 1.0, "{:,.0f}"), _of(run["per_cpu_second"], best["per_cpu_second"], "{:.1f}"),
                _of(run["per_cpu_second"], nothing, "{:.1%}"), f"{one['resident_mb']:.0f}", f"{one['cold_start_s']:.2f}",
            )  # fmt: skip
        table.add_section()
    for name, reason in found["skipped"].items():
        table.add_row("", f"{name}: {reason}")
    return table


def _batching_table(found: dict[str, Any]) -> Table:
    table = Table(
        title=f"a neural network ({found['form']}) with --batch-wait, one row a request, {found['connections']} connections",
        caption="rate: requests a second at random moments; latencies from the moment a request was due",
    )
    for name in (
        "rate",
        "wait ms",
        "requests/s",
        "p50 ms",
        "p99 ms",
        "cpu us",
        "rows a batch",
        "full",
        "waited",
        "idle",
    ):
        table.add_column(name, justify="right")
    for line in found["lines"]:
        table.add_row(
            "as answered" if line["rate"] is None else f"{line['rate']:,}", f"{line['wait_ms']:.0f}",
            f"{line['per_second']:,.0f}", f"{line['p50_ms']:.2f}", f"{line['p99_ms']:.2f}", _of(line["cpu_us"], 1.0, "{:.0f}"),
            f"{line['rows_a_batch']:.1f}", *(f"{count:,}" for count in line["closed"].values()),
        )  # fmt: skip
    return table


def _explain_table(found: dict[str, Any]) -> Table:
    table = Table(
        title=f"POST /predict, {found['connections']} connections at {found['rate']:,} a second, beside /explain",
        caption=f"medians of {found['rounds']} rounds in turn; explaining: one client, one question after the other",
    )
    for name in ("", "p50 ms", "p99 ms", "explanations/s", "explanation p50 ms"):
        table.add_column(name, justify="right" if name else "left")
    for name, line in found["lines"].items():
        table.add_row(
            name, f"{line['p50_ms']:.2f}", f"{line['p99_ms']:.2f}", _of(line["explained_per_second"], 1.0, "{:.0f}"),
            _of(line["explained_ms"], 1.0, "{:.1f}"),
        )  # fmt: skip
    return table


def _grpc_table(found: dict[str, Any]) -> Table:
    table = Table(
        title=f"ModelInfer without history or log, {found['connections']} connections, answers equal to the bit",
        caption="asked of ours: 2,500 calls/s of one row on one core",
    )
    for name in ("rows", "server", "calls/s", "p50 ms", "p99 ms", "a CPU second", "load average"):
        table.add_column(name, justify="left" if name == "server" else "right")
    for size in next(iter(found["servers"].values())):
        for name, one in found["servers"].items():
            run = one[size]
            table.add_row(
                str(size), name, f"{run['per_second']:,.0f}", f"{run['p50_ms']:.2f}", f"{run['p99_ms']:.2f}",
                _of(run["per_cpu_second"], 1.0, "{:,.0f}"), f"{run['load']:.1f}",
            )  # fmt: skip
        table.add_section()
    return table


def _of(value: float | None, whole: float | None, form: str) -> str:
    return "" if value is None or not whole else form.format(value / whole)


def _parts_table(parts: dict[str, float]) -> Table:
    table = Table(title="inside the data plane, microseconds a request")
    for name in parts:
        table.add_column(name, justify="right")
    table.add_row(*(f"{value:.1f}" for value in parts.values()))
    return table


def _imports_table(found: dict[str, Any]) -> Table:
    table = Table(title="import, beyond an empty interpreter")
    for name in ("of", "ms", "modules", "heavy libraries loaded"):
        table.add_column(name, justify="right" if name in ("ms", "modules") else "left")
    for name, cost in found.items():
        table.add_row(name, f"{1e3 * cost['seconds']:.0f}", str(cost["modules"]), ", ".join(cost["heavy"]) or "none")
    return table


if __name__ == "__main__":
    sys.exit(main())
