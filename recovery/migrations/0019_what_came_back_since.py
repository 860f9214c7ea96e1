"""Which settled cases came back since a moment is found without reading all of them."""

from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('recovery', '0018_reports'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddIndex(
            model_name='settlement',
            index=models.Index(condition=models.Q(('reopened_at__isnull', False)), fields=['reopened_at'], name='settlement_reopened'),
        ),
    ]
