"""The table of refused inputs: the request, and the expected status, code and field of the error.

BAD_BODIES are whole requests. BAD_FIELDS are a valid event with some fields replaced: test_bad_input.py sends each alone,
and all of them in a batch.
"""

from __future__ import annotations

import gzip
import json
from typing import Any, NamedTuple

MIB = 1024 * 1024
GOOD_EVENT = {
    "event_id": "e1",
    "account": "acct_new",
    "provider": "openai",
    "model": "gpt-4o",
    "usage": {"input_tokens": 5},
}


class BadBody(NamedTuple):
    name: str
    body: bytes
    status: int
    code: str
    attr: str | None = None
    headers: dict[str, str] = {}
    content_type: str = "application/json"


class BadField(NamedTuple):
    name: str
    fields: dict[str, Any]
    code: str
    attr: str


def _event_body(**fields: Any) -> bytes:
    return json.dumps(GOOD_EVENT | fields).encode()


def _event_with(raw: str) -> bytes:
    """A valid event with one more member, given as raw JSON."""
    return json.dumps(GOOD_EVENT).encode()[:-1] + b", " + raw.encode() + b"}"


def _nested(levels: int, inner: str = "1") -> str:
    return '{"a": ' * levels + inner + "}" * levels


def _batch_with(raw: str) -> bytes:
    return b'{"events": [' + _event_with(raw) + b"]}"


_GZIP = {"content-encoding": "gzip"}
_GOOD_BODY = _event_body()
_BAD_JSON = [
    ("empty", b""),
    ("blank", b"  \n"),
    ("truncated", _GOOD_BODY[:-1]),
    ("two values", b"{} {}"),
    ("two events", _GOOD_BODY + _GOOD_BODY),
    ("a list", b"[" + _GOOD_BODY + b"]"),
    ("a string", b'"e1"'),
    ("a number", b"5"),
    ("null", b"null"),
    ("single quotes", b"{'event_id': 'e1'}"),
    ("trailing comma", _GOOD_BODY[:-1] + b",}"),
    ("comment", b"/* hi */" + _GOOD_BODY),
    ("duplicate key", _event_with('"event_id": "e2"')),
    ("duplicate key, same value", _event_with('"event_id": "e1"')),
    ("duplicate key, escaped", _event_with('"\\u0065vent_id": "e2"')),
    ("duplicate key in usage", _event_body(usage={}).replace(b"{}", b'{"requests": 1, "requests": 2}')),
    ("duplicate key in metadata", _event_with('"metadata": {"a": [{"b": 1, "b": 1}]}')),
    ("duplicate key in a batch", _batch_with('"model": "x", "model": "x"')),
    ("lone surrogate as a duplicate key", _event_with('"metadata": {"\\ud800": 1, "\\ud800": 1}')),
    ("NaN in metadata", _event_with('"metadata": {"a": NaN}')),
    ("NaN in usage", _event_body(usage={}).replace(b"{}", b'{"seconds": NaN}')),
    ("Infinity", _event_with('"metadata": {"a": Infinity}')),
    ("-Infinity", _event_with('"metadata": {"a": [-Infinity]}')),
    ("a float out of range", _event_with('"metadata": {"a": 1e400}')),
    ("invalid UTF-8", _GOOD_BODY.replace(b"gpt", b"\xff\xfe\xfd")),
    ("overlong UTF-8", _GOOD_BODY.replace(b"gpt", b"\xc0\xaf")),
    ("a surrogate in UTF-8", _GOOD_BODY.replace(b"gpt", b"\xed\xa0\x80")),
    ("latin-1", _GOOD_BODY.replace(b"gpt", b"caf\xe9")),
    ("UTF-16", _GOOD_BODY.decode().encode("utf-16")),
    ("UTF-16 without a mark", _GOOD_BODY.decode().encode("utf-16-le")),
    ("UTF-32", _GOOD_BODY.decode().encode("utf-32")),
    ("UTF-8 with a mark", b"\xef\xbb\xbf" + _GOOD_BODY),
    ("65 levels", _event_with(f'"metadata": {_nested(64)}')),
    ("65 levels, the innermost empty", _event_with(f'"metadata": {_nested(63, "{}")}')),
    ("65 levels in a batch", _batch_with(f'"metadata": {_nested(62)}')),
    ("65 levels of lists", _event_with(f'"metadata": {{"a": {"[" * 63}{"]" * 63}}}')),
    ("65 levels in an unknown field", _event_with(f'"other": {_nested(64)}')),
    ("65 levels in the wrong place", _event_with(f'"variant": {_nested(64)}')),
    ("65 levels beside events", b'{"events": [], "other": ' + _nested(64).encode() + b"}"),
    ("500 levels", _event_with(f'"metadata": {_nested(500)}')),
    ("900 levels", _event_with(f'"metadata": {_nested(900)}')),
    ("100,000 levels", _event_with(f'"metadata": {_nested(100_000)}')),
    ("100,000 brackets", b"[" * 100_000),
    ("41 digits in usage", _event_with('"response_time_ms": ' + "9" * 41)),
    ("41 digits as a decimal", _event_body(usage={}).replace(b"{}", b'{"seconds": ' + b"9" * 41 + b"}")),
    ("41 digits in metadata", _event_with('"metadata": {"a": -' + "9" * 41 + "}")),
    ("41 digits in an unknown field", _event_with('"other": [' + "9" * 41 + "]")),
    ("41 digits in a batch", _batch_with('"response_time_ms": ' + "9" * 41)),
    ("5,000 digits", _event_with('"metadata": {"a": ' + "9" * 5000 + "}")),
]
_BAD_GZIP = [
    ("truncated gzip", gzip.compress(_GOOD_BODY)[:-4]),
    ("gzip without its end", gzip.compress(_GOOD_BODY)[:-9]),
    ("junk for gzip", b"\x1f\x8b" + b"junk" * 10),
    ("plain for gzip", _GOOD_BODY),
    ("gzip and more", gzip.compress(_GOOD_BODY) + b"x"),
    ("gzip of nothing", gzip.compress(b"")),
    ("gzip of a list", gzip.compress(b"[]")),
]
_BAD_CONTENT_TYPES = [
    "",
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "application/xml",
]
_BAD_ENCODINGS = ["br", "deflate", "zstd", "gzip, gzip", "junk\u20ac"]
_PADDED = _GOOD_BODY + b" " * 5 * MIB

