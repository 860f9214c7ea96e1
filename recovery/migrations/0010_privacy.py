"""What a case was told in words may be changed by the erasing of the person, and by nothing else (crm/migrations/0022_privacy.py)."""

from django.db import migrations

GUARDS = """
CREATE OR REPLACE TRIGGER grant_append_only BEFORE UPDATE OR DELETE ON recovery_grant
  FOR EACH ROW EXECUTE FUNCTION evenhand_append_only(
    '(SELECT customer_id FROM recovery_case WHERE id = ($1).case_id)', '{"public_words": ""}', '');
CREATE OR REPLACE FUNCTION evenhand_held_step_stands() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'UPDATE' AND coalesce(current_setting('evenhand.erasing', true), '') <> '' AND evenhand_erases(
       to_jsonb(OLD), to_jsonb(NEW), '{"words": "erased"}', 'wanted',
       (SELECT customer_id FROM recovery_case WHERE id = OLD.case_id)) THEN
    RETURN NEW;
  END IF;
  IF TG_OP = 'DELETE' OR OLD.state <> 'held' OR NEW.case_id <> OLD.case_id OR NEW.kind <> OLD.kind OR NEW.key <> OLD.key
     OR NEW.wanted <> OLD.wanted OR NEW.decision_id <> OLD.decision_id OR NEW.would_be <> OLD.would_be OR NEW.looks <> OLD.looks
     OR NEW.asked_by_id <> OLD.asked_by_id OR NEW.asked_at <> OLD.asked_at THEN
    RAISE EXCEPTION 'what was held stays as it was asked for, and is decided once' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END $$;
"""
BACK = """
CREATE OR REPLACE FUNCTION evenhand_held_step_stands() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'DELETE' OR OLD.state <> 'held' OR NEW.case_id <> OLD.case_id OR NEW.kind <> OLD.kind OR NEW.key <> OLD.key
     OR NEW.wanted <> OLD.wanted OR NEW.decision_id <> OLD.decision_id OR NEW.would_be <> OLD.would_be OR NEW.looks <> OLD.looks
     OR NEW.asked_by_id <> OLD.asked_by_id OR NEW.asked_at <> OLD.asked_at THEN
    RAISE EXCEPTION 'what was held stays as it was asked for, and is decided once' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE OR REPLACE TRIGGER grant_append_only BEFORE UPDATE OR DELETE ON recovery_grant
  FOR EACH ROW EXECUTE FUNCTION evenhand_append_only();
"""


class Migration(migrations.Migration):
    dependencies = [("recovery", "0009_links_and_causes"), ("crm", "0022_privacy")]
    operations = [migrations.RunSQL(GUARDS, BACK)]
