"""`modelwright run` in real processes: a replay decides what the rehearsal decided, and what kills it loses nothing."""

import contextlib
import http.client
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

import modelwright as mw
from modelwright.app.trainer_process import TrainerProcess
from modelwright.app.wiring import open_log, trial_of, workspace_of
from modelwright.core.clock import SimulatedClock, SystemClock
from modelwright.features.offline import compute
from modelwright.features.online import OnlineHost
from modelwright.features.plan import LabelColumn
from modelwright.lake.rows import EventRow
from modelwright.release.folder import read_manifest
from modelwright.testing.ports import free_port

PATIENCE_S = 240.0


def until(found, what):
    """What `found()` gives, once it gives something."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        answer = found()
        if answer:
            return answer
        time.sleep(0.05)
    raise AssertionError(f"waited in vain for {what}")


class Run:
    """`modelwright run` with whatever follows; a context manager that leaves no process behind."""

    def __init__(self, file, *arguments, port=0):
        self.port = port
        command = [sys.executable, "-m", "modelwright.app.cli", "run", str(file), "--port", str(port), "--json"]
        environment = {**os.environ, "MODELWRIGHT_TRACKING": "off"}
        self.process = subprocess.Popen(
            [*command, *arguments], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(60)
            self.process.kill()
        self.process.communicate()

    def end(self, with_signal=None):
        """(exit code, standard output, standard error)."""
        if with_signal is not None:
            self.process.send_signal(with_signal)
        out, err = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, out, err

    def ask(self, method, path, body=None):
        """(status, decoded body); None where nobody answers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, None if body is None else json.dumps(body))
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()

    def champion(self):
        """The release that answers, where one does."""
        said = self.ask("GET", "/readyz")
        return said and said[1].get("release")

    def child(self, module):
        """The process id of its child that runs a module."""
        if not Path("/proc/self/task").exists():  # macOS
            said = subprocess.run(
                ["pgrep", "-P", str(self.process.pid), "-f", module], capture_output=True, check=False
            )
            return int(said.stdout.split()[0]) if said.stdout.split() else None
        for task in Path(f"/proc/{self.process.pid}/task").iterdir():
            with contextlib.suppress(OSError):  # a thread or a child that has just ended
                for pid in (task / "children").read_text().split():
                    if module.encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
                        return int(pid)
        return None


@pytest.fixture(scope="module")
def replayed(tmp_path_factory, market_of, modelwright):
    """The first half-hours of the electricity market, rehearsed and then replayed: (system, rehearsal, replay)."""
    file = market_of(tmp_path_factory.mktemp("replayed"), 4_000, {"n_estimators=100": "n_estimators=30"})
    rehearsal = modelwright("rehearse", file, "--json", home=file.parent / ".modelwright")
    assert rehearsal.code == 0, rehearsal.err
    with Run(file, "--replay", str(file.parent / "data/elec2.parquet"), "--once") as run:
        code, out, err = run.end()
    assert code == 0, err
    assert out.count("\n") == 1
    return mw.load(file), rehearsal.json, json.loads(out)


def test_a_replay_decides_what_the_rehearsal_decided(replayed):
    _, rehearsal, replay = replayed
    assert replay["replayed"] == 1.0
    assert replay["trainings"] >= 2
    same = (
        "journal_sha256",
        "self_running",
        "frozen",
        "metric",
        "predictions",
        "trainings",
        "promotions",
        "rejections",
    )
    assert {name: replay[name] for name in same} == {name: rehearsal[name] for name in same}


CANARY = {"rollout.shadow(pairs=30,": "rollout.canary(shares=[0.2, 0.5], step=15, pairs=30,"}

BY_ROWS = {'retrain.every("14d"), retrain.on_decay(drop=0.1, rows=60)': "retrain.on_rows(250)"}
LONGER = [pytest.param(name, {}, marks=pytest.mark.slow) for name in ("sales", "returns")]


