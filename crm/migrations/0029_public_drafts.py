"""Who can read an answer stands at it, and public answers that seem to tell personal things get a second look."""

import crm.models.ids
import django.contrib.postgres.fields
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


# What is on its way was agreed to as what it is.
ON_ITS_WAY = """
UPDATE crm_outgoingmessage SET is_public = true WHERE channel IN ('social_public', 'review', 'blog', 'video')
"""


class Migration(migrations.Migration):

    dependencies = [
        ('crm', '0028_erasing_reaches_all'),
    ]

    operations = [
        migrations.AddField(
            model_name='outgoingmessage',
            name='is_public',
            field=models.BooleanField(db_default=False, default=False, editable=False),
        ),
        migrations.RunSQL(ON_ITS_WAY, migrations.RunSQL.noop),
        migrations.CreateModel(
            name='PublicLook',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', models.UUIDField(default=crm.models.ids.uuid7, editable=False, unique=True)),
                ('digest', models.CharField(max_length=64)),
                ('kinds', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=12), default=list, size=None, verbose_name='what it seems to tell')),
                ('because', models.CharField(max_length=300, verbose_name='why it may stand in public')),
                ('asked_at', models.DateTimeField(verbose_name='asked')),
                ('released_at', models.DateTimeField(null=True, verbose_name='released')),
                ('released_because', models.CharField(blank=True, max_length=300, verbose_name='why it was released')),
                ('asked_by', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='asked by')),
                ('conversation', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='crm.conversation')),
                ('released_by', models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='released by')),
            ],
            options={
                'verbose_name': 'second look at a public answer',
                'verbose_name_plural': 'second looks at public answers',
                'permissions': [('release_public_answer', 'Can release public answers that seem to tell personal things')],
                'indexes': [models.Index(fields=['conversation', 'digest'], name='public_look_of_words')],
                'constraints': [models.CheckConstraint(condition=models.Q(models.Q(('because', ''), _negated=True), models.Q(('kinds', []), _negated=True)), name='public_look_says_why'), models.CheckConstraint(condition=models.Q(models.Q(('released_at', None), ('released_because', ''), ('released_by', None)), models.Q(('released_at__isnull', False), ('released_by__isnull', False), models.Q(('released_because', ''), _negated=True)), _connector='OR'), name='public_look_released_by_somebody'), models.CheckConstraint(condition=models.Q(('released_by', None), models.Q(('released_by', models.F('asked_by')), _negated=True), _connector='OR'), name='public_look_by_another')],
            },
        ),
    ]
