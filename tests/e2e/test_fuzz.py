"""Whatever is sent is answered, soon, with what the contract allows: never a 500, never a hang, and the server lives on.

Requests begin as right ones and are spoilt: values, names, shapes, sizes, bytes, headers. A server with a log and one
without get the same.
"""

import http.client
import json
import struct
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

ANSWERED_S = 60
"""Nothing that may be sent takes so long."""
REFUSED = {400, 406, 409, 413, 415, 422}
INFER = "/v2/models/plain-cards/infer"
HEAD_LENGTH = "inference-header-content-length"
DATATYPES = {"amount": "FP64", "items": "INT64"}
fuzzed = settings(suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module", params=["log", "no log"])
def server(request: Any, plain_cards: Any, serve: Callable[..., Any]) -> Any:
    return serve(plain_cards.release, options=["--no-log"] if request.param == "no log" else [])


class Asker:
    """One connection for all requests, so that an answer that is not the request's own is seen."""

    def __init__(self, server: Any) -> None:
        self._server = server
        self._opened: http.client.HTTPConnection | None = None

    def __call__(self, path: str, body: bytes, headers: dict[str, str] | None = None) -> tuple[int, Any]:
        if self._opened is None:
            self._opened = http.client.HTTPConnection(*self._server.address, timeout=ANSWERED_S)
        self._opened.request("POST", path, body, {"content-type": "application/json", **(headers or {})})
        answer = self._opened.getresponse()
        said, kind = answer.read(), answer.getheader("content-type", "")
        if answer.will_close:
            self.close()
        if answer.status != 200:
            assert answer.status in REFUSED, (answer.status, said[:500], body[:500])
            problem = json.loads(said)
            detail = problem["error"] if path.startswith("/v2") else problem["detail"]
            assert path.startswith("/v2") or kind == "application/problem+json"
            assert detail
            assert len(detail) < 600
            return answer.status, problem
        return 200, json.loads(said) if kind == "application/json" else said

    def close(self) -> None:
        if self._opened is not None:
            self._opened.close()
            self._opened = None


@pytest.fixture
def ask(server: Any) -> Iterator[Asker]:
    asker = Asker(server)
    yield asker
    asker.close()
    assert server.ask("GET", "/healthz").json == {"alive": True}
    assert "Traceback" not in server.messages()


def nested(depth: int) -> Any:
    deep: Any = []
    for _ in range(depth):
        deep = [deep]
    return deep


whole = st.one_of(st.integers(), st.sampled_from([2**63 - 1, 2**63, -(2**63) - 1, 2**64, 10**30, 10**400]))
fraction = st.one_of(st.floats(), st.sampled_from([float("nan"), float("inf"), float("-inf"), 1e308, 5e-324, -0.0]))
text = st.one_of(
    st.text(max_size=20), st.sampled_from(["", "\x00", "NaN", "x" * 100_000, "💳", "2024-06-01T12:00:00Z"])
)
value = st.one_of(
    st.none(), st.booleans(), whole, fraction, text, st.builds(nested, st.integers(1, 400)),
    st.lists(st.one_of(st.none(), whole, text), max_size=3), st.dictionaries(text, whole, max_size=2),
)  # fmt: skip
EDGES = [
    None,
    True,
    1,
    1.5,
    -1,
    2**63,
    -(2**63) - 1,
    10**30,
    10**400,
    float("nan"),
    float("inf"),
    1e308,
    "",
    "x",
    [],
    [1],
    {},
]
names = ["payment_id", "card", "at", "amount", "items", "merchant", "country"]
name = st.one_of(st.sampled_from([*names, "id", "features", "instances", "amuont", "is_fraud"]), st.text(max_size=8))
ids = st.integers(0, 2**63).map("f{}".format)


@st.composite
def rows(draw: Any) -> dict[str, Any]:
    """A payment, right, or with members changed, added or left out."""
    row = {
        "payment_id": draw(ids), "card": "c", "at": "2024-06-01T12:00:00Z", "amount": draw(st.sampled_from([1, 2.5, 1e300])),
        "items": 1, "merchant": draw(st.sampled_from(["a", "never seen", ""])), "country": draw(st.sampled_from(["DE", None])),
    }  # fmt: skip
    for _ in range(draw(st.integers(0, 2))):
        row[draw(name)] = draw(value)
    for gone in draw(st.lists(st.sampled_from(names), max_size=1)):
        row.pop(gone, None)
    return row


@st.composite
def spoilt(draw: Any, body: bytes) -> bytes:
    """The bytes; or cut, with some put in or changed, or said twice."""
    how = draw(st.integers(0, 7))
    place = draw(st.integers(0, max(len(body) - 1, 0)))
    if how == 0:
        return body[:place]
    if how == 1:
        return body[:place] + draw(st.binary(min_size=1, max_size=8)) + body[place:]
    if how == 2:
        return body[:place] + bytes([draw(st.integers(0, 255))]) + body[place + 1 :]
    if how == 3:
        return body + body
    return body


headers = st.dictionaries(
    st.sampled_from(["content-type", "accept", "content-encoding", "expect", HEAD_LENGTH, "x-request-id"]),
    st.one_of(
        st.sampled_from(["application/json", "text/csv", "application/jsonlines", "*/*", "gzip", "identity", "100-continue",
                         "application/json; charset=utf-16", "text/csv; header=present", ";;=;", "", "9" * 30, "-1", "0"]),
        st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=20),
    ),
    max_size=2,
)  # fmt: skip
sometimes = st.one_of(st.just({}), st.just({}), headers)


