"""A person's data as a package, erasure with its journal, and how long things are kept."""

import crm.models.ids
import django.contrib.postgres.fields
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


# What is written once may be changed by nothing but the erasing of the person it is about: only while their erasure is being carried
# out, only by the transaction that names it, only in rows of their records, and only to what stands after the columns' names here.
GUARDS = """
CREATE FUNCTION evenhand_erases(before jsonb, after jsonb, cleared jsonb, shrinks text, whose bigint) RETURNS boolean
LANGUAGE sql STABLE AS $$
  SELECT (after - shrinks) = ((before - shrinks) || cleared)
     AND (shrinks = '' OR (before -> shrinks) @> (after -> shrinks))
     AND EXISTS (SELECT 1 FROM crm_erasure e WHERE e.id = nullif(current_setting('evenhand.erasing', true), '')::bigint
                    AND e.state = 'claimed' AND whose = ANY (e.records))
$$;
CREATE OR REPLACE FUNCTION evenhand_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  whose bigint;
BEGIN
  IF TG_OP = 'UPDATE' AND TG_NARGS = 3 AND coalesce(current_setting('evenhand.erasing', true), '') <> '' THEN
    EXECUTE 'SELECT ' || TG_ARGV[0] INTO whose USING OLD;
    IF evenhand_erases(to_jsonb(OLD), to_jsonb(NEW), TG_ARGV[1]::jsonb, TG_ARGV[2], whose) THEN
      RETURN NEW;
    END IF;
  END IF;
  RAISE EXCEPTION 'rows of % are never changed or removed', TG_TABLE_NAME USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE OR REPLACE TRIGGER history_append_only BEFORE UPDATE OR DELETE ON crm_historyentry
  FOR EACH ROW EXECUTE FUNCTION evenhand_append_only('($1).customer_id', '{}', 'detail');
CREATE OR REPLACE TRIGGER consent_append_only BEFORE UPDATE OR DELETE ON crm_consent
  FOR EACH ROW EXECUTE FUNCTION evenhand_append_only('($1).customer_id', '{"evidence": "erased"}', '');
CREATE OR REPLACE TRIGGER owner_change_append_only BEFORE UPDATE OR DELETE ON crm_ownerchange
  FOR EACH ROW EXECUTE FUNCTION evenhand_append_only(
    '(SELECT customer_id FROM crm_conversation WHERE id = ($1).conversation_id)', '{"note": "erased"}', '');
CREATE OR REPLACE TRIGGER outreach_append_only BEFORE UPDATE OR DELETE ON crm_outreach
  FOR EACH ROW EXECUTE FUNCTION evenhand_append_only(
    '(SELECT customer_id FROM crm_conversation WHERE id = ($1).conversation_id)', '{"note": "erased"}', '');
CREATE OR REPLACE TRIGGER reach_look_append_only BEFORE UPDATE OR DELETE ON crm_reachlook
  FOR EACH ROW EXECUTE FUNCTION evenhand_append_only(
    '(SELECT customer_id FROM crm_conversation WHERE id = ($1).conversation_id)', '{"words": "erased"}', '');
CREATE OR REPLACE TRIGGER correction_append_only BEFORE UPDATE OR DELETE ON crm_correction
  FOR EACH ROW EXECUTE FUNCTION evenhand_append_only(
    '(SELECT c.customer_id FROM crm_interaction i JOIN crm_conversation c ON c.id = i.conversation_id WHERE i.id = ($1).interaction_id)',
    '{"earlier": "erased", "reason": "erased"}', '');
CREATE TRIGGER erasure_entry_append_only BEFORE UPDATE OR DELETE ON crm_erasureentry
  FOR EACH ROW EXECUTE FUNCTION evenhand_append_only();
CREATE TRIGGER retention_proof_append_only BEFORE UPDATE OR DELETE ON crm_retentionproof
  FOR EACH ROW EXECUTE FUNCTION evenhand_append_only();
"""
GUARDS_BACK = """
DROP TRIGGER retention_proof_append_only ON crm_retentionproof;
DROP TRIGGER erasure_entry_append_only ON crm_erasureentry;
CREATE OR REPLACE TRIGGER correction_append_only BEFORE UPDATE OR DELETE ON crm_correction
  FOR EACH ROW EXECUTE FUNCTION evenhand_append_only();
CREATE OR REPLACE TRIGGER reach_look_append_only BEFORE UPDATE OR DELETE ON crm_reachlook
  FOR EACH ROW EXECUTE FUNCTION evenhand_append_only();
CREATE OR REPLACE TRIGGER outreach_append_only BEFORE UPDATE OR DELETE ON crm_outreach
  FOR EACH ROW EXECUTE FUNCTION evenhand_append_only();
CREATE OR REPLACE TRIGGER owner_change_append_only BEFORE UPDATE OR DELETE ON crm_ownerchange
  FOR EACH ROW EXECUTE FUNCTION evenhand_append_only();
CREATE OR REPLACE TRIGGER consent_append_only BEFORE UPDATE OR DELETE ON crm_consent
  FOR EACH ROW EXECUTE FUNCTION evenhand_append_only();
CREATE OR REPLACE TRIGGER history_append_only BEFORE UPDATE OR DELETE ON crm_historyentry
  FOR EACH ROW EXECUTE FUNCTION evenhand_append_only();
CREATE OR REPLACE FUNCTION evenhand_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'rows of % are never changed or removed', TG_TABLE_NAME USING ERRCODE = 'integrity_constraint_violation';
END $$;
DROP FUNCTION evenhand_erases(jsonb, jsonb, jsonb, text, bigint);
"""

