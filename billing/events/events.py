"""A usage event as callers send it: shape, bounds and digest. Pure; metering.record takes what `parse` returns.

Field names and bounds are a contract (docs: the API's schema). A refusal names one field and one reason.
"""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from ipaddress import ip_address
from typing import Annotated, Any, TypeVar
from uuid import UUID

import msgspec
from msgspec import Meta, Struct

from billing.errors import Refused
from lib import ids, money, strict_json

COUNT = 10**9
POST = "POST"
METADATA_BYTES = 4096
METADATA_KEYS = 50
DIGEST_VERSION = b"\x01"
MOST_TOLD = 200  # of a caller's own text in a refusal

Count = Annotated[int, Meta(ge=0, le=COUNT)]
Amount = str | Count  # a decimal, exact: a string or a whole number, never a float
Slug = Annotated[str, Meta(min_length=1, max_length=50, pattern=r"^[A-Za-z0-9_.-]+\Z")]
Category = Annotated[str, Meta(pattern=r"^(text|embedding|image|image_edit|video|audio|search|crawl|other)\Z")]
Word = Annotated[str, Meta(max_length=60)]


Shape = TypeVar("Shape", bound=Struct)


class Usage(Struct, forbid_unknown_fields=True, omit_defaults=True, frozen=True, gc=False):
    """What was consumed. Counts are whole numbers; `seconds` and `megapixels` decimals with up to 6 places."""

    input_tokens: Count = 0
    output_tokens: Count = 0
    cached_input_tokens: Count = 0
    cache_write_tokens: Count = 0
    cache_write_1h_tokens: Count = 0
    reasoning_tokens: Count = 0
    input_audio_tokens: Count = 0
    output_audio_tokens: Count = 0
    image_tokens: Count = 0
    requests: Count = 1
    images: Count | None = None
    megapixels: Amount | None = None
    seconds: Amount | None = None
    characters: Count | None = None
    searches: Count | None = None
    pages: Count | None = None


class Variant(Struct, forbid_unknown_fields=True, omit_defaults=True, frozen=True, gc=False):
    resolution: Word | None = None
    quality: Word | None = None
    service_tier: Word | None = None


class Event(Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True, gc=False):
    """One AI call. Defaults are what an omitted field means."""

    event_id: Annotated[str, Meta(min_length=1, max_length=256)]
    account: Annotated[str, Meta(min_length=1, max_length=128)] | None = None
    occurred_at: str | None = None
    provider: Slug
    category: Category | None = None
    model: Annotated[str, Meta(max_length=200)] = ""
    endpoint: Annotated[str, Meta(max_length=2000)] = ""
    method: Annotated[str, Meta(max_length=10, pattern=r"^[A-Za-z]*\Z")] = POST
    served_by: Annotated[str, Meta(max_length=100)] | None = None
    usage: Usage = msgspec.field(default_factory=Usage)
    variant: Variant = msgspec.field(default_factory=Variant)
    cached_tokens_included: bool = True
    cost_usd: str | None = None
    response_time_ms: Count = 0
    status_code: Annotated[int, Meta(ge=100, le=599)] = 200
    error_message: Annotated[str, Meta(max_length=8000)] = ""
    retry_count: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    request_bytes: Annotated[int, Meta(ge=0, le=10**15)] | None = None
    response_bytes: Annotated[int, Meta(ge=0, le=10**15)] | None = None
    user_agent: Annotated[str, Meta(max_length=500)] = ""
    ip_address: Annotated[str, Meta(max_length=45)] | None = None
    reservation_id: Annotated[str, Meta(min_length=1, max_length=256)] | None = None
    metadata: dict[str, Any] = {}

    @property
    def occurred(self) -> datetime | None:
        return None if self.occurred_at is None else datetime.fromisoformat(self.occurred_at)

    @property
    def cost_nano(self) -> int | None:
        """The caller's own figure, half-even to the nano-dollar."""
        return None if self.cost_usd is None else money.nano_from_usd(Decimal(self.cost_usd))

    @property
    def failed(self) -> bool:
        return self.status_code >= 400

    @property
    def key(self) -> bytes:
        return ids.bytes_of(self.event_id)


