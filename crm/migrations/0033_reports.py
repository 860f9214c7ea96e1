"""What the house counts about itself: whom nobody answered in time, public words hidden elsewhere, what is told of an end."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("crm", "0031_asking_customers"),
    ]

    operations = [
        migrations.AddField(
            model_name='promise',
            name='reason_asked_at',
            field=models.DateTimeField(editable=False, null=True, verbose_name='leads told that no reason is written'),
        ),
        migrations.AlterField(
            model_name='alert',
            name='kind',
            field=models.CharField(choices=[('promise_soon', 'a promise runs out soon'), ('promise_missed', 'a promise was missed'), ('no_owner', 'nobody looks after a matter'), ('no_next_step', 'an open matter has no next step'), ('owners_changed', 'a matter had three owners within seven days'), ('hand_off_offered', 'a colleague offers you a matter'), ('hand_off_loop', 'a matter goes back and forth between colleagues'), ('call_dropped', 'a call ended before it was finished'), ('source_late', 'messages from a source reach us late'), ('decision_differs', 'a decision comes out differently when decided again'), ('order_differs', 'the order of the queue depended on the channel'), ('place_wrong', 'a matter stood in the wrong place of the queue'), ('critical_share', 'more matters than usual count as critical harm'), ('beyond_policy', 'somebody was given other than the rules say'), ('review_asked', 'a customer asks for a second look'), ('second_person', 'something waits for a second person'), ('certificate_ends', 'a certificate runs out soon'), ('address_bounced', 'an answer came back: its address is unconfirmed'), ('they_wrote_first', 'the customer wrote before your planned answer left; it was stopped'), ('mail_flood', 'one address sends more mail than a person would'), ('channel_flood', 'a provider or one sender posts more than people write'), ('mailbox_fails', 'a mailbox cannot be read'), ('channel_fails', 'an account cannot be asked for what customers say there'), ('file_infected', 'a file with a virus came in; it is kept apart'), ('parity_found', 'customers of a channel were treated otherwise than like ones elsewhere'), ('signed_off', 'an answer given elsewhere names you as having signed it off'), ('bereavement', 'a death was reported: please write by hand, nothing cheerful'), ('bereavement_possible', 'words may tell of a death; please look'), ('bereavement_doubted', 'somebody who was reported dead spoke to us; please decide'), ('estate', 'the customer of your matter has died; somebody else may be written to'), ('life_moment', "something in a customer's life was given to you to look after"), ('place_unheard', 'nobody listens where customers talk'), ('change_untold', 'somebody cannot be told in writing of a change they did not ask for'), ('reason_overdue', 'nobody has written why a first answer did not come in time'), ('rule_review', 'a rule denies or errs too often; please look at it again'), ('cases_unequal', 'two linked cases are alike and did not get the same')], max_length=24, verbose_name='what'),
        ),
        migrations.AddIndex(
            model_name='promise',
            index=models.Index(condition=models.Q(('kind', 'first_response'), ('state', 'breached')), fields=['due_at', 'id'], name='promise_neglected'),
        ),
        migrations.AddIndex(
            model_name='promise',
            index=models.Index(condition=models.Q(('explanation', ''), ('kind', 'first_response'), ('state__in', ['breached', 'met_late'])), fields=['due_at', 'id'], name='promise_without_reason'),
        ),
    ]