BAD_BODIES = [
    *(BadBody(name, body, 400, "bad_request") for name, body in _BAD_JSON),
    *(BadBody(name, body, 400, "bad_request", headers=_GZIP) for name, body in _BAD_GZIP),
    BadBody("over 5 MiB", _PADDED, 413, "too_large"),
    BadBody("one byte over 5 MiB", _GOOD_BODY + b" " * (5 * MIB + 1 - len(_GOOD_BODY)), 413, "too_large"),
    BadBody("over 5 MiB once inflated", gzip.compress(_PADDED), 413, "too_large", headers=_GZIP),
    BadBody("a gzip bomb", gzip.compress(b" " * 50 * MIB), 413, "too_large", headers=_GZIP),
    BadBody("1,001 events", b'{"events": [' + b"{}," * 1000 + b"{}]}", 413, "too_large"),
    BadBody("0 events", b'{"events": []}', 422, "min_length", "events"),
    BadBody("events is an object", b'{"events": {}}', 422, "invalid", "events"),
    BadBody("events is null", b'{"events": null}', 422, "invalid", "events"),
    BadBody("something beside events", b'{"events": [' + _GOOD_BODY + b'], "x": 1}', 422, "unknown_field", "x"),
    BadBody("no field at all", b"{}", 422, "required", "event_id"),
    *(
        BadBody(f"type {content_type!r}", _GOOD_BODY, 415, "unsupported_media_type", content_type=content_type)
        for content_type in _BAD_CONTENT_TYPES
    ),
    *(
        BadBody(
            f"encoding {encoding!r}", _GOOD_BODY, 415, "unsupported_media_type", headers={"content-encoding": encoding}
        )
        for encoding in _BAD_ENCODINGS
    ),
]