def parse(raw: object, *, above: int = 0) -> Event:
    """The event in a decoded JSON value, in normal form: times in UTC, decimals plain, no secrets in the endpoint.

    `above` is how many levels of the body it stands in. Raises Refused, or strict_json.BadJSON where the value is not
    acceptable JSON at all.
    """
    event = converted(raw, Event, above=above)
    if not _is_harmless(event):
        _check_texts(event)
        _check_metadata(event.metadata, above=above + 1)
    if event.account is not None:
        _check_slashes(event.account, "account")
    if event.method.upper() == POST:
        event.method = POST  # the very object: msgspec leaves a default out of the digest by identity
    if event.occurred_at is not None:
        event.occurred_at = utc(event.occurred_at)
    if event.cost_usd is not None:
        event.cost_usd = _plain(event.cost_usd, "cost_usd", whole=7, places=18, most=10**6)
    _normalise_usage(event)
    if event.endpoint:
        event.endpoint = without_secrets(event.endpoint)
    if event.ip_address is not None:
        event.ip_address = _address(event.ip_address)
    return event


def converted(raw: object, into: type[Shape], *, above: int = 0) -> Shape:
    """A decoded JSON value as a struct. Raises Refused with the field that does not fit, or BadJSON."""
    try:
        return msgspec.convert(raw, into)
    except msgspec.ValidationError as error:
        strict_json.audit(raw, above=above)
        raise _refused(str(error)) from error
    except UnicodeEncodeError as error:  # a key with a lone surrogate, on the way into the sentence that names it
        strict_json.audit(raw, above=above)
        name = error.object.encode("ascii", "backslashreplace").decode()
        raise Refused("unknown_field", "A key with a lone surrogate.", name[:MOST_TOLD]) from error


def digest(event: Event) -> bytes:
    """What tells a repeat from a conflict: SHA-256 over a version byte and the canonical JSON of the parsed event.

    Keys sorted, values equal to the default left out, without event_id, account and reservation_id; cut to the shape of a
    UUID of version 5, the one hash-like form that every database's native type takes. As its 16 bytes.
    """
    content = msgspec.structs.replace(event, event_id="", account=None, reservation_id=None)
    canonical = msgspec.json.encode(content, order="sorted")
    hashed = int.from_bytes(hashlib.sha256(DIGEST_VERSION + canonical).digest()[:16], "big")
    return (hashed & _HASH_BITS | _UUID_BITS).to_bytes(16, "big")


_UUID_BITS = UUID(int=0, version=5).int
_HASH_BITS = ~(0xF << 76 | 0x3 << 62)  # all but the version and the variant


@lru_cache(maxsize=4096)
def without_secrets(endpoint: str) -> str:
    """The endpoint without query, fragment and userinfo: API keys live there."""
    endpoint = re.split(r"[?#]", endpoint, maxsplit=1)[0]
    while "@" in endpoint and (without := _USERINFO.sub(r"\1", endpoint)) != endpoint:
        endpoint = without  # what is left may begin with another one
    return endpoint


# Behind a scheme, wherever it stands (proxies take whole URLs as a path), two slashes, or nothing at all: as clients read it.
_USERINFO = re.compile(r"(\A(?:[/\\]{2,})?|:[/\\]+)[^/\\]*@")


_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_CONTROL_BUT_LINES = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_LINES = ("event_id", "provider", "model", "endpoint", "served_by", "user_agent", "ip_address", "reservation_id")


def _is_harmless(event: Event) -> bool:
    """Whether its JSON shows at once that texts and metadata need no closer look, as with nearly all events.

    A character that can't be stored is not ASCII, or is escaped there, or is DEL.
    """
    try:
        encoded = msgspec.json.encode(event)
    except UnicodeEncodeError:
        return False
    harmless = encoded.isascii() and b"\\" not in encoded and b"\x7f" not in encoded
    if not event.metadata or not harmless:
        return harmless
    is_short = len(encoded) <= METADATA_BYTES and len(event.metadata) <= METADATA_KEYS
    return is_short and _FLAT.issuperset(map(type, event.metadata.values()))


_FLAT = frozenset({str, bool, type(None)})


def _check_texts(event: Event) -> None:
    for name in _LINES:
        check_text(getattr(event, name), name)
    for name in ("resolution", "quality", "service_tier"):
        check_text(getattr(event.variant, name), f"variant.{name}")
    check_text(event.error_message, "error_message", _CONTROL_BUT_LINES)
    check_text(event.account, "account")


def check_account_id(external_id: str, attr: str) -> None:
    check_text(external_id, attr)
    _check_slashes(external_id, attr)


def _check_slashes(external_id: str, attr: str) -> None:
    if "/" in external_id:
        raise Refused("invalid", "An account id holds no slash.", attr)


def check_text(text: str | None, attr: str, forbidden: re.Pattern[str] = _CONTROL) -> None:
    """Raises Refused where the text has characters that not every database can store."""
    if not text or (text.isascii() and text.isprintable()):
        return
    if forbidden.search(text):
        raise Refused("invalid", "Control characters and lone surrogates can't be stored.", attr)


