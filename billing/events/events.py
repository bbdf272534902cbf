"""Usage events as callers send them: parsing, limits, normal form and digest. Pure.

Field names and limits are part of the public API. A refusal names one field and one reason.
"""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from ipaddress import ip_address
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeVar
from uuid import UUID

import msgspec
from msgspec import Meta, Struct

from billing.errors import Refused
from lib import ids, money, strict_json

if TYPE_CHECKING:
    from billing.events.vendor_responses.reading import Reading

MAX_COUNT = 10**9
MAX_MODEL_LENGTH = 200
POST = "POST"
MAX_METADATA_BYTES = 4096
MAX_METADATA_KEYS = 50
DIGEST_VERSION = b"\x01"
MAX_DETAIL_LENGTH = 200  # of the caller's text quoted in an error

Count = Annotated[int, Meta(ge=0, le=MAX_COUNT)]
Amount = str | Count  # an exact decimal: a string or an integer, never a float
Slug = Annotated[str, Meta(min_length=1, max_length=50, pattern=r"^[A-Za-z0-9_.-]+\Z")]
Category = Annotated[str, Meta(pattern=r"^(text|embedding|image|image_edit|video|audio|search|crawl|other)\Z")]
ShortText = Annotated[str, Meta(max_length=60)]


StructType = TypeVar("StructType", bound=Struct)


class Usage(Struct, forbid_unknown_fields=True, omit_defaults=True, frozen=True, gc=False):
    """The quantities used. Counts are integers; `seconds` and `megapixels` are decimals with up to 6 places."""

    input_tokens: Count = 0
    output_tokens: Count = 0
    cached_input_tokens: Count = 0
    cache_write_tokens: Count = 0
    cache_write_1h_tokens: Count = 0
    reasoning_tokens: Count = 0
    input_audio_tokens: Count = 0
    output_audio_tokens: Count = 0
    image_tokens: Count = 0
    output_image_tokens: Count = 0
    cached_audio_tokens: Count = 0
    cached_image_tokens: Count = 0
    input_video_tokens: Count = 0
    requests: Count = 1
    images: Count | None = None
    megapixels: Amount | None = None
    seconds: Amount | None = None
    characters: Count | None = None
    searches: Count | None = None
    pages: Count | None = None
    web_fetches: Count | None = None
    sessions: Count | None = None


class Variant(Struct, forbid_unknown_fields=True, omit_defaults=True, frozen=True, gc=False):
    resolution: ShortText | None = None
    quality: ShortText | None = None
    service_tier: ShortText | None = None
    region: ShortText | None = None
    speed: ShortText | None = None
    inference_geo: ShortText | None = None
    search_context: ShortText | None = None
    context: ShortText | None = None


class ReadResponse(NamedTuple):
    """What takes the place of a vendor's response in a parsed event: its reading, and the event's digest as it was sent."""

    reading: Reading
    digest: bytes | None  # None: of an event that Tollgate made itself


class Event(Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True, gc=False):
    """One AI call as the caller reports it."""

    event_id: Annotated[str, Meta(min_length=1, max_length=256)]
    account: Annotated[str, Meta(min_length=1, max_length=128)] | None = None
    occurred_at: str | None = None
    provider: Slug
    category: Category | None = None
    model: Annotated[str, Meta(max_length=MAX_MODEL_LENGTH)] = ""
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
    response: dict[str, Any] | list[Any] | None = None  # a vendor's, in place of `usage`; a ReadResponse once parsed

    @property
    def read_response(self) -> ReadResponse | None:
        response: object = self.response
        return response if isinstance(response, ReadResponse) else None

    @property
    def reading(self) -> Reading | None:
        """What was read of the vendor's response; None if the caller stated the usage."""
        if self.response is None:
            return None
        return self.read_response.reading if self.read_response else None

    @property
    def occurred(self) -> datetime | None:
        return None if self.occurred_at is None else datetime.fromisoformat(self.occurred_at)

    @property
    def cost_nano(self) -> int | None:
        """The cost stated by the caller in nano-USD, rounded half-even; None if not stated."""
        return None if self.cost_usd is None else money.nano_from_usd(Decimal(self.cost_usd))

    @property
    def failed(self) -> bool:
        return self.status_code >= 400

    @property
    def key(self) -> bytes:
        return ids.lookup_key_bytes(self.event_id)


