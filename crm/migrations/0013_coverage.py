"""Public posts with what was judged about them; reach, kept apart; and a row for each public post that is here already."""

import crm.models.ids
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


GUARDS = """
CREATE TRIGGER reach_look_append_only BEFORE UPDATE OR DELETE ON crm_reachlook
  FOR EACH ROW EXECUTE FUNCTION evenhand_append_only();
CREATE FUNCTION evenhand_post_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'DELETE' OR NEW.spoke_at <> OLD.spoke_at OR NEW.interaction_id <> OLD.interaction_id THEN
    RAISE EXCEPTION 'a public post is never moved or forgotten' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER public_post_stays BEFORE DELETE OR UPDATE OF spoke_at, interaction_id ON crm_publicpost
  FOR EACH ROW EXECUTE FUNCTION evenhand_post_stays();
"""
GUARDS_BACK = """
DROP TRIGGER public_post_stays ON crm_publicpost;
DROP FUNCTION evenhand_post_stays();
DROP TRIGGER reach_look_append_only ON crm_reachlook;
"""

HERE_ALREADY = """
INSERT INTO crm_publicpost (interaction_id, conversation_id, channel, language, account, spoke_at, due_at, is_first, imported,
                            verdict, answered_at)
SELECT i.id, i.conversation_id, i.channel, left(lower(split_part(i.language, '-', 1)), 8),
       CASE WHEN i.imported THEN coalesce(company.name, '') ELSE i.source END,
       i.spoke_at, promised.due_at, first.id = i.id, i.imported, '',
       CASE WHEN NOT i.imported THEN answer.at
            WHEN first.id = i.id AND c.first_answer_at >= i.spoke_at THEN c.first_answer_at END
FROM crm_interaction i
JOIN crm_conversation c ON c.id = i.conversation_id
LEFT JOIN LATERAL (SELECT f.id FROM crm_interaction f WHERE f.conversation_id = i.conversation_id AND f.direction = 'in'
                   ORDER BY f.spoke_at, f.id LIMIT 1) first ON true
LEFT JOIN LATERAL (SELECT min(p.due_at) AS due_at FROM crm_promise p
                   WHERE p.conversation_id = i.conversation_id AND p.kind IN ('first_response', 'next_update')
                     AND p.starts_at <= i.spoke_at AND (p.met_at IS NULL OR p.met_at >= i.spoke_at)) promised ON true
LEFT JOIN LATERAL (SELECT min(m.accepted_at) AS at FROM crm_outgoingmessage m
                   WHERE m.conversation_id = i.conversation_id AND m.state = 'accepted' AND m.created_at >= i.spoke_at
                     AND m.accepted_at >= i.spoke_at AND m.meets @> '["first_response"]'
                     AND NOT EXISTS (SELECT FROM crm_deliveryevent e WHERE e.message_id = m.id AND e.kind = 'bounced')
                  ) answer ON true
LEFT JOIN LATERAL (SELECT split_part(o.source, ':', 2) AS name FROM crm_interaction o
                   WHERE o.conversation_id = i.conversation_id AND o.direction = 'out' AND o.source LIKE 'threads:%'
                   GROUP BY o.source ORDER BY count(*) DESC, min(o.spoke_at) LIMIT 1) company ON true
WHERE i.direction = 'in' AND i.channel IN ('social_public', 'review', 'blog', 'video')
"""


