"""What a person reads in a terminal."""

import io

import msgspec
import pytest
from rich.console import Console

from modelwright.app.terminal import FINDINGS, drift_lines, figures, forms_table, terminal
from modelwright.monitoring.findings import Finding


def state(*findings):
    return {"rows": 1_200, "findings": [msgspec.to_builtins(one) for one in findings]}


def finding(name):
    return Finding(
        name=name, release="r1-a", importance=0.5, noticed="1996-11-14T11:00:00Z", since="1996-11-14T09:00:00Z",
        sure="10,000 times likelier", log10=4.0, size=0.412, change="median 1, now 2",
    )  # fmt: skip


def test_drift_is_what_since_when_how_far_and_how_sure():
    said = "transfer since 1996-11-14 09:00: median 1, now 2; index 0.41, 10,000 times likelier than no change"
    assert drift_lines(state(finding("transfer"))) == [("drift", said)]


def test_lags_and_windows_of_one_column_are_one_line():
    lags = [msgspec.structs.replace(finding(name), series="price") for name in ("price_1", "price_48", "price")]
    (_, first), (_, second) = drift_lines(state(lags[0], finding("demand"), *lags[1:]))
    assert first.startswith("price: 3 of it, most price_1 since 1996-11-14 09:00: median 1, now 2; index 0.41")
    assert second.startswith("demand since")


def test_many_findings_are_cut_short_and_none_is_said_to_be_none():
    many = drift_lines(state(*(finding(f"c{place}") for place in range(FINDINGS + 3))))
    assert len(many) == FINDINGS + 1
    assert many[-1] == ("", "and 3 more (--json)")
    assert drift_lines(state()) == [("drift", "none noticed over 1,200 requests")]
    assert drift_lines(None) == [("drift", "no request watched yet")]


@pytest.mark.parametrize("width", [80, 100])
def test_no_figure_of_a_form_is_cut(width):
    same = {"rows": 2_017, "flips": 1_234, "largest": 0.025555, "p999": 4.4e-8, "accepted": False, "drop": None,
            "reason": "differs by 0.026, more than 0.0001"}  # fmt: skip
    form = {"name": "compiled + onnx float64", "row_us": 13_326.0, "rows64_us": 11_663.0, "size": 397_072,
            "requires": ["cloudpickle", "pandas", "sklearn"], "equivalence": same}  # fmt: skip
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(forms_table([form], "native"))
    said = console.export_text()
    assert "…" not in said
    for figure in ("13,326 µs", "11,663 µs", "397 kB", "1,234", "2.6e-02"):
        assert figure in said


def test_nothing_is_broken_where_no_terminal_has_a_width(monkeypatch, capsys):
    monkeypatch.delenv("COLUMNS", raising=False)
    path = "/home/somebody/a-project-with-a-long-name/systems/.modelwright/rehearsal/reports/rehearsal.html"
    figures(terminal(), [("report", path)])
    assert path in capsys.readouterr().err