@fuzzed
@given(data=st.data())
def test_predict(ask: Asker, data: Any) -> None:
    row = data.draw(rows())
    body = json.dumps(data.draw(st.sampled_from([row, [row], [row, row]]))).encode()
    ask("/predict", data.draw(spoilt(body)), data.draw(sometimes))


@fuzzed
@given(body=st.one_of(st.binary(max_size=200), value.map(lambda one: json.dumps(one).encode())), headers=sometimes)
def test_any_bytes_anywhere(ask: Asker, body: bytes, headers: dict[str, str]) -> None:
    for path in ("/predict", INFER, "/invocations", "/score"):
        ask(path, body, headers)


@st.composite
def invocations(draw: Any) -> tuple[str, bytes, str]:
    """A path, a body and its content type."""
    several = draw(st.lists(rows(), max_size=3))
    values = [list(row.values()) for row in several]
    split = {
        "columns": draw(st.one_of(st.just(list(several[0]) if several else []), st.lists(name, max_size=8))),
        "data": values,
    }
    columns = {one: draw(st.lists(value, max_size=2)) for one in draw(st.lists(name, max_size=7))}
    given = draw(st.sampled_from([several, values, split, columns, [{"features": row} for row in values]]))
    path, members = draw(
        st.sampled_from([
            ("/invocations", ["instances", "inputs", "dataframe_split", "dataframe_records", "params", "parameters"]),
            ("/score", ["input_data", "data", "params"]),
        ])
    )  # fmt: skip
    form = draw(st.sampled_from(["json", "json", "lines", "csv"]))
    if form == "lines":
        return "/invocations", "\n".join(map(json.dumps, several)).encode(), "application/jsonlines"
    if form == "csv":
        cells = [",".join(str(one) for one in row) for row in values]
        return "/invocations", "\n".join(cells).encode("utf-8", "replace"), "text/csv"
    body = dict.fromkeys(draw(st.lists(st.sampled_from(members), min_size=1, max_size=2)), given)
    return path, json.dumps(body).encode(), "application/json"


@fuzzed
@given(data=st.data())
def test_invocations(ask: Asker, data: Any) -> None:
    path, body, kind = data.draw(invocations())
    ask(path, data.draw(spoilt(body)), {"content-type": kind, **data.draw(sometimes)})


LIES = [*["value"] * 3, "shape", "datatype", "name", "data", "parameters", "inputs", "outputs", "id", "gone", "twice"]
"""What may be wrong with a tensor; some are members that it may not have."""


@st.composite
def inferences(draw: Any) -> tuple[bytes, dict[str, str]]:
    """An inference, right or with tensors that lie of their shape, their datatype, their size or their number."""
    count = draw(st.sampled_from([1, 1, 2, 3, 0]))
    several = [
        {"payment_id": draw(ids), "card": "c", "at": "2024-06-01T12:00:00Z", "amount": 2.5, "items": 1, "merchant": "a",
         "country": "DE"} for _ in range(count)
    ]  # fmt: skip
    tail, inputs = b"", []
    for column in names:
        data = [row[column] for row in several]
        tensor: dict[str, Any] = {"name": column, "shape": [count], "datatype": DATATYPES.get(column, "BYTES")}
        if draw(st.booleans()):
            raw = packed(tensor["datatype"], data)
            tensor["parameters"] = {"binary_data_size": len(raw)}
            tail += raw
        else:
            tensor["data"] = data
        inputs.append(tensor)
    for _ in range(draw(st.integers(0, 2))):
        lie = draw(st.sampled_from(LIES))
        tensor = draw(st.sampled_from(inputs))
        if lie == "value":
            tensor["data"] = [draw(st.one_of(whole, fraction, value)) for _ in range(count)]
            tensor.pop("parameters", None)
        elif lie == "shape":
            sizes = st.one_of(st.integers(-1, 4), whole)
            tensor["shape"] = draw(st.one_of(st.lists(sizes, max_size=3), value))
        elif lie == "datatype":
            tensor["datatype"] = draw(
                st.sampled_from(["BOOL", "INT8", "UINT64", "FP16", "FP32", "FP64", "BYTES", "BF16", "", 5])
            )
        elif lie == "parameters":
            size = st.one_of(st.integers(-1, 50), value)
            tensor["parameters"] = draw(st.one_of(st.fixed_dictionaries({"binary_data_size": size}), value))
        elif lie == "gone":
            inputs = [one for one in inputs if one is not tensor] or inputs
        elif lie == "twice":
            inputs = [*inputs, tensor]
        elif lie == "name":
            tensor["name"] = draw(name)
        else:
            tensor[lie] = draw(st.one_of(st.lists(value, max_size=3), value))
    asked = {
        "inputs": inputs,
        **draw(st.dictionaries(st.sampled_from(["id", "parameters", "outputs", "more"]), value, max_size=1)),
    }
    head = json.dumps(asked).encode()
    length = draw(st.one_of(st.just(str(len(head))), st.just(str(len(head))), st.integers(-2, len(head) * 2).map(str)))
    return head + tail, {HEAD_LENGTH: length} if tail or draw(st.booleans()) else {}


