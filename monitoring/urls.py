"""The API's addresses of monitoring, under /api/v1/."""

from django.urls import path

from monitoring import api

urlpatterns = [
    path("health/system/", api.SystemHealthView.as_view(), name="health-system"),
]
