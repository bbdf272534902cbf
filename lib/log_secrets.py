"""Keeps one-time tokens out of log lines: Django writes the path of a request that failed. Used by LOGGING in the settings."""

from __future__ import annotations

import logging
import re

TOKEN = re.compile(r"(/usage/(?:invitation|password/reset)/)[^\s?]+")


class NoTokens(logging.Filter):
    """Cuts what follows the address of an invitation or of a password reset, in messages and in their arguments."""

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        if TOKEN.search(text):
            record.msg, record.args = TOKEN.sub(r"\1…", text), None
        return True
