"""The free words of an answer to our questions can be emptied, by erasing and by the rules of what is kept; its grades never change."""

from django.db import migrations

GUARD = """
DROP TRIGGER survey_answer_append_only ON crm_surveyanswer;
CREATE TRIGGER survey_answer_append_only BEFORE UPDATE ON crm_surveyanswer
  FOR EACH ROW WHEN (to_jsonb(NEW) <> to_jsonb(OLD) || '{"words": ""}') EXECUTE FUNCTION evenhand_append_only(
    '(SELECT c.customer_id FROM crm_ask a JOIN crm_conversation c ON c.id = a.conversation_id WHERE a.id = ($1).ask_id)',
    '{"words": ""}', '');
CREATE TRIGGER survey_answer_never_removed BEFORE DELETE ON crm_surveyanswer
  FOR EACH ROW EXECUTE FUNCTION evenhand_append_only();
"""
GUARD_BACK = """
DROP TRIGGER survey_answer_never_removed ON crm_surveyanswer;
DROP TRIGGER survey_answer_append_only ON crm_surveyanswer;
CREATE TRIGGER survey_answer_append_only BEFORE UPDATE OR DELETE ON crm_surveyanswer
  FOR EACH ROW EXECUTE FUNCTION evenhand_append_only(
    '(SELECT c.customer_id FROM crm_ask a JOIN crm_conversation c ON c.id = a.conversation_id WHERE a.id = ($1).ask_id)',
    '{"words": ""}', '');
"""


class Migration(migrations.Migration):
    dependencies = [("crm", "0034_closing_lines")]

    operations = [migrations.RunSQL(GUARD, GUARD_BACK)]