class Migration(migrations.Migration):

    dependencies = [
        ('crm', '0012_channels'),
    ]

    operations = [
        migrations.AlterField(
            model_name='closing',
            name='how',
            field=models.CharField(choices=[('closed', 'closed'), ('dismissed', 'dismissed'), ('went_quiet', 'the customer went quiet'), ('no_answer', 'judged to need no answer')], max_length=12, verbose_name='how'),
        ),
        migrations.CreateModel(
            name='PublicPost',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('channel', models.CharField(choices=[('phone', 'Phone'), ('email', 'Email'), ('chat', 'Chat'), ('web_form', 'Web form'), ('app', 'App'), ('sms', 'Text message'), ('social_public', 'Social media, public'), ('social_direct', 'Social media, direct message'), ('review', 'Review'), ('store', 'Store'), ('letter', 'Letter'), ('blog', 'Blog'), ('video', 'Video'), ('field', 'Field visit')], max_length=16, verbose_name='channel')),
                ('language', models.CharField(blank=True, max_length=8, verbose_name='language')),
                ('account', models.CharField(blank=True, max_length=120, verbose_name='account of ours')),
                ('spoke_at', models.DateTimeField(verbose_name='spoke to us')),
                ('due_at', models.DateTimeField(null=True, verbose_name='answer promised by')),
                ('is_first', models.BooleanField(verbose_name='began the matter')),
                ('imported', models.BooleanField(default=False)),
                ('verdict', models.CharField(blank=True, choices=[('answer', 'needs an answer'), ('none', 'needs no answer')], max_length=8, verbose_name='judged')),
                ('answered_at', models.DateTimeField(null=True, verbose_name='answered')),
                ('conversation', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='public_posts', to='crm.conversation')),
                ('interaction', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='public_post', to='crm.interaction')),
            ],
            options={
                'verbose_name': 'public post',
                'verbose_name_plural': 'public posts',
                'permissions': [('judge_post', 'Can say whether a public post needs an answer')],
            },
        ),
        migrations.CreateModel(
            name='PostJudgement',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', models.UUIDField(default=crm.models.ids.uuid7, editable=False, unique=True)),
                ('verdict', models.CharField(choices=[('answer', 'needs an answer'), ('none', 'needs no answer')], max_length=8, verbose_name='judged')),
                ('reason', models.CharField(blank=True, choices=[('spam', 'spam'), ('duplicate', 'the same thing twice'), ('abuse', 'abuse, with nothing in it to answer'), ('not_for_us', 'about somebody else, not about us'), ('closing_word', 'a closing word after our answer'), ('only_shared', 'shares or tags, without words of its own')], max_length=16, verbose_name='reason')),
                ('words', models.CharField(blank=True, max_length=300, verbose_name='in words')),
                ('at', models.DateTimeField(verbose_name='judged')),
                ('taken_back_at', models.DateTimeField(null=True, verbose_name='taken back')),
                ('drawn_at', models.DateTimeField(null=True, verbose_name='drawn on')),
                ('second_look', models.CharField(blank=True, choices=[('right', 'rightly judged'), ('wrong', 'should be answered')], max_length=8, verbose_name='second look')),
                ('audited_at', models.DateTimeField(null=True, verbose_name='looked at')),
                ('audited_by', models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='looked at by')),
                ('dismissal', models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='crm.dismissal')),
                ('judged_by', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='judged by')),
                ('post', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='judgements', to='crm.publicpost')),
            ],
            options={
                'verbose_name': 'judgement of a post',
                'verbose_name_plural': 'judgements of posts',
                'permissions': [('audit_judgement', 'Can look at judgements of posts again')],
            },
        ),
        migrations.CreateModel(
            name='Reach',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('followers', models.PositiveBigIntegerField(null=True, verbose_name='followers')),
                ('has_badge', models.BooleanField(null=True, verbose_name='marked as genuine by the platform')),
                ('avatar_url', models.CharField(blank=True, max_length=500, verbose_name='address of the picture')),
                ('avatar', models.BinaryField(null=True, verbose_name='picture')),
                ('told_at', models.DateTimeField(verbose_name='told')),
                ('contact_point', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='crm.contactpoint')),
            ],
            options={
                'verbose_name': 'reach',
                'verbose_name_plural': 'reach',
                'permissions': [('reveal_reach', 'Can see reach, for a reason that is written down')],
            },
        ),
        migrations.CreateModel(
            name='ReachLook',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('reason', models.CharField(choices=[('safety', 'somebody may be in danger'), ('legal', 'the law, a court or our lawyers ask'), ('access', 'the customer asked what we keep')], max_length=8, verbose_name='reason')),
                ('words', models.CharField(max_length=300, verbose_name='in words')),
                ('at', models.DateTimeField(verbose_name='when')),
                ('by', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('conversation', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='crm.conversation')),
            ],
            options={
                'verbose_name': 'look at reach',
                'verbose_name_plural': 'looks at reach',
            },
        ),
        migrations.AddIndex(
            model_name='publicpost',
            index=models.Index(fields=['spoke_at'], name='public_post_by_day'),
        ),
        migrations.AddIndex(
            model_name='publicpost',
            index=models.Index(fields=['conversation', 'id'], name='public_post_of_conversation'),
        ),
        migrations.AddIndex(
            model_name='publicpost',
            index=models.Index(condition=models.Q(('answered_at', None), ('imported', False), ('verdict', '')), fields=['spoke_at', 'id'], name='public_post_to_judge'),
        ),
        migrations.AddConstraint(
            model_name='publicpost',
            constraint=models.CheckConstraint(condition=models.Q(('answered_at', None), ('answered_at__gte', models.F('spoke_at')), _connector='OR'), name='public_post_answered_later'),
        ),
        migrations.AddIndex(
            model_name='postjudgement',
            index=models.Index(fields=['post', '-id'], name='judgement_of_post'),
        ),
        migrations.AddIndex(
            model_name='postjudgement',
            index=models.Index(condition=models.Q(('taken_back_at', None), ('verdict', 'none')), fields=['-id'], name='judgement_no_answer'),
        ),
        migrations.AddIndex(
            model_name='postjudgement',
            index=models.Index(condition=models.Q(('drawn_at__isnull', False), ('second_look', ''), ('taken_back_at', None)), fields=['-id'], name='judgement_to_look_at'),
        ),
        migrations.AddIndex(
            model_name='postjudgement',
            index=models.Index(condition=models.Q(('second_look', ''), _negated=True), fields=['audited_at'], name='judgement_audited'),
        ),
        migrations.AddConstraint(
            model_name='postjudgement',
            constraint=models.UniqueConstraint(condition=models.Q(('taken_back_at', None)), fields=('post',), name='judgement_one_stands'),
        ),
        migrations.AddConstraint(
            model_name='postjudgement',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('reason', ''), ('verdict', 'answer')), models.Q(models.Q(('reason', ''), _negated=True), models.Q(('words', ''), _negated=True)), _connector='OR'), name='judgement_no_answer_has_reason'),
        ),
        migrations.AddConstraint(
            model_name='postjudgement',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('audited_at__isnull', True), ('audited_by__isnull', True), ('second_look', '')), models.Q(models.Q(('second_look', ''), _negated=True), ('audited_at__isnull', False), ('audited_by__isnull', False)), _connector='OR'), name='judgement_looked_at_by_somebody'),
        ),
        migrations.AddConstraint(
            model_name='postjudgement',
            constraint=models.CheckConstraint(condition=models.Q(('audited_by__isnull', True), models.Q(('audited_by', models.F('judged_by')), _negated=True), _connector='OR'), name='judgement_looked_at_by_another'),
        ),
        migrations.AddIndex(
            model_name='reach',
            index=models.Index(fields=['told_at'], name='reach_by_age'),
        ),
        migrations.AddIndex(
            model_name='reachlook',
            index=models.Index(fields=['conversation', 'at'], name='reach_look_of_conversation'),
        ),
        migrations.AddConstraint(
            model_name='reachlook',
            constraint=models.CheckConstraint(condition=models.Q(('words', ''), _negated=True), name='reach_look_has_words'),
        ),
        migrations.RunSQL(GUARDS, GUARDS_BACK),
        migrations.RunSQL(HERE_ALREADY, migrations.RunSQL.noop),
    ]
