"""A look at a locked matter inside a statement: whether it still is what it was when it was read."""

from django.db import migrations

# A volatile function sees what was committed until now, also what its statement could not see when it began. So whoever changed the
# matter, its promises or what is planned in it, holding its lock as everybody does, is noticed. What this transaction itself has
# promised already does not count.
FUNCTION = """
CREATE FUNCTION evenhand_matter_is_as_read(matter bigint, version text, unmet text) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  stands text;
BEGIN
  SELECT xmin::text INTO stands FROM crm_conversation WHERE id = matter FOR UPDATE;
  IF stands IS DISTINCT FROM version OR unmet IS DISTINCT FROM (
       SELECT coalesce(string_agg(concat_ws(' ', id, kind, extract(epoch FROM due_at)), ',' ORDER BY id), '') FROM crm_promise
       WHERE conversation_id = matter AND state IN ('running', 'breached')
         AND xmin::text::bigint <> (pg_current_xact_id()::text::bigint & 4294967295))
     OR EXISTS (SELECT FROM crm_outgoingmessage WHERE conversation_id = matter AND stops_if_they_write AND state = 'ready') THEN
    RAISE EXCEPTION 'the matter has changed since it was read';
  END IF;
  RETURN true;
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("crm", "0016_gaps_and_floods")]
    operations = [
        migrations.RunSQL(FUNCTION, "DROP FUNCTION evenhand_matter_is_as_read(bigint, text, text)"),
    ]