def packed(datatype: str, data: list[Any]) -> bytes:
    if datatype == "BYTES":
        return b"".join(struct.pack("<I", len(one.encode())) + one.encode() for one in data)
    return struct.pack(f"<{len(data)}{'d' if datatype == 'FP64' else 'q'}", *data)


@fuzzed
@given(data=st.data())
def test_inferences(ask: Asker, data: Any) -> None:
    body, head = data.draw(inferences())
    ask(INFER, data.draw(spoilt(body)), head)


def test_every_edge_in_every_datatype(ask: Asker, payment: Callable[..., dict[str, Any]]) -> None:
    """What is drawn too seldom to be relied on."""
    datatypes = [
        "BOOL",
        "BYTES",
        "FP16",
        "FP32",
        "FP64",
        *(f"{sign}INT{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64)),
    ]
    for column in names:
        for datatype in datatypes:
            for edge in EDGES:
                row = payment("edge", country="DE") | {column: edge}
                tensors = [
                    {"name": one, "shape": [1], "datatype": DATATYPES.get(one, "BYTES"), "data": [row[one]]}
                    for one in names
                ]
                tensors[names.index(column)]["datatype"] = datatype
                ask(INFER, json.dumps({"inputs": tensors}).encode())
    for column in names:
        for edge in EDGES:
            row = payment("edge", country="DE") | {column: edge}
            for member in ("instances", "dataframe_records", "inputs"):
                ask("/invocations", json.dumps({member: [row]}).encode())
            ask("/invocations", ",".join(map(str, row.values())).encode(), {"content-type": "text/csv"})
            ask("/predict", json.dumps(row).encode())


def test_what_begins_right_is_right(ask: Asker, payment: Callable[..., dict[str, Any]]) -> None:
    """The suite above would say nothing of a server that refuses everything."""
    row = payment("right", country="DE")
    assert ask("/predict", json.dumps(row).encode())[0] == 200
    assert ask("/invocations", json.dumps({"instances": [row]}).encode())[0] == 200
    tensors = [
        {"name": one, "shape": [1], "datatype": DATATYPES.get(one, "BYTES"), "data": [row[one]]} for one in names
    ]
    head = json.dumps({"inputs": [*tensors[1:], {**tensors[0], "data": ["right"]}]}).encode()
    assert ask(INFER, head)[0] == 200
    raw = packed("BYTES", ["right"])
    tensors[0] = {"name": "payment_id", "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": len(raw)}}
    head = json.dumps({"inputs": tensors}).encode()
    assert ask(INFER, head + raw, {HEAD_LENGTH: str(len(head))})[0] == 200


def test_a_misspelt_column_is_answered_with_the_nearest_name(ask: Asker, payment: Any) -> None:
    for wrong, right in (
        ("amuont", "amount"),
        ("merchants", "merchant"),
        ("Country", "country"),
        ("paymentid", "payment_id"),
    ):
        row = payment("typo")
        row[wrong] = row.pop(right, "x")
        status, problem = ask("/predict", json.dumps([row]).encode())
        assert (status, problem["field"]) == (422, wrong)
        assert f"did you mean {right}?" in problem["detail"]
    status, problem = ask("/predict", json.dumps({**payment("typo"), "zzz": 1}).encode())
    assert "there are payment_id, card" in problem["detail"]
    status, problem = ask(
        INFER, json.dumps({"inputs": [{"name": "amuont", "shape": [1], "datatype": "FP64"}]}).encode()
    )
    assert "did you mean amount?" in problem["error"]
