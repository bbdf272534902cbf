"""The service's settings with bench.bare_view's view instead of its own."""

from config.settings import *  # noqa: F403

ROOT_URLCONF = "bench.bare_view"
