"""URLs of the monitoring API, under /api/v1/."""

from django.urls import path

from monitoring import api

urlpatterns = [
    path("health/system/", api.SystemHealthView.as_view(), name="health-system"),
]
