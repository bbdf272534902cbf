"""Typed readers of environment variables. A wrong value stops the start with an error that names the variable."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import environ
from django.core.exceptions import ImproperlyConfigured

from lib import rate_limit

ROOT = Path(__file__).resolve().parent.parent
_environ = environ.Env()


def load_dotenv() -> None:
    """Load `.env` beside manage.py, if it exists. Variables that are already set keep their values."""
    environ.Env.read_env(ROOT / ".env")


def _parse(name: str, parser: Callable[..., Any], default: object) -> Any:  # noqa: ANN401 - narrowed by the readers below
    try:
        return parser(name, default=default)
    except (ValueError, TypeError) as error:
        raise ImproperlyConfigured(f"{name}: {error}") from error


def text(name: str, default: str = "") -> str:
    return str(_parse(name, _environ.str, default))


def boolean(name: str, *, default: bool) -> bool:
    value = text(name, "1" if default else "0").strip().lower()
    if value in {"1", "true", "yes", "on"}:
        return True
    if value in {"0", "false", "no", "off", ""}:
        return False
    raise ImproperlyConfigured(f"{name}: {value!r} must be true or false")


def integer(name: str, default: int, *, minimum: int = 0) -> int:
    value = int(_parse(name, _environ.int, default))
    if value < minimum:
        raise ImproperlyConfigured(f"{name}: {value} must be {minimum} or greater")
    return value


def string_list(name: str, default: str = "") -> list[str]:
    """Strings separated by commas."""
    return [item.strip() for item in text(name, default).split(",") if item.strip()]


def percentages(name: str, default: str) -> tuple[int, ...]:
    """Whole per cents from 1 to MAX_PERCENT, in rising order."""
    values = string_list(name, default)
    if not all(value.isascii() and value.isdigit() and 1 <= int(value) <= MAX_PERCENT for value in values):
        raise ImproperlyConfigured(f"{name}: must be whole numbers from 1 to {MAX_PERCENT}, separated by commas")
    return tuple(sorted({int(value) for value in values}))


MAX_PERCENT = 1000


def email(name: str, default: str) -> dict[str, Any]:
    """Django's e-mail settings from a server URL; settings that the URL does not give keep Django's defaults."""
    settings: dict[str, Any] = _parse(name, _environ.email_url, default)
    return {setting: value for setting, value in settings.items() if value}


def rate(name: str, default: str) -> str:
    """A number of requests in a unit of time, such as 60/minute."""
    value = text(name, default)
    try:
        rate_limit.parse(value)
    except ValueError as error:
        raise ImproperlyConfigured(f"{name}: {error}") from error
    return value


def choice(name: str, allowed: tuple[str, ...]) -> str:
    """One of `allowed`; the first is the default."""
    value = text(name, allowed[0])
    if value not in allowed:
        raise ImproperlyConfigured(f"{name}: {value!r} must be one of {', '.join(allowed)}")
    return value


def database(name: str, default: str) -> dict[str, Any]:
    settings = _parse(name, _environ.db, default)
    if not settings.get("ENGINE"):
        raise ImproperlyConfigured(f"{name}: not a database URL")
    return dict(settings)
