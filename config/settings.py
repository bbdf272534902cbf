"""All settings of Tollgate, read from the environment (see .env.example, which lists every name)."""

from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from config import env

ROOT = Path(__file__).resolve().parent.parent
env.load_dotenv()

READ_COMMITTED = 2  # psycopg.IsolationLevel.READ_COMMITTED
DEBUG = env.boolean("DEBUG", default=False)
VAR_DIR = Path(env.text("VAR_DIR", str(ROOT / "var")))  # for the SQLite file and the secret key that `make run` creates


def _secret_key() -> str:
    """SECRET_KEY, or the key that `make run` wrote to var/secret_key. There is no built-in key."""
    stored = VAR_DIR / "secret_key"
    key = env.text("SECRET_KEY") or (stored.read_text().strip() if stored.exists() else "")
    if not key:
        raise ImproperlyConfigured("SECRET_KEY: not set. `make run` creates one; for a service, set your own.")
    return key


SECRET_KEY = _secret_key()
ALLOWED_HOSTS = env.string_list("ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]")
CSRF_TRUSTED_ORIGINS = env.string_list("CSRF_TRUSTED_ORIGINS")
TRUSTED_PROXIES = env.string_list("TRUSTED_PROXIES")  # addresses or networks whose X-Forwarded-For is trusted

INSTALLED_APPS = [
    "config.apps.TollgateAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.humanize",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "drf_standardized_errors",
    "axes",
    "auditlog",
    "config.apps.ConfigConfig",
    "providers",
    "billing",
    "monitoring",
]

MIDDLEWARE = [
    "monitoring.middleware.RequestLogMiddleware",
    "config.request_lines.RequestLineMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "config.csp.ContentSecurityPolicyMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "config.slashes.SlashMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "config.unknown_zone.UnknownZoneMiddleware",
    "auditlog.middleware.AuditlogMiddleware",
    "axes.middleware.AxesMiddleware",
]

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
APPEND_SLASH = False  # config/slashes.py does more

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [ROOT / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]
FORM_RENDERER = "django.forms.renderers.DjangoTemplates"


def _database() -> dict[str, Any]:
    """DATABASE_URL with the options that each vendor needs for correct results under concurrent writers."""
    database = env.database("DATABASE_URL", f"sqlite:///{VAR_DIR / 'tollgate.sqlite3'}")
    engine, options = database["ENGINE"], database.setdefault("OPTIONS", {})
    if engine.endswith("sqlite3"):
        VAR_DIR.mkdir(parents=True, exist_ok=True)
        options |= {
            "transaction_mode": "IMMEDIATE",  # otherwise concurrent writers fail at once instead of waiting
            "timeout": 20,
            "init_command": "PRAGMA synchronous=FULL; PRAGMA cache_size=-64000",
        }
        database["TEST"] = {"NAME": VAR_DIR / f"test_{Path(str(database['NAME'])).stem}.sqlite3"}
    elif engine.endswith("mysql"):
        options |= {"charset": "utf8mb4", "isolation_level": "read committed"}
        options["init_command"] = "SET SESSION sql_mode='STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'"
        database["CONN_MAX_AGE"] = env.integer("CONN_MAX_AGE", 60)
    else:
        database["CONN_MAX_AGE"] = env.integer("CONN_MAX_AGE", 60)
        database |= _postgresql_options(options)
    database["CONN_HEALTH_CHECKS"] = True
    return database


def _postgresql_options(options: dict[str, Any]) -> dict[str, Any]:
    """READ COMMITTED in every transaction, whatever the server's default is, and prepared statements where they can work.

    The level of statements outside a transaction is a parameter at connecting, which a pooler would not pass on.
    """
    pooler = env.choice("DATABASE_POOLER", ("none", "session", "transaction"))
    options["isolation_level"] = READ_COMMITTED
    options["prepare_threshold"] = None if pooler == "transaction" else 5  # Django's default is None: never
    if pooler == "none":
        options["options"] = f"{options.get('options', '')} -c default_transaction_isolation=read\\ committed".strip()
    return {"OPTIONS": options, "DISABLE_SERVER_SIDE_CURSORS": pooler == "transaction"}


DATABASES = {"default": _database()}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LOGIN_URL = "usage:login"  # for customers; the admin redirects to its own
LOGIN_REDIRECT_URL = "home"  # which sends staff to the admin and customers to their account
AXES_FAILURE_LIMIT = env.integer("LOGIN_FAILURE_LIMIT", 5, minimum=1)
AXES_COOLOFF_TIME = env.integer("LOGIN_COOLOFF_HOURS", 1, minimum=1)
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_LOCKOUT_TEMPLATE = "registration/locked.html"
AXES_VERBOSE = False
AXES_CLIENT_IP_CALLABLE = "lib.client_address.from_request"

SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SAMESITE = "Lax"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
HTTPS = env.boolean("HTTPS", default=False)  # behind TLS: secure cookies, HSTS, redirect
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SECURE_SSL_REDIRECT = HTTPS
SECURE_REDIRECT_EXEMPT = [r"^livez$", r"^readyz$"]  # load balancers probe without TLS
SECURE_HSTS_SECONDS = 31536000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HTTPS
if env.boolean("TRUST_FORWARDED_PROTO", default=False):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

