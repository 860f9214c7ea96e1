"""django-helpdesk as its documentation sets it up, on a database of its own; run by the Python of its own environment.

Started by peer.py with the database's host and port. Fills 100,000 tickets by SQL, says "ready", then takes in the mails that
each line of its input names by file, through the function its own mailbox command calls; answers with seconds of time and
of computing. Its acknowledgements are rendered and then dropped, so that no mail server is part of what is measured; files go
to a folder. Imports nothing of the product.
"""

from __future__ import annotations

import json
import logging
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

TICKETS = 100_000


def configure(host: str, port: str) -> None:
    """The settings that its documentation asks for; everything else as Django and it have it."""
    from django.conf import settings

    settings.configure(
        SECRET_KEY="only to be measured",
        INSTALLED_APPS=[
            *("django.contrib.admin", "django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions"),
            *("django.contrib.sites", "django.contrib.messages", "django.contrib.staticfiles", "django.contrib.humanize"),
            *("rest_framework", "django_cleanup.apps.CleanupConfig", "helpdesk"),
        ],
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.postgresql", "NAME": "peer", "USER": "evenhand", "HOST": host, "PORT": port
            }
        },
        SITE_ID=1,
        USE_TZ=True,
        ROOT_URLCONF="__main__",
        DEFAULT_AUTO_FIELD="django.db.models.AutoField",
        DEFAULT_FROM_EMAIL="support@evenhand.example",
        EMAIL_BACKEND="django.core.mail.backends.dummy.EmailBackend",
        MEDIA_ROOT=tempfile.mkdtemp(prefix="peer-files-", dir=Path(sys.argv[3])),
        HELPDESK_TEAMS_MODE_ENABLED=False,
        HELPDESK_ACTIVATE_API_ENDPOINT=False,
        TEMPLATES=[
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "APP_DIRS": True,
                "OPTIONS": {
                    "context_processors": [
                        "django.contrib.auth.context_processors.auth",
                        "django.template.context_processors.request",
                        "django.contrib.messages.context_processors.messages",
                    ]
                },
            }
        ],
        LOGGING_CONFIG=None,
    )  # fmt: skip
    logging.disable(logging.CRITICAL)
    import django
    from django.urls import include, path

    django.setup()
    urlpatterns.append(path("", include("helpdesk.urls", namespace="helpdesk")))


urlpatterns: list[Any] = []


def fill() -> Any:
    """One queue with its address, and tickets with one message each, copied by SQL from a first one. Returns the queue."""
    from django.core.management import call_command
    from django.db import connection
    from helpdesk.models import FollowUp, Queue, Ticket

    call_command("migrate", verbosity=0)
    call_command("loaddata", "emailtemplate.json", verbosity=0)
    queue = Queue.objects.create(
        title="Support", slug="support", email_address="support@evenhand.example", allow_email_submission=True,
        email_box_type="local", email_box_local_dir="/",
    )  # fmt: skip
    ticket = Ticket.objects.create(
        title="Where is my order",
        queue=queue,
        submitter_email="customer0@fill.example",
        description="Where is it? " * 10,
    )
    said = FollowUp.objects.create(ticket=ticket, title="E-Mail Received", comment="Where is it? " * 10, public=True)
    with connection.cursor() as cursor:
        for model, row, changed in (
            (Ticket, ticket, {"id": "n", "submitter_email": "'customer' || n / 4 || '@fill.example'"}),
            (FollowUp, said, {"id": "n", "ticket_id": "n", "message_id": "'<fill' || n || '@fill.example>'"}),
        ):
            table = model._meta.db_table
            names = [field.column for field in model._meta.local_concrete_fields]
            values = ", ".join(changed.get(name, f'one."{name}"') for name in names)
            columns = ", ".join(f'"{name}"' for name in names)
            cursor.execute(
                f"INSERT INTO {table} ({columns}) SELECT {values} FROM {table} one, "
                f"generate_series(2, {TICKETS}) n WHERE one.id = {row.pk}"
            )
            cursor.execute(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), {TICKETS})")
        cursor.execute("VACUUM ANALYZE")
    return queue


def main() -> None:
    """Serve until the input ends."""
    configure(sys.argv[1], sys.argv[2])
    from helpdesk.email import extract_email_metadata

    queue = fill()
    logger = logging.getLogger("helpdesk")
    print("ready", flush=True)
    for line in sys.stdin:
        mails = [Path(name).read_bytes().decode("utf-8", "replace") for name in json.loads(line)]
        began, cpu = time.perf_counter(), time.process_time()
        stored = sum(extract_email_metadata(message=mail, queue=queue, logger=logger) is not None for mail in mails)
        answer = {"wall": time.perf_counter() - began, "cpu": time.process_time() - cpu, "stored": stored}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
