"""The cheapest address that there is, for middleware to be measured on."""

from django.http import HttpRequest, HttpResponse
from django.urls import path


def nothing(_request: HttpRequest) -> HttpResponse:
    return HttpResponse(status=204)


urlpatterns = [path("", nothing)]
