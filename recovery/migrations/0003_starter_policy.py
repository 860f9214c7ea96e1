"""The first version of the rules: a neutral pack for any trade."""

import hashlib
import json
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path

from django.db import migrations

RULES = Path(__file__).resolve().parent.parent / "starter_policy.json"


def write(apps, schema_editor):
    rules = json.loads(RULES.read_text(encoding="utf-8"))
    text = json.dumps(rules, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    version = apps.get_model("recovery", "PolicyVersion").objects.create(
        number=1,
        effective_from=datetime(2000, 1, 1, tzinfo=timezone.utc),
        content_hash=hashlib.sha256(text.encode()).hexdigest(),
        note="The starter pack.",
    )
    model = apps.get_model("recovery", "PolicyRule")
    model.objects.bulk_create(
        model(version=version, position=position, **{**rule, "goodwill": Decimal(rule["goodwill"])})
        for position, rule in enumerate(rules, start=1)
    )


class Migration(migrations.Migration):
    dependencies = [("recovery", "0002_guards")]
    operations = [migrations.RunPython(write, migrations.RunPython.noop)]
