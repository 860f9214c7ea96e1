"""What the database itself refuses: changing history, moving a promise, rewriting consent. And the cache table."""

from django.db import migrations

APPEND_ONLY = """
CREATE FUNCTION evenhand_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'rows of % are never changed or removed', TG_TABLE_NAME USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER history_append_only BEFORE UPDATE OR DELETE ON crm_historyentry
  FOR EACH ROW EXECUTE FUNCTION evenhand_append_only();
CREATE TRIGGER history_not_emptied BEFORE TRUNCATE ON crm_historyentry
  FOR EACH STATEMENT EXECUTE FUNCTION evenhand_append_only();
CREATE TRIGGER consent_append_only BEFORE UPDATE OR DELETE ON crm_consent
  FOR EACH ROW EXECUTE FUNCTION evenhand_append_only();
"""
APPEND_ONLY_BACK = """
DROP TRIGGER consent_append_only ON crm_consent;
DROP TRIGGER history_not_emptied ON crm_historyentry;
DROP TRIGGER history_append_only ON crm_historyentry;
DROP FUNCTION evenhand_append_only();
"""
PROMISE = """
CREATE FUNCTION evenhand_promise_stands() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'DELETE' OR NEW.due_at <> OLD.due_at OR NEW.starts_at <> OLD.starts_at OR NEW.kind <> OLD.kind
     OR NEW.conversation_id <> OLD.conversation_id
     OR (OLD.breached_at IS NOT NULL AND NEW.breached_at IS DISTINCT FROM OLD.breached_at)
     OR (OLD.met_at IS NOT NULL AND NEW.met_at IS DISTINCT FROM OLD.met_at) THEN
    RAISE EXCEPTION 'a promise is never moved or forgotten' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER promise_stands BEFORE UPDATE OR DELETE ON crm_promise
  FOR EACH ROW EXECUTE FUNCTION evenhand_promise_stands();
"""
PROMISE_BACK = "DROP TRIGGER promise_stands ON crm_promise; DROP FUNCTION evenhand_promise_stands();"
CACHE = """
CREATE TABLE evenhand_cache (cache_key varchar(255) PRIMARY KEY, value text NOT NULL, expires timestamptz NOT NULL);
CREATE INDEX evenhand_cache_expires ON evenhand_cache (expires);
"""


class Migration(migrations.Migration):
    dependencies = [("crm", "0001_initial")]
    operations = [
        migrations.RunSQL(APPEND_ONLY, APPEND_ONLY_BACK),
        migrations.RunSQL(PROMISE, PROMISE_BACK),
        migrations.RunSQL(CACHE, "DROP TABLE evenhand_cache"),
    ]
