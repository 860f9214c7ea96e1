"""The consent ledger by purpose and medium, the customer's own proof behind every yes, and suppressions without an address.

A yes from before has no proof: it stays where it is in the ledger and allows nothing (docs/adr/0030).
"""

import crm.models.ids
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

GUARDS = """
CREATE TRIGGER consent_not_emptied BEFORE TRUNCATE ON crm_consent
  FOR EACH STATEMENT EXECUTE FUNCTION evenhand_append_only();
CREATE TRIGGER consent_proof_append_only BEFORE UPDATE OR DELETE ON crm_consentproof
  FOR EACH ROW EXECUTE FUNCTION evenhand_append_only();
CREATE TRIGGER consent_proof_not_emptied BEFORE TRUNCATE ON crm_consentproof
  FOR EACH STATEMENT EXECUTE FUNCTION evenhand_append_only();

CREATE FUNCTION evenhand_proof_is_theirs() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.account_id IS NOT NULL AND NOT EXISTS (
    SELECT FROM crm_user WHERE id = NEW.account_id AND NOT is_staff AND NOT is_superuser AND customer_id = NEW.customer_id
  ) THEN
    RAISE EXCEPTION 'a proof comes from the account of the customer' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  IF NEW.contact_point_id IS NOT NULL AND NOT EXISTS (
    SELECT FROM crm_contactpoint WHERE id = NEW.contact_point_id AND unlinked_at IS NULL AND customer_id = NEW.customer_id
  ) THEN
    RAISE EXCEPTION 'a proof comes through an address of the customer' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER consent_proof_is_theirs BEFORE INSERT ON crm_consentproof
  FOR EACH ROW EXECUTE FUNCTION evenhand_proof_is_theirs();

CREATE FUNCTION evenhand_consent_by_customer() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.state <> 'granted' THEN
    RETURN NEW;
  END IF;
  IF NOT EXISTS (
    SELECT FROM crm_consentproof shown
    WHERE shown.id = NEW.proof_id AND shown.purpose = NEW.purpose AND shown.medium = NEW.medium AND shown.at <= NEW.at
      AND (shown.customer_id = NEW.customer_id OR EXISTS (
        SELECT FROM crm_customer WHERE id = shown.customer_id AND merged_into_id = NEW.customer_id))
  ) THEN
    RAISE EXCEPTION 'only the customer grants, with a proof of just this' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  -- What was proved once is used once; again only when nobody but a merge that is taken back had ended it.
  IF EXISTS (SELECT FROM crm_consent WHERE proof_id = NEW.proof_id) AND 'merge' IS DISTINCT FROM (
    SELECT actor FROM crm_consent
    WHERE customer_id = NEW.customer_id AND purpose = NEW.purpose AND medium = NEW.medium AND state IN ('granted', 'withdrawn')
    ORDER BY at DESC, id DESC LIMIT 1
  ) THEN
    RAISE EXCEPTION 'a proof grants once' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER consent_by_customer BEFORE INSERT ON crm_consent
  FOR EACH ROW EXECUTE FUNCTION evenhand_consent_by_customer();

CREATE FUNCTION evenhand_suppression_stands() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP <> 'UPDATE' OR OLD.lifted_at IS NOT NULL
     OR (NEW.key, NEW.scope, NEW.reason, NEW.starts_at, NEW.public_id) IS DISTINCT FROM
        (OLD.key, OLD.scope, OLD.reason, OLD.starts_at, OLD.public_id)
     OR NEW.until IS DISTINCT FROM OLD.until
     OR NOT EXISTS (SELECT FROM crm_consentproof WHERE public_id = NEW.lifted_by AND at <= NEW.lifted_at) THEN
    RAISE EXCEPTION 'only the customer ends a suppression, with a proof' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER suppression_stands BEFORE UPDATE OR DELETE ON crm_suppression
  FOR EACH ROW EXECUTE FUNCTION evenhand_suppression_stands();
CREATE TRIGGER suppression_not_emptied BEFORE TRUNCATE ON crm_suppression
  FOR EACH STATEMENT EXECUTE FUNCTION evenhand_append_only();
"""
GUARDS_BACK = """
DROP TRIGGER suppression_not_emptied ON crm_suppression;
DROP TRIGGER suppression_stands ON crm_suppression;
DROP FUNCTION evenhand_suppression_stands();
DROP TRIGGER consent_by_customer ON crm_consent;
DROP FUNCTION evenhand_consent_by_customer();
DROP TRIGGER consent_proof_is_theirs ON crm_consentproof;
DROP FUNCTION evenhand_proof_is_theirs();
DROP TRIGGER consent_proof_not_emptied ON crm_consentproof;
DROP TRIGGER consent_proof_append_only ON crm_consentproof;
DROP TRIGGER consent_not_emptied ON crm_consent;
"""
# Not checked for rows from before, of which the ledger changes none; every new one is.
HAS_PROOF = """
ALTER TABLE crm_consent ADD CONSTRAINT consent_granted_has_proof CHECK ((state = 'granted') = (proof_id IS NOT NULL)) NOT VALID
"""


