"""A matter that began in public can get a short public last word; the database refuses one that the customer was not told of."""

import crm.models.ids
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("crm", "0033_reports"),
    ]

    operations = [
        migrations.CreateModel(
            name='ClosingLine',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', models.UUIDField(default=crm.models.ids.uuid7, editable=False, unique=True)),
                ('text', models.CharField(max_length=300, verbose_name='words')),
                ('state', models.CharField(choices=[('proposed', 'proposed'), ('told', 'the customer was told, and may say no'), ('posted', 'written below their post'), ('dropped', 'left out'), ('stopped', 'not to be')], default='proposed', editable=False, max_length=8, verbose_name='state')),
                ('reason', models.CharField(blank=True, editable=False, max_length=24)),
                ('because', models.CharField(blank=True, max_length=300, verbose_name='why it was left out')),
                ('proposed_at', models.DateTimeField(verbose_name='proposed')),
                ('said_no_at', models.DateTimeField(null=True, verbose_name='the customer said no')),
                ('decided_at', models.DateTimeField(null=True, verbose_name='decided')),
                ('conversation', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='crm.conversation')),
                ('decided_by', models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='decided by')),
                ('message', models.OneToOneField(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='crm.outgoingmessage')),
                ('post', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='crm.interaction')),
                ('word', models.OneToOneField(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='crm.outgoingmessage')),
            ],
            options={
                'verbose_name': 'public closing line',
                'verbose_name_plural': 'public closing lines',
                'indexes': [models.Index(condition=models.Q(('state__in', ('proposed', 'told'))), fields=['id'], name='closing_line_standing'), models.Index(fields=['conversation', '-id'], name='closing_line_of_matter')],
                'constraints': [models.UniqueConstraint(condition=models.Q(('reason', 'came_back'), ('state', 'stopped'), _negated=True), fields=('conversation',), name='closing_line_once_for_a_matter'), models.CheckConstraint(condition=models.Q(('text', ''), _negated=True), name='closing_line_has_words'), models.CheckConstraint(condition=models.Q(models.Q(('state', 'stopped'), models.Q(('reason', ''), _negated=True)), models.Q(models.Q(('state', 'stopped'), _negated=True), ('reason', '')), _connector='OR'), name='closing_line_stopped_for_a_reason'), models.CheckConstraint(condition=models.Q(models.Q(('state__in', ['told', 'posted']), _negated=True), ('word__isnull', False), _connector='OR'), name='closing_line_told_before_it_stands'), models.CheckConstraint(condition=models.Q(models.Q(('state', 'posted'), _negated=True), models.Q(('decided_by__isnull', False), ('message__isnull', False)), _connector='OR'), name='closing_line_posted_by_somebody'), models.CheckConstraint(condition=models.Q(models.Q(('state', 'dropped'), _negated=True), models.Q(('decided_by__isnull', False), models.Q(('because', ''), _negated=True)), _connector='OR'), name='closing_line_dropped_for_a_reason'), models.CheckConstraint(condition=models.Q(('said_no_at__isnull', True), models.Q(('reason', 'said_no'), ('state', 'stopped')), models.Q(('said_no_at__gte', models.F('decided_at')), ('state', 'posted')), _connector='OR'), name='closing_line_no_is_a_no'), models.CheckConstraint(condition=models.Q(models.Q(('decided_at__isnull', True), ('decided_by__isnull', True)), models.Q(('decided_at__isnull', False), ('decided_by__isnull', False)), _connector='OR'), name='closing_line_decided_then')],
            },
        ),
    ]
