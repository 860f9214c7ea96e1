"""Where relationships stand, changes of services and their undoing; and what the database itself refuses about them."""

import crm.models.ids
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

GUARDS = """
CREATE TRIGGER stage_append_only BEFORE UPDATE OR DELETE ON crm_relationshipstage
  FOR EACH ROW EXECUTE FUNCTION evenhand_append_only();

-- Whoever says that a customer asked for a change names that customer's own words, or their own account.
CREATE FUNCTION evenhand_own_request() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.asked_in_id IS NOT NULL AND NOT EXISTS (
       SELECT FROM crm_interaction said JOIN crm_conversation talk ON talk.id = said.conversation_id
       WHERE said.id = NEW.asked_in_id AND said.direction = 'in' AND said.other_address = ''
         AND (talk.customer_id = NEW.customer_id OR EXISTS (
           SELECT FROM crm_customer gone WHERE gone.id = talk.customer_id AND gone.merged_into_id = NEW.customer_id)))
     OR NEW.asked_account_id IS NOT NULL AND NOT EXISTS (
       SELECT FROM crm_user account WHERE account.id = NEW.asked_account_id AND account.customer_id = NEW.customer_id) THEN
    RAISE EXCEPTION 'a change is requested by the customer themselves' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER service_change_own_request BEFORE INSERT ON crm_servicechange
  FOR EACH ROW EXECUTE FUNCTION evenhand_own_request();

CREATE FUNCTION evenhand_service_change_stands() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'DELETE' OR to_jsonb(NEW) - 'customer_id' <> to_jsonb(OLD) - 'customer_id' THEN
    RAISE EXCEPTION 'what was changed is never rewritten' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER service_change_stands BEFORE UPDATE OR DELETE ON crm_servicechange
  FOR EACH ROW EXECUTE FUNCTION evenhand_service_change_stands();

CREATE FUNCTION evenhand_unrequested_is_put_back() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.asked_in_id IS NULL AND NEW.asked_account_id IS NULL
     AND NOT EXISTS (SELECT FROM crm_reversal WHERE change_id = NEW.id) THEN
    RAISE EXCEPTION 'a change that nobody asked for opens its undoing' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER service_change_put_back AFTER INSERT ON crm_servicechange DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW EXECUTE FUNCTION evenhand_unrequested_is_put_back();

CREATE FUNCTION evenhand_reversal_stands() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'DELETE' OR NEW.change_id <> OLD.change_id OR NEW.due_at > OLD.due_at
     OR (OLD.state <> 'open' AND
         to_jsonb(NEW) - 'confirmed_id' - 'by_hand' <> to_jsonb(OLD) - 'confirmed_id' - 'by_hand') THEN
    RAISE EXCEPTION 'how a change was undone is never rewritten' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER reversal_stands BEFORE UPDATE OR DELETE ON crm_reversal
  FOR EACH ROW EXECUTE FUNCTION evenhand_reversal_stands();
"""
BACK = """
DROP TRIGGER reversal_stands ON crm_reversal;
DROP FUNCTION evenhand_reversal_stands();
DROP TRIGGER service_change_put_back ON crm_servicechange;
DROP FUNCTION evenhand_unrequested_is_put_back();
DROP TRIGGER service_change_stands ON crm_servicechange;
DROP FUNCTION evenhand_service_change_stands();
DROP TRIGGER service_change_own_request ON crm_servicechange;
DROP FUNCTION evenhand_own_request();
DROP TRIGGER stage_append_only ON crm_relationshipstage;
"""


