"""What a person sees in a terminal: progress while it works, one line a decision, a summary at the end.

What a command does while it works goes to standard error, so that standard output holds nothing but the answer of `--json`; what
was asked for in words (`status`, `journal`) goes to standard output, to be searched and paged.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from textwrap import shorten
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from modelwright.core.clock import iso
from modelwright.core.durations import about
from modelwright.lake.journal import JournalRow
from modelwright.monitoring.findings import Finding, folded

if TYPE_CHECKING:
    from modelwright.app.commands.compare import Comparison
    from modelwright.app.digest import Digest
    from modelwright.control.faults.effect import Effect
    from modelwright.control.receiver import Receiver
    from modelwright.monitoring.estimate import Estimate
    from modelwright.monitoring.parity import LastParity, ParityReport
    from modelwright.monitoring.quality import Trouble
    from modelwright.monitoring.slices import Slice, Slices

LOOKS = {
    "promoted": ("green", "▲"),
    "rejected": ("yellow", "▽"),
    "rolled_back": ("red", "◀"),
    "error": ("red", "✕"),
    "alert": ("red", "!"),
    "trigger": ("cyan", "◆"),
    "trained": ("blue", "●"),
    "shadow_started": ("magenta", "◐"),
    "canary": ("magenta", "◔"),
}
"""Colour and mark of the kinds worth seeing at a glance; the others are dim."""

VERDICT = 100
"""So many characters of why a form is not served are printed; the release's card has all."""

WIDE = 200
"""The columns of what is no terminal, such as a file or a pipe: names and figures are then not broken."""

FINDINGS = 8
"""So many things that have drifted are printed, the most important first."""


def terminal(*, quiet: bool = False, answer: bool = False) -> Console:
    """The console of standard error, or for an `answer` that was asked for of standard output; silent with `quiet`."""
    console = Console(stderr=not answer, highlight=False, quiet=quiet)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = WIDE
    return console


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


def drift_lines(drift: dict[str, Any] | None) -> list[tuple[str, str]]:
    """What has drifted for the champion, what matters most to the model first; else over how many requests none was noticed."""
    if drift is None or not drift["rows"]:
        return [("drift", "no request watched yet")]
    if not drift["findings"]:
        return [("drift", f"none noticed over {drift['rows']:,} requests")]
    lines: list[tuple[str, str]] = []
    groups = folded(msgspec.convert(drift["findings"], list[Finding]))
    for one, *alike in groups[:FINDINGS]:
        since = one.since[:16].replace("T", " ")
        said = f"{one.name} since {since}: {one.change}; index {one.size:.2f}, {one.sure} than no change"
        if alike:
            said = f"{one.series}: {len(alike) + 1} of it, most {said}"
        lines.append(("" if lines else "drift", said))
    left = len(groups) - len(lines)
    return [*lines, ("", f"and {left} more (--json)")] if left else lines


def quality_lines(troubles: "list[Trouble]") -> list[tuple[str, str]]:
    """What is off in how data arrives."""
    lines = [f"{one.name} since {one.since[:16].replace('T', ' ')}: {one.change}" for one in troubles]
    return [("" if place else "data", line) for place, line in enumerate(lines or ["arrives as usual"])]


def slice_lines(slices: "Slices | None") -> list[tuple[str, str]]:
    """The metric over the latest outcomes with its interval, the same by declared slice, and the worst slice found."""
    if slices is None:
        return []
    lines = [("  latest outcomes", slice_figures(slices.whole))]
    lines += [(f"  {one.column} = {one.value}", slice_figures(one)) for one in slices.slices]
    if slices.worst is not None:
        lines.append((f"  worst: {slices.worst.column} = {slices.worst.value}", slice_figures(slices.worst)))
    return lines


def slice_figures(one: "Slice") -> str:
    """A slice's metric, where it is with 95%, and over how many outcomes."""
    return f"{number(one.metric)} ({number(one.low)} to {number(one.high)}), {one.rows:,} outcomes"


def estimate_lines(estimate: "Estimate | None") -> list[tuple[str, str]]:
    """The accuracy to expect of answers whose outcome is not due; nothing where none is estimated."""
    if estimate is None:
        return []
    interval = f"{estimate.value:.3f} ({estimate.low:.3f} to {estimate.high:.3f})"
    return [("estimated accuracy", f"{interval}, of {estimate.rows:,} answers whose outcome is not due")]


def tell_digest(console: Console, digest: "Digest") -> None:
    """A period for somebody who was away: whether it is good now, what wants a person, what is wrong, what happened."""
    colour = {"good": "green", "watch": "yellow", "bad": "red", "unknown": "yellow"}[digest.verdict]
    console.print(f"[bold {colour}]{escape(digest.headline)}[/]", soft_wrap=True)
    console.print(escape(digest.work), soft_wrap=True)
    for mark, lines in (("[cyan]→[/] you:", digest.wants), ("[red]![/]", digest.problems)):
        for line in lines:
            console.print(f"{mark} {escape(line)}", soft_wrap=True)
    for one in digest.happened:
        colour, mark = LOOKS.get(one.kind, ("dim", "·"))
        when = one.at[:16].replace("T", " ")
        console.print(f"[dim]{when}[/]  [{colour}]{mark}[/] {escape(one.said)}", soft_wrap=True)
    if digest.earlier:
        console.print(f"[dim]and {digest.earlier:,} before (modelwright journal)[/]")
    console.print()


