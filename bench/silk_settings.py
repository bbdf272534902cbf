"""The service's settings with django-silk installed, for bench.silk_overhead."""

from config.settings import *  # noqa: F403
from config.settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "silk"]
