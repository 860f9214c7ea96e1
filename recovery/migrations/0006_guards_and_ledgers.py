"""What is given, what goes beyond the rules, who looks again, and what comes back; money never above what was decided."""

import crm.models.ids
import django.db.models.deletion
from decimal import Decimal
from django.conf import settings
from django.db import migrations, models


GUARDS = """
CREATE FUNCTION evenhand_grant_within() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  decided jsonb;
  given numeric;
BEGIN
  -- One at a time per case: the second of two grants in the same moment sees the first.
  PERFORM 1 FROM recovery_case WHERE id = NEW.case_id FOR UPDATE;
  IF NEW.beyond_id IS NOT NULL THEN
    IF NOT EXISTS (SELECT 1 FROM recovery_treatmentexception e WHERE e.id = NEW.beyond_id AND e.case_id = NEW.case_id
                     AND e.state = 'approved' AND e.kind = NEW.kind AND e.amount = NEW.amount AND e.currency = NEW.currency) THEN
      RAISE EXCEPTION 'beyond the rules is given only what two people agreed on' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
  END IF;
  SELECT d.entitlement INTO decided FROM recovery_decision d
    WHERE d.id = NEW.decision_id AND d.id = (SELECT max(id) FROM recovery_decision WHERE case_id = NEW.case_id);
  IF decided IS NULL OR (SELECT same_as_id FROM recovery_case WHERE id = NEW.case_id) IS NOT NULL THEN
    RAISE EXCEPTION 'a grant rests on the newest decision of the case that earns it' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  IF NEW.amount > 0 THEN
    SELECT coalesce(sum(amount), 0) INTO given FROM recovery_grant WHERE case_id = NEW.case_id AND beyond_id IS NULL;
    IF NEW.currency <> decided->>'currency' OR given + NEW.amount > (decided->>'owed')::numeric THEN
      RAISE EXCEPTION 'more money than was decided' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER grant_within BEFORE INSERT ON recovery_grant FOR EACH ROW EXECUTE FUNCTION evenhand_grant_within();
CREATE TRIGGER grant_append_only BEFORE UPDATE OR DELETE ON recovery_grant
  FOR EACH ROW EXECUTE FUNCTION evenhand_append_only();
CREATE TRIGGER empowerment_gap_append_only BEFORE UPDATE OR DELETE ON recovery_empowermentgap
  FOR EACH ROW EXECUTE FUNCTION evenhand_append_only();
"""
BACK = """
DROP TRIGGER empowerment_gap_append_only ON recovery_empowermentgap;
DROP TRIGGER grant_append_only ON recovery_grant;
DROP TRIGGER grant_within ON recovery_grant;
DROP FUNCTION evenhand_grant_within();
"""


