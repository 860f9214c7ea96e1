"""The admin's face: name, colours, styles. Importable before any app is loaded; callbacks are named by path."""

from __future__ import annotations

from typing import Any

from django.templatetags.static import static
from django.utils.translation import gettext_lazy as _

UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "Evenhand",
    "SITE_HEADER": "Evenhand",
    "SITE_SUBHEADER": _("same need, same treatment"),
    "SITE_URL": None,
    "SITE_ICON": lambda request: static("evenhand/favicon.svg"),
    "SITE_FAVICONS": [
        {"rel": "icon", "type": "image/svg+xml", "sizes": "any", "href": lambda request: static("evenhand/favicon.svg")}
    ],
    "SHOW_HISTORY": False,
    "SHOW_VIEW_ON_SITE": False,
    "BORDER_RADIUS": "6px",
    "STYLES": [lambda request: static("evenhand/admin.css")],
    "SCRIPTS": [],
    "DASHBOARD_CALLBACK": "evenhand.admin.home",
    "COLORS": {
        # A calm green-blue; measured against white and the dark ground for at least 4.5 : 1 (WCAG 2.2 AA) from 600 on.
        # evenhand/static/evenhand/account.css repeats these for the log-in pages; a test compares them.
        "primary": {
            "50": "#effaf9", "100": "#d7f1ef", "200": "#b3e3e0", "300": "#80cfcb", "400": "#48b2ae", "500": "#2c9794",
            "600": "#1b7a79", "700": "#1a6263", "800": "#1a4e50", "900": "#1a4143", "950": "#092527",
        },
    },
    "ACCOUNT": {"navigation": "evenhand.admin.account_links"},
    "SIDEBAR": {
        "show_search": False,
        "command_search": False,
        "show_all_applications": False,
        "navigation": "evenhand.admin.sidebar",
    },
}  # fmt: skip
