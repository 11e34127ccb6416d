"""The curl lines of docs/protocols.md do what the page says."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).parents[3] / "docs/protocols.md"
LINES = re.findall(r"^curl .*$", PAGE.read_text(), re.MULTILINE)


@pytest.fixture(scope="module")
def url(plain_cards: Any, serve: Callable[..., Any]) -> str:
    routes = {"AIP_HEALTH_ROUTE": "/health", "AIP_PREDICT_ROUTE": "/v1/predict"}
    host, port = serve(plain_cards.release, options=["--no-log"], **routes).address
    return f"http://{host}:{port}"


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is absent: apt-get install curl")
@pytest.mark.parametrize("line", LINES)
def test_a_line_is_answered(url: str, line: str) -> None:
    asked = line.replace("localhost:8080", url).replace("NAME", "plain-cards")
    done = subprocess.run(
        ["bash", "-c", f"{asked} --silent --show-error --fail-with-body"],
        env={**os.environ, "URL": url}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr + done.stdout
    assert "false" in done.stdout


def test_the_page_has_lines() -> None:
    assert len(LINES) >= 6