# Generous, and all of them off: a person switches each on after having seen what it would remove.
RULES = [
    ("raw", 90, "Needed to read a mail again after a fault was mended; the words themselves stay in the conversation."),
    ("set_aside", 90, "Long enough to find a customer's mail among them by mistake."),
    ("quarantined", 180, "Kept apart because they may do harm; nobody has asked for them."),
    ("drafts", 180, "Begun and left; never sent."),
    ("words", 3650, "Claims may be made for years after a matter is closed."),
    ("imported", 365, "Lets a file be taken back, and shows which address was claimed twice."),
    ("calls", 180, "Numbers of callers with whom nothing came of it."),
]


def write_rules(apps, schema_editor):
    rule = apps.get_model("crm", "RetentionRule")
    for kind, days, basis in RULES:
        rule.objects.get_or_create(kind=kind, defaults={"keep_days": days, "basis": basis})


class Migration(migrations.Migration):

    dependencies = [
        ("crm", "0021_lives"),
    ]

    operations = [
        migrations.CreateModel(
            name='ErasureEntry',
            fields=[
                ('number', models.PositiveBigIntegerField(primary_key=True, serialize=False)),
                ('customers', django.contrib.postgres.fields.ArrayField(base_field=models.UUIDField(), size=None)),
                ('addresses', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=64), default=list, size=None)),
                ('rule_version', models.PositiveSmallIntegerField()),
                ('at', models.DateTimeField()),
                ('digest', models.CharField(max_length=64)),
            ],
            options={
                'verbose_name': 'line of the erasure journal',
                'verbose_name_plural': 'lines of the erasure journal',
            },
        ),
        migrations.CreateModel(
            name='Redeemed',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('what', models.CharField(max_length=60)),
                ('digest', models.CharField(max_length=64)),
                ('keep_until', models.DateTimeField()),
            ],
            options={
                'verbose_name': 'thing given once',
                'verbose_name_plural': 'things given once',
                'indexes': [models.Index(fields=['keep_until'], name='redeemed_by_age')],
                'constraints': [models.UniqueConstraint(fields=('what', 'digest'), name='redeemed_once')],
            },
        ),
        migrations.CreateModel(
            name='RetentionProof',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('raw', 'bytes of mails and posts that were read'), ('set_aside', 'mails that opened no conversation'), ('quarantined', 'files that were kept apart'), ('drafts', 'answers that were begun and left'), ('words', 'words of conversations that are closed'), ('imported', 'what rows of imported files claimed'), ('calls', 'numbers of callers whose calls became no matter')], max_length=24, verbose_name='what')),
                ('keep_days', models.PositiveIntegerField(verbose_name='kept for, days')),
                ('before', models.DateTimeField(verbose_name='from before')),
                ('removed', models.PositiveIntegerField(verbose_name='removed')),
                ('at', models.DateTimeField(verbose_name='when')),
            ],
            options={
                'verbose_name': 'proof of removal',
                'verbose_name_plural': 'proofs of removal',
                'indexes': [models.Index(fields=['kind', '-at', '-id'], name='retention_proof_of_kind')],
            },
        ),
        migrations.CreateModel(
            name='DataPackage',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', models.UUIDField(default=crm.models.ids.uuid7, editable=False, unique=True)),
                ('note', models.CharField(max_length=300, verbose_name='how we know who asks')),
                ('asked_at', models.DateTimeField(verbose_name='asked')),
                ('state', models.CharField(choices=[('ready', 'waiting'), ('claimed', 'being made'), ('done', 'made'), ('parked', 'stuck; somebody has to look'), ('gone', 'removed')], default='ready', editable=False, max_length=8, verbose_name='state')),
                ('attempt', models.PositiveSmallIntegerField(default=0, editable=False)),
                ('failures', models.PositiveSmallIntegerField(default=0, editable=False)),
                ('due_at', models.DateTimeField(editable=False)),
                ('lease_until', models.DateTimeField(editable=False, null=True)),
                ('parts_done', models.PositiveIntegerField(default=0, editable=False)),
                ('parts', models.PositiveIntegerField(default=0, editable=False)),
                ('reason', models.CharField(blank=True, editable=False, max_length=300, verbose_name='trouble')),
                ('file', models.FileField(blank=True, editable=False, max_length=200, upload_to='packages/')),
                ('size', models.PositiveBigIntegerField(editable=False, null=True, verbose_name='size, bytes')),
                ('made_at', models.DateTimeField(editable=False, null=True, verbose_name='made')),
                ('removed_at', models.DateTimeField(editable=False, null=True, verbose_name='removed')),
                ('asked_by', models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('customer', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='crm.customer')),
            ],
            options={
                'verbose_name': "package of a customer's data",
                'verbose_name_plural': "packages of customers' data",
                'permissions': [('export_customer', "Can have a copy of a customer's data made")],
                'indexes': [models.Index(condition=models.Q(('state__in', ['ready', 'claimed'])), fields=['due_at', 'id'], name='package_due'), models.Index(fields=['customer', '-id'], name='package_of_customer'), models.Index(condition=models.Q(('state', 'done')), fields=['made_at'], name='package_to_remove')],
                'constraints': [models.UniqueConstraint(condition=models.Q(('state__in', ['ready', 'claimed'])), fields=('customer',), name='package_one_at_a_time'), models.CheckConstraint(condition=models.Q(('note', ''), _negated=True), name='package_has_note'), models.CheckConstraint(condition=models.Q(models.Q(('state', 'done'), _negated=True), models.Q(('made_at__isnull', False), ('size__isnull', False), models.Q(('file', ''), _negated=True)), _connector='OR'), name='package_done_has_file'), models.CheckConstraint(condition=models.Q(models.Q(('state', 'claimed'), _negated=True), ('lease_until__isnull', False), _connector='OR'), name='package_claimed_has_lease')],
            },
        ),
        migrations.CreateModel(
            name='Erasure',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', models.UUIDField(default=crm.models.ids.uuid7, editable=False, unique=True)),
                ('asked_by', models.CharField(choices=[('customer', 'the customer'), ('representative', 'somebody who may act for them'), ('authority', 'an authority or a court'), ('us', 'we ourselves: there is no more reason to keep it')], max_length=16, verbose_name='asked by')),
                ('asked_by_words', models.CharField(max_length=300, verbose_name='how we know')),
                ('reason', models.TextField(verbose_name='reason')),
                ('is_replayed', models.BooleanField(default=False, editable=False)),
                ('asked_at', models.DateTimeField(verbose_name='asked')),
                ('state', models.CharField(choices=[('asked', 'asked for'), ('restricted', 'waits: something stands in the way'), ('ready', 'to be carried out'), ('claimed', 'being carried out'), ('done', 'erased'), ('dropped', 'taken back'), ('parked', 'stuck; somebody has to look')], default='asked', editable=False, max_length=12, verbose_name='state')),
                ('stands_in_the_way', models.JSONField(default=list, editable=False, verbose_name='stands in the way')),
                ('confirmed_at', models.DateTimeField(editable=False, null=True, verbose_name='to be carried out since')),
                ('records', django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField(), default=list, editable=False, size=None)),
                ('rule_version', models.PositiveSmallIntegerField(editable=False, null=True)),
                ('step', models.CharField(blank=True, editable=False, max_length=80)),
                ('raw_cursor', models.BigIntegerField(default=0, editable=False)),
                ('counts', models.JSONField(default=dict, editable=False)),
                ('attempt', models.PositiveSmallIntegerField(default=0, editable=False)),
                ('failures', models.PositiveSmallIntegerField(default=0, editable=False)),
                ('due_at', models.DateTimeField(editable=False, null=True)),
                ('lease_until', models.DateTimeField(editable=False, null=True)),
                ('trouble', models.CharField(blank=True, editable=False, max_length=300, verbose_name='trouble')),
                ('done_at', models.DateTimeField(editable=False, null=True, verbose_name='done')),
                ('confirmed_by', models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('customer', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='crm.customer')),
                ('noted_by', models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'verbose_name': 'erasure',
                'verbose_name_plural': 'erasures',
                'permissions': [('ask_erasure', 'Can note that a customer asks to be forgotten'), ('erase_customer', "Can have a customer's data erased")],
                'indexes': [models.Index(condition=models.Q(('state__in', ['ready', 'claimed'])), fields=['due_at', 'id'], name='erasure_due'), models.Index(condition=models.Q(('state', 'restricted')), fields=['id'], name='erasure_restricted'), models.Index(fields=['-id'], name='erasure_newest')],
                'constraints': [models.UniqueConstraint(condition=models.Q(('state__in', ['done', 'dropped']), _negated=True), fields=('customer',), name='erasure_one_at_a_time'), models.CheckConstraint(condition=models.Q(models.Q(('reason', ''), _negated=True), models.Q(('asked_by_words', ''), _negated=True)), name='erasure_has_reason'), models.CheckConstraint(condition=models.Q(models.Q(('confirmed_at__isnull', True), ('confirmed_by__isnull', True)), models.Q(('confirmed_at__isnull', False), ('confirmed_by__isnull', False)), models.Q(('confirmed_at__isnull', False), ('is_replayed', True)), _connector='OR'), name='erasure_confirmed_by_somebody'), models.CheckConstraint(condition=models.Q(('noted_by__isnull', False), ('is_replayed', True), _connector='OR'), name='erasure_noted_by_somebody'), models.CheckConstraint(condition=models.Q(models.Q(('state__in', ['ready', 'claimed', 'done', 'parked']), _negated=True), ('confirmed_at__isnull', False), _connector='OR'), name='erasure_done_only_when_confirmed'), models.CheckConstraint(condition=models.Q(models.Q(('state', 'done'), _negated=True), ('done_at__isnull', False), _connector='OR'), name='erasure_done_has_time'), models.CheckConstraint(condition=models.Q(models.Q(('state', 'claimed'), _negated=True), ('lease_until__isnull', False), _connector='OR'), name='erasure_claimed_has_lease')],
            },
        ),
        migrations.CreateModel(
            name='RetentionRule',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('raw', 'bytes of mails and posts that were read'), ('set_aside', 'mails that opened no conversation'), ('quarantined', 'files that were kept apart'), ('drafts', 'answers that were begun and left'), ('words', 'words of conversations that are closed'), ('imported', 'what rows of imported files claimed'), ('calls', 'numbers of callers whose calls became no matter')], max_length=24, unique=True, verbose_name='what')),
                ('keep_days', models.PositiveIntegerField(verbose_name='kept for, days')),
                ('basis', models.CharField(max_length=300, verbose_name='why this long')),
                ('is_active', models.BooleanField(default=False, verbose_name='switched on')),
                ('changed_at', models.DateTimeField(null=True, verbose_name='changed')),
                ('changed_by', models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'verbose_name': 'rule of what is kept',
                'verbose_name_plural': 'rules of what is kept',
                'permissions': [('set_retention', 'Can say for how long things are kept')],
                'constraints': [models.CheckConstraint(condition=models.Q(('keep_days__gte', 1)), name='retention_at_least_a_day'), models.CheckConstraint(condition=models.Q(('basis', ''), _negated=True), name='retention_has_basis')],
            },
        ),
        migrations.RunSQL(GUARDS, GUARDS_BACK),
        migrations.RunPython(write_rules, migrations.RunPython.noop),
    ]
