"""Agreed test pairs add up to evidence, and open findings that a later run of pairs ends."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

GUARD = """
CREATE TRIGGER probe_evidence_append_only BEFORE UPDATE OR DELETE ON recovery_probeevidence
  FOR EACH ROW EXECUTE FUNCTION evenhand_append_only();
"""
BACK = "DROP TRIGGER probe_evidence_append_only ON recovery_probeevidence;"


class Migration(migrations.Migration):

    dependencies = [
        ('recovery', '0019_what_came_back_since'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='ProbeEvidence',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('metric', models.CharField(max_length=40, verbose_name='what')),
                ('channel', models.CharField(max_length=16, verbose_name='channel')),
                ('day', models.DateField(verbose_name='day')),
                ('began_at', models.DateTimeField(verbose_name='the first of both was told')),
                ('difference', models.FloatField(null=True)),
                ('gap_hours', models.FloatField(null=True)),
                ('log_es', models.JSONField()),
                ('log_e', models.FloatField()),
                ('rang', models.BooleanField(default=False, verbose_name='rang')),
            ],
            options={
                'verbose_name': 'evidence of a test pair',
                'verbose_name_plural': 'evidence of test pairs',
            },
        ),
        migrations.AddField(
            model_name='parityfinding',
            name='held_by_pairs',
            field=models.BooleanField(default=False, editable=False, verbose_name='held by test pairs'),
        ),
        migrations.AlterField(
            model_name='parityfinding',
            name='origin',
            field=models.CharField(choices=[('look', 'found by a look'), ('alarm', 'rang between looks'), ('pairs', 'shown by agreed test pairs')], default='look', editable=False, max_length=8, verbose_name='found how'),
        ),
        migrations.AddConstraint(
            model_name='parityfinding',
            constraint=models.CheckConstraint(condition=models.Q(('held_by_pairs', False), models.Q(('rang_on__isnull', False), models.Q(('state', 'verified'), _negated=True)), _connector='OR'), name='parity_finding_held_by_pairs_stands'),
        ),
        migrations.AddField(
            model_name='probeevidence',
            name='side',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='evidence', to='recovery.probeside'),
        ),
        migrations.AddIndex(
            model_name='probeevidence',
            index=models.Index(fields=['metric', 'channel', 'id'], name='probe_evidence_adds_up'),
        ),
        migrations.AddConstraint(
            model_name='probeevidence',
            constraint=models.UniqueConstraint(fields=('side', 'metric'), name='probe_evidence_once'),
        ),
        migrations.AddConstraint(
            model_name='probeevidence',
            constraint=models.CheckConstraint(condition=models.Q(('rang', False), ('difference__isnull', False), _connector='OR'), name='probe_evidence_rings_by_a_difference'),
        ),
        migrations.AddConstraint(
            model_name='probeevidence',
            constraint=models.CheckConstraint(condition=models.Q(('difference__isnull', False), ('gap_hours__isnull', True), _connector='OR'), name='probe_evidence_gap_of_a_difference'),
        ),
        migrations.RunSQL(GUARD, BACK),
    ]