def parse(raw: object, *, depth: int = 0) -> Event:
    """As parse_unread, for events that state their usage. Raises Refused for a `response`, which would stay unread."""
    event = parse_unread(raw, depth=depth)
    if event.response is not None:
        raise Refused("invalid", "A response is read by event_responses.parse alone.", "response")
    return event


def parse_unread(raw: object, *, depth: int = 0) -> Event:
    """Convert a decoded JSON value to an event in normal form: times in UTC, plain decimals, no secrets in the endpoint.

    `depth` is the number of nesting levels of the body around `raw`. Raises Refused, or strict_json.BadJSON if the value
    breaks the limits of JSON itself. A `response` is left as it was sent: event_responses reads it.
    """
    event = convert(raw, Event, depth=depth)
    response, event.response = event.response, None
    if not _is_clean(event):
        _check_texts(event)
        _check_metadata(event.metadata, depth=depth + 1)
    if not event.model.isascii():
        check_model(event.model)
    if event.account is not None:
        _check_slashes(event.account, "account")
    if event.method.upper() == POST:
        event.method = POST  # this same object: msgspec compares defaults by identity, and the digest omits defaults
    if event.occurred_at is not None:
        event.occurred_at = normalise_time(event.occurred_at)
    if event.cost_usd is not None:
        event.cost_usd = normalise_decimal(event.cost_usd, "cost_usd", integer_digits=7, places=18, maximum=10**6)
    normalise_usage(event)
    if event.endpoint:
        event.endpoint = without_secrets(event.endpoint)
    if event.ip_address is not None:
        event.ip_address = _normalise_address(event.ip_address)
    event.response = response
    return event


def convert(raw: object, into: type[StructType], *, depth: int = 0) -> StructType:
    """Convert a decoded JSON value to a struct. Raises Refused, naming the field, or strict_json.BadJSON."""
    try:
        return msgspec.convert(raw, into)
    except msgspec.ValidationError as error:
        strict_json.check_limits(raw, depth=depth)
        raise _refusal_from(str(error)) from error
    except UnicodeEncodeError as error:  # msgspec's message would contain a key with a lone surrogate
        strict_json.check_limits(raw, depth=depth)
        name = error.object.encode("ascii", "backslashreplace").decode()
        raise Refused("unknown_field", "A key contains a lone surrogate.", name[:MAX_DETAIL_LENGTH]) from error


def digest(event: Event) -> bytes:
    """SHA-256 of a version byte and the event's canonical JSON; tells a duplicate from a conflicting event.

    The JSON has sorted keys and no defaults, event_id, account or reservation_id. Returns 16 bytes in the form of a version 5
    UUID, which every database's native UUID type accepts.
    """
    read = event.read_response if event.response is not None else None
    if read and read.digest:
        return read.digest
    response = None if read else event.response
    content = msgspec.structs.replace(event, event_id="", account=None, reservation_id=None, response=response)
    canonical = msgspec.json.encode(content, order="sorted")
    hashed = int.from_bytes(hashlib.sha256(DIGEST_VERSION + canonical).digest()[:16], "big")
    return (hashed & _HASH_BITS | _UUID_BITS).to_bytes(16, "big")


_UUID_BITS = UUID(int=0, version=5).int
_HASH_BITS = ~(0xF << 76 | 0x3 << 62)  # all but the version and the variant


