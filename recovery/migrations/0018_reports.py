"""Rules that people look at again, a quarter at a time, and the indexes by which their numbers are found."""

import crm.models.ids
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("recovery", "0017_certificates"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='RuleReview',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', models.UUIDField(default=crm.models.ids.uuid7, editable=False, unique=True)),
                ('quarter', models.CharField(max_length=7, verbose_name='quarter')),
                ('code', models.CharField(max_length=48, verbose_name='rule')),
                ('settled', models.PositiveIntegerField(verbose_name='settled')),
                ('denied', models.PositiveIntegerField(verbose_name='denied')),
                ('reviewed', models.PositiveIntegerField(verbose_name='looked at again')),
                ('overturned', models.PositiveIntegerField(verbose_name='decided anew')),
                ('asked_at', models.DateTimeField(verbose_name='asked')),
                ('verdict', models.CharField(blank=True, choices=[('keep', 'good as it is'), ('change', 'to be changed in the next draft'), ('remove', 'to be left out of the next draft')], editable=False, max_length=8, verbose_name='found')),
                ('benefit', models.CharField(blank=True, editable=False, max_length=600, verbose_name='what it gives customers')),
                ('decided_at', models.DateTimeField(editable=False, null=True, verbose_name='looked at')),
            ],
            options={
                'verbose_name': 'rule to look at again',
                'verbose_name_plural': 'rules to look at again',
            },
        ),
        migrations.AddIndex(
            model_name='casereview',
            index=models.Index(condition=models.Q(('ended_at__isnull', False)), fields=['ended_at'], name='review_by_day'),
        ),
        migrations.AddIndex(
            model_name='settlement',
            index=models.Index(fields=['at'], name='settlement_by_day'),
        ),
        migrations.AddField(
            model_name='rulereview',
            name='decided_by',
            field=models.ForeignKey(db_index=False, editable=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='looked at by'),
        ),
        migrations.AddIndex(
            model_name='rulereview',
            index=models.Index(fields=['code', '-id'], name='rule_review_of_rule'),
        ),
        migrations.AddIndex(
            model_name='rulereview',
            index=models.Index(condition=models.Q(('verdict', '')), fields=['-id'], name='rule_review_open'),
        ),
        migrations.AddConstraint(
            model_name='rulereview',
            constraint=models.UniqueConstraint(fields=('quarter', 'code'), name='rule_review_once_a_quarter'),
        ),
        migrations.AddConstraint(
            model_name='rulereview',
            constraint=models.CheckConstraint(condition=models.Q(('denied__lte', models.F('settled')), ('overturned__lte', models.F('reviewed'))), name='rule_review_counts'),
        ),
        migrations.AddConstraint(
            model_name='rulereview',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('benefit', ''), ('decided_at__isnull', True), ('decided_by__isnull', True), ('verdict', '')), models.Q(models.Q(('verdict', ''), _negated=True), models.Q(('benefit', ''), _negated=True), ('decided_at__isnull', False), ('decided_by__isnull', False)), _connector='OR'), name='rule_review_decided_with_words'),
        ),
    ]
