"""The service's settings with the URLs of bench.orm_insert_view."""

from config.settings import *  # noqa: F403

ROOT_URLCONF = "bench.orm_insert_view"