@pytest.mark.parametrize(("name", "changes"), [("disputes", CANARY), ("disputes", BY_ROWS), ("tickets", {}), *LONGER])
def test_entities_texts_amounts_late_classes_and_labels_ahead_replay_as_they_rehearse(declare, name, changes):
    file = declare(name, changes)
    rehearsed = mw.load(file).rehearse()
    with Run(file, "--replay", str(file.with_name(f"{name}.csv")), "--once") as run:
        code, out, err = run.end()
    assert code == 0, err
    said = json.loads(out)
    assert said["journal_sha256"] == rehearsed.journal_sha256
    assert (said["self_running"], said["frozen"]) == (rehearsed.self_running, rehearsed.frozen)


@pytest.mark.slow
def test_tuned_and_since_a_change_it_is_trained_live_as_it_was_in_the_rehearsal(declare):
    pytest.importorskip("optuna", reason="pip install 'modelwright[tune]'")
    space = "{'num_leaves': mw.space.integer(2, 31, log=True)}"
    file = declare(
        "sales",
        {
            "model=LGBMRegressor(n_estimators=20, num_leaves=7, n_jobs=1, verbose=-1)":
                f"model=mw.tune(LGBMRegressor(n_estimators=20, n_jobs=1, verbose=-1), {space}, trials=2),"
                "train_on=mw.past.since_change()",
            'retrain=[retrain.every("7d")]': 'retrain=[retrain.every("7d"), retrain.on_drift()]',
            "rows: int = 1_200": "rows: int = 2_400",
            "random.integers(0, 60))": "random.integers(0, 60)) + 60 * (i > rows * 0.5)",
        },
    )  # fmt: skip
    system = mw.load(file)
    rehearsed = system.rehearse()
    with Run(file, "--replay", str(file.with_name("sales.csv")), "--once") as run:
        code, out, err = run.end()
    assert code == 0, err
    trained = [row for row in system.journal(of="replay") if row.kind == "trained"]
    assert trained[0].evidence["trained_on"] == "all history"
    assert trained[-1].evidence["trained_on"].startswith("since the change at ")
    assert trained[-1].evidence["rows"] < trained[-2].evidence["rows"]
    assert all(len(row.evidence["chosen_from"][0]["trials"]) == 3 for row in trained)
    assert json.loads(out)["journal_sha256"] == rehearsed.journal_sha256


def test_drift_is_noticed_live_as_it_was_in_the_rehearsal(declare):
    file = declare(
        "disputes",
        {
            'retrain=[retrain.every("14d"), retrain.on_decay(drop=0.1, rows=60)]': "retrain=[retrain.on_drift()], "
            'monitor=mw.monitor(false_alarm_every="29d")',
            "random.lognormal(3, 1)": "random.lognormal(3 if i < rows * 0.6 else 4, 1)",
        },
    )
    rehearsed = mw.load(file).rehearse()
    with Run(file, "--replay", str(file.with_name("disputes.csv")), "--once") as run:
        code, out, err = run.end()
    assert code == 0, err
    assert json.loads(out)["journal_sha256"] == rehearsed.journal_sha256
    rows = mw.load(file).journal(of="replay")
    drifted = [one["name"] for row in rows if row.kind == "alert" for one in row.evidence.get("drifted", ())]
    assert "amount" in drifted
    assert {row.evidence["trigger"] for row in rows if row.kind == "trigger"} == {"OnDrift"}
    report = Path(rehearsed.report)
    told = json.loads(re.search(r'id="data">(.*?)</script>', report.read_text()).group(1))["report"]["drift"]
    assert "amount" in [one["name"] for one in told["findings"]]
    assert told["false_alarm_every"] == "29d"
    assert all(one["sure"].endswith("likelier") for one in told["findings"])
    drift = mw.load(file).status(of="replay").drift
    assert [one["name"] for one in drift["findings"]] == [
        one["name"] for alarm in drift["alarms"] for one in alarm["drifted"]
    ]


