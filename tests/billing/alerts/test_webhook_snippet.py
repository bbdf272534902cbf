"""The signature check in docs/integration.md, run as written there."""

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
def is_from_tollgate() -> Any:
    snippets = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    (code,) = [snippet for snippet in snippets if "is_from_tollgate" in snippet]
    namespace: dict[str, Any] = {}
    exec(code, namespace)
    return namespace["is_from_tollgate"]


@pytest.mark.parametrize(
    ("secret", "age", "body", "accepted"),
    [
        (SECRET, 0, BODY, True),
        (SECRET, 290, BODY, True),
        (SECRET, 400, BODY, False),
        ("whsec_4567", 0, BODY, False),
        (SECRET, 0, BODY + b" ", False),
    ],
)
def test_only_recent_requests_with_a_valid_signature_are_accepted(
    is_from_tollgate: Any, secret: str, age: int, body: bytes, accepted: bool
) -> None:
    header = webhooks.signature(SECRET, int(time.time()) - age, BODY)

    assert is_from_tollgate(secret, header, body) is accepted
