"""Views over another event in real processes: logins are history of the payments that follow them."""

import json
import runpy
import shutil
import signal
import struct
from contextlib import closing
from pathlib import Path

import pytest

import modelwright as mw
from modelwright.app.wiring import open_log, trial_of
from modelwright.core.clock import SystemClock
from modelwright.features.offline import compute
from modelwright.features.plan import LabelColumn
from modelwright.lake.log import Log
from modelwright.lake.rows import LogSchema, OtherRow
from modelwright.lake.workspace import Workspace
from modelwright.release.folder import open_release, read_manifest

PLAIN = '''\
"""The same payments, predicted without their logins."""

import system as declared

import modelwright as mw

system = mw.System(
    name="logins",
    event=declared.Payment,
    source=declared.system.source,
    features=declared.system.features[:1],
    label=declared.system.label,
    model=declared.system.models[0],
)
'''


def at(minutes):
    return f"2024-06-01T{12 + minutes // 60:02}:{minutes % 60:02}:00Z"


def payment(id, minutes, card="c1", **changes):
    return {"payment_id": id, "card": card, "at": at(minutes), "amount": 20.0, "country": "DE", **changes}


def login(id, minutes, card="c1", **changes):
    return {"login_id": id, "card": card, "when": at(minutes), "country": "RO", "device": "d1", **changes}


def bits(value):
    if isinstance(value, float):
        return None if value != value else struct.pack("<d", value)
    return value


def assert_served_as_recomputed(log, releases):
    """Every prediction was made with what the offline host computes from the log; how many of each were compared."""
    tables = log.events(), log.outcomes()
    rows = log.predictions().to_pylist()
    compared = {}
    for name in {row["release"] for row in rows}:
        manifest = read_manifest(releases / name)
        others = [(contract, log.events(contract.name)) for contract in manifest.others]
        label = LabelColumn(manifest.label.name, manifest.label.kind)
        views = manifest.views
        features = compute(views, log.schema.contract, label, tables[0], tables[0], tables[1], others).to_pylist()
        of = dict(zip(tables[0]["_seq"].to_pylist(), features, strict=True))
        for row in rows:
            if row["release"] == name:
                served = json.loads(row["features"])
                assert {key: bits(value) for key, value in served.items()} == {
                    key: bits(value) for key, value in of[row["event_seq"]].items()
                }
                compared[name] = compared.get(name, 0) + 1
    return compared


@pytest.fixture(scope="module")
def trained(tmp_path_factory, histories, modelwright):
    """The system of payments and logins, trained: (system file, state folder, release folder)."""
    folder = tmp_path_factory.mktemp("trained") / "logins"
    shutil.copytree(histories("logins"), folder)
    (folder / "plain.py").write_text(PLAIN)
    home = folder / "state"
    plain = modelwright("ingest", folder / "plain.py", "--json", home=home)  # a log of before there were logins
    assert (plain.code, plain.json["files"]) == (0, 1), plain.err
    done = modelwright("train", folder / "system.py", "--json", home=home)
    assert done.code == 0, done.err
    assert done.json["promoted"]
    return folder / "system.py", home, home / "releases" / done.json["release"]


@pytest.fixture(scope="module")
def server(trained, serve):
    """One that nothing is told that it keeps."""
    return serve(trained[2])


def test_a_log_of_before_takes_the_new_history_without_starting_over(trained, modelwright):
    file, home, _ = trained
    with closing(open_log(mw.load(file), Workspace(home), readonly=True)) as log:
        counts = log.counts()
        assert log.events("Login").num_rows == counts["others"] > 1_000
        rows = log.tail(0, 10**6)
    assert modelwright("status", file, "--json", home=home).json["others"] == counts["others"]
    assert [row.seq for row in rows] == list(range(1, len(rows) + 1))
    assert [isinstance(row, OtherRow) for row in rows] == sorted(isinstance(row, OtherRow) for row in rows)