def test_labels_ahead_are_read_by_the_running_system_itself(declare):
    """Nobody tells them; a run that is killed and started again goes on, and none is doubled."""
    file = declare("returns")
    system = mw.load(file)

    def counts(run):
        said = run.ask("GET", "/console.json")
        return said[1].get("counts", {}) if said else {}

    with Run(file, port=free_port()) as run:
        until(run.champion, "the first champion")
        assert run.ask("GET", "/console.json")[1]["drift"]["false_alarm_every"] == "30d"
        said = run.ask("POST", "/outcomes", {"id": "v1", "outcome": 1.0})
        assert said[0] == 422
        assert "spends is not told but read from later events (sum(spent) over the 2d after" in said[1]["detail"]
        before = until(lambda: counts(run).get("outcomes"), "the outcomes of history")
        # What comes now is later than the windows that the history left open: nothing followed in them.
        now = datetime.now(UTC).isoformat()
        visit = {"visit": "now", "guest": "g1", "at": now, "house": "h1", "spent": 2.0, "returned": False}
        assert run.ask("POST", "/predict", visit)[0] == 200
        until(lambda: counts(run).get("outcomes", 0) > before, "the windows of history to close")
        os.kill(run.process.pid, signal.SIGKILL)
        run.process.wait()
    with Run(file, port=free_port()) as run:
        until(run.champion, "the champion")
        until(lambda: counts(run).get("events") == 901, "the log")
        code, _, err = run.end(signal.SIGTERM)
    assert code == 0, err
    with closing(open_log(system, workspace_of(system), SystemClock(), readonly=True)) as log:
        events, outcomes = log.events(), log.outcomes()
    ids = outcomes["_id"].to_pylist()
    known = [row["_id"] for row in events.to_pylist() if row["guest"] is not None and row["_id"] != "now"]
    assert len(ids) == len(set(ids))
    assert sorted(ids) == sorted(known)


def test_a_run_that_goes_on_watches_what_its_champion_was_asked_before(declare):
    file = declare("sales")
    hour = {"shop": "s1", "warmth": 20.0, "holiday": False}

    def watched(run):
        said = run.ask("GET", "/console.json")
        return said and (said[1].get("drift") or {}).get("rows")

    with Run(file, port=free_port()) as run:
        until(run.champion, "the first champion")
        now = datetime.now(UTC).isoformat()
        asked = [{**hour, "at": now, "visitors": visitors} for visitors in range(200)]
        assert run.ask("POST", "/predict", asked)[0] == 200
        first = until(lambda: watched(run), "requests to be watched")
        assert first == 200
        os.kill(run.process.pid, signal.SIGKILL)
        run.process.wait()
    with Run(file, port=free_port()) as run:
        assert until(lambda: watched(run), "the requests of before") == first


FRAGILE = '''
class Fragile(LGBMRegressor):
    """Cannot answer one number of visitors."""

    def predict(self, frame, **more):
        if (frame["visitors"] == 777).any():
            raise RuntimeError("too many")
        return super().predict(frame, **more)


system = mw.System('''


def test_a_release_that_fails_live_is_replaced_without_a_restart_as_it_was_in_the_rehearsal(declare):
    fragile = {
        "system = mw.System(": FRAGILE,
        "model=LGBMRegressor(": "model=Fragile(",
        "rows: int = 1_200": "rows: int = 500",
        "visitors = int(random.integers(0, 60))": "visitors = 777 if i == 300 else int(random.integers(0, 60))",
    }
    file = declare("sales", fragile)
    system = mw.load(file)
    rehearsed = system.rehearse()
    assert rehearsed.rollbacks == 1
    with Run(file, "--replay", str(file.with_name("sales.csv")), "--once") as run:
        code, out, err = run.end()
    assert code == 0, err
    said = json.loads(out)
    assert (said["rollbacks"], said["predictions"]) == (1, 400)  # each event has its answer
    assert said["journal_sha256"] == rehearsed.journal_sha256
    (back,) = [row for row in system.journal(of="replay") if row.kind == "rolled_back"]
    assert back.summary.startswith("r0-")
    assert back.summary.endswith("failed to predict: RuntimeError: too many")
    assert not [row for row in system.journal(of="replay") if "serving process" in row.summary]


def test_a_proxy_is_not_asked_for_what_this_machine_serves(declare, monkeypatch):
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    file = declare("sales", {"rows: int = 1_200": "rows: int = 300"})
    with Run(file, "--replay", str(file.with_name("sales.csv")), "--once") as run:
        code, out, err = run.end()
    assert code == 0, err
    assert json.loads(out)["replayed"] == 1.0


