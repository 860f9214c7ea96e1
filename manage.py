#!/usr/bin/env python
"""Evenhand's command line."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "evenhand.settings")
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line

    from evenhand.embedded.places import Unusable

    try:
        execute_from_command_line(sys.argv)
    except (ImproperlyConfigured, Unusable) as refusal:
        sys.exit(f"Evenhand cannot start: {refusal}")


if __name__ == "__main__":
    main()
