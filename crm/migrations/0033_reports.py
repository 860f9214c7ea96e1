"""What the house counts about itself: whom nobody answered in time, public words hidden elsewhere, what is told of an end."""

import crm.models.ids
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("crm", "0031_asking_customers"),
    ]

    operations = [
        migrations.CreateModel(
            name='Removal',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', models.UUIDField(default=crm.models.ids.uuid7, editable=False, unique=True)),
                ('kind', models.CharField(choices=[('hide', 'hidden'), ('delete', 'deleted'), ('block', 'its author blocked')], max_length=8, verbose_name='what')),
                ('reason', models.CharField(choices=[('unlawful', 'against the law, and the law is named'), ('doxxing', 'it tells where somebody lives, works or can be reached'), ('abuse', 'it threatens or degrades a person')], max_length=12, verbose_name='reason')),
                ('words', models.CharField(max_length=600, verbose_name='in words')),
                ('state', models.CharField(choices=[('asked', 'waits for a second person'), ('refused', 'refused: it stays'), ('agreed', 'agreed, not carried out yet'), ('done', 'carried out at the platform'), ('undone', 'carried out and taken back')], default='asked', editable=False, max_length=8, verbose_name='state')),
                ('asked_at', models.DateTimeField(verbose_name='asked')),
                ('decided_at', models.DateTimeField(null=True, verbose_name='decided')),
                ('decided_because', models.CharField(blank=True, max_length=600, verbose_name='why it was decided so')),
                ('done_at', models.DateTimeField(null=True, verbose_name='carried out')),
                ('link', models.CharField(blank=True, max_length=500, verbose_name='where, at the platform')),
                ('undone_at', models.DateTimeField(null=True, verbose_name='taken back')),
            ],
            options={
                'verbose_name': 'public words taken away',
                'verbose_name_plural': 'public words taken away',
                'permissions': [('ask_removal', 'Can ask that public words be taken away'), ('agree_removal', 'Can agree to it')],
            },
        ),
        migrations.AddField(
            model_name='promise',
            name='reason_asked_at',
            field=models.DateTimeField(editable=False, null=True, verbose_name='leads told that no reason is written'),
        ),
        migrations.AlterField(
            model_name='alert',
            name='kind',
            field=models.CharField(choices=[('promise_soon', 'a promise runs out soon'), ('promise_missed', 'a promise was missed'), ('no_owner', 'nobody looks after a matter'), ('no_next_step', 'an open matter has no next step'), ('owners_changed', 'a matter had three owners within seven days'), ('hand_off_offered', 'a colleague offers you a matter'), ('hand_off_loop', 'a matter goes back and forth between colleagues'), ('call_dropped', 'a call ended before it was finished'), ('source_late', 'messages from a source reach us late'), ('decision_differs', 'a decision comes out differently when decided again'), ('order_differs', 'the order of the queue depended on the channel'), ('place_wrong', 'a matter stood in the wrong place of the queue'), ('critical_share', 'more matters than usual count as critical harm'), ('beyond_policy', 'somebody was given other than the rules say'), ('review_asked', 'a customer asks for a second look'), ('second_person', 'something waits for a second person'), ('certificate_ends', 'a certificate runs out soon'), ('address_bounced', 'an answer came back: its address is unconfirmed'), ('they_wrote_first', 'the customer wrote before your planned answer left; it was stopped'), ('mail_flood', 'one address sends more mail than a person would'), ('channel_flood', 'a provider or one sender posts more than people write'), ('mailbox_fails', 'a mailbox cannot be read'), ('channel_fails', 'an account cannot be asked for what customers say there'), ('file_infected', 'a file with a virus came in; it is kept apart'), ('parity_found', 'customers of a channel were treated otherwise than like ones elsewhere'), ('signed_off', 'an answer given elsewhere names you as having signed it off'), ('bereavement', 'a death was reported: please write by hand, nothing cheerful'), ('bereavement_possible', 'words may tell of a death; please look'), ('bereavement_doubted', 'somebody who was reported dead spoke to us; please decide'), ('estate', 'the customer of your matter has died; somebody else may be written to'), ('life_moment', "something in a customer's life was given to you to look after"), ('place_unheard', 'nobody listens where customers talk'), ('change_untold', 'somebody cannot be told in writing of a change they did not ask for'), ('reason_overdue', 'nobody has written why a first answer did not come in time'), ('rule_review', 'a rule denies or errs too often; please look at it again'), ('cases_unequal', 'two linked cases are alike and did not get the same'), ('levels_lag', 'customers of a channel wait longer; something is proposed to put it right')], max_length=24, verbose_name='what'),
        ),
        migrations.AddIndex(
            model_name='promise',
            index=models.Index(condition=models.Q(('kind', 'first_response'), ('state', 'breached')), fields=['due_at', 'id'], name='promise_neglected'),
        ),
        migrations.AddIndex(
            model_name='promise',
            index=models.Index(condition=models.Q(('explanation', ''), ('kind', 'first_response'), ('reason_asked_at__isnull', True), ('state__in', ['breached', 'met_late'])), fields=['due_at', 'id'], name='promise_without_reason'),
        ),
        migrations.AddField(
            model_name='removal',
            name='asked_by',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='asked by'),
        ),
        migrations.AddField(
            model_name='removal',
            name='decided_by',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='decided by'),
        ),
        migrations.AddField(
            model_name='removal',
            name='done_by',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='carried out by'),
        ),
        migrations.AddField(
            model_name='removal',
            name='post',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='crm.publicpost'),
        ),
        migrations.AddIndex(
            model_name='removal',
            index=models.Index(fields=['post', '-id'], name='removal_of_post'),
        ),
        migrations.AddIndex(
            model_name='removal',
            index=models.Index(fields=['asked_at'], name='removal_by_day'),
        ),
        migrations.AddConstraint(
            model_name='removal',
            constraint=models.CheckConstraint(condition=models.Q(('words', ''), _negated=True), name='removal_has_words'),
        ),
        migrations.AddConstraint(
            model_name='removal',
            constraint=models.UniqueConstraint(condition=models.Q(('state__in', ['asked', 'agreed', 'done'])), fields=('post',), name='removal_one_stands'),
        ),
        migrations.AddConstraint(
            model_name='removal',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('decided_at', None), ('decided_because', ''), ('decided_by', None), ('state', 'asked')), models.Q(models.Q(('state', 'asked'), _negated=True), ('decided_at__isnull', False), ('decided_by__isnull', False), models.Q(('decided_because', ''), _negated=True)), _connector='OR'), name='removal_decided_by_somebody'),
        ),
        migrations.AddConstraint(
            model_name='removal',
            constraint=models.CheckConstraint(condition=models.Q(('decided_by', None), models.Q(('decided_by', models.F('asked_by')), _negated=True), _connector='OR'), name='removal_decided_by_another'),
        ),
        migrations.AddConstraint(
            model_name='removal',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('done_at__isnull', False), ('done_by__isnull', False), ('state__in', ['done', 'undone']), models.Q(('link', ''), _negated=True)), models.Q(models.Q(('state__in', ['done', 'undone']), _negated=True), ('done_at', None), ('done_by', None), ('link', '')), _connector='OR'), name='removal_done_by_somebody_somewhere'),
        ),
        migrations.AddConstraint(
            model_name='removal',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('state', 'undone'), ('undone_at__isnull', False)), models.Q(models.Q(('state', 'undone'), _negated=True), ('undone_at', None)), _connector='OR'), name='removal_undone_has_time'),
        ),
    ]
