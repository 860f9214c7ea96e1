"""The composition root as an app: its commands, and what is brought in line after every migration."""

from django.apps import AppConfig, apps
from django.db.models.signals import post_migrate


def _bring_roles_in_line(**_kwargs: object) -> None:
    from crm.actions import staff

    staff.write_roles()


class EvenhandConfig(AppConfig):
    name = "evenhand"
    verbose_name = "Evenhand"

    def ready(self) -> None:
        from evenhand import accounts, checks  # noqa: F401  registers what hears of accounts, and the system checks

        # Django's own hook after migrations; a door that makes one action call.
        post_migrate.connect(
            _bring_roles_in_line, sender=apps.get_app_config("recovery"), dispatch_uid="evenhand.roles"
        )
