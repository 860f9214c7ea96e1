"""Erasing reaches the words of what is written once: proofs of a yes, stages of a relationship, changes of a service and how they were undone."""

from django.db import migrations

FORWARD = """
CREATE OR REPLACE TRIGGER stage_append_only BEFORE UPDATE OR DELETE ON crm_relationshipstage
  FOR EACH ROW EXECUTE FUNCTION evenhand_append_only('($1).customer_id', '{"because": "erased"}', '');
CREATE OR REPLACE TRIGGER consent_proof_append_only BEFORE UPDATE OR DELETE ON crm_consentproof
  FOR EACH ROW EXECUTE FUNCTION evenhand_append_only('($1).customer_id', '{"words": "erased", "network": ""}', '');

CREATE OR REPLACE FUNCTION evenhand_service_change_stands() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'DELETE' OR (to_jsonb(NEW) - 'customer_id' <> to_jsonb(OLD) - 'customer_id' AND NOT
     evenhand_erases(to_jsonb(OLD), to_jsonb(NEW), '{"changed_from": "", "changed_to": "erased"}', '', OLD.customer_id)) THEN
    RAISE EXCEPTION 'what was changed is never rewritten' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END $$;

CREATE OR REPLACE FUNCTION evenhand_reversal_stands() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'DELETE' OR NEW.change_id <> OLD.change_id OR NEW.due_at > OLD.due_at
     OR (OLD.state <> 'open'
         AND to_jsonb(NEW) - 'confirmed_id' - 'by_hand' <> to_jsonb(OLD) - 'confirmed_id' - 'by_hand'
         AND NOT evenhand_erases(
           to_jsonb(OLD) - 'by_hand' - 'proof', to_jsonb(NEW) - 'by_hand' - 'proof', '{}', '',
           (SELECT customer_id FROM crm_servicechange WHERE id = OLD.change_id))) THEN
    RAISE EXCEPTION 'how a change was undone is never rewritten' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END $$;
"""
BACK = """
CREATE OR REPLACE TRIGGER consent_proof_append_only BEFORE UPDATE OR DELETE ON crm_consentproof
  FOR EACH ROW EXECUTE FUNCTION evenhand_append_only();
CREATE OR REPLACE FUNCTION evenhand_reversal_stands() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'DELETE' OR NEW.change_id <> OLD.change_id OR NEW.due_at > OLD.due_at
     OR (OLD.state <> 'open' AND
         to_jsonb(NEW) - 'confirmed_id' - 'by_hand' <> to_jsonb(OLD) - 'confirmed_id' - 'by_hand') THEN
    RAISE EXCEPTION 'how a change was undone is never rewritten' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE OR REPLACE FUNCTION evenhand_service_change_stands() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'DELETE' OR to_jsonb(NEW) - 'customer_id' <> to_jsonb(OLD) - 'customer_id' THEN
    RAISE EXCEPTION 'what was changed is never rewritten' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE OR REPLACE TRIGGER stage_append_only BEFORE UPDATE OR DELETE ON crm_relationshipstage
  FOR EACH ROW EXECUTE FUNCTION evenhand_append_only();
"""


class Migration(migrations.Migration):
    dependencies = [("crm", "0027_gates")]
    operations = [migrations.RunSQL(FORWARD, BACK)]
