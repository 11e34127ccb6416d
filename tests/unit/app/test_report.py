"""The report says what the figures say, also when they say no, and nothing in the data becomes markup."""

import copy
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from tests.unit.app.browser import CHROMIUM, digest, dom

from modelwright.app.report import compare, figure, gap, render_report, tell

HOSTILE = '</script><script>alert(1)</script><img src=x onerror="alert(2)">&amp;\u2028'
ACCURACY = {"name": "accuracy", "higher_is_better": True}
MAE = {"name": "mae", "higher_is_better": False}


DIGEST = digest(HOSTILE, seq=1)


TROUBLE = {
    "what": "freshness", "of": "events", "name": "freshness of events",
    "since": "1996-11-14T09:00:00Z", "noticed": "1996-11-14T11:00:00Z", "ended": None,
    "change": "none for 2h; the longest of 800 gaps before was 30m", "sure": "", "size": 4.0,
}  # fmt: skip


FRENCH = {"column": "country", "value": "FR", "rows": 40, "metric": 0.8, "low": 0.7, "high": 0.9}
SLICES = {
    "metric": "accuracy", "whole": {"column": "", "value": "", "rows": 400, "metric": 0.9, "low": 0.88, "high": 0.92},
    "slices": [FRENCH], "worst": FRENCH, "searched": 12,
}  # fmt: skip


def report() -> dict[str, Any]:
    """A rehearsal of four buckets and two decisions."""
    return {
        "version": "0.1.0",
        "system": {
            "name": "elec2",
            "event": "HalfHour",
            "label": "up",
            "outcome": "told, 30m after the event",
            "model": "LGBMClassifier()",
            "description": "Will the price rise?",
            "history_from": "1996-05-07T00:00:00Z",
            "history_to": "1998-12-05T23:30:00Z",
            "rows": 45312,
        },
        "metric": dict(ACCURACY),
        "period": {"from": "1996-11-14T00:00:00Z", "to": "1996-11-18T00:00:00Z"},
        "summary": {
            "self_running": 0.8992,
            "frozen": 0.8466,
            "baseline": 0.853,
            "predictions": 36250,
            "known": 36250,
            "trainings": 26,
            "promotions": 16,
            "rejections": 8,
            "rollbacks": 0,
            "seconds": 24.1,
            "journal_sha256": "ab" * 32,
        },
        "series": {
            "at": [f"1996-11-{day}T00:00:00Z" for day in (14, 15, 16, 17)],
            "n": [10, 10, 10, 10],
            "self_running": [0.9, 0.8, None, 0.9],
            "frozen": [0.8, 0.8, 0.8, 0.85],
            "baseline": [0.8, None, 0.8, 0.8],
        },
        "decisions": [
            {
                "seq": 1,
                "at": "1996-11-15T00:00:00Z",
                "kind": "promoted",
                "release": "r1-1a2b3c4d",
                "summary": "Promoted",
                "evidence": {"pairs": 240, "champion": {"accuracy": 0.87}},
            },
            {
                "seq": 2,
                "at": "1996-11-16T00:00:00Z",
                "kind": "alert",
                "release": None,
                "summary": "transfer moved",
                "evidence": {},
            },
        ],
        "releases": [
            {
                "release": "r1-1a2b3c4d",
                "number": 1,
                "at": "1996-11-14T12:00:00Z",
                "rows": 9061,
                "runtime": "onnx",
                "validation": 0.87,
                "served_from": "1996-11-15T00:00:00Z",
                "served_to": None,
                "predictions": 1440,
                "live": 0.91,
                "verdict": "champion",
                "reason": "",
            }
        ],
        "drift": {
            "at": ["1996-11-01T00:00:00Z"],
            "columns": ["transfer", "period"],
            "values": [[0.4], [0.1]],
            "threshold": 0.2,
            "importance": [0.2, 0.8],
            "findings": [
                {
                    "name": "transfer",
                    "release": "r1-1a2b3c4d",
                    "importance": 0.2,
                    "noticed": "1996-11-16T00:00:00Z",
                    "since": "1996-11-15T12:00:00Z",
                    "sure": "10,000 times likelier",
                    "log10": 4.0,
                    "size": 0.41,
                    "change": "missing 0.0%, now 12.0%",
                }
            ],
        },
        "digest": DIGEST,
        "alerts": {
            "receivers": ["email ops@example.org", "webhook h"],
            "sent": [
                {
                    "to": ["webhook h"],
                    "text": f"demand: {HOSTILE}\nSince 1996-11-15 12:00 UTC. Surely.\nWhat the system did: nothing",
                    "at": "1996-11-16T00:00:00Z",
                    "kind": "alert",
                    "what": HOSTILE,
                }
            ],
        },
        "quality": [TROUBLE],
        "slices": SLICES,
        "estimates": [
            {"at": "1996-11-15T00:00:00Z", "value": 0.9, "low": 0.85, "high": 0.95, "rows": 100, "truth": 0.94},
            {"at": "1996-11-16T00:00:00Z", "value": 0.8, "low": 0.75, "high": 0.85, "rows": 300, "truth": 0.7},
        ],
        "journal_ok": True,
    }


