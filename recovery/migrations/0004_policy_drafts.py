"""Versions of the rules begin as drafts; once approved, the database itself refuses every change of them."""

import hashlib
import json

import django.contrib.postgres.fields
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

OLD_GUARDS = """
CREATE TRIGGER policy_rule_append_only BEFORE UPDATE OR DELETE ON recovery_policyrule
  FOR EACH ROW EXECUTE FUNCTION evenhand_append_only();
CREATE TRIGGER policy_version_append_only BEFORE UPDATE OR DELETE ON recovery_policyversion
  FOR EACH ROW EXECUTE FUNCTION evenhand_append_only();
"""
OLD_GUARDS_AWAY = """
DROP TRIGGER policy_rule_append_only ON recovery_policyrule;
DROP TRIGGER policy_version_append_only ON recovery_policyversion;
"""
GUARDS = """
CREATE FUNCTION evenhand_policy_version_stands() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'INSERT' THEN
    IF NEW.state <> 'draft' THEN
      RAISE EXCEPTION 'a version of the rules begins as a draft' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
  END IF;
  IF TG_OP = 'DELETE' OR OLD.state <> 'draft' OR NEW.number <> OLD.number OR NEW.is_starter <> OLD.is_starter THEN
    RAISE EXCEPTION 'a version of the rules is not changed once it is decided on, and never removed'
      USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  IF NEW.state = 'approved' AND NOT NEW.is_starter AND (
       NEW.approved_by_id = ANY (NEW.edited_by)
       OR NEW.checks IS NULL OR NEW.what_if IS NULL
       OR NEW.checks ->> 'passed' <> 'true'
       OR NEW.checks ->> 'content_hash' <> NEW.content_hash
       OR NEW.what_if ->> 'content_hash' <> NEW.content_hash) THEN
    RAISE EXCEPTION 'rules are approved by another person, on checks and a what-if of just these rules'
      USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER policy_version_stands BEFORE INSERT OR UPDATE OR DELETE ON recovery_policyversion
  FOR EACH ROW EXECUTE FUNCTION evenhand_policy_version_stands();

CREATE FUNCTION evenhand_policy_rule_stands() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  standing text;
  changed recovery_policyrule;
BEGIN
  IF TG_OP = 'DELETE' THEN changed := OLD; ELSE changed := NEW; END IF;
  IF TG_OP = 'UPDATE' AND NEW.version_id <> OLD.version_id THEN
    RAISE EXCEPTION 'a rule stays in its version' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  -- The share lock waits for an approval at the same moment, and makes an approval wait for this change.
  SELECT state INTO standing FROM recovery_policyversion WHERE id = changed.version_id FOR SHARE;
  IF standing IS DISTINCT FROM 'draft' THEN
    RAISE EXCEPTION 'rules change in drafts only' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  IF jsonb_typeof(changed."when") <> 'object' OR jsonb_typeof(changed.remedies) <> 'array'
     OR jsonb_typeof(changed.within_minutes) <> 'object' THEN
    RAISE EXCEPTION 'a rule that cannot be read' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN changed;
END $$;
CREATE TRIGGER policy_rule_stands BEFORE INSERT OR UPDATE OR DELETE ON recovery_policyrule
  FOR EACH ROW EXECUTE FUNCTION evenhand_policy_rule_stands();
"""
GUARDS_AWAY = """
DROP TRIGGER policy_rule_stands ON recovery_policyrule;
DROP FUNCTION evenhand_policy_rule_stands();
DROP TRIGGER policy_version_stands ON recovery_policyversion;
DROP FUNCTION evenhand_policy_version_stands();
"""