class Migration(migrations.Migration):

    dependencies = [
        ("crm", "0019_persons"),
    ]

    operations = [
        migrations.CreateModel(
            name='ConsentProof',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', models.UUIDField(default=crm.models.ids.uuid7, editable=False, unique=True)),
                ('purpose', models.CharField(blank=True, max_length=24, verbose_name='purpose')),
                ('medium', models.CharField(blank=True, max_length=8, verbose_name='medium')),
                ('words', models.TextField(verbose_name='words shown')),
                ('version', models.CharField(max_length=40, verbose_name='version of the words')),
                ('language', models.CharField(max_length=16, verbose_name='language')),
                ('door', models.CharField(choices=[('page', 'their own page'), ('link', 'the question we mailed them'), ('app', 'the app'), ('word', 'a start word from their number')], max_length=8, verbose_name='where')),
                ('network', models.CharField(blank=True, max_length=50, verbose_name='from the network')),
                ('at', models.DateTimeField(verbose_name='when')),
            ],
            options={
                'verbose_name': 'proof of a permission',
                'verbose_name_plural': 'proofs of permissions',
            },
        ),
        migrations.CreateModel(
            name='ConsentQuestion',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', models.UUIDField(default=crm.models.ids.uuid7, editable=False, unique=True)),
                ('purpose', models.CharField(choices=[('birthday', 'Birthday card'), ('surprise', 'Small surprises'), ('news', 'News and offers'), ('survey', 'Questions about our service'), ('public_mention', 'Being mentioned in public'), ('cocreate', 'Trying out new things'), ('research', 'Research')], max_length=24, verbose_name='purpose')),
                ('medium', models.CharField(choices=[('email', 'by e-mail'), ('text', 'by text message'), ('post', 'by post'), ('call', 'by telephone'), ('public', 'in public')], max_length=8, verbose_name='medium')),
                ('key', models.CharField(editable=False, max_length=64)),
                ('evidence', models.TextField(verbose_name='why we ask')),
                ('asked_at', models.DateTimeField(verbose_name='asked')),
                ('asked_on', models.DateField(verbose_name='asked on')),
                ('until', models.DateTimeField(verbose_name='can be answered until')),
                ('ended_at', models.DateTimeField(null=True, verbose_name='ended')),
                ('answer', models.CharField(blank=True, choices=[('asked', 'asked'), ('granted', 'yes'), ('withdrawn', 'no'), ('unknown', 'unknown')], max_length=12, verbose_name='answer')),
            ],
            options={
                'verbose_name': 'question about a permission',
                'verbose_name_plural': 'questions about permissions',
            },
        ),
        migrations.CreateModel(
            name='Suppression',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', models.UUIDField(default=crm.models.ids.uuid7, editable=False, unique=True)),
                ('key', models.CharField(editable=False, max_length=64)),
                ('scope', models.CharField(choices=[('all_but_owed', 'everything but what is owed'), ('cheerful', 'cards and surprises'), ('marketing', 'news and offers'), ('survey', 'questions to them'), ('calls', 'calls that nobody asked for')], max_length=16, verbose_name='stops')),
                ('reason', models.CharField(choices=[('unsubscribe', 'they asked for it'), ('complaint', 'they called a message unwanted'), ('pause', 'they asked for a pause'), ('bereavement', 'somebody has died'), ('bounce', 'nothing reaches anybody there'), ('legal', 'the law, or a list of objections'), ('deceased_list', 'a list of people who have died')], max_length=16, verbose_name='reason')),
                ('starts_at', models.DateTimeField(verbose_name='from')),
                ('until', models.DateTimeField(null=True, verbose_name='until')),
                ('lifted_at', models.DateTimeField(null=True, verbose_name='ended by them')),
                ('lifted_by', models.UUIDField(editable=False, null=True)),
            ],
            options={
                'verbose_name': 'suppression',
                'verbose_name_plural': 'suppressions',
            },
        ),
        migrations.RemoveIndex(
            model_name='consent',
            name='consent_newest',
        ),
        migrations.AddField(
            model_name='consent',
            name='medium',
            field=models.CharField(choices=[('email', 'by e-mail'), ('text', 'by text message'), ('post', 'by post'), ('call', 'by telephone'), ('public', 'in public')], default='email', max_length=8, verbose_name='medium'),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name='consent',
            name='noted_by',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='noted by'),
        ),
        migrations.AlterField(
            model_name='consent',
            name='actor',
            field=models.CharField(choices=[('customer', 'the customer'), ('staff', 'a colleague'), ('import', 'a file'), ('merge', 'two records that were made one')], max_length=12, verbose_name='given by'),
        ),
        migrations.AlterField(
            model_name='consent',
            name='purpose',
            field=models.CharField(choices=[('birthday', 'Birthday card'), ('surprise', 'Small surprises'), ('news', 'News and offers'), ('survey', 'Questions about our service'), ('public_mention', 'Being mentioned in public'), ('cocreate', 'Trying out new things'), ('research', 'Research')], max_length=24, verbose_name='purpose'),
        ),
        migrations.AlterField(
            model_name='consent',
            name='state',
            field=models.CharField(choices=[('asked', 'asked'), ('granted', 'yes'), ('withdrawn', 'no'), ('unknown', 'unknown')], max_length=12, verbose_name='state'),
        ),
        migrations.AddField(
            model_name='consentproof',
            name='account',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='account'),
        ),
        migrations.AddField(
            model_name='consentproof',
            name='contact_point',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='crm.contactpoint', verbose_name='through the address'),
        ),
        migrations.AddField(
            model_name='consentproof',
            name='customer',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='crm.customer'),
        ),
        migrations.AddField(
            model_name='consent',
            name='proof',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='crm.consentproof', verbose_name='proof'),
        ),
        migrations.AddIndex(
            model_name='consent',
            index=models.Index(fields=['customer', 'purpose', 'medium', '-at', '-id'], name='consent_counting'),
        ),
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL(HAS_PROOF, "ALTER TABLE crm_consent DROP CONSTRAINT consent_granted_has_proof")],
            state_operations=[
                migrations.AddConstraint(
                    model_name='consent',
                    constraint=models.CheckConstraint(condition=models.Q(models.Q(('proof__isnull', False), ('state', 'granted')), models.Q(models.Q(('state', 'granted'), _negated=True), ('proof__isnull', True)), _connector='OR'), name='consent_granted_has_proof'),
                ),
            ],
        ),
        migrations.AddConstraint(
            model_name='consent',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('actor', 'import'), _negated=True), ('state', 'unknown'), _connector='OR'), name='consent_import_brings_unknown'),
        ),
        migrations.AddConstraint(
            model_name='consent',
            constraint=models.CheckConstraint(condition=models.Q(('medium__in', ['email', 'text', 'post', 'call', 'public']), ('purpose__in', ['birthday', 'surprise', 'news', 'survey', 'public_mention', 'cocreate', 'research'])), name='consent_is_for_something_known'),
        ),
        migrations.AddField(
            model_name='consentquestion',
            name='asked_by',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='consentquestion',
            name='contact_point',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='crm.contactpoint', verbose_name='to'),
        ),
        migrations.AddField(
            model_name='consentquestion',
            name='customer',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='crm.customer'),
        ),
        migrations.AddIndex(
            model_name='suppression',
            index=models.Index(condition=models.Q(('lifted_at__isnull', True)), fields=['key'], name='suppression_standing'),
        ),
        migrations.AddConstraint(
            model_name='suppression',
            constraint=models.CheckConstraint(condition=models.Q(('key__regex', '^[0-9a-f]{64}$')), name='suppression_key_is_a_digest'),
        ),
        migrations.AddConstraint(
            model_name='suppression',
            constraint=models.CheckConstraint(condition=models.Q(('reason__in', ['unsubscribe', 'complaint', 'pause', 'bereavement', 'bounce', 'legal', 'deceased_list']), ('scope__in', ['all_but_owed', 'cheerful', 'marketing', 'survey', 'calls'])), name='suppression_is_of_something_known'),
        ),
        migrations.AddConstraint(
            model_name='suppression',
            constraint=models.CheckConstraint(condition=models.Q(('until__isnull', True), ('until__gt', models.F('starts_at')), _connector='OR'), name='suppression_ends_after_start'),
        ),
        migrations.AddConstraint(
            model_name='suppression',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('lifted_at__isnull', True), ('lifted_by__isnull', True)), models.Q(('lifted_at__isnull', False), ('lifted_by__isnull', False)), _connector='OR'), name='suppression_lifted_by_a_proof'),
        ),
        migrations.AddConstraint(
            model_name='suppression',
            constraint=models.UniqueConstraint(condition=models.Q(('lifted_at__isnull', True), ('until__isnull', True)), fields=('key', 'scope', 'reason'), name='suppression_once'),
        ),
        migrations.AddConstraint(
            model_name='consentproof',
            constraint=models.CheckConstraint(condition=models.Q(('language__regex', '\\S'), ('version__regex', '\\S'), ('words__regex', '\\S')), name='consent_proof_has_words'),
        ),
        migrations.AddConstraint(
            model_name='consentproof',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('account__isnull', False), ('door', 'app')), models.Q(models.Q(('door', 'app'), _negated=True), ('contact_point__isnull', False)), _connector='OR'), name='consent_proof_says_where'),
        ),
        migrations.AddConstraint(
            model_name='consentquestion',
            constraint=models.UniqueConstraint(fields=('key', 'asked_on'), name='consent_question_one_a_day'),
        ),
        migrations.AddConstraint(
            model_name='consentquestion',
            constraint=models.UniqueConstraint(condition=models.Q(('ended_at__isnull', True)), fields=('key',), name='consent_question_one_at_a_time'),
        ),
        migrations.AddConstraint(
            model_name='consentquestion',
            constraint=models.CheckConstraint(condition=models.Q(('answer', ''), models.Q(('answer__in', ('granted', 'withdrawn')), ('ended_at__isnull', False)), _connector='OR'), name='consent_question_answer_has_time'),
        ),
        migrations.RunSQL(GUARDS, GUARDS_BACK),
    ]
