"""All URLs of the service."""

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, URLResolver, include, path, re_path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework import exceptions
from rest_framework.request import Request
from rest_framework.response import Response

from billing.api.api_view import ApiView
from billing.pages import urls as pages
from config import customer_dashboard, metrics, probes
from config.api_root import RootView
from config.system_health import SystemHealthView


class NotFoundView(ApiView):
    """Answers unknown API paths with an error in the API's format."""

    schema = None  # type: ignore[assignment]  # DRF's way to leave a view out
    required_scope = None
    permission_classes = ()

    def get(self, request: Request, **_: str) -> Response:
        raise exceptions.NotFound

    post = put = patch = delete = get


class SchemaView(SpectacularAPIView):
    """The OpenAPI document, for everybody. Its answers are drf-spectacular's, its policies the API's."""

    schema = None
    authentication_classes = ApiView.authentication_classes
    permission_classes = ()
    throttle_classes = ApiView.throttle_classes
    get_exception_handler = ApiView.get_exception_handler


class DocumentationView(SpectacularSwaggerSplitView):
    """Swagger UI, for everybody."""

    schema = None
    authentication_classes = ApiView.authentication_classes
    permission_classes = ()
    throttle_classes = ApiView.throttle_classes
    get_exception_handler = ApiView.get_exception_handler


def home(request: HttpRequest) -> HttpResponse:
    """Send staff to the admin, customers to their account, and anonymous users to the customer log-in."""
    if not request.user.is_authenticated:
        return redirect("usage:login")
    return redirect("admin:index" if request.user.is_staff else "usage:overview")


api_urls: list[URLPattern | URLResolver] = [
    path("", RootView.as_view(), name="api-root"),
    path("", include("billing.api.urls")),
    path("health/system/", SystemHealthView.as_view(), name="health-system"),
    path("schema/", SchemaView.as_view(), name="schema"),
    path("docs/", DocumentationView.as_view(url_name="schema"), name="docs"),
    re_path(r"^(?P<rest>.*)$", NotFoundView.as_view(), name="not-found"),
]

customer_urls: list[URLPattern | URLResolver] = [
    path("", customer_dashboard.dashboard_page, name="overview"),
    path("health-card/", customer_dashboard.health_card, name="health-card"),
    *pages.urlpatterns,
]

urlpatterns = [
    path("", home, name="home"),
    path("admin/", admin.site.urls),
    path("usage/", include((customer_urls, "usage"))),
    path("api/v1/", include(api_urls)),
    path("livez", probes.livez, name="livez"),
    path("readyz", probes.readyz, name="readyz"),
    path("metrics", metrics.metrics, name="metrics"),
]
