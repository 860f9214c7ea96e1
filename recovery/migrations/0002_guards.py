"""Decisions and rules are written once."""

from django.db import migrations

GUARDS = """
CREATE TRIGGER decision_append_only BEFORE UPDATE OR DELETE ON recovery_decision
  FOR EACH ROW EXECUTE FUNCTION evenhand_append_only();
CREATE TRIGGER policy_rule_append_only BEFORE UPDATE OR DELETE ON recovery_policyrule
  FOR EACH ROW EXECUTE FUNCTION evenhand_append_only();
CREATE TRIGGER policy_version_append_only BEFORE UPDATE OR DELETE ON recovery_policyversion
  FOR EACH ROW EXECUTE FUNCTION evenhand_append_only();
"""
BACK = """
DROP TRIGGER decision_append_only ON recovery_decision;
DROP TRIGGER policy_rule_append_only ON recovery_policyrule;
DROP TRIGGER policy_version_append_only ON recovery_policyversion;
"""


class Migration(migrations.Migration):
    dependencies = [("recovery", "0001_initial"), ("crm", "0002_guards")]
    operations = [migrations.RunSQL(GUARDS, BACK)]
