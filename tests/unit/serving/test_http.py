"""The application called as a server would call it, without a socket."""

import asyncio
import json

import msgspec
import pytest

from modelwright.core.errors import WorkspaceError
from modelwright.serving import body
from modelwright.serving.body import read_body
from modelwright.serving.dataplane import Dataplane
from modelwright.serving.http import HttpApp
from modelwright.serving.limits import Room
from modelwright.serving.problems import HttpError
from modelwright.spec import agg


@pytest.fixture
def app(plane):
    return HttpApp(plane, "pay", {"/": (b"text/html", lambda: b"<p>")}, notes=["began with empty history"])


async def send(app, method, path, body=b""):
    """One request; its status, headers and body."""
    sent = []

    async def receive():
        return {"type": "http.request", "body": body, "more_body": False}

    async def answer(message):
        sent.append(message)

    await app({"type": "http", "method": method, "path": path, "headers": []}, receive, answer)
    return sent[0]["status"], dict(sent[0]["headers"]), b"".join(message.get("body", b"") for message in sent)


def ask(app, *arguments):
    return asyncio.run(send(app, *arguments))


def body_of(number, **changes):
    body = {"pid": f"p{number}", "card": "c", "at": "2023-11-14T22:13:20Z", "amount": 1.0, "shop": "a"}
    return json.dumps({**body, **changes}).encode()


def test_a_swap_under_load_drops_no_request(app, plane, release):
    """Requests come and wait while the champion changes again and again: each is answered, by one that was live."""
    lives = [plane.prepare(release(f"r{number}", 0.1 * number)[0]) for number in range(1, 5)]
    plane.swap(lives[0], None, None)
    order = []

    async def all_at_once():
        async def swapping():
            for turn in range(60):
                live = lives[turn % len(lives)]
                plane.swap(live, plane.champion, lives[(turn + 1) % len(lives)])
                order.append(live.name)
                await asyncio.sleep(0)

        async def client(worker):
            answers = []
            for number in range(20):
                status, _, body = await send(app, "POST", "/predict", body_of(f"{worker}-{number}", card=f"c{worker}"))
                answers.append((status, json.loads(body)))
            return answers

        swap = asyncio.create_task(swapping())
        answers = await asyncio.gather(*(client(worker) for worker in range(30)))
        await swap
        return [answer for each in answers for answer in each]

    answers = asyncio.run(all_at_once())
    assert {status for status, _ in answers} == {200}
    named = {answer["release"] for _, answer in answers}
    assert named <= {live.name for live in lives}
    assert len(named) > 1
    for _, answer in answers:
        assert answer["score"] == pytest.approx(0.1 * int(answer["release"][1:]))
    logged = {row["id"]: row for row in plane.log.predictions().to_pylist() if row["role"] == "champion"}
    assert len(logged) == len(answers) == 600
    assert all(logged[answer["id"]]["release"] == answer["release"] for _, answer in answers)


def test_requests_that_are_there_together_share_a_commit(app, plane, release):
    plane.swap(plane.prepare(release("r1", 0.5)[0]), None, None)

    async def together():
        return await asyncio.gather(*(send(app, "POST", "/predict", body_of(number)) for number in range(50)))

    assert {status for status, _, _ in asyncio.run(together())} == {200}
    assert plane.counters.commits == 1


def test_a_list_is_answered_with_a_list(app, plane, release):
    plane.swap(plane.prepare(release("r1", 0.5)[0]), None, None)
    status, headers, body = ask(app, "POST", "/predict", b"[" + body_of(1) + b"]")
    assert (status, headers[b"content-type"]) == (200, b"application/json")
    assert [entry["id"] for entry in json.loads(body)] == ["p1"]


def test_before_there_is_a_release_it_is_not_ready(app):
    status, _, body = ask(app, "GET", "/readyz")
    assert status == 503
    assert json.loads(body)["notes"] == ["no release is live yet", "began with empty history"]
    status, headers, body = ask(app, "POST", "/predict", body_of(1))
    assert (status, headers[b"content-type"]) == (503, b"application/problem+json")
    assert "POST /events" in json.loads(body)["detail"]
    assert ask(app, "POST", "/events", body_of(1))[0] == 200


