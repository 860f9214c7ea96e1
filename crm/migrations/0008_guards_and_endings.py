"""How matters end, what we said, who was put at a disadvantage, and waiting inside the house."""

import crm.models.ids
import django.db.models.deletion
from decimal import Decimal
from django.conf import settings
from django.db import migrations, models


GUARDS = """
CREATE TRIGGER correction_append_only BEFORE UPDATE OR DELETE ON crm_correction
  FOR EACH ROW EXECUTE FUNCTION evenhand_append_only();
CREATE TRIGGER outreach_append_only BEFORE UPDATE OR DELETE ON crm_outreach
  FOR EACH ROW EXECUTE FUNCTION evenhand_append_only();
"""
BACK = """
DROP TRIGGER correction_append_only ON crm_correction;
DROP TRIGGER outreach_append_only ON crm_outreach;
"""


class Migration(migrations.Migration):

    dependencies = [
        ('crm', '0007_interaction_by_day'),
    ]

    operations = [
        migrations.CreateModel(
            name='AdverseAct',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', models.UUIDField(default=crm.models.ids.uuid7, editable=False, unique=True)),
                ('kind', models.CharField(choices=[('closure', 'closing their account'), ('fee', 'a fee'), ('downgrade', 'a lower service'), ('legal_letter', 'a legal letter'), ('no_gestures', 'no more gestures')], max_length=16, verbose_name='what')),
                ('reason', models.TextField(verbose_name='reason')),
                ('state', models.CharField(choices=[('prepared', 'prepared'), ('confirmed', 'confirmed by a second person'), ('in_effect', 'in effect'), ('dropped', 'dropped')], default='prepared', editable=False, max_length=12, verbose_name='state')),
                ('spoke_publicly_at', models.DateTimeField(null=True, verbose_name='spoke about us in public')),
                ('prepared_at', models.DateTimeField(verbose_name='prepared')),
                ('confirmed_at', models.DateTimeField(null=True, verbose_name='confirmed')),
                ('unrelated_because', models.TextField(blank=True, verbose_name='why it has nothing to do with what they said')),
                ('ended_at', models.DateTimeField(null=True, verbose_name='in effect or dropped')),
                ('confirmed_by', models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='confirmed by')),
                ('customer', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='crm.customer')),
                ('ended_by', models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='ended by')),
                ('prepared_by', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='prepared by')),
            ],
            options={
                'verbose_name': "act to a customer's disadvantage",
                'verbose_name_plural': "acts to customers' disadvantage",
                'permissions': [('prepare_adverse', "Can prepare acts to a customer's disadvantage"), ('confirm_adverse', "Can confirm acts to a customer's disadvantage")],
                'indexes': [models.Index(fields=['customer', '-id'], name='adverse_of_customer')],
                'constraints': [models.CheckConstraint(condition=models.Q(('reason', ''), _negated=True), name='adverse_has_reason'), models.CheckConstraint(condition=models.Q(models.Q(('confirmed_at__isnull', True), ('confirmed_by__isnull', True), ('unrelated_because', '')), models.Q(('confirmed_at__isnull', False), ('confirmed_by__isnull', False), models.Q(('unrelated_because', ''), _negated=True)), _connector='OR'), name='adverse_confirmed_with_reason'), models.CheckConstraint(condition=models.Q(('confirmed_by__isnull', True), models.Q(('confirmed_by', models.F('prepared_by')), _negated=True), _connector='OR'), name='adverse_confirmed_by_another'), models.CheckConstraint(condition=models.Q(models.Q(('state', 'in_effect'), _negated=True), ('spoke_publicly_at__isnull', True), models.Q(('confirmed_at__gte', models.F('spoke_publicly_at')), ('confirmed_at__isnull', False)), _connector='OR'), name='adverse_after_speech_needs_second_person'), models.CheckConstraint(condition=models.Q(models.Q(('state', 'confirmed'), _negated=True), ('confirmed_at__isnull', False), _connector='OR'), name='adverse_confirmed_has_time'), models.CheckConstraint(condition=models.Q(models.Q(('state__in', ['in_effect', 'dropped']), _negated=True), models.Q(('ended_at__isnull', False), ('ended_by__isnull', False)), _connector='OR'), name='adverse_ended_by_somebody')],
            },
        ),
        migrations.CreateModel(
            name='Closing',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('how', models.CharField(choices=[('closed', 'closed'), ('dismissed', 'dismissed'), ('went_quiet', 'the customer went quiet')], max_length=12, verbose_name='how')),
                ('reason', models.TextField(blank=True, verbose_name='why it is settled now')),
                ('at', models.DateTimeField(verbose_name='closed')),
                ('reopened_at', models.DateTimeField(null=True, verbose_name='came back')),
                ('closed_by', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='closed by')),
                ('conversation', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='crm.conversation')),
                ('not_by', models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'verbose_name': 'closing',
                'verbose_name_plural': 'closings',
                'indexes': [models.Index(fields=['conversation', '-id'], name='closing_of_conversation'), models.Index(fields=['at'], name='closing_by_day')],
                'constraints': [models.CheckConstraint(condition=models.Q(('not_by__isnull', True), models.Q(models.Q(('closed_by', models.F('not_by')), _negated=True), models.Q(('reason', ''), _negated=True)), _connector='OR'), name='closing_after_return_by_another_with_reason'), models.CheckConstraint(condition=models.Q(('reopened_at__isnull', True), ('reopened_at__gte', models.F('at')), _connector='OR'), name='closing_reopened_later'), models.UniqueConstraint(condition=models.Q(('reopened_at__isnull', True)), fields=('conversation',), name='closing_one_at_a_time')],
            },
        ),
        migrations.CreateModel(
            name='Continuation',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('continues', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='crm.conversation')),
                ('conversation', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='crm.conversation')),
            ],
            options={
                'verbose_name': 'continuation',
                'verbose_name_plural': 'continuations',
                'constraints': [models.CheckConstraint(condition=models.Q(('conversation', models.F('continues')), _negated=True), name='continuation_of_another')],
            },
        ),
        migrations.CreateModel(
            name='Correction',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('earlier', models.TextField(verbose_name='what was said before')),
                ('reason', models.TextField(verbose_name='reason told to the customer')),
                ('at', models.DateTimeField(verbose_name='when')),
                ('by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='who')),
                ('interaction', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='crm.interaction')),
            ],
            options={
                'verbose_name': 'correction',
                'verbose_name_plural': 'corrections',
                'constraints': [models.CheckConstraint(condition=models.Q(('reason', ''), _negated=True), name='correction_has_reason')],
            },
        ),
        migrations.CreateModel(
            name='Dismissal',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', models.UUIDField(default=crm.models.ids.uuid7, editable=False, unique=True)),
                ('reason', models.CharField(choices=[('spam', 'spam'), ('duplicate', 'the same thing twice'), ('abuse', 'abuse, with nothing in it to answer'), ('not_for_us', 'meant for somebody else')], max_length=12, verbose_name='reason')),
                ('at', models.DateTimeField(verbose_name='dismissed')),
                ('sampled_for', models.CharField(blank=True, max_length=7, verbose_name='looked at again for')),
                ('verdict', models.CharField(blank=True, choices=[('right', 'rightly dismissed'), ('wrong', 'should have been answered')], max_length=8, verbose_name='second look')),
                ('audited_at', models.DateTimeField(null=True, verbose_name='looked at')),
                ('audited_by', models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='looked at by')),
                ('conversation', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='crm.conversation')),
                ('dismissed_by', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='dismissed by')),
                ('same_as', models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='crm.conversation', verbose_name='the same as')),
            ],
            options={
                'verbose_name': 'dismissal',
                'verbose_name_plural': 'dismissals',
                'permissions': [('audit_dismissal', 'Can look at dismissals again')],
                'indexes': [models.Index(fields=['at'], name='dismissal_by_day'), models.Index(fields=['conversation', '-id'], name='dismissal_of_conversation'), models.Index(condition=models.Q(models.Q(('sampled_for', ''), _negated=True), ('verdict', '')), fields=['-id'], name='dismissal_to_look_at')],
                'constraints': [models.CheckConstraint(condition=models.Q(models.Q(('reason', 'duplicate'), _negated=True), ('same_as__isnull', False), _connector='OR'), name='dismissal_duplicate_names_the_other'), models.CheckConstraint(condition=models.Q(('same_as__isnull', True), models.Q(('same_as', models.F('conversation')), _negated=True), _connector='OR'), name='dismissal_of_another'), models.CheckConstraint(condition=models.Q(models.Q(('audited_at__isnull', True), ('audited_by__isnull', True), ('verdict', '')), models.Q(models.Q(('verdict', ''), _negated=True), ('audited_at__isnull', False), ('audited_by__isnull', False)), _connector='OR'), name='dismissal_looked_at_by_somebody'), models.CheckConstraint(condition=models.Q(('audited_by__isnull', True), models.Q(('audited_by', models.F('dismissed_by')), _negated=True), _connector='OR'), name='dismissal_looked_at_by_another')],
            },
        ),
        migrations.CreateModel(
            name='InternalWait',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', models.UUIDField(default=crm.models.ids.uuid7, editable=False, unique=True)),
                ('department', models.CharField(choices=[('legal', 'legal'), ('finance', 'finance'), ('warehouse', 'warehouse'), ('workshop', 'workshop'), ('technology', 'technology'), ('management', 'management'), ('supplier', 'a supplier of ours')], max_length=12, verbose_name='waiting for')),
                ('since', models.DateTimeField(verbose_name='since')),
                ('until', models.DateTimeField(null=True, verbose_name='until')),
                ('begun_by', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='noted by')),
                ('conversation', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='crm.conversation')),
                ('ended_by', models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'verbose_name': 'wait inside the house',
                'verbose_name_plural': 'waits inside the house',
                'indexes': [models.Index(fields=['conversation', '-id'], name='internal_wait_of_conversation'), models.Index(fields=['since'], name='internal_wait_by_day')],
                'constraints': [models.CheckConstraint(condition=models.Q(models.Q(('ended_by__isnull', True), ('until__isnull', True)), models.Q(('ended_by__isnull', False), ('until__gte', models.F('since'))), _connector='OR'), name='internal_wait_ends_after_start'), models.UniqueConstraint(condition=models.Q(('until__isnull', True)), fields=('conversation', 'department'), name='internal_wait_one_a_department')],
            },
        ),
        migrations.CreateModel(
            name='Outreach',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('medium', models.CharField(choices=[('phone', 'Phone'), ('email', 'Email'), ('chat', 'Chat'), ('web_form', 'Web form'), ('app', 'App'), ('sms', 'Text message'), ('social_public', 'Social media, public'), ('social_direct', 'Social media, direct message'), ('review', 'Review'), ('store', 'Store'), ('letter', 'Letter'), ('blog', 'Blog'), ('video', 'Video'), ('field', 'Field visit')], max_length=16, verbose_name='medium')),
                ('note', models.CharField(max_length=300, verbose_name='what came of it')),
                ('at', models.DateTimeField(verbose_name='when')),
                ('conversation', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='crm.conversation')),
                ('tried_by', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='who')),
            ],
            options={
                'verbose_name': 'try to reach somebody',
                'verbose_name_plural': 'tries to reach somebody',
                'indexes': [models.Index(fields=['conversation', 'at'], name='outreach_in_order')],
                'constraints': [models.CheckConstraint(condition=models.Q(('note', ''), _negated=True), name='outreach_has_note')],
            },
        ),
        migrations.CreateModel(
            name='Owed',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('amount', models.DecimalField(decimal_places=2, default=Decimal('0'), max_digits=12, verbose_name='amount')),
                ('currency', models.CharField(max_length=3, verbose_name='currency')),
                ('acts', models.JSONField(default=list, verbose_name='owed acts')),
                ('given_by', models.CharField(max_length=80, verbose_name='decided by')),
                ('at', models.DateTimeField(verbose_name='since')),
                ('conversation', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='crm.conversation')),
            ],
            options={
                'verbose_name': 'what is owed',
                'verbose_name_plural': 'what is owed',
                'constraints': [models.CheckConstraint(condition=models.Q(('amount__gte', 0)), name='owed_not_negative')],
            },
        ),
        migrations.RunSQL(GUARDS, BACK),
    ]