def forms_table(forms: list[dict[str, Any]], served: str) -> Table:
    """Every form a model could be served in: what it takes and needs, and whether it says the same."""
    # Narrow enough that no figure is cut in 80 columns.
    table = Table(box=None, padding=(0, 1), header_style="dim", pad_edge=False)
    for heading in ("form", "1 row", "64 rows", "size", "changed", "largest", "needs", ""):
        left = heading in ("form", "needs", "")
        table.add_column(heading, justify="left" if left else "right", no_wrap=not left, overflow="fold")
    for form in forms:
        same = form["equivalence"]
        took = [f"{form[key]:,.0f} µs" if key in form else "–" for key in ("row_us", "rows64_us")]
        size = f"{form['size'] / 1000:,.0f} kB" if form["size"] else "–"
        differs = ["–", "–"]
        if same["rows"]:
            differs = [f"{same['flips']:,}", f"{same['largest']:.1e}"]
        verdict = "equal" if same["accepted"] and not same["reason"] else same["reason"]
        if form["name"] == served:
            verdict = f"served: {same['reason']}" if same["reason"] else "served"
        if same.get("drop") is not None:
            verdict += f"; metric {-same['drop']:+.4f}"
        needs = " ".join(form["requires"]) or "nothing"
        style = "bold" if form["name"] == served else None
        verdict = shorten(verdict, VERDICT, placeholder=" ...")
        table.add_row(escape(form["name"]), *took, size, *differs, needs, escape(verdict), style=style)
    return table


def policies_table(result: "Comparison") -> Table:
    """Policies side by side, the best first."""
    table = Table(box=None, padding=(0, 2), header_style="dim", pad_edge=False)
    for heading in ("policy", result.metric, "trainings", "promoted", "training time"):
        table.add_column(heading, justify="left" if heading == "policy" else "right", no_wrap=heading != "policy")
    sign = -1 if result.higher_is_better else 1
    for one in sorted(result.policies, key=lambda one: (one.value is None, sign * (one.value or 0.0))):
        cells = [
            escape(one.policy),
            number(one.value),
            f"{one.trainings:,}",
            f"{one.promotions:,}",
            f"{one.seconds:.1f} s",
        ]
        table.add_row(*cells, style="bold green" if one.policy == result.recommended else None)
    return table


def fault_lines(effect: "Effect", metric: str) -> list[str]:
    """One fault of a rehearsal, as lines of markup: what noticed it, what was done, what it cost."""
    end = f" to {_minute(effect.ended)}" if effect.ended else ""
    head = f"[bold]{escape(effect.fault)}[/]  [dim]{escape(effect.meaning)}[/]"
    if not effect.took_place:
        return [head, "  [yellow]?[/] it never came to it: nothing of the kind happened in the replay from there on"]
    lines = [head, f"  [dim]began[/]    {_minute(effect.began)}{end}, after {effect.event:,} events"]
    if effect.noticed is None:
        lines.append("  [red]noticed  never[/]")
    else:
        one = effect.noticed
        lasted = about(one.lasted_us) if one.lasted_us > 0 else "at once"
        when = f"after {one.events:,} event{'' if one.events == 1 else 's'}, {lasted}"
        lines.append(f"  [dim]noticed[/]  [green]{when}[/]: {escape(one.by)}: {escape(one.summary)}")
    if effect.refused:
        lines.append(f"  [dim]refused[/]  {effect.refused:,} events, which nobody was answered for")
    for place, deed in enumerate(effect.done):
        head = "[dim]done[/]     " if not place else "         "
        who = f" [bold]{escape((deed.release or '').partition('-')[0])}[/]" if deed.release else ""
        lines.append(f"  {head}{_minute(deed.at)} {deed.kind}{who}: {escape(deed.summary)}")
    if not effect.done:
        lines.append("  [dim]done[/]     nothing")
    parts = (("before", effect.before), ("during", effect.during), ("after", effect.after))
    said = [
        f"{name} {number(part.faulty)} (clean {number(part.clean)})"
        for name, part in parts
        if part.faulty is not None or part.clean is not None
    ]
    lines.append(f"  [dim]{escape(metric)}[/]  {', '.join(said)}")
    if effect.harm:
        lines.append(f"  [dim]back[/]     {_minute(effect.back) if effect.back else '[red]not by the end[/]'}")
    return lines


def _minute(at: str) -> str:
    return at[:16].replace("T", " ")


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


def alert_lines(alerts: "list[Receiver]") -> list[tuple[str, Any]]:
    """How far each receiver of alerts was told, a line each; nothing where nobody is told."""
    lines: list[tuple[str, Any]] = []
    for one in alerts:
        said = Text(f"{one.name}: {one.sent:,} sent")
        if one.waiting:
            said.append(f", {one.waiting:,} waiting")
        if one.dropped:
            said.append(f", {one.dropped:,} given up", style="red")
        if one.failing_us:
            said.append(f"; failing since {iso(one.failing_us)[:16].replace('T', ' ')}: {one.error}", style="red")
        lines.append(("" if lines else "alerts", said))
    return lines


def number(value: float | None) -> str:
    """A metric's value as shown: four digits, or a dash."""
    return "–" if value is None else f"{value:.4f}" if abs(value) < 100 else f"{value:,.1f}"