LANGUAGE_CODE = "en"
USE_I18N = False
USE_TZ = True
TIME_ZONE = "UTC"

STATIC_URL = "static/"
STATIC_ROOT = env.text("STATIC_ROOT") or None  # if empty, static files are served from the source tree
STATICFILES_DIRS = [ROOT / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
WHITENOISE_USE_FINDERS = STATIC_ROOT is None

# The API's views name their own policies (billing/api/api_view.py), so there is no REST_FRAMEWORK setting.
API_RATE = env.rate("API_RATE", "600/second")
ANONYMOUS_RATE = env.rate("ANONYMOUS_RATE", "60/minute")
SPECTACULAR_SETTINGS = {
    "TITLE": "Tollgate",
    "DESCRIPTION": "AI-usage billing: what each call cost, who really served it, and a stop before the budget breaks.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",  # msgspec cannot write the `nullable` of 3.0
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SCHEMA_PATH_PREFIX": "/api/v1/",
}

vars().update(env.email("EMAIL_URL", "consolemail://"))
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = SERVER_EMAIL = env.text("EMAIL_FROM", "tollgate@localhost")

# Settings of Tollgate itself. System checks compare settings that depend on each other.
CREATE_ACCOUNTS = env.boolean("CREATE_ACCOUNTS", default=True)
UNPRICED_POLICY = env.choice("UNPRICED_POLICY", ("allow", "block"))
ABORTED_CALLS = env.choice("ABORTED_CALLS", ("estimate", "unpriced"))
DEFAULT_PLAN = env.text("DEFAULT_PLAN", "free")  # the plan of accounts without a subscription
CLOSE_GRACE_HOURS = env.integer("CLOSE_GRACE_HOURS", 72)
STATEMENT_DUE_DAYS = env.integer("STATEMENT_DUE_DAYS", 14)
PAST_DUE_GRACE_DAYS = env.integer("PAST_DUE_GRACE_DAYS", 7)
ALERT_COST_PERCENTS = env.percentages("ALERT_COST_PERCENTS", "50,80,95,100")
ALERT_PERCENTS = env.percentages("ALERT_PERCENTS", "80,100")  # for all other meters
ALERT_EMAILS = env.string_list("ALERT_EMAILS")  # operators who receive the alerts of all accounts
WEBHOOK_ALLOW_PRIVATE = env.boolean("WEBHOOK_ALLOW_PRIVATE", default=False)
INVITATION_DAYS = env.integer("INVITATION_DAYS", 7, minimum=1)
PASSWORD_RESET_TIMEOUT = 24 * 60 * 60
HEALTH_ERROR_FROM = env.integer("HEALTH_ERROR_FROM", 400, minimum=400)
HEALTH_WARNING_PERCENT = env.integer("HEALTH_WARNING_PERCENT", 5)
HEALTH_CRITICAL_PERCENT = env.integer("HEALTH_CRITICAL_PERCENT", 10)
HEALTH_WINDOW_MINUTES = env.integer("HEALTH_WINDOW_MINUTES", 5, minimum=1)
REQUEST_LOG = env.boolean("REQUEST_LOG", default=True)
KEEP_REQUESTS_DAYS = env.integer("KEEP_REQUESTS_DAYS", 30)  # 0 means for ever, also in the next three settings
KEEP_MINUTES_DAYS = env.integer("KEEP_MINUTES_DAYS", 90)  # counts by minute, of requests and providers
KEEP_ADDRESSES_DAYS = env.integer("KEEP_ADDRESSES_DAYS", 90)  # client addresses and user agents in the usage log
KEEP_LOGS_DAYS = env.integer("KEEP_LOGS_DAYS", 0)  # usage logs after their period's end; then archived
ARCHIVE_DIR = env.text("ARCHIVE_DIR", str(VAR_DIR / "archive"))
IMPORT_DIR = env.text("IMPORT_DIR", str(VAR_DIR / "imports"))  # files uploaded in the admin, until they are imported
IMPORT_MAX_MIB = env.integer("IMPORT_MAX_MIB", 200, minimum=1)  # of one such file
FILE_UPLOAD_HANDLERS = ["billing.imports.uploads.ImportUploadHandler"]  # accepts a file on the import page only
MAX_BODY_BYTES = 5 * 1024 * 1024
DATA_UPLOAD_MAX_MEMORY_SIZE = MAX_BODY_BYTES

AUDITLOG_DISABLE_REMOTE_ADDR = True

LEVELS = ("WARNING", "DEBUG", "INFO", "ERROR", "CRITICAL")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"console": {"()": "lib.log_lines.ConsoleFormatter"}, "json": {"()": "lib.log_lines.JsonFormatter"}},
    "handlers": {
        "stderr": {"class": "logging.StreamHandler", "formatter": env.choice("LOG_FORMAT", ("console", "json"))}
    },
    "root": {"handlers": ["stderr"], "level": env.choice("LOG_LEVEL", LEVELS)},
    "loggers": {
        "django": {"handlers": [], "level": "NOTSET"},  # Django's own handlers would write every line twice
        # config.request_lines logs each request, without its path.
        "django.request": {"level": "CRITICAL"},
        "django.security.DisallowedHost": {"level": "CRITICAL"},
    },
}