def test_pages_of_others_are_served(app):
    assert ask(app, "GET", "/")[::2] == (200, b"<p>")
    status, headers, body = ask(app, "HEAD", "/")
    assert (status, headers[b"content-length"], body) == (200, b"3", b"")
    assert ask(app, "POST", "/")[0] == 405


@pytest.mark.parametrize(
    "error", [WorkspaceError("/secret/path: the disk is full"), RuntimeError("/secret/path broke")]
)
def test_no_answer_shows_a_path_of_the_machine(app, plane, monkeypatch, capsys, error):
    def work(jobs):
        raise error

    monkeypatch.setattr(plane, "work", work)
    status, _, body = ask(app, "POST", "/events", body_of(1))
    assert status == (503 if isinstance(error, WorkspaceError) else 500)
    assert b"secret" not in body
    assert "/secret/path" in capsys.readouterr().err


def test_metrics_count_routes_and_never_what_clients_invent(app):
    for path in ("/x", '/"}{', "/healthz"):
        ask(app, "GET", path)
    text = ask(app, "GET", "/metrics")[2].decode()
    assert 'modelwright_responses_total{route="other",status="404"} 2' in text
    assert 'modelwright_responses_total{route="/healthz",status="200"} 1' in text


def body_in_parts(parts, headers=(), ends=True, most=1000):
    """What `read_body` gives for a body that comes in parts, and how many of them it took."""
    messages = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
    if ends:
        messages[-1]["more_body"] = False
    else:
        messages.append({"type": "http.disconnect"})
    taken = 0

    async def receive():
        nonlocal taken
        taken += 1
        return messages[taken - 1]

    room = Room(most)
    try:
        body = asyncio.run(read_body({"headers": list(headers)}, receive, room, lambda: HttpError(503, "no room")))
        assert room.held == len(body)
        return body, taken
    except HttpError as error:
        assert room.held == 0
        return error.status, taken


def test_a_body_comes_in_parts(monkeypatch):
    monkeypatch.setattr(body, "BODY_LIMIT", 10)
    monkeypatch.setattr(body, "DROP_LIMIT", 30)
    assert body_in_parts([b"a", b"", b"bc"]) == (b"abc", 3)
    assert body_in_parts([b"0123456789"]) == (b"0123456789", 1)
    assert body_in_parts([b"0123456789a"]) == (413, 1)
    assert body_in_parts([b"01234567"] * 3) == (413, 3)  # taken to its end, so that the client reads the answer
    assert body_in_parts([b"01234567"] * 9) == (413, 4)  # but not for ever
    assert body_in_parts([b"a"], ends=False) == (400, 2)
    length = (b"content-length", b"99")
    assert body_in_parts([b"01234567"] * 2, [length]) == (413, 2)
    assert body_in_parts([b"012", b"345"], most=6) == (b"012345", 2)
    assert body_in_parts([b"012", b"345", b"6", b"7"], most=6) == (
        503,
        4,
    )  # nor is there room for one that is small enough
    assert body_in_parts([], [length, (b"expect", b"100-continue")], ends=False) == (413, 0)


def test_nobody_is_asked_to_tell_what_is_read_from_later_events(log, contract, label, clock):
    ahead = msgspec.structs.replace(label, ahead=agg.count(over="1m"), by=("card",))
    app = HttpApp(Dataplane(log, contract, ahead, clock), "pay")
    assert "/outcomes" not in json.loads(ask(app, "GET", "/openapi.json")[2])["paths"]
    page = ask(app, "GET", "/docs")[2].decode()
    assert "Nobody has to: it is whether count is above 0 over the 1m after the event, by card." in page
    status, _, body = ask(app, "POST", "/outcomes", b'{"id":"p1","outcome":true}')
    assert (status, json.loads(body)["field"]) == (422, "outcome")


def test_whoever_is_to_tell_outcomes_is_told_how(app):
    assert "/outcomes" in json.loads(ask(app, "GET", "/openapi.json")[2])["paths"]
    assert "curl -X POST &quot;$URL/outcomes&quot;" in ask(app, "GET", "/docs")[2].decode()
