"""The base of all API views: who may call, what a body and an answer look like, and how errors are answered."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from types import SimpleNamespace
from typing import Any, ClassVar

import msgspec
from django.utils import timezone
from django.utils.functional import cached_property
from rest_framework.metadata import SimpleMetadata
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from billing.accounts.access import Caller
from billing.api import account_scope, errors
from billing.api.auth import HasScope, KeyAuthentication, SessionAuthentication
from billing.api.browsable import PageRenderer
from billing.api.parameters import KnownParameters
from billing.api.parsers import StrictJSONParser
from billing.api.renderers import FastJSONRenderer
from billing.api.schema import ParametersSchema
from billing.api.throttling import CallerThrottle
from billing.models import Account
from lib.query_string import NoParameters


class AcceptHeader(DefaultContentNegotiation):
    """Chooses the renderer by the header alone: the parameter `format` is a view's own."""

    settings: Any = SimpleNamespace(URL_FORMAT_OVERRIDE=None)


class ApiView(APIView):
    """Names every policy itself, so that no setting opens or breaks a view.

    A view has to state its `required_scope`, or it cannot be defined; None makes it public.
    """

    required_scope: ClassVar[str | None]
    staff_permission: ClassVar[str | None] = None  # required of staff in addition to the scope
    query_parameters: ClassVar[type[msgspec.Struct]] = NoParameters

    authentication_classes = (KeyAuthentication, SessionAuthentication)
    permission_classes: Sequence[type[BasePermission]] = (HasScope, KnownParameters)
    throttle_classes = (CallerThrottle,)
    parser_classes = (StrictJSONParser,)
    renderer_classes = (FastJSONRenderer, PageRenderer)
    content_negotiation_class = AcceptHeader
    versioning_class = None
    metadata_class = SimpleMetadata
    schema = ParametersSchema()

    at: datetime  # when the request came in

    def __init_subclass__(cls) -> None:
        if not hasattr(cls, "required_scope"):
            raise TypeError(f"{cls.__name__} needs a required_scope")

    def get_exception_handler(self) -> Callable[..., Any]:
        return errors.handler

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - of the path
        self.at = timezone.now()
        super().initial(request, *args, **kwargs)

    @property
    def title(self) -> str:
        """What the view does, by the summary of its operation; empty for a view without one."""
        return str(getattr(getattr(self, "get", None) or getattr(self, "post", None), "summary", ""))

    def http_method_not_allowed(self, request: Any, *args: Any, **kwargs: Any) -> Response:  # noqa: ANN401 - a DRF Request
        """Shows a browser the form of an address that only takes POST. Raises MethodNotAllowed for other clients."""
        if request.method in ("GET", "HEAD") and isinstance(request.accepted_renderer, PageRenderer):
            return Response()
        return super().http_method_not_allowed(request, *args, **kwargs)

    @cached_property
    def caller(self) -> Caller:
        return account_scope.get_caller(self.request)

    @cached_property
    def account(self) -> Account | None:
        """The account in the path or the query, else the caller's own; None is the platform. Raises Http404."""
        in_path = self.kwargs.get("external_id")
        return account_scope.resolve_account(self.request, in_path or self.request.query_params.get("account"))
