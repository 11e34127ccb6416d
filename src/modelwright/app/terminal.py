"""What a person sees in a terminal: progress while it works, one line a decision, a summary at the end.

Everything goes to standard error, so that standard output holds nothing but the answer of `--json`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from modelwright.lake.journal import JournalRow

if TYPE_CHECKING:
    from modelwright.monitoring.parity import LastParity, ParityReport

LOOKS = {
    "promoted": ("green", "▲"),
    "rejected": ("yellow", "▽"),
    "rolled_back": ("red", "◀"),
    "error": ("red", "✕"),
    "alert": ("red", "!"),
    "trigger": ("cyan", "◆"),
    "trained": ("blue", "●"),
    "shadow_started": ("magenta", "◐"),
}
"""Colour and mark of the kinds worth seeing at a glance; the others are dim."""


def terminal(*, quiet: bool = False) -> Console:
    """The console of standard error; silent with `quiet`."""
    return Console(stderr=True, highlight=False, quiet=quiet)


def decision_line(row: JournalRow) -> str:
    """One decision as one line of markup."""
    colour, mark = LOOKS.get(row.kind, ("dim", "·"))
    if row.kind == "parity" and row.evidence["differ"]:
        colour, mark = "red", "≠"
    when = row.at[:16].replace("T", " ")
    who = f"[bold]{escape(row.release.partition('-')[0]):<4}[/]" if row.release else "    "
    return f"[dim]{when}[/]  [{colour}]{mark} {row.kind:<14}[/] {who} {escape(row.summary)}"


class Watch:
    """A progress bar with decisions above it. Use as a context manager."""

    def __init__(self, console: Console, title: str) -> None:
        self.console = console
        self._progress = Progress(
            SpinnerColumn(style="cyan"),
            TextColumn("{task.description}"),
            BarColumn(bar_width=28, complete_style="cyan"),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task(title, total=None)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def step(self, text: str) -> None:
        """What is being done."""
        self._progress.update(self._task, description=escape(text))

    def replay(self, position: int, total: int, rows: list[JournalRow]) -> None:
        """How far it is, and what was decided."""
        for row in rows:
            self.console.print(decision_line(row), soft_wrap=True)
        self._progress.update(self._task, completed=position, total=total, description="replaying history")

    def advance(self, rows: int, total: int | None = None) -> None:
        """So many rows more."""
        self._progress.update(self._task, advance=rows, total=total)

    def reach(self, done: int, total: int) -> None:
        """So many rows of so many are done."""
        self._progress.update(self._task, completed=done, total=total)


@contextmanager
def watching(console: Console, title: str) -> Iterator[Watch]:
    """A `Watch` for a block."""
    with Watch(console, title) as watch:
        yield watch


def figures(console: Console, rows: list[tuple[str, Any]]) -> None:
    """Names and values in two columns."""
    table = Table.grid(padding=(0, 3))
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(escape(name), escape(value) if isinstance(value, str) else value)
    console.print(table)


def forms_table(forms: list[dict[str, Any]], served: str) -> Table:
    """Every form a model could be served in: what it takes, and whether it says the same."""
    table = Table(box=None, padding=(0, 2), header_style="dim", pad_edge=False)
    for heading in ("form", "1 row", "64 rows", "size", "changed", "largest", ""):
        table.add_column(heading, justify="left" if heading in ("form", "") else "right", no_wrap=heading != "")
    for form in forms:
        same = form["equivalence"]
        took = [f"{form[key]:,.0f} µs" if key in form else "–" for key in ("row_us", "rows64_us")]
        size = f"{form['size'] / 1000:,.0f} kB" if form["size"] else "–"
        if same is None or not same["rows"]:
            said = ["–", "–", "" if same is None else same["reason"]]
        else:
            said = [f"{same['flips']:,} of {same['rows']:,}", f"{same['largest']:.1e}", same["reason"] or "equal"]
        if form["name"] == served:
            said[2] = "served"
        style = "bold" if form["name"] == served else None
        table.add_row(escape(form["name"]), *took, size, *(escape(text) for text in said), style=style)
    return table


def parity_table(console: Console, report: "ParityReport") -> None:
    """A parity check: a line a feature, the first difference of each that differs, what was left out, the result."""
    table = Table(box=None, padding=(0, 2), header_style="dim", pad_edge=False)
    for heading in ("feature", "compared", "differ", *(("largest", "relative") if report.differ else ())):
        table.add_column(heading, justify="left" if heading == "feature" else "right", no_wrap=heading != "feature")
    for one in report.features:
        sizes = ("–" if size is None else f"{size:.3g}" for size in (one.largest, one.relative))
        cells = [escape(one.feature), f"{one.compared:,}", f"{one.differ:,}", *(sizes if one.differ else ())]
        table.add_row(*cells, style="bold red" if one.differ else None)
    if report.features:
        console.print(table)
        console.print()
    for one in report.features:
        if one.first is not None:
            served, again = (
                "missing" if said is None else str(said) for said in (one.first.served, one.first.recomputed)
            )
            where = f"{one.first.at[:19].replace('T', ' ')}  event {one.first.id}, {one.first.release}"
            console.print(
                f"{escape(one.feature)}: first at {escape(where)}: served [red]{escape(served)}[/], recomputed "
                f"[green]{escape(again)}[/]",
                soft_wrap=True,
            )
    for reason, rows in report.not_comparable.items():
        console.print(f"[yellow]{rows:,} not comparable[/]: {escape(reason)}", soft_wrap=True)
    mark = "[red]≠[/]" if report.differ else "[green]=[/]" if report.checked + report.shadow else "[yellow]?[/]"
    shadow = f" [dim](and {report.shadow:,} in shadow)[/]" if report.shadow else ""
    console.print(f"{mark} {escape(report.summary)}{shadow}", soft_wrap=True)


def parity_line(last: "LastParity | None") -> Text:
    """The loop's last parity check in one line."""
    if last is None:
        return Text("not checked yet (after the next training; or now: modelwright parity)")
    line = Text(last.summary, style="red" if last.differ else "")
    line.append(f", {last.at[:16].replace('T', ' ')}")
    earlier = last.differed - bool(last.differ)
    if earlier:
        line.append(f"; earlier checks that found differences: {earlier:,}", style="red")
    return line


def number(value: float | None) -> str:
    """A metric's value as shown: four digits, or a dash."""
    return "–" if value is None else f"{value:.4f}" if abs(value) < 100 else f"{value:,.1f}"
