from evenhand.settings.base import *  # noqa: F403
