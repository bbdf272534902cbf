"""The service's settings with django-silk installed, as its peer in bench.rows_middleware needs it."""

from config.settings import *  # noqa: F403
from config.settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "silk"]