def with_summary(**figures: Any) -> dict[str, Any]:
    data = report()
    data["summary"].update(figures)
    return data


class Outline(HTMLParser):
    """Elements of a page, and the text of its data element."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.ids: list[str] = []
        self.data = ""
        self._in_data = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.tags.append((tag, attributes))
        if attributes.get("id"):
            self.ids.append(str(attributes["id"]))
        self._in_data = attributes.get("id") == "data"

    def handle_endtag(self, tag: str) -> None:
        self._in_data = False

    def handle_data(self, data: str) -> None:
        if self._in_data:
            self.data += data


def test_headline_has_both_numbers_and_the_difference() -> None:
    page = render_report(report())
    assert "Running itself, elec2 ended 5.3\N{NO-BREAK SPACE}points ahead of standing still." in page
    assert re.findall(r'<p class="number">([^<]+)<small>([^<]*)</small>', page) == [
        ("89.9", "%"),
        ("84.7", "%"),
        ("+5.3", " pts"),
        ("85.3", "%"),
    ]


def test_mistakes_are_counted_over_the_requests_whose_outcome_is_known() -> None:
    data = report()
    data["series"]["n"] = [5000, 5000, None, 0]
    assert "wrong about 526 more times" in tell(data).sentence


def test_predictions_without_a_truth_are_said() -> None:
    assert not any("truth" in note for note in tell(report()).notes)
    data = with_summary(predictions=36250, known=36000)
    data["system"]["outcome"] = "whether count is above 0 over the 30d after the event, by customer"
    note = next(note for note in tell(data).notes if "truth" in note)
    assert note.startswith("For 250 predictions there is no truth yet")
    assert "figures are over the other 36,000" in note
    assert note.endswith("whether count is above 0 over the 30d after the event, by customer.")


def test_losing_is_said_plainly() -> None:
    story = tell(with_summary(self_running=0.84, frozen=0.86, baseline=0.9))
    assert story.verdict == "behind"
    assert story.headline.endswith("2.0\N{NO-BREAK SPACE}points behind standing still.")
    assert "fewer times" in story.sentence
    assert "Retraining did not pay on this history." in story.notes
    assert any(note.startswith("It did not beat the baseline") for note in story.notes)


def test_a_difference_that_does_not_show_in_print_is_no_victory() -> None:
    assert tell(with_summary(self_running=0.8471, frozen=0.8469)).verdict == "level"
    assert "no better" in tell(with_summary(self_running=0.8469, frozen=0.8471)).headline


def test_lower_is_better_turns_the_story_round() -> None:
    data = with_summary(self_running=1234.5, frozen=1500.0, baseline=None)
    data["metric"] = dict(MAE)
    story = tell(data)
    assert story.verdict == "ahead"
    assert "17.7% lower mean absolute error" in story.headline
    assert "would have reached 1,500.0" in story.sentence
    assert "Lower is better" in render_report(data)
    data["summary"]["self_running"] = 1600.0
    assert "6.7% higher mean absolute error" in tell(data).headline


def test_stretches_ahead_count_only_where_both_are_known() -> None:
    assert "Self-running was ahead in 2 of 3 equal stretches of the period." in tell(report()).notes
    data = report()
    data["metric"] = dict(MAE)
    assert "Self-running was ahead in 0 of 3 equal stretches of the period." in tell(data).notes


def test_extremes_are_told_and_drawn() -> None:
    unknown = with_summary(self_running=None, frozen=None, baseline=None, seconds=None, journal_sha256=None)
    for line in ("self_running", "frozen", "baseline"):
        unknown["series"][line] = [None] * 4
    assert tell(unknown).headline.startswith("Too few outcomes")
    assert 'class="contestant self none"' in render_report(unknown)

    nothing = with_summary(trainings=0, promotions=0, rejections=0)
    nothing["series"] = {name: [] for name in nothing["series"]}
    nothing.update(
        decisions=[],
        releases=[],
        drift={"at": [], "columns": [], "values": [], "threshold": 0.2, "importance": [], "findings": []},
    )
    assert "trained no model" in render_report(nothing)
    assert "No candidate was promoted" in render_report(nothing)

    once = with_summary(trainings=1, promotions=1, rollbacks=1)
    assert "trained 1 model and promoted it" in tell(once).sentence
    assert "1 release failed live and went back to the one before." in tell(once).notes


def test_a_broken_journal_is_shown_at_the_top() -> None:
    data = report()
    assert "The journal does not verify" not in render_report(data)
    data["journal_ok"] = False
    page = render_report(data)
    assert page.index("The journal does not verify") < page.index('id="chart"')
    assert '<span class="broken">broken</span>' in page


def test_nothing_in_the_data_becomes_markup() -> None:
    data = report()
    clean = Outline(render_report(data))
    for part in ("name", "event", "label", "model", "description"):
        data["system"][part] = HOSTILE
    data["version"] = data["summary"]["journal_sha256"] = data["period"]["from"] = HOSTILE
    data["decisions"][0].update(summary=HOSTILE, release=HOSTILE, evidence={HOSTILE: [HOSTILE]})
    data["releases"][0].update(release=HOSTILE, reason=HOSTILE)
    data["drift"]["columns"] = [HOSTILE]
    data["metric"]["name"] = HOSTILE
    hostile = Outline(render_report(data))
    assert [tag for tag, _ in hostile.tags] == [tag for tag, _ in clean.tags]
    assert json.loads(hostile.data)["report"]["system"]["name"] == HOSTILE


def test_the_data_is_whole_and_has_no_number_that_json_lacks() -> None:
    data = report()
    data["decisions"][0]["evidence"] = {"lower": float("-inf"), "list": (1.5, float("nan"))}
    given = copy.deepcopy(data)
    carried = json.loads(Outline(render_report(data)).data)["report"]
    given["decisions"][0]["evidence"] = {"lower": None, "list": [1.5, None]}
    assert carried == given


def test_the_page_refers_to_nothing_outside_itself() -> None:
    page = render_report(report())
    assert not re.findall(r"https?://(?!www\.w3\.org/2000/svg)", page)
    assert not re.findall(
        r"""@import|url\((?!#)|(?:src|href)=["'](?!data:,|#)|\bfetch\(|XMLHttpRequest|sendBeacon""", page
    )
    assert "connect-src 'none'" in page
    assert "'unsafe-inline'" not in page


def test_every_part_is_there_once_and_named() -> None:
    outline = Outline(render_report(report()))
    assert len(outline.ids) == len(set(outline.ids))
    for tag, attributes in outline.tags:
        if tag == "section":
            assert attributes["aria-labelledby"] in outline.ids
    assert {"chart", "releases-table", "drift-map", "drift-findings", "journal-list", "tip"} <= set(outline.ids)
    assert ("html", {"lang": "en"}) in outline.tags
    assert "modelwright rehearse system.py" in render_report(report())


def test_the_same_data_gives_the_same_page() -> None:
    assert render_report(report()) == render_report(report())


@pytest.mark.parametrize(
    ("ours", "other", "metric", "verdict"),
    [
        (0.9, 0.8, ACCURACY, "ahead"),
        (0.8, 0.9, ACCURACY, "behind"),
        (10.0, 20.0, MAE, "ahead"),
        (0.0, 0.0, MAE, "level"),
        (0.5, 0.0, MAE, "behind"),
        (None, 0.9, ACCURACY, "unknown"),
    ],
)
def test_compare(ours: float | None, other: float, metric: dict[str, Any], verdict: str) -> None:
    assert compare(ours, other, metric) == verdict


def test_figures_keep_their_meaning_at_any_size() -> None:
    shown = [figure(value, "mae") for value in (0.0, 0.00012345, 0.5, 12.3456, 1234.5, 9_876_543.2, -3.0)]
    assert shown == ["0.000", "0.000123", "0.500", "12.346", "1,234.5", "9,876,543", "-3.000"]
    assert gap(5.0, 0.0, MAE) == "5.000"


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
@pytest.mark.parametrize("name", ["elec2", HOSTILE])
def test_a_browser_draws_it(tmp_path: Path, name: str) -> None:
    data = report()
    data["system"]["name"] = data["decisions"][0]["summary"] = data["drift"]["columns"][0] = name
    page = tmp_path / "report.html"
    page.write_text(render_report(data), encoding="utf-8")
    drawn = dom(page.as_uri(), 3000)
    assert drawn.count('class="mark promoted"') == 1
    assert drawn.count('class="line self_running"') == 1
    assert 'class="gain"' in drawn
    assert drawn.count('<details class="journal-row"') == 2
    assert 'class="over"' in drawn
    assert "country: FR" in drawn and "the worst of 12" in drawn
    assert "freshness of events" in drawn and "not yet" in drawn
    assert "now live" in drawn
    assert "As it ended" in drawn
    assert ">90.1% to 92.3%, 336 outcomes<" in drawn
    assert "would have told email ops@example.org and webhook h this" in drawn
    assert "<p>Since 1996-11-15 12:00 UTC. Surely.</p>" in drawn
    assert "<img" not in drawn


def test_what_was_estimated_is_held_against_what_turned_out():
    said = "accuracy was estimated at 82.5%; it turned out 76.0%, within the interval in 1 of 2 periods."
    assert any(note.endswith(said) for note in tell(report()).notes)
    assert not any("estimated" in note for note in tell(report() | {"estimates": []}).notes)