def test_the_release_says_what_history_it_reads(trained):
    file, _, release = trained
    manifest = open_release(release).manifest
    assert manifest.others == mw.load(file).others
    assert {view.event for view in manifest.views} == {"Payment", "Login"}
    card = (release / "card.md").read_text()
    assert "history of Login by card: logins_1d, devices_7d" in card
    assert "history of Login by nothing (all rows): all_logins_1h" in card
    assert manifest.metrics["accuracy"] > 0.7  # nothing but the logins tells


def test_a_replay_decides_what_the_rehearsal_decided(declare, modelwright):
    file = declare("logins", {"rows: int = 1_200": "rows: int = 700"})
    home = file.parent / ".modelwright"
    rehearsed = modelwright("rehearse", file, "--json", home=home)
    assert rehearsed.code == 0, rehearsed.err
    replayed = modelwright(
        "run", file, "--replay", file.with_name("payments.csv"), "--once", "--json", "--port", 0, home=home
    )
    assert replayed.code == 0, replayed.err
    same = ("journal_sha256", "self_running", "frozen", "predictions", "trainings", "promotions", "rejections")
    assert {name: replayed.json[name] for name in same} == {name: rehearsed.json[name] for name in same}
    assert replayed.json["trainings"] >= 2
    parity = modelwright("parity", file, "--replay", "--json", home=home)
    assert (parity.code, parity.json["checked"], parity.json["differ"]) == (0, 560, {}), parity.err
    assert {"logins_1d", "last_login_country"} <= {one["feature"] for one in parity.json["features"]}
    system = mw.load(file)
    space = trial_of(system, "replay")
    with closing(open_log(system, space, readonly=True)) as log:
        compared = assert_served_as_recomputed(log, space.releases)
        logins = [row for row in log.tail(0, 10**6) if isinstance(row, OtherRow)]
        payments = log.events()
    assert sum(compared.values()) >= 560
    assert 0 < sum(row.live for row in logins) < len(logins)
    given = system.history["Login"].paths(system.home)
    assert len(logins) == len({line.partition(",")[0] for path in given for line in path.read_text().splitlines()[1:]})
    place = dict(zip(payments["_id"].to_pylist(), payments["_seq"].to_pylist(), strict=True))
    assert any(row.id in place and row.seq != place[row.id] for row in logins)  # an id of both


def test_logins_are_ingested_by_name(trained, modelwright, tmp_path):
    file, _, _ = trained
    home = tmp_path / "state"
    logins = sorted((file.parent / "logins").glob("*.csv"))
    first = modelwright("ingest", file, *logins, "--event", "Login", "--json", home=home)
    assert first.code == 0, first.err
    assert (first.json["files"], first.json["duplicates"], first.json["quarantined"]) == (2, 20, 1)
    again = modelwright("ingest", file, "--event", "Login", "--json", home=home)  # from the declared source
    assert (again.json["events"], again.json["duplicates"]) == (0, first.json["events"] + 20)
    all_of_it = modelwright("ingest", file, "--json", home=home)
    assert (all_of_it.json["files"], all_of_it.json["events"]) == (3, 1_200)
    own = modelwright("ingest", file, file.with_name("payments.csv"), "--event", "Payment", "--json", home=home)
    assert (own.json["events"], own.json["duplicates"]) == (0, 1_200)
    assert mw.load(file).ingest(event=runpy.run_path(str(file))["Login"]).files == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--event", "Refund"], "Refund is no event of System(logins); its events are Payment, Login"),
        (["payments.csv", "--event", "Login"], "has no column 'login_id'"),
    ],
)
def test_what_is_no_login_is_one_clear_line(trained, modelwright, tmp_path, arguments, said):
    file, _, _ = trained
    done = modelwright("ingest", file, *arguments, home=tmp_path / "state", cwd=file.parent)
    assert done.code in (1, 2)
    assert said in done.err
    assert done.err.count("\n") == 1


