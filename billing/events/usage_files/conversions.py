"""Converts cells and JSON values of other systems' files to the values of an event's fields. Pure.

A value that does not fit its field stays as it is: parsing the event refuses it, naming the field.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import ROUND_05UP, Context, Decimal
from typing import Any
from zoneinfo import ZoneInfo

from billing.errors import Refused
from billing.events.usage_files.formats import FIELDS

DECIMAL_FIELDS = ("usage.seconds", "usage.megapixels")
COUNT_FIELDS = {"response_time_ms", "status_code", "retry_count", "request_bytes", "response_bytes"} | {
    field for field in FIELDS.values() if field.startswith("usage.") and field not in DECIMAL_FIELDS
}
COST, TIME = "cost_usd", "occurred_at"
_FREE_FIELDS = {"metadata", "response"}
_UNSTRIPPED_FIELDS = {"event_id", "account"}
_BOOLEANS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
_NUMBER = re.compile(r"(-?)\$?(-?)([0-9]{1,40}(?:\.[0-9]{0,60})?|\.[0-9]{1,60})(?:[eE]([+-]?[0-9]{1,2}))?", re.ASCII)
_MAX_EXPONENT = 40
_PLACES = Decimal("1e-18")  # of a stated cost
EXACT = Context(prec=200)  # more digits than numbers of _NUMBER, their sums and products have
_EPOCH = re.compile(r"([0-9]{9,20})(?:\.([0-9]{1,9}))?", re.ASCII)
_START = datetime(1970, 1, 1, tzinfo=UTC)
_TIME = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:[Tt ]([0-9]{2}:[0-9]{2})(:[0-9]{2})?(?:\.([0-9]{1,9}))?)?"
    r"\s*(Z|z|UTC|GMT|[+-][0-9]{2}(?::?[0-9]{2})?)?",
    re.ASCII,
)


def convert_cell(field: str, text: str) -> Any:  # noqa: ANN401 - a JSON value
    """Convert text to the field's JSON value."""
    text = text if field in _UNSTRIPPED_FIELDS else text.strip()
    if field in COUNT_FIELDS or field in DECIMAL_FIELDS:
        return convert_number(field, text)
    if field == "cached_tokens_included":
        return _BOOLEANS.get(text.lower(), text)
    if field in _FREE_FIELDS:
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text


def convert_number(field: str, value: object) -> Any:  # noqa: ANN401 - a JSON value
    """Convert a count to an integer, a decimal to plain text."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int) or (isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20):
        return value if field in DECIMAL_FIELDS else int(value)
    number = as_decimal(value)
    if number is None:
        return value
    if field in DECIMAL_FIELDS:
        return plain(number)
    if number != number.to_integral_value():
        raise Refused("invalid", f"{plain(number)} is not a whole number.", field)
    return int(number)


def as_decimal(value: object) -> Decimal | None:
    """The exact number in a text such as `59200.0`, `4.5e-05`, `$0.12` or `-$1`, or of a JSON number; None for others."""
    match = _NUMBER.fullmatch(str(value).strip()) if isinstance(value, int | str | Decimal) else None
    if match is None or isinstance(value, bool) or (match[1] and match[2]):
        return None
    number = Decimal(f"{match[1]}{match[2]}{match[3]}e{match[4] or 0}")
    return number if not number or abs(number.adjusted()) <= _MAX_EXPONENT else None


def plain(number: Decimal) -> str:
    """The number without exponent and without trailing zeros."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def cost_text(amount: Decimal) -> str:
    """The amount with at most 18 places, cut so that rounding it again gives what rounding the exact amount gives."""
    places = amount.as_tuple().exponent
    return plain(amount.quantize(_PLACES, ROUND_05UP, EXACT) if isinstance(places, int) and places < -18 else amount)


def convert_time(value: object, zone: ZoneInfo | None, forms: Sequence[str] = ()) -> Any:  # noqa: ANN401 - a JSON value
    """Convert a time to RFC 3339; `zone` is that of times without an offset, `forms` are other forms, as of strptime.

    Numbers of 9 to 11 digits are seconds since 1970, of up to 14 milliseconds, of up to 17 microseconds, others nanoseconds.
    """
    if isinstance(value, bool) or not isinstance(value, int | str | Decimal):
        return value
    text = str(value).strip()
    if match := _EPOCH.fullmatch(text):
        return _from_epoch(match[1], match[2] or "")
    if match := _TIME.fullmatch(text):
        return _from_parts(match, zone) or text
    for form in forms:
        try:
            time = datetime.strptime(text, form)  # noqa: DTZ007 - the zone is added below
        except ValueError:
            continue
        time = time if time.tzinfo else time.replace(tzinfo=zone)
        return time.isoformat() if time.tzinfo else text
    return text


def _from_epoch(digits: str, fraction: str) -> str:
    power = 0 if len(digits) <= 11 else 3 if len(digits) <= 14 else 6 if len(digits) <= 17 else 9
    microseconds = int(Decimal(f"{digits}.{fraction or 0}").scaleb(6 - power))
    try:
        return (_START + timedelta(microseconds=microseconds)).isoformat()
    except OverflowError:
        return digits


def _from_parts(match: re.Match[str], zone: ZoneInfo | None) -> str | None:
    day, clock, seconds, fraction, offset = match.groups()
    if (offset and not clock) or (offset is None and zone is None):
        return None
    plain_time = f"{day}T{clock or '00:00'}{seconds or ':00'}"
    if offset is None and zone is not None and zone.key == "UTC":
        return f"{plain_time}.{fraction or 0}Z"
    if offset:
        digits = offset.replace(":", "")
        offset = "Z" if offset in {"Z", "z", "UTC", "GMT"} else f"{digits[:3]}:{digits[3:] or '00'}"
        return f"{plain_time}.{fraction}{offset}" if fraction else f"{plain_time}{offset}"
    try:
        time = datetime.fromisoformat(plain_time).replace(tzinfo=zone)
    except ValueError:
        return None
    return time.replace(microsecond=int((fraction or "0")[:6].ljust(6, "0"))).isoformat()
