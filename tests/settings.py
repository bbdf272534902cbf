"""The service's settings with what tests need on top: a throw-away secret, a fast hasher, no request log unless asked for."""

import os

os.environ.setdefault("SECRET_KEY", "only-for-tests-" + "x" * 40)

from config.settings import *  # noqa: F403

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
REQUEST_LOG = False
WHITENOISE_AUTOREFRESH = True  # or every test client reads all static files anew