def test_what_one_serving_process_rolls_back_all_roll_back(declare):
    file = declare("sales", {"system = mw.System(": FRAGILE, "model=LGBMRegressor(": "model=Fragile("})

    def ready(connection):
        connection.request("GET", "/readyz")
        return json.loads(connection.getresponse().read())["release"] or ""

    with Run(file, "--workers", "2", port=free_port()) as run, contextlib.ExitStack() as held:
        until(lambda: (run.champion() or "").startswith("r1-"), "the first champion")
        # Twenty connections are with both processes, but for one chance in a million.
        connections = [http.client.HTTPConnection("127.0.0.1", run.port, timeout=60) for _ in range(20)]
        for connection in connections:
            held.callback(connection.close)
        until(lambda: all(ready(connection).startswith("r1-") for connection in connections), "all of them")
        hours = [
            {"at": f"2024-12-01T1{n}:00:00Z", "shop": "s1", "warmth": 1.0, "holiday": False, "visitors": 777}
            for n in range(3)
        ]
        connections[0].request("POST", "/predict", json.dumps(hours))
        answer = connections[0].getresponse()
        said = json.loads(answer.read())
        assert answer.status == 200, said
        assert {one["release"][:3] for one in said} == {"r0-"}
        until(lambda: all(ready(connection).startswith("r0-") for connection in connections), "all of them")
        code, _, err = run.end(signal.SIGTERM)
    assert code == 0, err
    assert [row.kind for row in mw.load(file).journal()].count("rolled_back") == 1


def test_the_journal_of_the_replay_is_the_rehearsals(replayed):
    system, rehearsal, _ = replayed
    replay, rehearsed = system.journal(of="replay"), system.journal(of="rehearsal")
    assert [row.hash for row in replay] == [row.hash for row in rehearsed]
    assert replay[-1].hash == rehearsal["journal_sha256"]


def test_every_served_feature_is_the_recomputed_one_bit_for_bit(replayed):
    system, _, replay = replayed
    with closing(open_log(system, trial_of(system, "replay"), readonly=True)) as log:
        events, outcomes, predictions = log.events(), log.outcomes(), log.predictions()
        counts = log.counts()
    champion = predictions.filter(predictions["role"].to_numpy(zero_copy_only=False) == "champion")
    assert champion.num_rows == replay["predictions"] == 3_200
    assert counts["predictions"] == predictions.num_rows > champion.num_rows  # and those in shadow
    label = LabelColumn(system.label.name, system.label.kind)
    place = {seq: row for row, seq in enumerate(events["_seq"].to_pylist())}
    recomputed = {}
    compared = 0
    for row in predictions.to_pylist():
        if row["release"] not in recomputed:
            views = read_manifest(trial_of(system, "replay").releases / row["release"]).views
            table = compute(views, system.contract, label, events, events, outcomes)
            recomputed[row["release"]] = (table.column_names, [column.to_pylist() for column in table.columns])
        names, columns = recomputed[row["release"]]
        served = json.loads(row["features"])
        assert sorted(served) == sorted(names)
        for name, column in zip(names, columns, strict=True):
            value = column[place[row["event_seq"]]]
            if value is None or (isinstance(value, float) and math.isnan(value)):
                assert served[name] is None
            else:
                assert served[name] == value, (name, row["id"])
            compared += 1
    assert compared > 100_000
    assert len(recomputed) >= 2


def test_the_loop_has_checked_what_it_served_after_each_training(replayed):
    system, _, replay = replayed
    checks = [row for row in system.journal(of="replay") if row.kind == "parity"]
    assert len(checks) == replay["trainings"] - 1  # nothing was answered before the first
    assert sum(row.evidence["checked"] for row in checks) == checks[-1].observed["answers"] > 2_000
    assert all(row.evidence["differ"] == row.evidence["not_comparable"] == {} for row in checks)
    edges = [(row.observed["from_seq"], row.observed["upto_seq"]) for row in checks]
    assert edges[0][0] == 1
    assert all(upto + 1 == begin for (_, upto), (begin, _) in zip(edges, edges[1:], strict=False))
    rehearsed = [row for row in system.journal(of="rehearsal") if row.kind == "parity"]
    assert [row.hash for row in rehearsed] == [row.hash for row in checks]
    assert system.status(of="replay").parity.checked == checks[-1].evidence["checked"]


