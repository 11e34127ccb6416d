"""Keys: what is stored, who is admitted, how often; and what a file that is damaged or gone does to a running server."""

import base64
import os
import re
import stat

import pytest

from modelwright.core.errors import UsageError, WorkspaceError
from modelwright.serving.keys import Access, KeyFile, digest_of, rate_of
from modelwright.serving.problems import HttpError


@pytest.fixture
def file(tmp_path):
    return KeyFile(tmp_path / "keys.json")


def made(file, name="k", scopes=("predict",), rate=None):
    return file.create(name, scopes, rate_of(rate) if rate else None, 1)


def bearer(key):
    return [(b"host", b"x"), (b"authorization", b"Bearer " + key.encode())]


def status(access, path, headers=()):
    try:
        access.admit(path, headers)
    except HttpError as error:
        return error.status
    return 200


def test_only_the_hash_is_stored_and_only_for_its_owner(file):
    key = made(file)
    assert re.fullmatch(r"mw_[A-Za-z0-9_-]{43}", key)
    assert key[3:] not in file.path.read_text()
    assert digest_of(key) in file.path.read_text()
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert made(file, "other") != key


def test_without_keys_everybody_is_admitted(file):
    access = Access(file, digest_of("mw_own"))
    assert not access.closed
    assert status(access, "/metrics") == 200


NEEDS = {
    "/predict": "predict", "/v2": "predict", "/v2/models/m/infer": "predict", "/events": "ingest", "/events/Login": "ingest",
    "/outcomes": "ingest", "/metrics": "admin", "/": "admin", "/console.json": "admin", "/nobody/knows": "admin",
    "/v2x": "admin", "/predict/": "admin", "/openapi.json": "any", "/docs": "any",
    "/healthz": "open", "/readyz": "open", "/v2/health/ready": "open",
}  # fmt: skip


@pytest.mark.parametrize("path", NEEDS)
def test_a_scope_opens_its_own_routes_and_no_others(file, path):
    keys = {scope: made(file, scope, [scope]) for scope in ("predict", "ingest", "admin")}
    access = Access(file)
    needed = NEEDS[path]
    assert status(access, path) == (200 if needed == "open" else 401)
    for scope, key in keys.items():
        assert status(access, path, bearer(key)) == (200 if needed in ("open", "any", scope) else 403)
    assert status(access, path, bearer(made(file, "unread"))) == (200 if needed == "open" else 401)


def test_a_key_may_be_shown_in_three_ways(file):
    key = made(file)
    access = Access(file)
    assert access.admit("/predict", [(b"x-api-key", key.encode())]) == "k"
    assert access.admit("/predict", [(b"authorization", b"bEARER " + key.encode())]) == "k"
    basic = b"Basic " + base64.b64encode(b"anybody:" + key.encode())
    assert access.admit("/predict", [(b"authorization", basic)]) == "k"


@pytest.mark.parametrize(
    "header",
    [
        (b"authorization", b"Bearer"), (b"authorization", b"Bearer "), (b"authorization", b"Basic !"), (b"x-api-key", b""),
        (b"authorization", b"Digest mw_"), (b"x-api-key", b"\xff" * 9000), (b"cookie", b"mw_"), (b"x-api-key", b"mw_own2"),
    ],
)  # fmt: skip
def test_what_is_no_key_is_none(file, header):
    made(file)
    access = Access(file, digest_of("mw_own"))
    assert status(access, "/predict", [header]) == 401
    assert status(access, "/metrics", [(b"x-api-key", b"mw_own")]) == 200


def test_a_rate_is_a_bucket_that_fills_with_time(file):
    now = [100.0]
    key = made(file, rate="4/m")
    access = Access(file, now=lambda: now[0])
    assert [status(access, "/predict", bearer(key)) for _ in range(5)] == [200] * 4 + [429]
    with pytest.raises(HttpError) as refused:
        access.admit("/predict", bearer(key))
    assert refused.value.headers == ((b"retry-after", b"15"),)
    now[0] += 14.9
    assert status(access, "/predict", bearer(key)) == 429
    now[0] += 0.2
    assert [status(access, "/predict", bearer(key)) for _ in range(2)] == [200, 429]
    made(file, "other")
    access.look()  # a change of other keys gives nobody more
    assert status(access, "/predict", bearer(key)) == 429
    now[0] += 1e6
    assert [status(access, "/predict", bearer(key)) for _ in range(5)] == [200] * 4 + [429]


def test_changes_are_followed_and_the_last_key_gone_opens_nothing(file, capsys):
    access = Access(file)
    first = made(file)
    access.look()
    assert access.closed
    second = made(file, "second")
    access.look()
    assert status(access, "/predict", bearer(second)) == 200
    assert [key.name for key in file.revoke("k", 2)] == ["second"]
    access.look()
    assert (status(access, "/predict", bearer(first)), status(access, "/predict", bearer(second))) == (401, 200)
    assert file.revoke("second", 3) == []
    access.look()
    assert status(access, "/predict") == status(access, "/predict", bearer(second)) == 401
    assert status(Access(file), "/predict") == 401
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("damage", ["gone", "cut", "other", "no hash"])
def test_a_damaged_file_changes_nothing_for_who_runs_and_keeps_others_from_starting(file, damage, capsys):
    key = made(file)
    access = Access(file)
    if damage == "gone":
        file.path.unlink()
    elif damage == "no hash":
        file.path.write_text(file.path.read_text().replace(digest_of(key), "no hexadecimal"))
    else:
        file.path.write_bytes(file.path.read_bytes()[:-40] if damage == "cut" else b'{"version": 2, "keys": []}')
    for _ in range(3):
        access.look()
    assert capsys.readouterr().err.count("\n") == 1
    assert (status(access, "/predict"), status(access, "/predict", bearer(key))) == (401, 200)
    if damage != "gone":
        with pytest.raises(WorkspaceError, match=r"keys.json"):
            Access(file)


def test_what_cannot_be_is_refused(file):
    made(file)
    for name, text in (("k", "already"), ("", "no name"), ("a b", "no name"), ("x" * 64, "no name")):
        with pytest.raises(UsageError, match=text):
            made(file, name)
    with pytest.raises(UsageError, match="holds no key named other; there are: k"):
        file.revoke("other", 1)
    file.revoke("k", 1)
    with pytest.raises(UsageError, match="was revoked"):
        file.revoke("k", 1)
    with pytest.raises(UsageError, match="already"):
        made(file)  # a name in old logs means one key
    for text in ("0/s", "10", "10/w", "-1/s", "1.5/s", "9999999999/s"):
        with pytest.raises(UsageError, match="no rate"):
            rate_of(text)


def test_a_key_that_was_revoked_stays_revoked_when_the_power_fails(file, monkeypatch):
    durable = []
    fsync = os.fsync

    def noted(handle):
        durable.append((stat.S_ISDIR(os.fstat(handle).st_mode), file.read()[0].revoked_us if file.path.exists() else 0))
        fsync(handle)

    file.create("shop", ["predict"], None, 1)
    monkeypatch.setattr(os, "fsync", noted)
    file.revoke("shop", 2)
    assert durable == [(False, 0), (True, 2)]  # what is in it, then that it is in the other's place
