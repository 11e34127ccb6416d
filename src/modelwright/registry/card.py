"""The card of a release, in Markdown: what it is, on what it was trained, how good it is, and what it must not be used for."""

from collections.abc import Sequence

from modelwright.core.clock import iso
from modelwright.release.manifest import Manifest
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
    lines += ["", "## Form", "", f"Served as `{manifest.runtime}`."]
    same = manifest.equivalence
    if same is not None and same.accepted:
        lines.append(
            f"Equal to the fitted estimator on {same.rows:,} rows: {same.flips} changed answers, "
            f"largest difference {same.largest:.1e}."
        )
    elif same is not None:
        lines.append("No compiled form is equal, so the estimator itself is served.")
    if manifest.forms:
        lines += ["", "| form | changed answers | largest difference | bytes | |", "|---|---|---|---|---|"]
        for figures in manifest.forms:
            of = figures.equivalence
            said = f"{of.flips} of {of.rows:,} | {of.largest:.1e} | {figures.size:,}" if of.rows else "| |"
            lines.append(f"| {figures.name} | {said} | {'equal' if of.accepted else of.reason.replace('|', '/')} |")
    lines += [
        "",
        "## Limits",
        "",
        LIMITS,
        "",
    ]
    return "\n".join(lines)