@lru_cache(maxsize=4096)
def without_secrets(endpoint: str) -> str:
    """The endpoint without query, fragment and userinfo, which may hold API keys."""
    endpoint = re.split(r"[?#]", endpoint, maxsplit=1)[0]
    while "@" in endpoint and (without := _USERINFO.sub(r"\1", endpoint)) != endpoint:
        endpoint = without  # the rest may start with another userinfo
    return endpoint


# Userinfo follows a scheme (anywhere: a proxy's path may contain a URL), two slashes, or the start of the text.
_USERINFO = re.compile(r"(\A(?:[/\\]{2,})?|:[/\\]+)[^/\\]*@")


_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_CONTROL_EXCEPT_NEWLINES = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_SINGLE_LINE_FIELDS = (
    *("event_id", "provider", "model", "endpoint"),
    *("served_by", "user_agent", "ip_address", "reservation_id"),
)


def _is_clean(event: Event) -> bool:
    """A quick check that spares most events the detailed checks of texts and metadata.

    In the event's JSON, a character that can't be stored is non-ASCII, escaped, or DEL.
    """
    try:
        encoded = msgspec.json.encode(event)
    except UnicodeEncodeError:
        return False
    clean = encoded.isascii() and b"\\" not in encoded and b"\x7f" not in encoded
    if not event.metadata or not clean:
        return clean
    is_short = len(encoded) <= MAX_METADATA_BYTES and len(event.metadata) <= MAX_METADATA_KEYS
    return is_short and _SCALAR_TYPES.issuperset(map(type, event.metadata.values()))


_SCALAR_TYPES = frozenset({str, bool, type(None)})


def _check_texts(event: Event) -> None:
    for name in _SINGLE_LINE_FIELDS:
        check_text(getattr(event, name), name)
    for name in Variant.__struct_fields__:
        check_text(getattr(event.variant, name), f"variant.{name}")
    check_text(event.error_message, "error_message", _CONTROL_EXCEPT_NEWLINES)
    check_text(event.account, "account")


def check_model(model: str) -> None:
    """Refuse a model that is too long in lower case, as totals store it: some letters become two."""
    if len(model.strip().lower()) > MAX_MODEL_LENGTH:
        raise Refused("max_length", f"At most {MAX_MODEL_LENGTH} characters, also in lower case.", "model")


def check_account_id(external_id: str, attr: str) -> None:
    check_text(external_id, attr)
    _check_slashes(external_id, attr)


def _check_slashes(external_id: str, attr: str) -> None:
    if "/" in external_id:
        raise Refused("invalid", "An account id can't contain a slash.", attr)


def check_text(text: str | None, attr: str, forbidden: re.Pattern[str] = _CONTROL) -> None:
    """Raise Refused if the text has characters that some database can't store."""
    if not text or (text.isascii() and text.isprintable()):
        return
    if forbidden.search(text):
        raise Refused("invalid", "Control characters and lone surrogates can't be stored.", attr)


def _check_metadata(metadata: dict[str, Any], *, depth: int) -> None:
    strict_json.check_limits(metadata, depth=depth)
    if len(metadata) > MAX_METADATA_KEYS:
        raise Refused("max_length", f"At most {MAX_METADATA_KEYS} keys.", "metadata")
    try:
        encoded = msgspec.json.encode(metadata)
    except UnicodeEncodeError as error:
        raise Refused("invalid", "Lone surrogates can't be stored.", "metadata") from error
    if len(encoded) > MAX_METADATA_BYTES:
        raise Refused("max_length", f"At most {MAX_METADATA_BYTES} bytes as JSON.", "metadata")
    if encoded.isascii() and b"\\" not in encoded and b"\x7f" not in encoded:
        return  # JSON escapes control characters
    for text in _strings_in(metadata):
        check_text(text, "metadata", _CONTROL_EXCEPT_NEWLINES)


def _strings_in(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for key, child in value.items() for text in (key, *_strings_in(child))]
    if isinstance(value, list):
        return [text for child in value for text in _strings_in(child)]
    return []


