"""The settings of the service, with a throw-away secret key, a fast password hasher and no request log."""

import os

os.environ["SECRET_KEY"] = os.environ.get("SECRET_KEY") or "only-for-tests-" + "x" * 40

from config.settings import *  # noqa: F403

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
REQUEST_LOG = False
WHITENOISE_AUTOREFRESH = True  # otherwise every test client scans all static files
