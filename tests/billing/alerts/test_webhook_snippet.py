"""The snippet of docs/integration.md that verifies a webhook's signature, run as it stands there."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest

from billing.alerts import webhooks
from tests.conftest import ROOT

DOCUMENT = ROOT / "docs" / "integration.md"
SECRET, BODY = "whsec_0123", b'{"type": "usage_alert"}'


@pytest.fixture(scope="module")
def is_ours() -> Any:
    (code,) = [one for one in re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL) if "is_ours" in one]
    names: dict[str, Any] = {}
    exec(code, names)
    return names["is_ours"]


@pytest.mark.parametrize(
    ("secret", "age", "body", "verdict"),
    [
        (SECRET, 0, BODY, True),
        (SECRET, 290, BODY, True),
        (SECRET, 400, BODY, False),
        ("whsec_4567", 0, BODY, False),
        (SECRET, 0, BODY + b" ", False),
    ],
)
def test_it_tells_ours_from_others(is_ours: Any, secret: str, age: int, body: bytes, verdict: bool) -> None:
    header = webhooks.signature(SECRET, int(time.time()) - age, BODY)

    assert is_ours(secret, header, body) is verdict