_BAD_COUNTS: list[tuple[str, object, str]] = [
    ("negative", -1, "min_value"),
    ("1.9", 1.9, "invalid"),
    ("1.0", 1.0, "invalid"),
    ("1e3", 1e3, "invalid"),
    ("1e300", 1e300, "invalid"),
    ("true", True, "invalid"),
    ("a string", "5", "invalid"),
    ("a huge string", "1e1000000", "invalid"),
    ("full-width digits", "\uff15", "invalid"),
    ("above 10^9", 10**9 + 1, "max_value"),
    ("above 64 bits", 2**64, "max_value"),
    ("40 digits", int("9" * 40), "max_value"),
    ("null", None, "null"),
    ("a list", [1], "invalid"),
]
_COUNT_FIELDS = ["input_tokens", "cached_input_tokens", "cache_write_1h_tokens", "requests", "images", "pages"]
_BAD_DECIMALS: list[tuple[str, object]] = [
    ("negative", "-1"),
    ("a float", 1.5),
    ("an exponent", "1e3"),
    ("a huge exponent", "1e1000000"),
    ("NaN", "NaN"),
    ("Infinity", "Infinity"),
    ("full-width digits", "\uff15"),
    ("a plus", "+5"),
    ("a blank", " 5"),
    ("a line end", "5\n"),
    ("underscores", "1_000"),
    ("no digits", "."),
    ("no whole part", ".5"),
    ("empty", ""),
    ("too many places", "0.0000001"),
    ("too large", "1000000000.1"),
    ("very long", "9" * 100_000),
    ("true", True),
    ("a list", ["5"]),
]
_BAD_COSTS: list[tuple[str, object]] = [
    ("negative", "-0.01"),
    ("a number", 1),
    ("a float", 0.5),
    ("NaN", "NaN"),
    ("Infinity", "-Infinity"),
    ("an exponent", "1e-3"),
    ("a huge exponent", "1e1000000"),
    ("full-width digits", "\uff11"),
    ("over 18 decimals", "0.1234567890123456789"),
    ("over 10^6", "1000000.000000000000000001"),
    ("a currency", "$1"),
    ("a comma", "1,5"),
    ("empty", ""),
]
_BAD_TIMES: list[tuple[str, object]] = [
    ("naive", "2026-11-22T09:30:00"),
    ("a date", "2026-11-22"),
    ("a week date", "2026-W47-7T09:30:00Z"),
    ("basic form", "20261122T093000Z"),
    ("without seconds", "2026-11-22T09:30Z"),
    ("a number as text", "1795339800"),
    ("30 February", "2026-02-30T09:30:00Z"),
    ("month 13", "2026-13-01T09:30:00Z"),
    ("hour 24", "2026-11-22T24:00:00Z"),
    ("hour 25", "2026-11-22T25:00:00Z"),
    ("second 60", "2026-11-22T09:30:60Z"),
    ("offset +99:00", "2026-11-22T09:30:00+99:00"),
    ("offset without colon", "2026-11-22T09:30:00+0100"),
    ("offset of an hour", "2026-11-22T09:30:00+01"),
    ("a named zone", "2026-11-22T09:30:00 Europe/Berlin"),
    ("year 0", "0000-11-22T09:30:00Z"),
    ("beyond year 1", "0001-01-01T00:00:00+01:00"),
    ("beyond year 9999", "9999-12-31T23:59:59-01:00"),
    ("five-digit year", "12026-11-22T09:30:00Z"),
    ("full-width digits", "\uff12\uff10\uff12\uff16-11-22T09:30:00Z"),
    ("a line end", "2026-11-22T09:30:00Z\n"),
    ("empty", ""),
    ("very long", "2026-11-22T09:30:00." + "0" * 100_000 + "Z"),
]
_OUT_OF_RANGE_TIMES = [
    ("year 1", "0001-01-01T00:00:00Z"),
    ("year 9999", "9999-12-31T23:59:59Z"),
    ("36 days old", "2026-10-17T11:59:59Z"),
    ("1 us older than 35 days", "2026-10-18T11:59:59.999999Z"),
    ("1 us more than 5 minutes ahead", "2026-11-22T12:05:00.000001Z"),
]
_CONTROLS = [("NUL", "\x00"), ("escape", "\x1b"), ("DEL", "\x7f"), ("C1", "\x85"), ("lone surrogate", "\ud800")]
_LINE_ENDS = [("tab", "\t"), ("line feed", "\n"), ("carriage return", "\r")]
_ONE_LINE_FIELDS = [
    "event_id",
    "account",
    "model",
    "endpoint",
    "served_by",
    "user_agent",
    "reservation_id",
    "ip_address",
    "method",
]
_MAX_LENGTHS = {
    "event_id": 256,
    "account": 128,
    "provider": 50,
    "model": 200,
    "endpoint": 2000,
    "method": 10,
    "served_by": 100,
    "error_message": 8000,
    "user_agent": 500,
    "ip_address": 45,
    "reservation_id": 256,
}
_UNKNOWN_FIELDS = [
    "id",
    "cost_total",
    "received_at",
    "is_staff",
    "timestamp",
    "account_id",
    "__proto__",
    "a`b",
    "a\x00b",
]

