"""What a Vertex AI container's environment says is taken where no option says otherwise."""

import pytest

from modelwright.app.cli import parser
from modelwright.app.vertex import container
from modelwright.app.words.listening import listening
from modelwright.core.errors import UsageError


def test_the_environment_says_where_to_listen_unless_an_option_does(monkeypatch):
    monkeypatch.setenv("AIP_HTTP_PORT", "8080")
    for given, address in (
        ([], ("0.0.0.0", 8080)),
        (["--port", "0"], ("0.0.0.0", 0)),
        (["--host", "127.0.0.1"], ("127.0.0.1", 8080)),
    ):
        assert listening(parser().parse_args(["serve", "release", *given])) == address
    monkeypatch.delenv("AIP_HTTP_PORT")
    assert listening(parser().parse_args(["run", "system.py"])) == ("127.0.0.1", 8000)


def test_routes_stand_for_ours():
    said = {"AIP_HEALTH_ROUTE": "/", "AIP_PREDICT_ROUTE": "/v1/endpoints/1/deployedModels/2:predict"}
    assert container(said).aliases == {"/": "/ping", "/v1/endpoints/1/deployedModels/2:predict": "/invocations"}


@pytest.mark.parametrize(
    "said",
    [
        {"AIP_HTTP_PORT": "http"},
        {"AIP_HTTP_PORT": "0"},
        {"AIP_HTTP_PORT": "70000"},
        {"AIP_HTTP_PORT": "٣"},
        {"AIP_PREDICT_ROUTE": "predict"},
        {"AIP_HEALTH_ROUTE": "/ok?"},
        {"AIP_HEALTH_ROUTE": "/a", "AIP_PREDICT_ROUTE": "/a"},
    ],
)
def test_what_cannot_be_is_told_by_name(said):
    with pytest.raises(UsageError, match="AIP_"):
        container(said)
