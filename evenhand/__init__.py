"""The composition root: wiring only, never a rule."""

from evenhand.celery import app as celery_app

__all__ = ["celery_app"]