BAD_FIELDS = [
    *(
        BadField(f"{field} {name}", {"usage": {field: value}}, code, f"usage.{field}")
        for field in _COUNT_FIELDS
        for name, value, code in _BAD_COUNTS
        if not (value is None and field in ("images", "pages"))
    ),
    *(
        BadField(f"{field} {name}", {"usage": {field: value}}, "invalid", f"usage.{field}")
        for field in ("seconds", "megapixels")
        for name, value in _BAD_DECIMALS
    ),
    BadField("seconds a negative number", {"usage": {"seconds": -1}}, "min_value", "usage.seconds"),
    BadField("seconds a large number", {"usage": {"seconds": 10**9 + 1}}, "max_value", "usage.seconds"),
    *(BadField(f"cost {name}", {"cost_usd": value}, "invalid", "cost_usd") for name, value in _BAD_COSTS),
    BadField(
        "more cached than input",
        {"usage": {"input_tokens": 4, "cached_input_tokens": 5}},
        "invalid",
        "usage.cached_input_tokens",
    ),
    *(BadField(f"time {name}", {"occurred_at": value}, "invalid", "occurred_at") for name, value in _BAD_TIMES),
    BadField("time a number", {"occurred_at": 1795339800}, "invalid", "occurred_at"),
    *(
        BadField(f"time {name}", {"occurred_at": value}, "out_of_range", "occurred_at")
        for name, value in _OUT_OF_RANGE_TIMES
    ),
    *(
        BadField(f"{name} in {field}", {field: f"a{character}b"}, "invalid", field)
        for field in (*_ONE_LINE_FIELDS, "provider")
        for name, character in (*_CONTROLS, *_LINE_ENDS)
    ),
    *(
        BadField(f"{name} at the end of {field}", {field: f"ab{character}"}, "invalid", field)
        for field in ("provider", "method", "category")
        for name, character in _LINE_ENDS
    ),
    *(
        BadField(f"{name} in {field}", {field: f"a{character}b"}, "invalid", field)
        for field in ("error_message",)
        for name, character in _CONTROLS
    ),
    *(
        BadField(f"{name} in variant.{field}", {"variant": {field: f"a{character}b"}}, "invalid", f"variant.{field}")
        for field in ("resolution", "quality", "service_tier")
        for name, character in _CONTROLS
    ),
    *(
        BadField(f"{name} in metadata", {"metadata": {"a": [{"b": character}]}}, "invalid", "metadata")
        for name, character in _CONTROLS
    ),
    *(
        BadField(f"{name} in a key of metadata", {"metadata": {"a": {f"k{character}": 1}}}, "invalid", "metadata")
        for name, character in _CONTROLS
    ),
    BadField("scoped address with NUL", {"ip_address": "fe80::1%\x00"}, "invalid", "ip_address"),
    BadField("scoped address with a lone surrogate", {"ip_address": "fe80::1%\ud800"}, "invalid", "ip_address"),
    BadField("an address that is none", {"ip_address": "127.0.0.1.5"}, "invalid", "ip_address"),
    *(
        BadField(f"over-long {field}", {field: "x" * (max_length + 1)}, "max_length", field)
        for field, max_length in _MAX_LENGTHS.items()
    ),
    BadField("over-long variant", {"variant": {"quality": "x" * 61}}, "max_length", "variant.quality"),
    BadField("51 keys of metadata", {"metadata": {str(n): 1 for n in range(51)}}, "max_length", "metadata"),
    BadField("over 4 KiB of metadata", {"metadata": {"a": "x" * 4089}}, "max_length", "metadata"),
    BadField("over 4 KiB of metadata in UTF-8", {"metadata": {"a": "\u20ac" * 1400}}, "max_length", "metadata"),
    BadField("a list as metadata", {"metadata": [1]}, "invalid", "metadata"),
    BadField("an empty event_id", {"event_id": ""}, "min_length", "event_id"),
    BadField("a number as event_id", {"event_id": 5}, "invalid", "event_id"),
    BadField("no event_id", {"event_id": None}, "null", "event_id"),
    BadField("an empty account", {"account": ""}, "min_length", "account"),
    BadField("a slash in the account", {"account": "a/b"}, "invalid", "account"),
    BadField("an empty provider", {"provider": ""}, "min_length", "provider"),
    BadField("a blank in the provider", {"provider": "open ai"}, "invalid", "provider"),
    BadField("an unknown category", {"category": "poetry"}, "invalid", "category"),
    BadField("status 99", {"status_code": 99}, "min_value", "status_code"),
    BadField("status 600", {"status_code": 600}, "max_value", "status_code"),
    BadField("negative time", {"response_time_ms": -1}, "min_value", "response_time_ms"),
    BadField("an unknown reservation", {"reservation_id": "r1"}, "unknown_reservation", "reservation_id"),
    BadField("no account from a service key", {"account": None}, "required", "account"),
    *(BadField(f"foreign field {name[:20]!r}", {name: 1}, "unknown_field", name) for name in _UNKNOWN_FIELDS),
    BadField("foreign field, very long", {"x" * 3000: 1}, "unknown_field", "x" * 200),
    BadField("foreign field, a lone surrogate", {"a\ud800": 1}, "unknown_field", "a\\ud800"),
    BadField("foreign field in usage", {"usage": {"tokens": 1}}, "unknown_field", "usage.tokens"),
    BadField("foreign field in variant", {"variant": {"fps": "1"}}, "unknown_field", "variant.fps"),
]