class Migration(migrations.Migration):

    dependencies = [
        ("crm", "0024_customer_files"),
    ]

    operations = [
        migrations.AlterField(
            model_name='alert',
            name='kind',
            field=models.CharField(choices=[('promise_soon', 'a promise runs out soon'), ('promise_missed', 'a promise was missed'), ('no_owner', 'nobody looks after a matter'), ('no_next_step', 'an open matter has no next step'), ('owners_changed', 'a matter had three owners within seven days'), ('hand_off_offered', 'a colleague offers you a matter'), ('hand_off_loop', 'a matter goes back and forth between colleagues'), ('call_dropped', 'a call ended before it was finished'), ('source_late', 'messages from a source reach us late'), ('decision_differs', 'a decision comes out differently when decided again'), ('order_differs', 'the order of the queue depended on the channel'), ('place_wrong', 'a matter stood in the wrong place of the queue'), ('critical_share', 'more matters than usual count as critical harm'), ('beyond_policy', 'somebody was given other than the rules say'), ('review_asked', 'a customer asks for a second look'), ('second_person', 'something waits for a second person'), ('certificate_ends', 'a certificate runs out soon'), ('address_bounced', 'an answer came back: its address is unconfirmed'), ('they_wrote_first', 'the customer wrote before your planned answer left; it was stopped'), ('mail_flood', 'one address sends more mail than a person would'), ('channel_flood', 'a provider or one sender posts more than people write'), ('mailbox_fails', 'a mailbox cannot be read'), ('channel_fails', 'an account cannot be asked for what customers say there'), ('file_infected', 'a file with a virus came in; it is kept apart'), ('signed_off', 'an answer given elsewhere names you as having signed it off'), ('place_unheard', 'nobody listens where customers talk'), ('change_untold', 'somebody cannot be told in writing of a change they did not ask for'), ('cases_unequal', 'two linked cases are alike and did not get the same')], max_length=24, verbose_name='what'),
        ),
        migrations.AlterField(
            model_name='promise',
            name='kind',
            field=models.CharField(choices=[('first_response', 'first answer'), ('ownership', 'a named person takes it on'), ('next_update', 'next news'), ('confirmation', 'written confirmation'), ('resolution', 'settled'), ('call_back', 'call back'), ('review', 'second look'), ('personal', "a colleague's own promise"), ('statutory', 'deadline set by law'), ('reversal', 'put back what they did not ask for')], max_length=16, verbose_name='promise'),
        ),
        migrations.CreateModel(
            name='ServiceChange',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', models.UUIDField(default=crm.models.ids.uuid7, editable=False, unique=True)),
                ('system', models.CharField(max_length=60, verbose_name='system')),
                ('key', models.CharField(max_length=120, verbose_name='key there')),
                ('code', models.CharField(max_length=40, verbose_name='what kind')),
                ('changed_from', models.CharField(blank=True, max_length=300, verbose_name='until then')),
                ('changed_to', models.CharField(max_length=300, verbose_name='changed to')),
                ('effective_at', models.DateTimeField(verbose_name='in effect from')),
                ('cost', models.DecimalField(decimal_places=3, max_digits=12, null=True, verbose_name='costs more')),
                ('currency', models.CharField(blank=True, max_length=3)),
                ('every', models.CharField(blank=True, choices=[('once', 'once'), ('day', 'a day'), ('week', 'a week'), ('month', 'a month'), ('year', 'a year')], max_length=8, verbose_name='how often')),
                ('at', models.DateTimeField(verbose_name='recorded')),
                ('asked_account', models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('asked_in', models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='crm.interaction')),
                ('by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='recorded by')),
                ('conversation', models.OneToOneField(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='crm.conversation')),
                ('customer', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='crm.customer')),
            ],
            options={
                'verbose_name': 'change of a service',
                'verbose_name_plural': 'changes of services',
                'permissions': [('record_service_change', 'Can record what was changed for a customer')],
            },
        ),
        migrations.CreateModel(
            name='Reversal',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('state', models.CharField(choices=[('open', 'to be put back'), ('reversed', 'put back'), ('kept', 'kept, as the customer said'), ('already_back', 'was back already')], default='open', editable=False, max_length=12, verbose_name='state')),
                ('due_at', models.DateTimeField(verbose_name='put back by')),
                ('ended_at', models.DateTimeField(null=True, verbose_name='ended')),
                ('by_customer', models.BooleanField(default=False, verbose_name='by the customer')),
                ('proof', models.CharField(blank=True, max_length=300, verbose_name="the customer's own word")),
                ('owed', models.DecimalField(decimal_places=3, default=0, max_digits=12, verbose_name='charged until then')),
                ('confirmed', models.OneToOneField(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='crm.outgoingmessage')),
                ('ended_by', models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('by_hand', models.CharField(blank=True, max_length=300, verbose_name='how they were told otherwise')),
                ('told', models.OneToOneField(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='crm.outgoingmessage')),
                ('change', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='reversal', to='crm.servicechange')),
            ],
            options={
                'verbose_name': 'undoing of a change',
                'verbose_name_plural': 'undoings of changes',
            },
        ),
        migrations.CreateModel(
            name='RelationshipRole',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('role', models.CharField(choices=[('influencer', 'others ask them for advice'), ('partner', 'partner'), ('supplier', 'supplier'), ('reseller', 'sells what we make'), ('press', 'writes for the press'), ('employee', 'works here'), ('neighbour', 'neighbour of one of our places')], max_length=12, verbose_name='role')),
                ('evidence', models.CharField(max_length=300, verbose_name='what shows it')),
                ('since', models.DateTimeField(verbose_name='since')),
                ('ended_at', models.DateTimeField(null=True, verbose_name='until')),
                ('customer', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='crm.customer')),
                ('ended_by', models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('said_by', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'verbose_name': 'role of a customer',
                'verbose_name_plural': 'roles of customers',
                'indexes': [models.Index(fields=['customer', '-id'], name='role_of_customer')],
                'constraints': [models.UniqueConstraint(condition=models.Q(('ended_at__isnull', True)), fields=('customer', 'role'), name='role_held_once'), models.CheckConstraint(condition=models.Q(('evidence', ''), _negated=True), name='role_has_evidence'), models.CheckConstraint(condition=models.Q(models.Q(('ended_at__isnull', True), ('ended_by__isnull', True)), models.Q(('ended_at__gte', models.F('since')), ('ended_by__isnull', False)), _connector='OR'), name='role_ended_by_somebody')],
            },
        ),
        migrations.CreateModel(
            name='RelationshipStage',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('before', models.CharField(blank=True, choices=[('prospect', 'not a customer yet'), ('new', 'new'), ('active', 'in touch'), ('loyal', 'with us for long'), ('advocate', 'recommends us'), ('strained', 'strained'), ('adversary', 'at odds with us'), ('lapsed', 'not heard of for long'), ('won_back', 'back again'), ('ended', 'ended')], max_length=12, verbose_name='from')),
                ('stage', models.CharField(choices=[('prospect', 'not a customer yet'), ('new', 'new'), ('active', 'in touch'), ('loyal', 'with us for long'), ('advocate', 'recommends us'), ('strained', 'strained'), ('adversary', 'at odds with us'), ('lapsed', 'not heard of for long'), ('won_back', 'back again'), ('ended', 'ended')], max_length=12, verbose_name='to')),
                ('since', models.DateTimeField(verbose_name='since')),
                ('rule', models.CharField(blank=True, max_length=24, verbose_name='by rule')),
                ('because', models.CharField(max_length=300, verbose_name='why')),
                ('evidence', models.JSONField(default=list, verbose_name='shown by')),
                ('by', models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('customer', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='crm.customer')),
                ('previous', models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='crm.relationshipstage')),
            ],
            options={
                'verbose_name': 'stage of a relationship',
                'verbose_name_plural': 'stages of relationships',
                'permissions': [('note_stage', 'Can say where a relationship stands, with a reason')],
                'indexes': [models.Index(fields=['customer', '-id'], name='stage_newest')],
                'constraints': [models.UniqueConstraint(fields=('customer', 'previous'), name='stage_follows_one', nulls_distinct=False), models.CheckConstraint(condition=models.Q(('stage', models.F('before')), _negated=True), name='stage_changes'), models.CheckConstraint(condition=models.Q(('before', ''), ('previous__isnull', False), _connector='XOR'), name='stage_from_the_previous'), models.CheckConstraint(condition=models.Q(models.Q(('rule', ''), ('by__isnull', False)), models.Q(models.Q(('rule', ''), _negated=True), ('by__isnull', True)), _connector='OR'), name='stage_by_rule_or_person'), models.CheckConstraint(condition=models.Q(('because', ''), _negated=True), name='stage_has_reason')],
            },
        ),
        migrations.AddIndex(
            model_name='servicechange',
            index=models.Index(fields=['customer', '-id'], name='service_change_of_customer'),
        ),
        migrations.AddIndex(
            model_name='servicechange',
            index=models.Index(condition=models.Q(('asked_account__isnull', True), ('asked_in__isnull', True)), fields=['at'], name='service_change_unrequested'),
        ),
        migrations.AddConstraint(
            model_name='servicechange',
            constraint=models.UniqueConstraint(fields=('system', 'key'), name='service_change_once'),
        ),
        migrations.AddConstraint(
            model_name='servicechange',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('system', ''), _negated=True), models.Q(('key', ''), _negated=True), models.Q(('code', ''), _negated=True), models.Q(('changed_to', ''), _negated=True)), name='service_change_says_what'),
        ),
        migrations.AddConstraint(
            model_name='servicechange',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('cost__isnull', True), ('currency', ''), ('every', '')), models.Q(('cost__gt', 0), models.Q(('currency', ''), _negated=True), models.Q(('every', ''), _negated=True)), _connector='OR'), name='service_change_cost_whole'),
        ),
        migrations.AddConstraint(
            model_name='servicechange',
            constraint=models.CheckConstraint(condition=models.Q(('asked_in__isnull', True), ('asked_account__isnull', True), _connector='OR'), name='service_change_one_request'),
        ),
        migrations.AddConstraint(
            model_name='servicechange',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('asked_account__isnull', True), ('asked_in__isnull', True), _negated=True), ('conversation__isnull', False), _connector='OR'), name='service_change_unrequested_has_matter'),
        ),
        migrations.AddIndex(
            model_name='reversal',
            index=models.Index(condition=models.Q(('state', 'open')), fields=['due_at', 'id'], name='reversal_open'),
        ),
        migrations.AddIndex(
            model_name='reversal',
            index=models.Index(condition=models.Q(('state', 'open'), _negated=True), fields=['-ended_at', '-id'], name='reversal_ended'),
        ),
        migrations.AddConstraint(
            model_name='reversal',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('by_customer', False), ('ended_at__isnull', True), ('ended_by__isnull', True), ('state', 'open')), models.Q(models.Q(('state', 'open'), _negated=True), ('ended_at__isnull', False), models.Q(models.Q(('by_customer', True), ('ended_by__isnull', True), models.Q(('proof', ''), _negated=True)), models.Q(('by_customer', False), ('ended_by__isnull', False)), _connector='OR')), _connector='OR'), name='reversal_ended_by_somebody'),
        ),
        migrations.AddConstraint(
            model_name='reversal',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('state', 'kept'), _negated=True), ('by_customer', True), _connector='OR'), name='reversal_kept_by_the_customer_alone'),
        ),
        migrations.AddConstraint(
            model_name='reversal',
            constraint=models.CheckConstraint(condition=models.Q(('owed__gte', 0)), name='reversal_owed_not_negative'),
        ),
        migrations.AddConstraint(
            model_name='reversal',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('state', 'open'), _negated=True), models.Q(('by_hand', ''), ('confirmed__isnull', True), ('owed', 0)), _connector='OR'), name='reversal_open_is_bare'),
        ),
        migrations.RunSQL(GUARDS, BACK),
    ]