def _check_metadata(metadata: dict[str, Any], *, above: int) -> None:
    strict_json.audit(metadata, above=above)
    if len(metadata) > METADATA_KEYS:
        raise Refused("max_length", f"At most {METADATA_KEYS} keys.", "metadata")
    try:
        encoded = msgspec.json.encode(metadata)
    except UnicodeEncodeError as error:
        raise Refused("invalid", "Lone surrogates can't be stored.", "metadata") from error
    if len(encoded) > METADATA_BYTES:
        raise Refused("max_length", f"At most {METADATA_BYTES} bytes as JSON.", "metadata")
    if encoded.isascii() and b"\\" not in encoded and b"\x7f" not in encoded:
        return  # a control character would stand there escaped
    for text in _texts(metadata):
        check_text(text, "metadata", _CONTROL_BUT_LINES)


def _texts(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for key, child in value.items() for text in (key, *_texts(child))]
    if isinstance(value, list):
        return [text for child in value for text in _texts(child)]
    return []


_RFC3339 = re.compile(r"\A([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]([0-9:]{8})(?:\.([0-9]+))?([Zz]|[+-][0-9]{2}:[0-9]{2})\Z")


def utc(text: str, attr: str = "occurred_at") -> str:
    """An RFC 3339 time with an offset, as UTC in ISO form; digits beyond the microsecond are cut. Raises Refused."""
    found = _RFC3339.match(text) if len(text) <= 64 else None
    try:
        if found is None:
            raise ValueError
        day, clock, fraction, offset = found.groups()
        zone = "+00:00" if offset in "Zz" else offset
        normal = f"{day}T{clock}.{(fraction or '0')[:6]:0<6}{zone}"
        moment = datetime.fromisoformat(normal)
        return normal if zone == "+00:00" else moment.astimezone(UTC).isoformat(timespec="microseconds")
    except (ValueError, OverflowError) as error:
        raise Refused("invalid", "Not an RFC 3339 time with an offset, such as 2026-11-22T09:30:00Z.", attr) from error


def _plain(value: Amount, attr: str, *, whole: int, places: int, most: int) -> str:
    """A decimal in its shortest plain form, bounded before anything converts it."""
    text = str(value)
    if not re.fullmatch(rf"[0-9]{{1,{whole}}}(\.[0-9]{{1,{places}}})?", text) or Decimal(text) > most:
        raise Refused("invalid", f"Not a decimal from 0 to {most} with at most {places} places.", attr)
    return f"{Decimal(text):f}".rstrip("0").rstrip(".") or "0" if "." in text else str(int(text))


def _normalise_usage(event: Event) -> None:
    usage = event.usage
    if usage.seconds is not None or usage.megapixels is not None:
        event.usage = usage = msgspec.structs.replace(
            usage,
            seconds=_millionths(usage.seconds, "usage.seconds"),
            megapixels=_millionths(usage.megapixels, "usage.megapixels"),
        )
    if event.cached_tokens_included and usage.cached_input_tokens > usage.input_tokens:
        detail = "More cached than input tokens, although input_tokens is said to hold the cached ones."
        raise Refused("invalid", detail, "usage.cached_input_tokens")


def _millionths(value: Amount | None, attr: str) -> str | None:
    return None if value is None else _plain(value, attr, whole=10, places=6, most=COUNT)


def _address(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError as error:
        raise Refused("invalid", "Not an IP address.", "ip_address") from error


_AT = re.compile(r" - at `\$\.?([^`]*)`\Z")
_FIELD = re.compile(r"field `(.*)`\Z", re.DOTALL)
_FORMS = (  # what a pattern means, in words
    ("[A-Za-z0-9_.-]", "A label has 1 to 50 letters, digits, underscores, dots and hyphens"),
    ("(text|embedding", "A category is one of text, embedding, image, image_edit, video, audio, search, crawl, other"),
    ("[A-Za-z]*", "A method has letters only"),
)
_CODES = (
    ("missing required", "required"),
    ("unknown field", "unknown_field"),
    ("of length <=", "max_length"),
    ("of length >=", "min_length"),
    (" <= ", "max_value"),
    (" >= ", "min_value"),
    ("got `null`", "null"),
)


def _refused(message: str) -> Refused:
    """msgspec's sentence as code, field and detail."""
    at = _AT.search(message)
    told = message[: at.start()] if at else message
    field = _FIELD.search(told)
    path = ".".join(found[1] for found in (at, field) if found and found[1])
    code = next((code for words, code in _CODES if words in message), "invalid")
    told = next((words for pattern, words in _FORMS if pattern in told), told)
    return Refused(code, f"{told[:MOST_TOLD]}.", path[:MOST_TOLD])
