
import django.contrib.postgres.indexes
import django.db.models.fields.json
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('crm', '0023_search'),
        ("recovery", "0007_held_steps"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name='case',
            name='custom',
            field=models.JSONField(blank=True, db_default=models.Value({}, models.JSONField()), default=dict, editable=False, verbose_name='fields of our own'),
        ),
        migrations.AddIndex(
            model_name='case',
            index=django.contrib.postgres.indexes.GinIndex(condition=models.Q(('custom', {}), _negated=True), fields=['custom'], name='case_custom', opclasses=['jsonb_path_ops']),
        ),
        migrations.AddIndex(
            model_name='decision',
            index=models.Index(django.db.models.fields.json.KeyTextTransform('loss', 'facts'), models.OrderBy(models.F('id'), descending=True), name='decision_by_loss'),
        ),
    ]
