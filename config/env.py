"""Typed readers of environment variables. Called by settings.py only; a bad value names its variable and stops the start."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import environ
from django.core.exceptions import ImproperlyConfigured

ROOT = Path(__file__).resolve().parent.parent
_environ = environ.Env()


def read_file() -> None:
    """Load `.env` beside manage.py, where there is one. What is set already wins."""
    environ.Env.read_env(ROOT / ".env")


def _read(name: str, kind: Callable[..., Any], default: object) -> Any:  # noqa: ANN401 - the typed readers below narrow it
    try:
        return kind(name, default=default)
    except (ValueError, TypeError) as error:
        raise ImproperlyConfigured(f"{name}: {error}") from error


def text(name: str, default: str = "") -> str:
    return str(_read(name, _environ.str, default))


def flag(name: str, *, default: bool) -> bool:
    value = text(name, "1" if default else "0").strip().lower()
    if value in {"1", "true", "yes", "on"}:
        return True
    if value in {"0", "false", "no", "off", ""}:
        return False
    raise ImproperlyConfigured(f"{name}: {value!r} is neither true nor false")


def whole(name: str, default: int, *, least: int = 0) -> int:
    value = int(_read(name, _environ.int, default))
    if value < least:
        raise ImproperlyConfigured(f"{name}: {value} is less than {least}")
    return value


def words(name: str, default: str = "") -> list[str]:
    return [word.strip() for word in text(name, default).split(",") if word.strip()]


def percents(name: str, default: str) -> tuple[int, ...]:
    """Whole per cents from 1 on, rising."""
    values = words(name, default)
    if not all(value.isascii() and value.isdigit() and 1 <= int(value) <= MOST_PERCENT for value in values):
        raise ImproperlyConfigured(f"{name}: not whole numbers from 1 to {MOST_PERCENT}, with commas between them")
    return tuple(sorted({int(value) for value in values}))


MOST_PERCENT = 1000


def email(name: str, default: str) -> dict[str, Any]:
    """Django's settings of an e-mail server, from its URL; what that does not say stays as Django has it."""
    named: dict[str, Any] = _read(name, _environ.email_url, default)
    return {setting: value for setting, value in named.items() if value}


def choice(name: str, allowed: tuple[str, ...]) -> str:
    """The first of `allowed` is the default."""
    value = text(name, allowed[0])
    if value not in allowed:
        raise ImproperlyConfigured(f"{name}: {value!r} is none of {', '.join(allowed)}")
    return value


def database(name: str, default: str) -> dict[str, Any]:
    settings = _read(name, _environ.db, default)
    if not settings.get("ENGINE"):
        raise ImproperlyConfigured(f"{name}: not a database URL")
    return dict(settings)
