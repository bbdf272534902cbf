"""Runs one unit of a job that goes over many, so that one that fails does not stop the others."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from django.db import InterfaceError, OperationalError

T = TypeVar("T")

logger = logging.getLogger(__name__)


def attempt(work: Callable[[], T], *, name: str, problems: list[str]) -> T | None:
    """Run `work`. If it fails, log the error, add "name: reason" to `problems` and return None.

    Errors of an unavailable database are raised: they concern all units.
    """
    try:
        return work()
    except (OperationalError, InterfaceError):
        raise
    except Exception as error:
        logger.exception("%s failed", name)
        problems.append(f"{name}: {str(error) or type(error).__name__}")
        return None