def test_parity_of_the_replay_is_whole(replayed, modelwright):
    system, _, replay = replayed
    done = modelwright("parity", system.path, "--replay", "--json", home=system.home / ".modelwright")
    assert done.code == 0, done.err
    said = done.json
    assert (said["checked"], said["shadow"], said["differ"]) == (replay["predictions"], 0, {})
    assert said["not_comparable"] == {}
    assert {one["feature"] for one in said["features"]} == {name for view in system.features for name in view.features}
    assert {one["compared"] for one in said["features"]} == {replay["predictions"]}
    half = modelwright("parity", system.path, "--replay", "--since", "30d", "--json", home=system.home / ".modelwright")
    assert 1_400 < half.json["checked"] <= 1_441  # half-hours
    after = modelwright(
        "parity", system.path, "--replay", "--since", str(said["upto_seq"] - 100), home=system.home / ".modelwright"
    )
    assert (after.code, after.out) == (0, "")
    assert "answers checked: served features equal recomputed ones" in after.err


@pytest.fixture
def altered(replayed, tmp_path):
    """The replayed system in a folder of its own, with one more half-hour whose `up_1d` is not what the log gives."""
    original = replayed[0]
    shutil.copytree(original.home, tmp_path / "altered")
    system = mw.load(tmp_path / "altered" / original.path.name)
    workspace = trial_of(system, "replay")
    with closing(open_log(system, workspace, SimulatedClock(0))) as log:
        last = next(row for row in reversed(log.tail(log.head() - 50, 50)) if isinstance(row, EventRow))
        time = system.contract.names.index(system.contract.time)
        at_us = last.at_us + 1_800_000_000
        values = [at_us if place == time else value for place, value in enumerate(last.values)]
        release = log.journal.pointer().champion
        label = LabelColumn(system.label.name, system.label.kind)
        host = OnlineHost(
            read_manifest(workspace.releases / release).views, system.contract, label, log.strings, log.history
        )
        served = dict(zip(host.names, host.read(values, at_us), strict=True))
        served["up_1d"] += 0.125
        with log.write() as write:
            seq = write.event("one more", at_us, values, digest=b"one more")
            text = msgspec.json.encode(served).decode()
            write.prediction(seq, "one more", at_us, at_us, release, "champion", True, 0.5, None, text)
    return system, workspace


def test_one_altered_feature_of_one_answer_is_found(altered, modelwright):
    system, workspace = altered
    home = system.home / ".modelwright"
    done = modelwright("parity", system.path, "--replay", "--json", home=home)
    assert done.code == 1, done.err
    assert done.json["differ"] == {"up_1d": 1}
    (one,) = [feature for feature in done.json["features"] if feature["differ"]]
    assert (one["compared"], one["first"]["id"]) == (3_201, "one more")
    assert one["first"]["served"] == one["first"]["recomputed"] + 0.125
    assert one["largest"] == one["first"]["served"] - one["first"]["recomputed"]
    seen = modelwright("parity", system.path, "--replay", home=home)
    assert (seen.code, seen.out) == (1, "")
    assert "served features differ from recomputed ones over 3,201 answers: up_1d (1)" in seen.err
    # The loop's own check, in the process that trains beside serving.
    trainer = TrainerProcess(system.path, workspace)
    try:
        report = trainer.check_parity(0, done.json["upto_seq"])
    finally:
        trainer.stop()
    assert msgspec.to_builtins(report) == {name: done.json[name] for name in report.__struct_fields__}


def test_the_system_itself_is_not_touched_by_a_replay(replayed, modelwright):
    system, *_ = replayed
    assert [row for row in system.journal() if row.kind != "error"] == []
    assert not list(workspace_of(system).root.glob("**/.partial-*"))