_RFC3339 = re.compile(r"\A([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]([0-9:]{8})(?:\.([0-9]+))?([Zz]|[+-][0-9]{2}:[0-9]{2})\Z")


def normalise_time(text: str, attr: str = "occurred_at") -> str:
    """Convert an RFC 3339 time to UTC in ISO form, truncated to microseconds. Raises Refused."""
    match = _RFC3339.match(text) if len(text) <= 64 else None
    try:
        if match is None:
            raise ValueError
        day, clock, fraction, offset = match.groups()
        zone = "+00:00" if offset in "Zz" else offset
        normal = f"{day}T{clock}.{(fraction or '0')[:6]:0<6}{zone}"
        time = datetime.fromisoformat(normal)
        return normal if zone == "+00:00" else time.astimezone(UTC).isoformat(timespec="microseconds")
    except (ValueError, OverflowError) as error:
        raise Refused("invalid", "Not an RFC 3339 time with an offset, such as 2026-11-22T09:30:00Z.", attr) from error


def normalise_decimal(value: Amount, attr: str, *, integer_digits: int, places: int, maximum: int) -> str:
    """A decimal in its shortest form without exponent; its length is checked before it is converted."""
    text = str(value)
    if not re.fullmatch(rf"[0-9]{{1,{integer_digits}}}(\.[0-9]{{1,{places}}})?", text) or Decimal(text) > maximum:
        raise Refused("invalid", f"Not a decimal from 0 to {maximum} with at most {places} places.", attr)
    return f"{Decimal(text):f}".rstrip("0").rstrip(".") or "0" if "." in text else str(int(text))


def normalise_usage(event: Event) -> None:
    usage = event.usage
    if usage.seconds is not None or usage.megapixels is not None:
        event.usage = usage = msgspec.structs.replace(
            usage,
            seconds=_normalise_amount(usage.seconds, "usage.seconds"),
            megapixels=_normalise_amount(usage.megapixels, "usage.megapixels"),
        )
    if event.cached_tokens_included and usage.cached_input_tokens > usage.input_tokens:
        detail = "More cached_input_tokens than input_tokens, although cached_tokens_included is true."
        raise Refused("invalid", detail, "usage.cached_input_tokens")


def _normalise_amount(value: Amount | None, attr: str) -> str | None:
    return None if value is None else normalise_decimal(value, attr, integer_digits=10, places=6, maximum=MAX_COUNT)


def _normalise_address(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError as error:
        raise Refused("invalid", "Not an IP address.", "ip_address") from error


_ERROR_PATH = re.compile(r" - at `\$\.?([^`]*)`\Z")
_ERROR_FIELD = re.compile(r"field `(.*)`\Z", re.DOTALL)
_PATTERN_TEXTS = (  # start of the pattern -> error text
    ("[A-Za-z0-9_.-]", "Use 1 to 50 letters, digits, underscores, dots and hyphens"),
    ("(text|embedding", "Use one of text, embedding, image, image_edit, video, audio, search, crawl, other"),
    ("[A-Za-z]*", "Use letters only"),
)
_ERROR_CODES = (
    ("missing required", "required"),
    ("unknown field", "unknown_field"),
    ("of length <=", "max_length"),
    ("of length >=", "min_length"),
    (" <= ", "max_value"),
    (" >= ", "min_value"),
    ("got `null`", "null"),
)


def _refusal_from(message: str) -> Refused:
    """Split msgspec's message into code, detail and field path."""
    parent = _ERROR_PATH.search(message)
    detail = message[: parent.start()] if parent else message
    field = _ERROR_FIELD.search(detail)
    path = ".".join(match[1] for match in (parent, field) if match and match[1])
    code = next((code for words, code in _ERROR_CODES if words in message), "invalid")
    detail = next((text for pattern, text in _PATTERN_TEXTS if pattern in detail), detail)
    return Refused(code, f"{detail[:MAX_DETAIL_LENGTH]}.", path[:MAX_DETAIL_LENGTH])
