"""Refuses query parameters that a view does not declare by its `query_parameters`.

The check is a permission, so that it follows authentication in every view.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec
from rest_framework import exceptions, permissions

from lib import query_string
from lib.query_string import BadParameter

if TYPE_CHECKING:
    from rest_framework.request import Request

    from billing.api.api_view import ApiView


class AccountParameter(msgspec.Struct, frozen=True):
    account: Annotated[str, msgspec.Meta(description="Your own id of the account.")] = ""


class PeriodParameters(AccountParameter, frozen=True):
    period: Annotated[str, msgspec.Meta(description="`2026-11`; default: the current period.")] = ""


class KnownParameters(permissions.BasePermission):
    """Refuses unknown and repeated parameters with 422."""

    def has_permission(self, request: Request, view: ApiView) -> bool:  # type: ignore[override]  # it declares them
        if not request.query_params or request.method not in view.allowed_methods:
            return True
        try:
            query_string.check_names(dict(request.query_params.lists()), view.query_parameters)
        except BadParameter as error:
            # A ValidationError, because the browsable API expects one of DRF's own exceptions of a permission.
            detail = exceptions.ErrorDetail(error.detail, error.code)
            raise exceptions.ValidationError({error.attr: [detail]}) from error
        return True