def test_ctrl_c_in_a_replay_ends_it_with_130(replayed):
    system, *_ = replayed
    with Run(system.path, "--replay", str(system.home / "data/elec2.parquet"), port=free_port()) as run:
        until(run.champion, "the first champion")
        code, out, err = run.end(signal.SIGINT)
    assert code == 130
    assert json.loads(out).keys() == {"address"}
    assert err.strip().splitlines()[-1] == "modelwright: interrupted; what was acknowledged is in the log"
    assert "Traceback" not in err


def test_beside_a_run_a_replay_is_refused_a_training_is_not_and_a_second_run_stands_by(declare, modelwright):
    file = declare("disputes")
    with contextlib.ExitStack() as held:
        run = held.enter_context(Run(file, port=free_port()))
        until(run.champion, "the first champion")
        second = held.enter_context(Run(file, port=run.port))
        home = file.parent / ".modelwright"
        refused = modelwright(
            "run", file, "--port", "0", "--replay", file.with_name("disputes.csv"), "--once", home=home
        )
        assert refused.code == 1
        (line,) = refused.err.strip().splitlines()
        assert f"another process (process {run.process.pid}) is its run already" in line
        assert second.process.stderr.readline() == (
            f"modelwright: process {run.process.pid} runs this system; standing by, to go on where it ends\n"
        )
        assert modelwright("status", file, "--json", home=home).json["champion"]["release"] == run.champion()
        trained = modelwright("train", file, "--json", home=home)
        assert trained.code == 0, trained.err
        assert trained.json["promoted"] is False  # the loop decides
        champion = run.champion()
        assert run.end(signal.SIGKILL)[0] == -signal.SIGKILL
        json.loads(second.process.stdout.readline())  # it listens
        assert until(second.champion, "the champion of before") == champion
        assert modelwright("status", file, "--json", home=home).json["champion"]["release"] == champion
        code, _, err = second.end(signal.SIGTERM)
    assert code == 0, err
    rows = list(mw.load(file).journal())
    assert [row.kind for row in rows].count("promoted") == 1
    assert len({row.release for row in rows if row.kind == "registered"}) == 3  # the baseline, the first, and `train`'s


SLOW = '''
class Slow(LGBMRegressor):
    """Takes its time to fit."""

    def fit(self, frame, target):
        import time
        from pathlib import Path

        (Path(__file__).parent / "fitting").touch()
        while not (Path(__file__).parent / "go on").exists():
            time.sleep(0.05)
        return super().fit(frame, target)


system = mw.System('''


def test_ctrl_c_in_a_training_leaves_no_half_made_release(declare):
    file = declare("sales", {"system = mw.System(": SLOW, "model=LGBMRegressor(": "model=Slow("})
    releases = file.parent / ".modelwright/releases"
    with Run(file, port=free_port()) as run:
        until((file.parent / "fitting").exists, "the training")
        code, out, err = run.end(signal.SIGINT)
    assert code == 130
    assert json.loads(out).keys() == {"address"}
    assert "Traceback" not in err
    assert all((release / "manifest.json").exists() for release in releases.iterdir())
    (releases / ".partial-killed").mkdir()
    (releases / ".partial-killed/model.onnx").write_bytes(b"half")
    (file.parent / "go on").touch()
    with Run(file, port=free_port()) as run:
        champion = until(lambda: (name := run.champion()) and name.startswith("r1-") and name, "the fitted champion")
        code, _, err = run.end(signal.SIGINT)
    assert code == 130, err
    assert not list(releases.glob(".partial-*"))
    assert (releases / champion / "manifest.json").exists()


