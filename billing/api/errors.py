"""The format of API errors, and the status code of each domain error."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfoNotFoundError

from django.db import InterfaceError, OperationalError
from drf_standardized_errors.handler import exception_handler
from rest_framework import exceptions, status
from rest_framework.response import Response

from billing.errors import Refused
from billing.ledger.rollups import TotalTooLarge
from lib.query_string import BadParameter
from lib.strict_json import BadJSON


class BadRequest(exceptions.APIException):
    status_code = status.HTTP_400_BAD_REQUEST
    default_code = "bad_request"


class TooLarge(exceptions.APIException):
    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_code = "too_large"


class UnsupportedEncoding(exceptions.APIException):
    status_code = status.HTTP_415_UNSUPPORTED_MEDIA_TYPE
    default_code = "unsupported_media_type"


class Unavailable(exceptions.APIException):
    """The database is unreachable or locked. Nothing was stored; the request can be retried."""

    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_code = "unavailable"
    default_detail = "The database is not available. Nothing was stored; send the request again."
    wait = 2


class UnknownTimezone(exceptions.APIException):
    """The system's time zone data lacks the account's zone. Other accounts are not affected."""

    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_code = "unknown_timezone"
    default_detail = "This server does not know the account's time zone. Its operator must update the time zone data."


STATUS_BY_CODE = {
    "already_resolved": status.HTTP_409_CONFLICT,
    "voided": status.HTTP_409_CONFLICT,
    "archived": status.HTTP_409_CONFLICT,
    "event_conflict": status.HTTP_409_CONFLICT,
    "reservation_conflict": status.HTTP_409_CONFLICT,
    "idempotency_conflict": status.HTTP_409_CONFLICT,
    "subscription_inactive": status.HTTP_402_PAYMENT_REQUIRED,
}


def refusal_response(error: Refused | BadParameter, prefix: str = "") -> Response:
    """Builds the error response; `prefix` is the path of the event or object in the body."""
    code = STATUS_BY_CODE.get(error.code, status.HTTP_422_UNPROCESSABLE_ENTITY)
    return Response({"type": "validation_error", "errors": [error_as_json(error, prefix)]}, status=code)


def error_as_json(error: Refused | BadParameter, prefix: str = "") -> dict[str, Any]:
    path = ".".join(part for part in (prefix, error.attr) if part)
    return {"code": error.code, "detail": error.detail, "attr": path or None}


def handler(error: Exception, context: Any) -> Response | None:  # noqa: ANN401 - DRF's type
    """DRF's exception handler: domain errors become typed responses, an unreachable database a 503."""
    if isinstance(error, Refused | BadParameter):
        return refusal_response(error)
    if isinstance(error, TotalTooLarge):
        return refusal_response(Refused("max_value", "A total would exceed 9,000,000,000 USD.", "usage"))
    if isinstance(error, BadJSON):
        error = BadRequest(str(error))
    if isinstance(error, exceptions.ValidationError):
        error.status_code = status.HTTP_422_UNPROCESSABLE_ENTITY
    if isinstance(error, OperationalError | InterfaceError):
        error = Unavailable()
    if isinstance(error, ZoneInfoNotFoundError):
        error = UnknownTimezone()
    return exception_handler(error, context)
