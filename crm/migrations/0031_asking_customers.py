"""Customers are asked how it was, or for a public review, by a committed draw; the database lets nobody rewrite it."""

import crm.models.ids
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


GUARDS = """
CREATE TRIGGER survey_answer_append_only BEFORE UPDATE OR DELETE ON crm_surveyanswer
  FOR EACH ROW EXECUTE FUNCTION evenhand_append_only(
    '(SELECT c.customer_id FROM crm_ask a JOIN crm_conversation c ON c.id = a.conversation_id WHERE a.id = ($1).ask_id)',
    '{"words": ""}', '');
CREATE TRIGGER ask_append_only BEFORE UPDATE OR DELETE ON crm_ask
  FOR EACH ROW EXECUTE FUNCTION evenhand_append_only();
CREATE FUNCTION evenhand_asking_stands() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'DELETE' OR OLD.ended_at IS NOT NULL
     OR to_jsonb(NEW) - 'ended_at' - 'ended_by_id' <> to_jsonb(OLD) - 'ended_at' - 'ended_by_id' THEN
    RAISE EXCEPTION 'an asking is ended and never changed' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER asking_stands BEFORE UPDATE OR DELETE ON crm_asking
  FOR EACH ROW EXECUTE FUNCTION evenhand_asking_stands();
"""
GUARDS_BACK = """
DROP TRIGGER asking_stands ON crm_asking;
DROP FUNCTION evenhand_asking_stands();
DROP TRIGGER ask_append_only ON crm_ask;
DROP TRIGGER survey_answer_append_only ON crm_surveyanswer;
"""