def test_serving_that_is_killed_is_started_again_and_nothing_acknowledged_is_lost(declare):
    file = declare("disputes")
    acknowledged, failed, stop = {}, [], threading.Event()

    def ask(run, worker):
        number = 0
        while not stop.is_set():
            id = f"live-{worker}-{number}"
            at = f"2024-09-01T{number // 3600 % 24:02}:{number // 60 % 60:02}:{number % 60:02}Z"
            said = run.ask(
                "POST", "/predict", {"payment": id, "card": f"c{worker}", "at": at, "amount": 1.5, "country": "DE"}
            )
            if said is None or said[0] != 200:
                failed.append(id)
                time.sleep(0.01)
            else:
                acknowledged[id] = said[1]
            number += 1

    with Run(file, port=free_port()) as run:
        until(run.champion, "the first champion")
        workers = [threading.Thread(target=ask, args=(run, worker)) for worker in range(4)]
        for worker in workers:
            worker.start()
        killed = []
        try:
            for wanted in (100, 300):
                until(lambda wanted=wanted: len(acknowledged) > wanted, "answers")
                killed.append(until(lambda: run.child("modelwright.app.worker"), "the serving process"))
                os.kill(killed[-1], signal.SIGKILL)
                before = len(acknowledged)
                until(lambda before=before: len(acknowledged) > before + 100, "answers after the kill")
        finally:
            stop.set()
            for worker in workers:
                worker.join()
        assert run.child("modelwright.app.worker") not in killed
        again = next(iter(acknowledged))
        body = {"payment": again, "card": "c" + again.split("-")[1], "amount": 1.5, "country": "DE"}
        number = int(again.split("-")[2])
        body["at"] = f"2024-09-01T{number // 3600:02}:{number // 60 % 60:02}:{number % 60:02}Z"
        assert run.ask("POST", "/predict", body) == (200, acknowledged[again])  # the stored answer
        code, _, err = run.end(signal.SIGTERM)
    assert code == 0, err

    system = mw.load(file)
    with closing(open_log(system, workspace_of(system), SystemClock(), readonly=True)) as log:
        ids = log.events()["_id"].to_pylist()
        said = {row["id"]: row for row in log.predictions().to_pylist()}
        log.journal.verify()
        restarts = [row.summary for row in log.journal.rows() if row.kind == "error"]
    assert len(ids) == len(set(ids))
    assert set(acknowledged) <= set(ids)
    for id, answer in acknowledged.items():
        assert (said[id]["prediction"], said[id]["score"], said[id]["release"]) == (
            answer["prediction"], answer["score"], answer["release"],
        )  # fmt: skip
    assert restarts == ["the serving process ended with code -9 and is started again"] * 2


def test_a_run_on_a_full_disk_answers_what_is_stored_and_goes_on_when_there_is_room(declare, modelwright):
    """The largest file that its processes may write stands for the end of their disk."""
    resource = pytest.importorskip("resource")
    if not hasattr(resource, "prlimit"):
        pytest.skip("limits of another process can be set on Linux only: run this there")
    file = declare("disputes")

    def body(number):
        at = f"2024-09-01T{number // 60:02}:{number % 60:02}:00Z"
        return {"payment": f"live-{number}", "card": "c" * 300, "at": at, "amount": 1.5, "country": "DE"}

    with Run(file, port=free_port()) as run:
        until(run.champion, "the first champion")
        stored = run.ask("POST", "/predict", body(0))
        assert stored[0] == 200
        pids = [run.process.pid, run.child("modelwright.app.worker")]
        size = (file.parent / ".modelwright" / "log" / "data.mdb").stat().st_size
        for pid in pids:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
        number = 1
        while (said := run.ask("POST", "/predict", body(number)))[0] == 200:
            number += 1
        assert said[0] == 503
        assert "full" in said[1]["detail"]
        time.sleep(2.5)  # longer than the pause between two states of the console
        assert run.process.poll() is None
        assert run.ask("POST", "/predict", body(0)) == stored
        assert run.ask("GET", "/console.json")[0] == 200
        status = modelwright("status", file, "--json", home=file.parent / ".modelwright")
        assert (status.code, status.json["predictions"]) == (0, number)
        for pid in pids:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        assert run.ask("POST", "/predict", body(number))[0] == 200
        assert run.child("modelwright.app.worker") == pids[1], "nobody had to be started again"
        code, _, err = run.end(signal.SIGTERM)
    assert code == 0, err
    told = [line for line in err.splitlines() if "disk is full" in line]
    assert 1 <= len(told) <= 2, "each process tells it once"
