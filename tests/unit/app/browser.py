"""What the tests of the pages share: a browser, and a digest with what somebody put into the data in its place for text."""

import re
import shutil
import subprocess
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


def dom(address: str, wait_ms: int) -> str:
    """The document as a browser has it after so many milliseconds of its time, without the page's own sources."""
    command = [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", f"--virtual-time-budget={wait_ms}"]
    run = subprocess.run([*command, "--dump-dom", address], capture_output=True, text=True, timeout=200, check=True)
    return re.sub(r"<(script|style)\b.*?</\1>", "", run.stdout, flags=re.DOTALL)


def digest(hostile: str, seq: int) -> dict[str, Any]:
    """A digest of a week; `seq` is the journal's row that it tells of."""
    return {
        "since": "1996-11-08T00:00:00Z",
        "until": "1996-11-15T00:00:00Z",
        "verdict": "watch",
        "headline": hostile,
        "work": "In 7 days it answered 336 requests and trained 1 model.",
        "answers": 336,
        "counts": {"trained": 1},
        "quality": {
            "metric": "accuracy",
            "higher_is_better": True,
            "now": {"value": 0.912, "low": 0.901, "high": 0.923, "rows": 336},
            "before": {"value": 0.9, "low": None, "high": None, "rows": 40},
            "change": "better",
            "gates": [],
            "rivals": {"the frozen first model": {"value": 0.85, "low": 0.83, "high": 0.87, "rows": 336}},
            "waiting": 0,
        },
        "problems": [hostile],
        "wants": ["r2 waits for `modelwright approve`"],
        "happened": [{"at": "1996-11-14T12:00:00Z", "seq": seq, "kind": "promoted", "said": hostile}],
        "earlier": 3,
    }
