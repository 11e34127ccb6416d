"""The card of a release, in Markdown: what it is, on what it was trained, how good it is, and what it must not be used for."""

from collections.abc import Sequence

from modelwright.core.clock import iso
from modelwright.release.manifest import Equivalence, FormFigures, Manifest, Tried
from modelwright.spec.contract import Contract
from modelwright.spec.gate import Verdict

LIMITS = (
    "Trained on the history above and judged on its last part; the loop compares it with what follows and replaces it "
    "when it is no longer the best. It is not meant for events that the contract does not describe."
)


def card(manifest: Manifest, contract: Contract, verdicts: Sequence[Verdict], baseline: float | None) -> str:
    """The text; equal releases have equal cards."""
    label = manifest.label
    lines = [
        f"# {manifest.system}: {'baseline' if manifest.kind == 'baseline' else manifest.model.splitlines()[0]}",
        "",
        f"Predicts **{label.name}** ({label.kind}) for one {contract.name}"
        + (f": {contract.description}" if contract.description else "."),
        "",
        "## Material",
        "",
        f"- {manifest.rows:,} rows from {iso(manifest.trained_from_us)} to {iso(manifest.trained_until_us)}",
        *([f"- learnt from {manifest.trained_on}"] if manifest.trained_on else []),
        f"- the outcome is {label.described}",
        f"- data version {manifest.data_version}",
        f"- {len(manifest.inputs)} inputs: {', '.join(column.name for column in manifest.inputs) or 'none'}",
        *(
            f"- history of {view.event} by {', '.join(view.by) or 'nothing (all rows)'}: {', '.join(view.features)}"
            for view in manifest.views
        ),
        "",
        "## Quality on the held-back tail",
        "",
        "| metric | value |",
        "|---|---|",
        *(
            f"| {name} | {'not defined' if value is None else f'{value:.4f}'} |"
            for name, value in manifest.metrics.items()
        ),
    ]
    if baseline is not None:
        lines += ["", f"The baseline's {manifest.metric} on the same rows is {baseline:.4f}."]
    if verdicts:
        lines += ["", "## Gates", "", "| gate | passed | value | threshold |", "|---|---|---|---|"]
        lines += [f"| {v.name} | {'yes' if v.passed else 'no'} | {v.value:.4f} | {v.threshold:.4f} |" for v in verdicts]
    if manifest.chosen_from:
        lines += [
            "",
            "## Chosen from",
            "",
            f"| model | learnt from | mean {manifest.metric} | folds |",
            "|---|---|---|---|",
        ]
        for tried in manifest.chosen_from:
            said = f"{tried.value:.4f}" if tried.value is not None else tried.reason.replace("|", "/")
            lines.append(f"| {tried.model.replace('|', '/')} | {tried.past} | {said} | {tried.folds} |")
        lines += [line for tried in manifest.chosen_from if tried.trials for line in _tuned(tried)]
    lines += ["", "## Form", "", f"Served as `{manifest.runtime}`."]
    same = manifest.equivalence
    if same is not None:
        lines.append(_compared(same, manifest.metric))
    if manifest.forms:
        lines += ["", "| form | changed answers | largest difference | 99.9 % below | bytes | needs | |"]
        lines += ["|---|---|---|---|---|---|---|", *map(_form, manifest.forms)]
    lines += [
        "",
        "## Limits",
        "",
        LIMITS,
        "",
    ]
    return "\n".join(lines)


def _tuned(tried: Tried) -> list[str]:
    judged = sum(value is not None for value in tried.trials)
    found = ", ".join(f"{name} = {value}" for name, value in tried.parameters.items()) or "none better than declared"
    return ["", f"Tuned on {tried.past}, {judged} of {len(tried.trials)} trials judged, found: {found}."]


def _compared(same: Equivalence, metric: str) -> str:
    figures = f"{same.rows:,} rows: {same.flips} changed answers, largest difference {same.largest:.1e}"
    if not same.accepted:
        return "No compiled form is equal, so the estimator itself is served."
    if not same.reason:
        return f"Equal to the fitted estimator on {figures}."
    worse = "" if same.drop is None else f", {metric} {-same.drop:+.4f}"
    return f"Not equal to the fitted estimator, within the declared bounds, on {figures}{worse}."


def _form(figures: FormFigures) -> str:
    of = figures.equivalence
    size = f"{figures.size:,}" if figures.size else ""
    said = f"{of.flips} of {of.rows:,} | {of.largest:.1e} | {of.p999:.1e} | {size}" if of.rows else "| | |"
    verdict = of.reason.replace("|", "/") or "equal"
    allowed = "within bounds: " if of.accepted and of.reason else ""
    return f"| {figures.name} | {said} | {' '.join(figures.requires)} | {allowed}{verdict} |"
