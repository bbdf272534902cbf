"""The cheapest possible view, to measure middleware with."""

from django.http import HttpRequest, HttpResponse
from django.urls import path


def no_content(_request: HttpRequest) -> HttpResponse:
    return HttpResponse(status=204)


urlpatterns = [path("", no_content)]
