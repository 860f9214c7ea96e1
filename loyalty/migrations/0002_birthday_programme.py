"""The first programme: a card on the birthday, for everybody who told us theirs."""

from django.db import migrations


def write(apps, schema_editor):
    apps.get_model("loyalty", "Programme").objects.create(
        occasion="birthday", is_active=True, public_rule="Everybody who told us their birthday for a card gets one."
    )


class Migration(migrations.Migration):
    dependencies = [("loyalty", "0001_initial")]
    operations = [migrations.RunPython(write, migrations.RunPython.noop)]