class Migration(migrations.Migration):

    dependencies = [
        ('crm', '0008_guards_and_endings'),
        ('recovery', '0005_queue_days'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='CaseReview',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', models.UUIDField(default=crm.models.ids.uuid7, editable=False, unique=True)),
                ('asked_at', models.DateTimeField(verbose_name='asked')),
                ('merit', models.CharField(blank=True, choices=[('upheld', 'the customer was right'), ('partly', 'the customer was right in part'), ('not_upheld', 'no failure of ours was found'), ('withdrawn', 'the customer took it back')], max_length=16, verbose_name='found on the facts alone')),
                ('judged_at', models.DateTimeField(null=True, verbose_name='judged')),
                ('result', models.CharField(blank=True, choices=[('upheld', 'the decision stands'), ('changed', 'decided anew')], max_length=8, verbose_name='result')),
                ('ended_at', models.DateTimeField(null=True, verbose_name='ended')),
            ],
            options={
                'verbose_name': 'second look',
                'verbose_name_plural': 'second looks',
                'permissions': [('review_case', 'Can look at decisions again')],
            },
        ),
        migrations.CreateModel(
            name='EmpowermentGap',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('refund', 'money back'), ('goodwill', 'goodwill'), ('replacement', 'a replacement'), ('repair', 'a repair'), ('reversal', 'a change undone'), ('apology', 'an apology by a named person'), ('relief', 'help on the same day'), ('easier_way', 'help in an easier way'), ('review', 'an independent look')], max_length=16, verbose_name='what')),
                ('at', models.DateTimeField(verbose_name='when')),
            ],
            options={
                'verbose_name': 'empowerment gap',
                'verbose_name_plural': 'empowerment gaps',
            },
        ),
        migrations.CreateModel(
            name='Grant',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('key', models.CharField(max_length=80)),
                ('kind', models.CharField(choices=[('refund', 'money back'), ('goodwill', 'goodwill'), ('replacement', 'a replacement'), ('repair', 'a repair'), ('reversal', 'a change undone'), ('apology', 'an apology by a named person'), ('relief', 'help on the same day'), ('easier_way', 'help in an easier way'), ('review', 'an independent look')], max_length=16, verbose_name='what')),
                ('amount', models.DecimalField(decimal_places=2, default=Decimal('0'), max_digits=12, verbose_name='amount')),
                ('currency', models.CharField(blank=True, max_length=3, verbose_name='currency')),
                ('public_words', models.TextField(blank=True, verbose_name='told in public')),
                ('at', models.DateTimeField(verbose_name='given')),
            ],
            options={
                'verbose_name': 'grant',
                'verbose_name_plural': 'grants',
                'permissions': [('give_remedy', 'Can give what was decided'), ('approve_exception', 'Can approve exceptions')],
            },
        ),
        migrations.CreateModel(
            name='LedgerWeek',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('week', models.DateField(verbose_name='week')),
                ('channel', models.CharField(choices=[('phone', 'Phone'), ('email', 'Email'), ('chat', 'Chat'), ('web_form', 'Web form'), ('app', 'App'), ('sms', 'Text message'), ('social_public', 'Social media, public'), ('social_direct', 'Social media, direct message'), ('review', 'Review'), ('store', 'Store'), ('letter', 'Letter'), ('blog', 'Blog'), ('video', 'Video'), ('field', 'Field visit')], max_length=16, verbose_name='first channel')),
                ('currency', models.CharField(max_length=3, verbose_name='currency')),
                ('cases', models.PositiveIntegerField(verbose_name='cases')),
                ('shorted', models.PositiveIntegerField(verbose_name='got less than was owed')),
                ('entitled', models.DecimalField(decimal_places=2, max_digits=14, verbose_name='owed')),
                ('delivered', models.DecimalField(decimal_places=2, max_digits=14, verbose_name='given')),
            ],
            options={
                'verbose_name': 'week of the ledger',
                'verbose_name_plural': 'weeks of the ledger',
            },
        ),
        migrations.CreateModel(
            name='PolicyProposal',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', models.UUIDField(default=crm.models.ids.uuid7, editable=False, unique=True)),
                ('state', models.CharField(choices=[('open', 'to be decided'), ('accepted', 'for the next draft of the rules'), ('declined', 'declined')], default='open', editable=False, max_length=12, verbose_name='state')),
                ('proposed_at', models.DateTimeField(verbose_name='proposed')),
                ('reason', models.TextField(blank=True, verbose_name='reason')),
                ('decided_at', models.DateTimeField(null=True, verbose_name='decided')),
            ],
            options={
                'verbose_name': 'proposed rule',
                'verbose_name_plural': 'proposed rules',
                'permissions': [('decide_proposal', 'Can decide on proposed rules')],
            },
        ),
        migrations.CreateModel(
            name='Settlement',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('outcome', models.CharField(choices=[('upheld', 'the customer was right'), ('partly', 'the customer was right in part'), ('not_upheld', 'no failure of ours was found'), ('withdrawn', 'the customer took it back')], max_length=16, verbose_name='outcome')),
                ('at', models.DateTimeField(verbose_name='settled')),
                ('settled_because', models.TextField(blank=True, verbose_name='why it is settled now')),
                ('reopened_at', models.DateTimeField(null=True, verbose_name='came back')),
                ('reopened_because', models.CharField(blank=True, max_length=300, verbose_name='why it came back')),
            ],
            options={
                'verbose_name': 'settlement',
                'verbose_name_plural': 'settlements',
            },
        ),
        migrations.CreateModel(
            name='TreatmentException',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', models.UUIDField(default=crm.models.ids.uuid7, editable=False, unique=True)),
                ('kind', models.CharField(choices=[('refund', 'money back'), ('goodwill', 'goodwill'), ('replacement', 'a replacement'), ('repair', 'a repair'), ('reversal', 'a change undone'), ('apology', 'an apology by a named person'), ('relief', 'help on the same day'), ('easier_way', 'help in an easier way'), ('review', 'an independent look')], max_length=16, verbose_name='what')),
                ('amount', models.DecimalField(decimal_places=2, default=Decimal('0'), max_digits=12, verbose_name='amount')),
                ('currency', models.CharField(blank=True, max_length=3, verbose_name='currency')),
                ('reason', models.TextField(verbose_name='reason')),
                ('state', models.CharField(choices=[('proposed', 'waits for a second person'), ('approved', 'given'), ('refused', 'not given')], default='proposed', editable=False, max_length=12, verbose_name='state')),
                ('proposed_at', models.DateTimeField(verbose_name='proposed')),
                ('decided_at', models.DateTimeField(null=True, verbose_name='decided')),
            ],
            options={
                'verbose_name': 'exception',
                'verbose_name_plural': 'exceptions',
            },
        ),
        migrations.RemoveConstraint(
            model_name='case',
            name='case_taken_on_has_owner',
        ),
        migrations.AddField(
            model_name='case',
            name='ownership_told_at',
            field=models.DateTimeField(editable=False, null=True, verbose_name='told whose it is'),
        ),
        migrations.AddField(
            model_name='case',
            name='reason',
            field=models.TextField(blank=True, editable=False, verbose_name='why no failure was found'),
        ),
        migrations.AddField(
            model_name='case',
            name='recourse',
            field=models.TextField(blank=True, editable=False, verbose_name='way to object told to the customer'),
        ),
        migrations.AddField(
            model_name='case',
            name='reopened_count',
            field=models.PositiveSmallIntegerField(default=0, editable=False, verbose_name='came back'),
        ),
        migrations.AddField(
            model_name='case',
            name='same_as',
            field=models.ForeignKey(editable=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='recovery.case', verbose_name='the same incident as'),
        ),
        migrations.AlterField(
            model_name='case',
            name='status',
            field=models.CharField(choices=[('detected', 'seen'), ('owned', 'taken on'), ('decided', 'decided'), ('resolved', 'settled'), ('went_quiet', 'the customer went quiet'), ('dismissed', 'nothing to answer')], default='detected', editable=False, max_length=16, verbose_name='status'),
        ),
        migrations.AddConstraint(
            model_name='case',
            constraint=models.CheckConstraint(condition=models.Q(('status__in', ['detected', 'dismissed']), models.Q(('owned_at__isnull', False), ('owner__isnull', False)), _connector='OR'), name='case_taken_on_has_owner'),
        ),
        migrations.AddConstraint(
            model_name='case',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('outcome', 'not_upheld'), ('status', 'resolved'), _negated=True), models.Q(models.Q(('reason', ''), _negated=True), models.Q(('recourse', ''), _negated=True)), _connector='OR'), name='case_not_upheld_has_reason_and_recourse'),
        ),
        migrations.AddConstraint(
            model_name='case',
            constraint=models.CheckConstraint(condition=models.Q(('same_as__isnull', True), ('same_as__lt', models.F('id')), _connector='OR'), name='case_same_as_an_earlier_one'),
        ),
        migrations.AddField(
            model_name='casereview',
            name='asked_by',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='asked by'),
        ),
        migrations.AddField(
            model_name='casereview',
            name='case',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='reviews', to='recovery.case'),
        ),
        migrations.AddField(
            model_name='casereview',
            name='decision',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='recovery.decision'),
        ),
        migrations.AddField(
            model_name='casereview',
            name='looks_at',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='recovery.decision'),
        ),
        migrations.AddField(
            model_name='casereview',
            name='reviewer',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='looked at by'),
        ),
        migrations.AddField(
            model_name='empowermentgap',
            name='case',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='recovery.case'),
        ),
        migrations.AddField(
            model_name='empowermentgap',
            name='person',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='who'),
        ),
        migrations.AddField(
            model_name='grant',
            name='case',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='grants', to='recovery.case'),
        ),
        migrations.AddField(
            model_name='grant',
            name='decision',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='recovery.decision'),
        ),
        migrations.AddField(
            model_name='grant',
            name='given_by',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='given by'),
        ),
        migrations.AddField(
            model_name='ledgerweek',
            name='owner',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='owner'),
        ),
        migrations.AddField(
            model_name='policyproposal',
            name='decided_by',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='decided by'),
        ),
        migrations.AddField(
            model_name='settlement',
            name='case',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='recovery.case'),
        ),
        migrations.AddField(
            model_name='settlement',
            name='not_by',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='settlement',
            name='settled_by',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='settled by'),
        ),
        migrations.AddField(
            model_name='treatmentexception',
            name='case',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='recovery.case'),
        ),
        migrations.AddField(
            model_name='treatmentexception',
            name='decided_by',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='decided by'),
        ),
        migrations.AddField(
            model_name='treatmentexception',
            name='decision',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='recovery.decision'),
        ),
        migrations.AddField(
            model_name='treatmentexception',
            name='proposed_by',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='proposed by'),
        ),
        migrations.AddField(
            model_name='policyproposal',
            name='exception',
            field=models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='proposal', to='recovery.treatmentexception'),
        ),
        migrations.AddField(
            model_name='grant',
            name='beyond',
            field=models.OneToOneField(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='recovery.treatmentexception', verbose_name='exception'),
        ),
        migrations.AddIndex(
            model_name='casereview',
            index=models.Index(fields=['case', '-id'], name='review_of_case'),
        ),
        migrations.AddIndex(
            model_name='casereview',
            index=models.Index(condition=models.Q(('ended_at__isnull', True)), fields=['id'], name='review_open'),
        ),
        migrations.AddConstraint(
            model_name='casereview',
            constraint=models.UniqueConstraint(condition=models.Q(('ended_at__isnull', True)), fields=('case',), name='review_one_at_a_time'),
        ),
        migrations.AddConstraint(
            model_name='casereview',
            constraint=models.CheckConstraint(condition=models.Q(('reviewer__isnull', True), models.Q(('reviewer', models.F('asked_by')), _negated=True), _connector='OR'), name='review_not_by_who_asked'),
        ),
        migrations.AddConstraint(
            model_name='casereview',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('judged_at__isnull', True), ('merit', '')), models.Q(models.Q(('merit', ''), _negated=True), ('judged_at__isnull', False), ('reviewer__isnull', False)), _connector='OR'), name='review_judged_by_somebody'),
        ),
        migrations.AddConstraint(
            model_name='casereview',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('ended_at__isnull', True), ('result', '')), models.Q(models.Q(('result', ''), _negated=True), ('ended_at__isnull', False), ('judged_at__isnull', False)), _connector='OR'), name='review_ends_after_judgement'),
        ),
        migrations.AddConstraint(
            model_name='casereview',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('result', 'changed'), _negated=True), ('decision__isnull', False), _connector='OR'), name='review_changed_has_decision'),
        ),
        migrations.AddIndex(
            model_name='empowermentgap',
            index=models.Index(fields=['-at', '-id'], name='empowerment_gap_newest'),
        ),
        migrations.AddConstraint(
            model_name='ledgerweek',
            constraint=models.UniqueConstraint(fields=('week', 'channel', 'owner', 'currency'), name='ledger_week_one_row', nulls_distinct=False),
        ),
        migrations.AddConstraint(
            model_name='ledgerweek',
            constraint=models.CheckConstraint(condition=models.Q(('shorted__lte', models.F('cases'))), name='ledger_week_shorted_of_cases'),
        ),
        migrations.AddIndex(
            model_name='settlement',
            index=models.Index(fields=['case', '-id'], name='settlement_of_case'),
        ),
        migrations.AddConstraint(
            model_name='settlement',
            constraint=models.CheckConstraint(condition=models.Q(('not_by__isnull', True), models.Q(models.Q(('settled_by', models.F('not_by')), _negated=True), models.Q(('settled_because', ''), _negated=True)), _connector='OR'), name='settlement_after_return_by_another_with_reason'),
        ),
        migrations.AddConstraint(
            model_name='settlement',
            constraint=models.CheckConstraint(condition=models.Q(('reopened_at__isnull', True), models.Q(('reopened_because', ''), _negated=True), _connector='OR'), name='settlement_reopened_with_reason'),
        ),
        migrations.AddConstraint(
            model_name='settlement',
            constraint=models.UniqueConstraint(condition=models.Q(('reopened_at__isnull', True)), fields=('case',), name='settlement_one_at_a_time'),
        ),
        migrations.AddIndex(
            model_name='treatmentexception',
            index=models.Index(fields=['case', '-id'], name='exception_of_case'),
        ),
        migrations.AddIndex(
            model_name='treatmentexception',
            index=models.Index(condition=models.Q(('state', 'proposed')), fields=['-id'], name='exception_waiting'),
        ),
        migrations.AddConstraint(
            model_name='treatmentexception',
            constraint=models.CheckConstraint(condition=models.Q(('reason', ''), _negated=True), name='exception_has_reason'),
        ),
        migrations.AddConstraint(
            model_name='treatmentexception',
            constraint=models.CheckConstraint(condition=models.Q(('amount__gte', 0)), name='exception_not_negative'),
        ),
        migrations.AddConstraint(
            model_name='treatmentexception',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('decided_at__isnull', True), ('decided_by__isnull', True), ('state', 'proposed')), models.Q(models.Q(('state', 'proposed'), _negated=True), ('decided_at__isnull', False), ('decided_by__isnull', False)), _connector='OR'), name='exception_decided_by_somebody'),
        ),
        migrations.AddConstraint(
            model_name='treatmentexception',
            constraint=models.CheckConstraint(condition=models.Q(('decided_by__isnull', True), models.Q(('decided_by', models.F('proposed_by')), _negated=True), _connector='OR'), name='exception_decided_by_another'),
        ),
        migrations.AddIndex(
            model_name='policyproposal',
            index=models.Index(condition=models.Q(('state', 'open')), fields=['-id'], name='proposal_open'),
        ),
        migrations.AddConstraint(
            model_name='policyproposal',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('decided_at__isnull', True), ('decided_by__isnull', True), ('state', 'open')), models.Q(models.Q(('state', 'open'), _negated=True), ('decided_at__isnull', False), ('decided_by__isnull', False)), _connector='OR'), name='proposal_decided_by_somebody'),
        ),
        migrations.AddConstraint(
            model_name='policyproposal',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('state', 'declined'), _negated=True), models.Q(('reason', ''), _negated=True), _connector='OR'), name='proposal_declined_with_reason'),
        ),
        migrations.AddIndex(
            model_name='grant',
            index=models.Index(fields=['case', 'id'], name='grant_of_case'),
        ),
        migrations.AddConstraint(
            model_name='grant',
            constraint=models.UniqueConstraint(fields=('case', 'key'), name='grant_once'),
        ),
        migrations.AddConstraint(
            model_name='grant',
            constraint=models.UniqueConstraint(condition=models.Q(('amount', 0), ('beyond__isnull', True)), fields=('case', 'kind'), name='grant_unpriced_once_a_kind'),
        ),
        migrations.AddConstraint(
            model_name='grant',
            constraint=models.CheckConstraint(condition=models.Q(('amount__gte', 0)), name='grant_not_negative'),
        ),
        migrations.AddConstraint(
            model_name='grant',
            constraint=models.CheckConstraint(condition=models.Q(('amount', 0), models.Q(('currency', ''), _negated=True), _connector='OR'), name='grant_money_has_currency'),
        ),
        migrations.AddConstraint(
            model_name='grant',
            constraint=models.CheckConstraint(condition=models.Q(('beyond__isnull', True), ('public_words', ''), _connector='OR'), name='grant_beyond_the_rules_not_public'),
        ),
        migrations.RunSQL(GUARDS, BACK),
    ]