class Migration(migrations.Migration):

    dependencies = [
        ("crm", "0030_queue_credits"),
    ]

    operations = [
        migrations.CreateModel(
            name='Ask',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', models.UUIDField(default=crm.models.ids.uuid7, editable=False, unique=True)),
                ('kind', models.CharField(choices=[('survey', 'how it was'), ('review', 'a public review')], max_length=8, verbose_name='what is asked')),
                ('outcome', models.CharField(choices=[('not_drawn', 'not drawn'), ('left_out', 'drawn, not asked'), ('asked', 'asked')], max_length=9, verbose_name='what became of it')),
                ('reason', models.CharField(blank=True, max_length=24, verbose_name='why they were not asked')),
                ('at', models.DateTimeField(verbose_name='drawn')),
            ],
            options={
                'verbose_name': 'settled matter in an asking',
                'verbose_name_plural': 'settled matters in askings',
            },
        ),
        migrations.CreateModel(
            name='Asking',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', models.UUIDField(default=crm.models.ids.uuid7, editable=False, unique=True)),
                ('kind', models.CharField(choices=[('survey', 'how it was'), ('review', 'a public review')], max_length=8, verbose_name='what is asked')),
                ('share', models.PositiveSmallIntegerField(verbose_name='drawn, percent')),
                ('not_again_for', models.PositiveSmallIntegerField(verbose_name='not again for, days')),
                ('place', models.CharField(blank=True, max_length=80, verbose_name='where they would write it')),
                ('link', models.CharField(blank=True, max_length=300, verbose_name='its address')),
                ('texts', models.JSONField(default=dict, verbose_name='our own words, by language')),
                ('seed', models.CharField(editable=False, max_length=64)),
                ('commitment', models.CharField(editable=False, max_length=64, verbose_name='digest of the seed')),
                ('started_at', models.DateTimeField(verbose_name='begun')),
                ('ended_at', models.DateTimeField(null=True, verbose_name='ended')),
            ],
            options={
                'verbose_name': 'asking',
                'verbose_name_plural': 'askings',
                'permissions': [('run_asking', 'Can begin and end asking customers')],
            },
        ),
        migrations.CreateModel(
            name='SurveyAnswer',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('csat', models.PositiveSmallIntegerField(null=True, verbose_name='satisfied, 1 to 5')),
                ('outcome', models.PositiveSmallIntegerField(null=True, verbose_name='what came of it was fair, 1 to 5')),
                ('process', models.PositiveSmallIntegerField(null=True, verbose_name='the way there was fair, 1 to 5')),
                ('manner', models.PositiveSmallIntegerField(null=True, verbose_name='we treated them well, 1 to 5')),
                ('effort', models.PositiveSmallIntegerField(null=True, verbose_name='we made it easy, 1 to 7')),
                ('words', models.TextField(blank=True, verbose_name='their words')),
                ('wants_answer', models.BooleanField(default=False, verbose_name='wants an answer')),
                ('language', models.CharField(max_length=16, verbose_name='language')),
                ('at', models.DateTimeField(verbose_name='answered')),
            ],
            options={
                'verbose_name': 'answer to a survey',
                'verbose_name_plural': 'answers to surveys',
            },
        ),
        migrations.RemoveConstraint(
            model_name='consent',
            name='consent_is_for_something_known',
        ),
        migrations.RemoveConstraint(
            model_name='outgoingmessage',
            name='outgoing_gesture_has_purpose',
        ),
        migrations.AlterField(
            model_name='consent',
            name='purpose',
            field=models.CharField(choices=[('birthday', 'Birthday card'), ('surprise', 'Small surprises'), ('news', 'News and offers'), ('survey', 'Questions about our service'), ('review', 'Being asked for a public review'), ('public_mention', 'Being mentioned in public'), ('cocreate', 'Trying out new things'), ('research', 'Research')], max_length=24, verbose_name='purpose'),
        ),
        migrations.AlterField(
            model_name='consentquestion',
            name='purpose',
            field=models.CharField(choices=[('birthday', 'Birthday card'), ('surprise', 'Small surprises'), ('news', 'News and offers'), ('survey', 'Questions about our service'), ('review', 'Being asked for a public review'), ('public_mention', 'Being mentioned in public'), ('cocreate', 'Trying out new things'), ('research', 'Research')], max_length=24, verbose_name='purpose'),
        ),
        migrations.AlterField(
            model_name='outgoingmessage',
            name='kind',
            field=models.CharField(choices=[('service', 'service'), ('notice', 'notice'), ('gesture', 'gesture'), ('ask', 'question to them')], max_length=12, verbose_name='kind'),
        ),
        migrations.AddConstraint(
            model_name='consent',
            constraint=models.CheckConstraint(condition=models.Q(('medium__in', ['email', 'text', 'post', 'call', 'public']), ('purpose__in', ['birthday', 'surprise', 'news', 'survey', 'review', 'public_mention', 'cocreate', 'research'])), name='consent_is_for_something_known'),
        ),
        migrations.AddConstraint(
            model_name='outgoingmessage',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('kind__in', ['ask', 'gesture']), _negated=True), models.Q(('purpose', ''), _negated=True), _connector='OR'), name='outgoing_with_a_yes_has_purpose'),
        ),
        migrations.AddField(
            model_name='ask',
            name='conversation',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='crm.conversation'),
        ),
        migrations.AddField(
            model_name='ask',
            name='message',
            field=models.OneToOneField(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='crm.outgoingmessage'),
        ),
        migrations.AddField(
            model_name='asking',
            name='ended_by',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='ended by'),
        ),
        migrations.AddField(
            model_name='asking',
            name='started_by',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='begun by'),
        ),
        migrations.AddField(
            model_name='ask',
            name='asking',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='crm.asking'),
        ),
        migrations.AddField(
            model_name='surveyanswer',
            name='ask',
            field=models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='answer', to='crm.ask'),
        ),
        migrations.AddConstraint(
            model_name='asking',
            constraint=models.UniqueConstraint(condition=models.Q(('ended_at__isnull', True)), fields=('kind',), name='asking_one_at_a_time'),
        ),
        migrations.AddConstraint(
            model_name='asking',
            constraint=models.CheckConstraint(condition=models.Q(('share__gte', 1), ('share__lte', 100)), name='asking_share_is_percent'),
        ),
        migrations.AddConstraint(
            model_name='asking',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('kind', 'review'), ('link__startswith', 'https://'), models.Q(('place', ''), _negated=True)), models.Q(('kind', 'survey'), ('link', ''), ('place', '')), _connector='OR'), name='asking_review_says_where'),
        ),
        migrations.AddConstraint(
            model_name='asking',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('seed', ''), _negated=True), models.Q(('commitment', ''), _negated=True)), name='asking_is_committed'),
        ),
        migrations.AddConstraint(
            model_name='asking',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('ended_at__isnull', True), ('ended_by__isnull', True)), models.Q(('ended_at__gte', models.F('started_at')), ('ended_by__isnull', False)), _connector='OR'), name='asking_ended_by_somebody'),
        ),
        migrations.AddIndex(
            model_name='ask',
            index=models.Index(fields=['asking', '-id'], name='ask_of_asking'),
        ),
        migrations.AddConstraint(
            model_name='ask',
            constraint=models.UniqueConstraint(fields=('conversation', 'kind'), name='ask_once_about_a_matter'),
        ),
        migrations.AddConstraint(
            model_name='ask',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('message__isnull', True), ('outcome', 'not_drawn'), ('reason', '')), models.Q(('message__isnull', True), ('outcome', 'left_out'), models.Q(('reason', ''), _negated=True)), models.Q(('message__isnull', False), ('outcome', 'asked'), ('reason', '')), _connector='OR'), name='ask_says_what_became_of_it'),
        ),
        migrations.AddConstraint(
            model_name='surveyanswer',
            constraint=models.CheckConstraint(condition=models.Q(('csat__isnull', True), models.Q(('csat__gte', 1), ('csat__lte', 5)), _connector='OR'), name='survey_answer_csat_in_range'),
        ),
        migrations.AddConstraint(
            model_name='surveyanswer',
            constraint=models.CheckConstraint(condition=models.Q(('outcome__isnull', True), models.Q(('outcome__gte', 1), ('outcome__lte', 5)), _connector='OR'), name='survey_answer_outcome_in_range'),
        ),
        migrations.AddConstraint(
            model_name='surveyanswer',
            constraint=models.CheckConstraint(condition=models.Q(('process__isnull', True), models.Q(('process__gte', 1), ('process__lte', 5)), _connector='OR'), name='survey_answer_process_in_range'),
        ),
        migrations.AddConstraint(
            model_name='surveyanswer',
            constraint=models.CheckConstraint(condition=models.Q(('manner__isnull', True), models.Q(('manner__gte', 1), ('manner__lte', 5)), _connector='OR'), name='survey_answer_manner_in_range'),
        ),
        migrations.AddConstraint(
            model_name='surveyanswer',
            constraint=models.CheckConstraint(condition=models.Q(('effort__isnull', True), models.Q(('effort__gte', 1), ('effort__lte', 7)), _connector='OR'), name='survey_answer_effort_in_range'),
        ),
        migrations.RunSQL(GUARDS, GUARDS_BACK),
    ]
