"""Settings of the test suite: the same product on throw-away servers, with quick passwords and nothing eager."""

from evenhand.settings.base import *  # noqa: F403
from evenhand.settings.base import BASE_DIR, INSTALLED_APPS

DEBUG = False
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
INSTALLED_APPS = [*INSTALLED_APPS, "zeal"]
ALLOWED_HOSTS = ["testserver", "localhost", "127.0.0.1"]
ZEAL_RAISE = True
STATIC_ROOT = BASE_DIR / "evenhand" / "static"  # exists, so that nothing warns of its absence