def test_logins_count_for_the_payments_after_them(trained, serve, tmp_path):
    _, _, release = trained
    server = serve(release, tmp_path / "served")

    def features(id):
        with closing(log_of(server, release)) as log:
            (row,) = [row for row in log.predictions().to_pylist() if row["id"] == id]
        return json.loads(row["features"])

    assert server.post("/predict", payment("a", 0)).status == 200
    taken = server.post("/events/Login", login("a", 1))  # the id of a payment: another name space
    assert (taken.status, taken.json) == (200, {"id": "a", "repeated": False})
    many = server.post("/events/Login", [login("b", 2, country="FR"), login("c", 3, card="c2"), login("d", 10)])
    assert [entry["id"] for entry in many.json] == ["b", "c", "d"]
    assert server.post("/events/Login", login("a", 1)).json == {"id": "a", "repeated": True}
    conflict = server.post("/events/Login", login("a", 1, device="d2"))
    assert (conflict.status, conflict.headers["content-type"]) == (409, "application/problem+json")
    assert server.post("/predict", payment("b", 10)).status == 200  # the login at its own instant does not count
    assert server.post("/events/Login", login("late", 5)).status == 200
    assert server.post("/predict", payment("c", 11)).status == 200
    assert server.post("/predict", payment("d", 4)).status == 200  # late itself: sees what was before it, as known
    names = ("logins_1d", "devices_7d", "last_login_country", "all_logins_1h", "payments_1d")
    assert [features("a")[name] for name in names] == [0, 0, None, 0, 0]
    assert [features("b")[name] for name in names] == [2, 1, "FR", 3, 1]
    assert [features("c")[name] for name in names] == [4, 1, "RO", 5, 2]
    assert [features("d")[name] for name in names] == [2, 1, "FR", 3, 1]
    assert features("c")["since_login"] == 60.0

    server.process.send_signal(signal.SIGKILL)
    server.process.wait()
    again = serve(release, server.workspace)
    assert again.post("/events/Login", login("d", 10)).json == {"id": "d", "repeated": True}
    assert again.post("/predict", payment("e", 12)).status == 200
    assert [features("e")[name] for name in names] == [4, 1, "RO", 5, 4]
    with closing(log_of(again, release)) as log:
        assert assert_served_as_recomputed(log, release.parent) == {release.name: 5}
        assert log.history.verify() == []
    assert "Traceback" not in again.messages()


def log_of(server, release):
    opened = open_release(release)
    label = opened.manifest.label
    schema = LogSchema(opened.contract, label.name, label.kind, opened.manifest.others)
    return Log.open(Workspace(server.workspace), schema, SystemClock(), readonly=True)


@pytest.mark.parametrize(
    ("path", "body", "status", "said"),
    [
        ("/events/Login", {"login_id": "x", "card": "c"}, 422, "when"),
        ("/events/Login", login("x", 0, amount="much"), 422, "amount"),
        ("/events/Login", login("x", 0) | {"when": "2999-01-01T00:00:00Z"}, 422, "more than 5 minutes ahead"),
        ("/events/Login", payment("x", 0), 422, "payment_id: no such field"),
        ("/events/Login", [], 422, "the list is empty"),
        ("/events/Login", b"{", 400, "not JSON"),
        ("/events/Refund", login("x", 0), 404, "no route /events/Refund"),
        ("/events", login("x", 0), 422, "login_id: no such field"),
    ],
)
def test_a_bad_login_is_told_why(server, path, body, status, said):
    answer = server.ask("POST", path, body)
    assert answer.status == status
    assert said in answer.body.decode()
    assert server.ask("GET", "/events/Login").status == 405


def test_the_description_and_the_guide_know_it(server):
    described = server.ask("GET", "/openapi.json").json
    body = described["paths"]["/events/Login"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body["oneOf"][0] == {"$ref": "#/components/schemas/Login"}
    assert "when" in described["components"]["schemas"]["Login"]["properties"]
    assert set(described["paths"]) >= {"/predict", "/events", "/outcomes"}
    guide = server.ask("GET", "/docs").body.decode()
    assert "/events/Login" in guide
    assert "Somebody logs in with a card." in guide


def test_a_file_is_scored_with_its_logins(trained, modelwright, tmp_path):
    file, home, _ = trained
    out = tmp_path / "scored.csv"
    done = modelwright("predict", file, file.with_name("payments.csv"), out, "--json", home=home)
    assert done.code == 0, done.err
    assert done.json["rows"] == 1_200
    assert Path(out).read_text().count("\n") == 1_201