def mark_starter(apps, schema_editor):
    """The starter pack is approved by nobody and says so; its fingerprint becomes that of its rules as they are stored."""
    for version in apps.get_model("recovery", "PolicyVersion").objects.all():
        rules = [
            {
                "code": rule.code,
                "when": rule.when,
                "remedies": rule.remedies,
                "goodwill": f"{rule.goodwill:.2f}",
                "within_minutes": rule.within_minutes,
                "severity": rule.severity,
                "because": rule.because,
            }
            for rule in apps.get_model("recovery", "PolicyRule").objects.filter(version=version).order_by("position")
        ]
        text = json.dumps({"rules": rules}, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        version.content_hash = hashlib.sha256(text.encode()).hexdigest()
        version.state, version.is_starter = "approved", version.number == 1
        version.save(update_fields=["content_hash", "state", "is_starter"])


class Migration(migrations.Migration):

    dependencies = [
        ('recovery', '0003_starter_policy'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AlterModelOptions(
            name='policyversion',
            options={'permissions': [('draft_policy', 'Can draft the rules'), ('approve_policy', 'Can approve the rules another person drafted')], 'verbose_name': 'policy version', 'verbose_name_plural': 'policy versions'},
        ),
        migrations.AddField(
            model_name='policyversion',
            name='approved_at',
            field=models.DateTimeField(editable=False, null=True, verbose_name='approved'),
        ),
        migrations.AddField(
            model_name='policyversion',
            name='approved_by',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='approved by'),
        ),
        migrations.AddField(
            model_name='policyversion',
            name='checks',
            field=models.JSONField(editable=False, null=True, verbose_name='checks'),
        ),
        migrations.AddField(
            model_name='policyversion',
            name='copied_from',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='recovery.policyversion', verbose_name='copy of'),
        ),
        migrations.AddField(
            model_name='policyversion',
            name='drafted_at',
            field=models.DateTimeField(null=True, verbose_name='drafted'),
        ),
        migrations.AddField(
            model_name='policyversion',
            name='drafted_by',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='drafted by'),
        ),
        migrations.AddField(
            model_name='policyversion',
            name='edited_by',
            field=django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField(), default=list, editable=False, size=None),
        ),
        migrations.AddField(
            model_name='policyversion',
            name='is_starter',
            field=models.BooleanField(default=False, editable=False, verbose_name='starter pack'),
        ),
        migrations.AddField(
            model_name='policyversion',
            name='state',
            field=models.CharField(choices=[('draft', 'draft'), ('approved', 'approved'), ('discarded', 'discarded')], default='draft', editable=False, max_length=9, verbose_name='state'),
        ),
        migrations.AddField(
            model_name='policyversion',
            name='what_if',
            field=models.JSONField(editable=False, null=True, verbose_name='what-if'),
        ),
        migrations.AlterField(
            model_name='policyversion',
            name='effective_from',
            field=models.DateTimeField(editable=False, null=True, verbose_name='in force from'),
        ),
        migrations.RunSQL(OLD_GUARDS_AWAY, OLD_GUARDS),
        migrations.RunPython(mark_starter, migrations.RunPython.noop),
        migrations.AddConstraint(
            model_name='policyrule',
            constraint=models.CheckConstraint(condition=models.Q(('severity__in', ['low', 'medium', 'high', 'critical'])), name='policy_rule_severity_is_known'),
        ),
        migrations.AddConstraint(
            model_name='policyversion',
            constraint=models.CheckConstraint(condition=models.Q(('is_starter', False), ('number', 1), _connector='OR'), name='policy_one_starter'),
        ),
        migrations.AddConstraint(
            model_name='policyversion',
            constraint=models.CheckConstraint(condition=models.Q(('is_starter', True), models.Q(('drafted_at__isnull', False), ('drafted_by__isnull', False)), _connector='OR'), name='policy_drafted_by_somebody'),
        ),
        migrations.AddConstraint(
            model_name='policyversion',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('effective_from__isnull', False), ('state', 'approved')), models.Q(('effective_from__isnull', True), ('state__in', ['draft', 'discarded'])), _connector='OR'), name='policy_starts_once_approved'),
        ),
        migrations.AddConstraint(
            model_name='policyversion',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('state', 'approved'), _negated=True), ('is_starter', True), models.Q(('approved_at__isnull', False), ('approved_by__isnull', False), ('effective_from__gt', models.F('approved_at')), models.Q(('approved_by', models.F('drafted_by')), _negated=True)), _connector='OR'), name='policy_two_people_and_a_future_start'),
        ),
        migrations.RunSQL(GUARDS, GUARDS_AWAY),
    ]
