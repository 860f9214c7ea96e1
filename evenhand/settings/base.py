"""Settings of a running Evenhand.

Everything is computed from the data folder and the environment alone: importing settings starts nothing and needs no server.
With nothing configured the embedded PostgreSQL and Valkey are used; ``DATABASE_URL``, ``CELERY_BROKER_URL`` and ``EMAIL_URL``
switch to real ones.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import environ
from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext_lazy as _

from evenhand import belongings, confidences, duties, finders, mail_provider, personal
from evenhand.admin_settings import UNFOLD  # noqa: F401  the admin's face
from evenhand.embedded.places import Places, jwt_private_key, secret_key

BASE_DIR = Path(__file__).resolve().parent.parent.parent
env = environ.Env()
PLACES = Places.from_environment(BASE_DIR)


def _setting(name: str, cast: Any, default: Any) -> Any:
    """Read one environment variable; a mistake stops start-up with a sentence that names it."""
    try:
        return env.get_value(name, cast=cast, default=default)
    except (ValueError, TypeError, ImproperlyConfigured) as mistake:
        raise ImproperlyConfigured(f"the environment variable {name} cannot be read: {mistake}.") from mistake


def _hosts_with_ports(text: str | frozenset[str]) -> frozenset[str]:
    if isinstance(text, frozenset):
        return text
    hosts = frozenset(host.strip().lower() for host in text.split(",") if host.strip())
    for host in hosts:
        name, _colon, port = host.rpartition(":")
        if not name or "/" in name or not (port.isascii() and port.isdecimal() and 0 < int(port) < 65_536):
            raise ValueError(f"{host!r} is not of the form host:port")
    return hosts


def _share_graded_again(text: str | float) -> float:
    share = float(text)
    if not 0.03 <= share <= 0.25:
        raise ValueError(f"{text} is not a share from 0.03 to 0.25")
    return share


def _yes_or_no(text: str | bool) -> bool:
    words = {
        "yes": True,
        "true": True,
        "on": True,
        "1": True,
        "no": False,
        "false": False,
        "off": False,
        "0": False,
        "": False,
    }
    if isinstance(text, bool):
        return text
    if text.strip().lower() not in words:
        raise ValueError(f"“{text}” is neither yes nor no")
    return words[text.strip().lower()]


def _scanner(text: str) -> str | tuple[str, int] | None:
    """Where the virus scanner listens: the path of a unix socket, or host and port; None when there is none."""
    kind, _colon, place = text.strip().partition(":")
    if not kind:
        return None
    if kind == "unix" and place.startswith("/"):
        return place
    host, _colon, port = place.removeprefix("//").rpartition(":")
    if kind == "tcp" and host and port.isdecimal() and 0 < int(port) < 65_536:
        return host.strip("[]"), int(port)
    raise ValueError(f"“{text}” is neither unix:/path/of/a/socket nor tcp://host:port")


# --- who and where --------------------------------------------------------------------------------------------------
DEBUG = _setting("EVENHAND_DEBUG", _yes_or_no, False)
SECRET_KEY = env.str("EVENHAND_SECRET_KEY", default="") or secret_key(PLACES)
if len(SECRET_KEY) < 40:
    raise ImproperlyConfigured("EVENHAND_SECRET_KEY is shorter than 40 characters; take a longer random one.")
ALLOWED_HOSTS = _setting("EVENHAND_HOSTS", list, ["localhost", "127.0.0.1", "[::1]"])
if "*" in ALLOWED_HOSTS:
    raise ImproperlyConfigured("EVENHAND_HOSTS must list the host names that people use; '*' would trust any of them.")
PUBLIC_URL = env.str("EVENHAND_PUBLIC_URL", default="http://127.0.0.1:8000").rstrip("/")
if not PUBLIC_URL.startswith(("http://", "https://")):
    raise ImproperlyConfigured("EVENHAND_PUBLIC_URL must be a web address that starts with http:// or https://.")
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL] if PUBLIC_URL.startswith("https://") else []
if PUBLIC_URL.startswith("https://"):
    SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = True
    SECURE_HSTS_SECONDS = 31_536_000
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

INSTALLED_APPS = [
    "unfold",
    "unfold.contrib.filters",
    "unfold.contrib.forms",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.postgres",
    "django.contrib.staticfiles",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.headless",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "drf_standardized_errors",
    "anymail",
    "crm",
    "loyalty",
    "recovery",
    "evenhand",  # last: what it brings in line after a migration needs everybody's permissions
]

MIDDLEWARE = [
    "evenhand.programs.ProgramsMiddleware",  # first: programs with a token pass all of the others
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "evenhand.pages.ContentPolicyMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "evenhand.pages.LanguageMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "evenhand.viewer.ViewerZoneMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "evenhand.urls"
WSGI_APPLICATION = "evenhand.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
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

# --- what is stored where -------------------------------------------------------------------------------------------
if env.str("DATABASE_URL", default=""):
    try:
        _database = env.db_url("DATABASE_URL")
    except (ValueError, TypeError, KeyError) as mistake:
        raise ImproperlyConfigured(f"DATABASE_URL cannot be read: {mistake}.") from mistake
    if "postgresql" not in _database.get("ENGINE", ""):
        raise ImproperlyConfigured(
            "DATABASE_URL must name a PostgreSQL database (postgresql://user:password@host/name)."
        )
else:
    _database = dict(PLACES.database)
DATABASES = {
    "default": {
        **_database,
        "ENGINE": "evenhand.database",
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
        # A lock that is not free in two seconds is a clear refusal, never a request that hangs.
        "OPTIONS": {**_database.get("OPTIONS", {}), "options": "-c lock_timeout=2000 -c statement_timeout=60000"},
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
CACHES = {"default": {"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "evenhand_cache"}}
MEDIA_ROOT = PLACES.media
STATIC_ROOT = PLACES.static
STATIC_URL = "/static/"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
WHITENOISE_USE_FINDERS = True

# --- Celery: a doorbell ---------------------------------------------------------------------------------------------
CELERY_BROKER_URL = env.str("CELERY_BROKER_URL", default="") or PLACES.broker_url
if not CELERY_BROKER_URL.startswith(("redis://", "rediss://", "redis+socket://", "amqp://", "amqps://", "memory://")):
    raise ImproperlyConfigured(
        "CELERY_BROKER_URL must start with redis://, rediss://, redis+socket://, amqp:// or amqps://."
    )
CELERY_TASK_ACKS_LATE = CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_TIME_LIMIT, CELERY_TASK_SOFT_TIME_LIMIT = 600, 540
CELERY_TASK_PUBLISH_RETRY = False
CELERY_BROKER_CONNECTION_TIMEOUT = 2
CELERY_BROKER_TRANSPORT_OPTIONS = (
    {"confirm_publish": True}
    if CELERY_BROKER_URL.startswith("amqp")
    else {"visibility_timeout": 1800, "socket_timeout": 5, "socket_connect_timeout": 2}
)
if CELERY_BROKER_URL.startswith("amqp"):
    CELERY_TASK_DEFAULT_QUEUE_TYPE = "quorum"
    CELERY_WORKER_DETECT_QUORUM_QUEUES = True
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_SEND_TASK_EVENTS = False
CELERY_TIMEZONE = "UTC"
CELERY_TASK_DEFAULT_QUEUE = env.str("EVENHAND_QUEUE", default="evenhand")
CELERY_BEAT_SCHEDULE = duties.beat_schedule()
# crm rings bells and works lanes by name; what the names mean is said in one table.
EVENHAND_NUDGES = duties.NUDGES
EVENHAND_DUTIES = duties.DUTIES
EVENHAND_LANES = duties.LANES
EVENHAND_SETTLED_BY = duties.SETTLED_BY
EVENHAND_BELONGINGS = belongings.BELONGINGS
EVENHAND_FINDERS = finders.FINDERS
EVENHAND_CONFIDENCES = confidences.CONFIDENCES
EVENHAND_AFTER_MERGING = belongings.AFTER_MERGING
EVENHAND_BEFORE_PARTING = belongings.BEFORE_PARTING
EVENHAND_WHEN_BEREAVED = belongings.WHEN_BEREAVED
EVENHAND_CONTACT_FIGURES = "recovery.pages.figures"
EVENHAND_PERSONAL = personal.PERSONAL
EVENHAND_PERSONAL_SEARCHED = personal.SEARCHED
EVENHAND_PERSONAL_VERSION = personal.VERSION
EVENHAND_BEFORE_ERASING = personal.BEFORE_ERASING
EVENHAND_ON_ERASING = personal.ON_ERASING
EVENHAND_NOT_GREETED = belongings.NOT_GREETED
# Where each erasure is noted outside the database, so that a restored backup does not bring anybody back (docs/privacy.md).
EVENHAND_ERASURE_JOURNAL = Path(env.str("EVENHAND_ERASURE_JOURNAL", default=str(PLACES.data / "erasures.journal")))

# --- mail -----------------------------------------------------------------------------------------------------------
MAIL_FOLDER = PLACES.mail
# A provider that carries mails out over its own API, takes mail in for us, or tells what became of what we sent (docs/runbook.md).
EVENHAND_MAIL_PROVIDER = _setting("EVENHAND_MAIL_PROVIDER", mail_provider.known, "")
ANYMAIL = {
    **_setting("EVENHAND_MAIL_PROVIDER_SETTINGS", mail_provider.settings_of, {}),
    # Whoever posts to our addresses must show one of these; without any, the addresses do not exist.
    "WEBHOOK_SECRET": _setting("EVENHAND_MAIL_WEBHOOK_SECRET", mail_provider.secrets, []),
}
if len(ANYMAIL) > 1 and not EVENHAND_MAIL_PROVIDER:
    raise ImproperlyConfigured("EVENHAND_MAIL_PROVIDER must say whose EVENHAND_MAIL_PROVIDER_SETTINGS these are.")
if env.str("EMAIL_URL", default=""):
    try:
        _email = env.email_url("EMAIL_URL")
    except (ValueError, TypeError, KeyError, ImproperlyConfigured) as mistake:
        raise ImproperlyConfigured(f"EMAIL_URL cannot be read: {mistake}.") from mistake
    EMAIL_BACKEND = _email["EMAIL_BACKEND"]
    EMAIL_HOST, EMAIL_PORT = _email["EMAIL_HOST"], _email["EMAIL_PORT"] or 25
    EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = _email["EMAIL_HOST_USER"] or "", _email["EMAIL_HOST_PASSWORD"] or ""
    EMAIL_USE_TLS, EMAIL_USE_SSL = _email.get("EMAIL_USE_TLS", False), _email.get("EMAIL_USE_SSL", False)
    EMAIL_FILE_PATH = _email.get("EMAIL_FILE_PATH")
elif EVENHAND_MAIL_PROVIDER:
    EMAIL_BACKEND = f"anymail.backends.{EVENHAND_MAIL_PROVIDER}.EmailBackend"
else:
    EMAIL_BACKEND = "evenhand.mailbox.FolderBackend"
EMAIL_TIMEOUT = 60
EVENHAND_MAIL_FROM = env.str("EVENHAND_MAIL_FROM", default="support@evenhand.example")
if "@" not in EVENHAND_MAIL_FROM:
    raise ImproperlyConfigured("EVENHAND_MAIL_FROM must be an e-mail address, such as support@example.org.")
EVENHAND_MAIL_NAME = env.str("EVENHAND_MAIL_NAME", default="Evenhand Demo Shop")
# What the house says below every mail: company, address, register. Lines are separated by \n.
EVENHAND_MAIL_IMPRINT = tuple(
    " ".join(line.split())
    for line in env.str("EVENHAND_MAIL_IMPRINT", default="", multiline=True).splitlines()
    if line.strip()
)
EVENHAND_OWN_ADDRESSES = frozenset(
    a.lower() for a in [EVENHAND_MAIL_FROM, *_setting("EVENHAND_OWN_ADDRESSES", list, [])]
)
# A domain of its own on which nothing but our reply and return addresses lives; without one, mails carry none of them. The demo,
# whose mails stay in a folder, has one.
EVENHAND_INBOUND_DOMAIN = env.str(
    "EVENHAND_INBOUND_DOMAIN",
    default=""
    if EVENHAND_MAIL_PROVIDER or env.str("EMAIL_URL", default="")
    else f"in.{EVENHAND_MAIL_FROM.rpartition('@')[2]}",
).lower()
# How long an answer waits in which its writer can still take it back.
EVENHAND_UNDO_FOR = timedelta(seconds=_setting("EVENHAND_UNDO_SECONDS", int, 15))
# Names of our own border mail servers: only a Received stamp of theirs says when a mail reached us.
EVENHAND_BORDER_HOSTS = frozenset(h.lower() for h in _setting("EVENHAND_BORDER_HOSTS", list, []))
# Hosts ("name:port") that we may talk to although they are private or speak without encryption, also for a feed; none unless named
# (O02).
EVENHAND_OUTBOUND_HOSTS = _setting("EVENHAND_OUTBOUND_HOSTS", _hosts_with_ports, frozenset())
# Where files may lie that hold a password; nothing else on the machine is read for one.
EVENHAND_SECRET_FOLDERS = tuple(
    _setting("EVENHAND_SECRET_FOLDERS", list, ["/run/secrets", str(PLACES.data / "secrets")])
)
# The virus scanner (clamd) that looks at attached files before anybody gets them; without one they are handed out unchecked.
EVENHAND_CLAMD = _setting("EVENHAND_CLAMD", _scanner, None)
# Processes that read mail, for each of ours that needs one. 0 reads in our own, without limits on time and memory.
EVENHAND_MAIL_READERS = _setting("EVENHAND_MAIL_READERS", int, 2)
if not 0 <= EVENHAND_MAIL_READERS <= 16:
    raise ImproperlyConfigured("EVENHAND_MAIL_READERS must be a number from 0 to 16.")
DEFAULT_FROM_EMAIL = SERVER_EMAIL = EVENHAND_MAIL_FROM

# --- people ---------------------------------------------------------------------------------------------------------
AUTH_USER_MODEL = "crm.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.PBKDF2PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*", "password2*"]
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
# Whether customers may make themselves an account in the app. Colleagues never can.
EVENHAND_APP_SIGNUP = _setting("EVENHAND_APP_SIGNUP", _yes_or_no, False)
# An address counts once its code was typed in where it was asked for; no account of a stranger waits for its owner (C04, C05).
ACCOUNT_EMAIL_VERIFICATION = "mandatory"
ACCOUNT_EMAIL_VERIFICATION_BY_CODE_ENABLED = True
ACCOUNT_CHANGE_EMAIL = True  # one address an account; another one replaces it
ACCOUNT_REAUTHENTICATION_REQUIRED = True
ACCOUNT_ADAPTER = "evenhand.accounts.AccountAdapter"
ACCOUNT_LOGOUT_ON_GET = False
ACCOUNT_PREVENT_ENUMERATION = True
LOGIN_REDIRECT_URL = "/admin/"
LOGIN_URL = "/accounts/login/"
SESSION_COOKIE_AGE = 12 * 60 * 60
SESSION_COOKIE_HTTPONLY = True
ALLAUTH_TRUSTED_PROXY_COUNT = _setting("EVENHAND_TRUSTED_PROXIES", int, 0)
HEADLESS_CLIENTS = ("app",)
HEADLESS_ONLY = False
HEADLESS_TOKEN_STRATEGY = "allauth.headless.tokens.strategies.jwt.JWTTokenStrategy"  # noqa: S105 (a class path)
HEADLESS_JWT_ALGORITHM = "RS256"
HEADLESS_JWT_PRIVATE_KEY = env.str("EVENHAND_JWT_KEY", default="", multiline=True) or jwt_private_key(PLACES)
HEADLESS_JWT_STATEFUL_VALIDATION_ENABLED = True
HEADLESS_JWT_ROTATE_REFRESH_TOKEN = True

# --- API ------------------------------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "evenhand.api.authentication.AppTokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["evenhand.api.parsing.StrictJSONParser"],
    "DEFAULT_SCHEMA_CLASS": "evenhand.api.schema.ProblemSchema",
    "DEFAULT_VERSIONING_CLASS": None,
    "EXCEPTION_HANDLER": "evenhand.api.problems.problem_handler",
    "COERCE_DECIMAL_TO_STRING": True,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Evenhand API",
    "DESCRIPTION": "The same need gets the same treatment, whichever channel the customer used.",
    "VERSION": "1.0.0",
    "OAS_VERSION": "3.1.1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_NAME_OVERRIDES": {
        "FieldKindEnum": "crm.policy.fields.FieldKind",
        "CustomerStatusEnum": "crm.models.people.CustomerStatus",
        "GrantKindEnum": "recovery.policy.GrantKind",
        "ChannelEnum": "crm.channels.Channel",
        "ConversationStateEnum": "crm.policy.ConversationState",
        "PromiseKindEnum": "crm.policy.PromiseKind",
        "PromiseStateEnum": "crm.policy.PromiseState",
        "DirectionEnum": "crm.policy.Direction",
        "CallStateEnum": "crm.policy.CallState",
        "EndedByEnum": "crm.policy.EndedBy",
        "OutgoingStateEnum": "crm.policy.OutgoingState",
        "PackageStateEnum": "crm.policy.privacy.PackageState",
        "CheckKindEnum": "crm.policy.identity_checks.CheckKind",
        "CheckNeedEnum": "crm.policy.identity_checks.CheckNeed",
        "CheckStateEnum": "crm.policy.identity_checks.CheckState",
        "CaseStatusEnum": "recovery.policy.Status",
        "ConsentPurposeEnum": "crm.policy.consent.Purpose",
        "LifeEventPurposeEnum": "crm.policy.lives.Purpose",
        "SeverityEnum": "recovery.policy.Severity",
        "OutcomeEnum": "recovery.policy.Outcome",
    },
}

# --- words and time -------------------------------------------------------------------------------------------------
LANGUAGE_CODE = "en"
LANGUAGES = [("en", _("English"))]  # of the staff's pages; a language is listed once its translation is whole
# Of everything customers read; the first is taken where we do not know theirs (docs/adr/0022).
EVENHAND_CUSTOMER_LANGUAGES = tuple(
    tag.strip()
    for tag in _setting("EVENHAND_CUSTOMER_LANGUAGES", list, ["en", "de", "fr", "es", "it", "nl", "pl"])
    if tag.strip()
)
if not EVENHAND_CUSTOMER_LANGUAGES:
    raise ImproperlyConfigured("EVENHAND_CUSTOMER_LANGUAGES must name at least one language, such as en,de.")
LOCALE_PATHS = [BASE_DIR / "locale"]
TIME_ZONE = "UTC"
USE_TZ = True
EVENHAND_REGION = env.str("EVENHAND_REGION", default="DE")  # where phone numbers without a country code belong
# How long a phone rings before the caller is promised a call-back, how long a hold may last before one is offered, and how long
# after its end a talk may be written down before one is owed.
EVENHAND_RING_PATIENCE = timedelta(seconds=_setting("EVENHAND_RING_PATIENCE_SECONDS", int, 60))
EVENHAND_HOLD_LIMIT = timedelta(seconds=_setting("EVENHAND_HOLD_LIMIT_SECONDS", int, 300))
EVENHAND_TALK_NOTED_WITHIN = timedelta(seconds=_setting("EVENHAND_TALK_NOTED_WITHIN_SECONDS", int, 300))
# Which share of the matters that ended is graded again without knowing how they came (recovery/actions/regrading.py).
EVENHAND_REGRADED_SHARE = _setting("EVENHAND_REGRADED_SHARE", _share_graded_again, 0.04)
EVENHAND_ZONE = env.str("EVENHAND_ZONE", default="Europe/Berlin")
# Under which addresses that want nothing are kept; the first one writes, all are recognised. Whoever changes it, or the secret key
# from which it comes by default, puts the old one behind the new one, or nobody is recognised any more (docs/runbook.md).
EVENHAND_SUPPRESSION_KEY = tuple(_setting("EVENHAND_SUPPRESSION_KEY", list, [])) or (SECRET_KEY,)
if any(len(key) < 40 for key in EVENHAND_SUPPRESSION_KEY):
    raise ImproperlyConfigured(
        "EVENHAND_SUPPRESSION_KEY has a key shorter than 40 characters; take longer random ones."
    )
# Whether what platforms tell about an account (followers, badge, picture) is kept, apart and for 30 days; dropped otherwise.
EVENHAND_KEEP_REACH = _setting("EVENHAND_KEEP_REACH", _yes_or_no, False)

# --- hardening ------------------------------------------------------------------------------------------------------
X_FRAME_OPTIONS = "DENY"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
DATA_UPLOAD_MAX_MEMORY_SIZE = 2_500_000
DATA_UPLOAD_MAX_NUMBER_FIELDS = 500
FILE_UPLOAD_MAX_MEMORY_SIZE = 2_500_000
# The admin theme evaluates its own Alpine.js expressions and sets inline styles; nothing comes from outside.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'self'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "frame-ancestors": ["'none'"],
        "form-action": ["'self'"],
        "base-uri": ["'none'"],
        "object-src": ["'none'"],
    }
}

# --- logs: ids, never values ----------------------------------------------------------------------------------------
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": "INFO"},
    "loggers": {
        "django.request": {"level": "ERROR"},
        "celery.app.trace": {"level": "WARNING"},
        "celery.worker.strategy": {"level": "WARNING"},
        "urllib3": {"level": "INFO"},  # below that it writes down addresses, in which a credential may stand
    },
}

FORMAT_MODULE_PATH = ["evenhand.formats"]
SESSION_SAVE_EVERY_REQUEST = False
# How long a worker may hold a row without finishing it; when that has passed another worker takes the row up.
EVENHAND_LEASE = timedelta(seconds=_setting("EVENHAND_LEASE_SECONDS", int, 60))
# How many days an uploaded file of customers is kept after it was brought in or left lying.
EVENHAND_CUSTOMER_FILES_DAYS = _setting("EVENHAND_CUSTOMER_FILES_DAYS", int, 14)
if EVENHAND_CUSTOMER_FILES_DAYS < 1:
    raise ImproperlyConfigured("EVENHAND_CUSTOMER_FILES_DAYS must be a number above 0.")
# How many posts of one account at a provider are taken in within a minute; what is more waits (docs/adding-a-provider.md).
EVENHAND_POSTS_A_MINUTE = _setting("EVENHAND_POSTS_A_MINUTE", int, 3000)
if EVENHAND_POSTS_A_MINUTE < 1:
    raise ImproperlyConfigured("EVENHAND_POSTS_A_MINUTE must be a number above 0.")
