"""Life events of every kind, bereavement, households, and who acts for a customer."""

import crm.models.ids
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("crm", "0020_consent_ledger"),
    ]

    operations = [
        migrations.CreateModel(
            name='Bereavement',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', models.UUIDField(default=crm.models.ids.uuid7, editable=False, unique=True)),
                ('state', models.CharField(choices=[('proposed', 'a person has to look'), ('standing', 'stands'), ('dismissed', 'looked at: no death'), ('lifted', 'ended')], editable=False, max_length=10, verbose_name='state')),
                ('noticed_at', models.DateTimeField(verbose_name='noticed')),
                ('cautious_until', models.DateTimeField(editable=False, null=True)),
                ('who_died', models.CharField(blank=True, choices=[('customer', 'the customer'), ('household', 'somebody of their household'), ('close', 'somebody close to them')], max_length=10, verbose_name='who died')),
                ('source', models.CharField(blank=True, choices=[('customer', 'the customer told us'), ('representative', 'somebody who acts for them told us'), ('public_post', 'their public post, which they said we may use')], max_length=16, verbose_name='who told us')),
                ('evidence', models.TextField(blank=True, verbose_name='what was said, by whom')),
                ('reported_at', models.DateTimeField(null=True, verbose_name='reported')),
                ('status_before', models.CharField(blank=True, editable=False, max_length=16)),
                ('stopped', models.JSONField(default=dict, editable=False)),
                ('watched_from', models.DateTimeField(editable=False, null=True)),
                ('upheld_because', models.CharField(blank=True, editable=False, max_length=300)),
                ('contradicted_at', models.DateTimeField(editable=False, null=True, verbose_name='contradicted')),
                ('ended_at', models.DateTimeField(editable=False, null=True, verbose_name='ended')),
                ('ended_because', models.CharField(blank=True, editable=False, max_length=300)),
                ('was_mistaken', models.BooleanField(default=False, editable=False)),
            ],
            options={
                'verbose_name': 'bereavement',
                'verbose_name_plural': 'bereavements',
                'permissions': [('decide_bereavement', 'Can end the news of a death, or let it stand against what was heard since')],
            },
        ),
        migrations.CreateModel(
            name='Household',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', models.UUIDField(default=crm.models.ids.uuid7, editable=False, unique=True)),
                ('noted_at', models.DateTimeField(verbose_name='noted')),
            ],
            options={
                'verbose_name': 'household',
                'verbose_name_plural': 'households',
            },
        ),
        migrations.CreateModel(
            name='HouseholdMember',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('because', models.CharField(max_length=300, verbose_name='how we know')),
                ('joined_at', models.DateTimeField(verbose_name='noted')),
                ('left_at', models.DateTimeField(editable=False, null=True, verbose_name='left')),
                ('left_because', models.CharField(blank=True, editable=False, max_length=300)),
                ('was_mistake', models.BooleanField(default=False, editable=False)),
            ],
            options={
                'verbose_name': 'member of a household',
                'verbose_name_plural': 'members of households',
            },
        ),
        migrations.CreateModel(
            name='Placement',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('points', models.JSONField(default=dict)),
                ('at', models.DateTimeField(verbose_name='placed')),
                ('put_back_at', models.DateTimeField(editable=False, null=True)),
            ],
            options={
                'verbose_name': 'matter placed with the customer it is about',
                'verbose_name_plural': 'matters placed with the customers they are about',
            },
        ),
        migrations.CreateModel(
            name='Representative',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', models.UUIDField(default=crm.models.ids.uuid7, editable=False, unique=True)),
                ('name', models.CharField(blank=True, max_length=200, verbose_name='name')),
                ('address', models.CharField(blank=True, max_length=320, verbose_name='mail address')),
                ('authority', models.CharField(choices=[('consented', 'the customer asked them to'), ('power_of_attorney', 'power of attorney'), ('executor', 'executor of the estate'), ('employer', 'employer'), ('guardian', 'parent or guardian')], max_length=20, verbose_name='authority')),
                ('scope', models.CharField(choices=[('everything', 'everything'), ('matter', 'one matter'), ('money', 'money in all matters'), ('information', 'being told, nothing more')], max_length=12, verbose_name='covers')),
                ('source', models.CharField(choices=[('customer', 'the customer told us'), ('representative', 'somebody who acts for them told us'), ('public_post', 'their public post, which they said we may use')], max_length=16, verbose_name='who told us')),
                ('evidence', models.TextField(verbose_name='what we saw or heard')),
                ('valid_from', models.DateTimeField(verbose_name='from')),
                ('valid_until', models.DateTimeField(blank=True, null=True, verbose_name='until')),
                ('noted_at', models.DateTimeField(verbose_name='noted')),
                ('ended_at', models.DateTimeField(editable=False, null=True, verbose_name='ended')),
                ('ended_because', models.CharField(blank=True, editable=False, max_length=300)),
            ],
            options={
                'verbose_name': 'representative',
                'verbose_name_plural': 'representatives',
            },
        ),
        migrations.AlterModelOptions(
            name='lifeevent',
            options={'permissions': [('view_private_lifeevent', 'Can see what customers told of their health')], 'verbose_name': 'life event', 'verbose_name_plural': 'life events'},
        ),
        migrations.RemoveConstraint(
            model_name='lifeevent',
            name='life_event_one_a_kind',
        ),
        migrations.RemoveConstraint(
            model_name='lifeevent',
            name='life_event_month',
        ),
        migrations.RemoveConstraint(
            model_name='lifeevent',
            name='life_event_day',
        ),
        migrations.AddField(
            model_name='lifeevent',
            name='seen_by',
            field=models.CharField(choices=[('everybody', 'everybody who answers customers'), ('leads', 'leads')], db_default='everybody', default='everybody', max_length=12, verbose_name='who may see it'),
        ),
        migrations.AddField(
            model_name='lifeevent',
            name='decided_at',
            field=models.DateTimeField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name='lifeevent',
            name='decided_because',
            field=models.CharField(blank=True, db_default='', default='', editable=False, max_length=300),
        ),
        migrations.AddField(
            model_name='lifeevent',
            name='decided_by',
            field=models.ForeignKey(db_index=False, editable=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='lifeevent',
            name='evidence',
            field=models.CharField(blank=True, db_default='', default='', max_length=500, verbose_name='where, and how we may use it'),
        ),
        migrations.AddField(
            model_name='lifeevent',
            name='handled_by',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='looked after by'),
        ),
        migrations.AddField(
            model_name='lifeevent',
            name='interaction',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='crm.interaction'),
        ),
        migrations.AddField(
            model_name='lifeevent',
            name='moment',
            field=models.CharField(blank=True, choices=[('', 'nothing to do'), ('open', 'to be looked at'), ('done', 'done'), ('left', 'left alone')], db_default='', default='', editable=False, max_length=8),
        ),
        migrations.AddField(
            model_name='lifeevent',
            name='moment_on',
            field=models.DateField(editable=False, null=True, verbose_name='by'),
        ),
        migrations.AddField(
            model_name='lifeevent',
            name='noted_by',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='noted by'),
        ),
        migrations.AddField(
            model_name='lifeevent',
            name='precision',
            field=models.CharField(choices=[('day', 'the day'), ('month', 'the month'), ('yearly', 'day and month, without a year'), ('unknown', 'not told')], db_default='yearly', default='yearly', max_length=8, verbose_name='what is known of the day'),
        ),
        migrations.AddField(
            model_name='lifeevent',
            name='public_id',
            field=models.UUIDField(default=crm.models.ids.uuid7, editable=False, null=True),
        ),
        # Birthdays that are there already: each gets an id of its own.
        migrations.RunSQL("UPDATE crm_lifeevent SET public_id = gen_random_uuid()", migrations.RunSQL.noop),
        migrations.AlterField(
            model_name='lifeevent',
            name='public_id',
            field=models.UUIDField(default=crm.models.ids.uuid7, editable=False, unique=True),
        ),
        migrations.AddField(
            model_name='lifeevent',
            name='purpose',
            field=models.CharField(choices=[('card', 'a kind word by a person'), ('consideration', 'so that we speak with them accordingly')], db_default='card', default='card', max_length=16, verbose_name='what it may be used for'),
        ),
        migrations.AddField(
            model_name='lifeevent',
            name='source',
            field=models.CharField(choices=[('customer', 'the customer told us'), ('representative', 'somebody who acts for them told us'), ('public_post', 'their public post, which they said we may use')], db_default='customer', default='customer', max_length=16, verbose_name='who told us'),
        ),
        migrations.AddField(
            model_name='lifeevent',
            name='taken_back_at',
            field=models.DateTimeField(editable=False, null=True, verbose_name='taken back'),
        ),
        migrations.AddField(
            model_name='lifeevent',
            name='taken_back_because',
            field=models.CharField(blank=True, db_default='', default='', editable=False, max_length=300),
        ),
        migrations.AddField(
            model_name='lifeevent',
            name='taken_back_by',
            field=models.ForeignKey(db_index=False, editable=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='lifeevent',
            name='urgency',
            field=models.PositiveSmallIntegerField(db_default=3, default=3),
        ),
        migrations.AddField(
            model_name='lifeevent',
            name='valence',
            field=models.CharField(choices=[('happy', 'happy'), ('mixed', 'happy and hard'), ('sad', 'sad')], db_default='happy', default='happy', max_length=8),
        ),
        migrations.AddField(
            model_name='lifeevent',
            name='words',
            field=models.CharField(blank=True, db_default='', default='', max_length=500, verbose_name='what they said'),
        ),
        migrations.AddField(
            model_name='lifeevent',
            name='year',
            field=models.PositiveSmallIntegerField(null=True, verbose_name='year'),
        ),
        migrations.AlterField(
            model_name='alert',
            name='kind',
            field=models.CharField(choices=[('promise_soon', 'a promise runs out soon'), ('promise_missed', 'a promise was missed'), ('no_owner', 'nobody looks after a matter'), ('no_next_step', 'an open matter has no next step'), ('owners_changed', 'a matter had three owners within seven days'), ('hand_off_offered', 'a colleague offers you a matter'), ('hand_off_loop', 'a matter goes back and forth between colleagues'), ('call_dropped', 'a call ended before it was finished'), ('source_late', 'messages from a source reach us late'), ('decision_differs', 'a decision comes out differently when decided again'), ('order_differs', 'the order of the queue depended on the channel'), ('place_wrong', 'a matter stood in the wrong place of the queue'), ('critical_share', 'more matters than usual count as critical harm'), ('beyond_policy', 'somebody was given other than the rules say'), ('review_asked', 'a customer asks for a second look'), ('second_person', 'something waits for a second person'), ('certificate_ends', 'a certificate runs out soon'), ('address_bounced', 'an answer came back: its address is unconfirmed'), ('they_wrote_first', 'the customer wrote before your planned answer left; it was stopped'), ('mail_flood', 'one address sends more mail than a person would'), ('channel_flood', 'a provider or one sender posts more than people write'), ('mailbox_fails', 'a mailbox cannot be read'), ('channel_fails', 'an account cannot be asked for what customers say there'), ('file_infected', 'a file with a virus came in; it is kept apart'), ('signed_off', 'an answer given elsewhere names you as having signed it off'), ('bereavement', 'a death was reported: please write by hand, nothing cheerful'), ('bereavement_possible', 'words may tell of a death; please look'), ('bereavement_doubted', 'somebody who was reported dead spoke to us; please decide'), ('estate', 'the customer of your matter has died; somebody else may be written to'), ('life_moment', "something in a customer's life was given to you to look after"), ('place_unheard', 'nobody listens where customers talk')], max_length=24, verbose_name='what'),
        ),
        migrations.AlterField(
            model_name='lifeevent',
            name='day',
            field=models.PositiveSmallIntegerField(null=True, verbose_name='day'),
        ),
        migrations.AlterField(
            model_name='lifeevent',
            name='kind',
            field=models.CharField(choices=[('birthday', 'birthday'), ('birth', 'birth of a child'), ('wedding', 'wedding'), ('move', 'move'), ('new_job', 'new job'), ('exam', 'exam'), ('retirement', 'retirement'), ('illness', 'illness'), ('bereavement', 'bereavement'), ('anniversary', 'anniversary'), ('other', 'something else')], max_length=16, verbose_name='kind'),
        ),
        migrations.AlterField(
            model_name='lifeevent',
            name='month',
            field=models.PositiveSmallIntegerField(null=True, verbose_name='month'),
        ),
        migrations.AddIndex(
            model_name='lifeevent',
            index=models.Index(condition=models.Q(('moment', 'open')), fields=['urgency', 'moment_on', 'id'], name='life_event_waits'),
        ),
        migrations.AddConstraint(
            model_name='lifeevent',
            constraint=models.UniqueConstraint(condition=models.Q(('kind', 'birthday'), ('taken_back_at', None)), fields=('customer',), name='life_event_one_birthday'),
        ),
        migrations.AddConstraint(
            model_name='lifeevent',
            constraint=models.CheckConstraint(condition=models.Q(('month__range', (1, 12)), ('month', None), _connector='OR'), name='life_event_month'),
        ),
        migrations.AddConstraint(
            model_name='lifeevent',
            constraint=models.CheckConstraint(condition=models.Q(('day__range', (1, 31)), ('day', None), _connector='OR'), name='life_event_day'),
        ),
        migrations.AddConstraint(
            model_name='lifeevent',
            constraint=models.CheckConstraint(condition=models.Q(('year__range', (1900, 2200)), ('year', None), _connector='OR'), name='life_event_year'),
        ),
        migrations.AddConstraint(
            model_name='lifeevent',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('day__isnull', False), ('month__isnull', False), ('precision', 'day'), ('year__isnull', False)), models.Q(('day', None), ('month__isnull', False), ('precision', 'month'), ('year__isnull', False)), models.Q(('day__isnull', False), ('month__isnull', False), ('precision', 'yearly'), ('year', None)), models.Q(('day', None), ('month', None), ('precision', 'unknown'), ('year', None)), _connector='OR'), name='life_event_day_as_told'),
        ),
        migrations.AddConstraint(
            model_name='lifeevent',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('kind', 'birthday'), _negated=True), ('precision', 'yearly'), _connector='OR'), name='life_event_birthday_without_year'),
        ),
        migrations.AddConstraint(
            model_name='lifeevent',
            constraint=models.CheckConstraint(condition=models.Q(('source__in', ['customer', 'representative', 'public_post'])), name='life_event_was_told'),
        ),
        migrations.AddConstraint(
            model_name='lifeevent',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('source', 'public_post'), _negated=True), models.Q(('evidence', ''), _negated=True), _connector='OR'), name='life_event_post_has_their_yes'),
        ),
        migrations.AddConstraint(
            model_name='lifeevent',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('valence', 'sad'), _negated=True), models.Q(('handled_by__isnull', False), ('purpose', 'consideration')), _connector='OR'), name='life_event_sad_has_a_name'),
        ),
        migrations.AddConstraint(
            model_name='lifeevent',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('kind', 'illness'), _negated=True), ('seen_by', 'leads'), _connector='OR'), name='life_event_illness_is_private'),
        ),
        migrations.AddConstraint(
            model_name='lifeevent',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('moment', 'open'), _negated=True), ('moment_on__isnull', False), _connector='OR'), name='life_event_moment_has_a_day'),
        ),
        migrations.AddConstraint(
            model_name='lifeevent',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('moment__in', ['done', 'left']), _negated=True), models.Q(('decided_at__isnull', False), ('decided_by__isnull', False)), _connector='OR'), name='life_event_moment_decided'),
        ),
        migrations.AddConstraint(
            model_name='lifeevent',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('taken_back_at', None), ('taken_back_by', None)), models.Q(('taken_back_at__isnull', False), ('taken_back_by__isnull', False), models.Q(('taken_back_because', ''), _negated=True)), _connector='OR'), name='life_event_taken_back_because'),
        ),
        migrations.AddField(
            model_name='bereavement',
            name='customer',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='crm.customer'),
        ),
        migrations.AddField(
            model_name='bereavement',
            name='ended_by',
            field=models.ForeignKey(db_index=False, editable=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='bereavement',
            name='interaction',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='crm.interaction'),
        ),
        migrations.AddField(
            model_name='bereavement',
            name='life_event',
            field=models.OneToOneField(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='bereavement', to='crm.lifeevent'),
        ),
        migrations.AddField(
            model_name='bereavement',
            name='reported_by',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='hold',
            name='bereavement',
            field=models.ForeignKey(db_index=False, editable=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='holds', to='crm.bereavement'),
        ),
        migrations.AddIndex(
            model_name='hold',
            index=models.Index(condition=models.Q(('bereavement__isnull', False)), fields=['bereavement'], name='hold_of_bereavement'),
        ),
        migrations.AddField(
            model_name='householdmember',
            name='customer',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='crm.customer'),
        ),
        migrations.AddField(
            model_name='householdmember',
            name='household',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='members', to='crm.household'),
        ),
        migrations.AddField(
            model_name='householdmember',
            name='left_noted_by',
            field=models.ForeignKey(db_index=False, editable=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='householdmember',
            name='noted_by',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='placement',
            name='by',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='placement',
            name='came_with',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='crm.customer'),
        ),
        migrations.AddField(
            model_name='placement',
            name='conversation',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='placements', to='crm.conversation'),
        ),
        migrations.AddField(
            model_name='placement',
            name='owner_before',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='placement',
            name='put_back_by',
            field=models.ForeignKey(db_index=False, editable=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='representative',
            name='conversation',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='crm.conversation'),
        ),
        migrations.AddField(
            model_name='representative',
            name='ended_by',
            field=models.ForeignKey(db_index=False, editable=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='representative',
            name='interaction',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='crm.interaction'),
        ),
        migrations.AddField(
            model_name='representative',
            name='noted_by',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='representative',
            name='person',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='crm.customer'),
        ),
        migrations.AddField(
            model_name='representative',
            name='principal',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='crm.customer'),
        ),
        migrations.AddField(
            model_name='placement',
            name='representative',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='placements', to='crm.representative'),
        ),
        migrations.AddField(
            model_name='outgoingmessage',
            name='representative',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='crm.representative'),
        ),
        migrations.AddIndex(
            model_name='bereavement',
            index=models.Index(condition=models.Q(('state', 'standing')), fields=['id'], name='bereavement_standing'),
        ),
        migrations.AddIndex(
            model_name='bereavement',
            index=models.Index(condition=models.Q(('state', 'proposed'), ('contradicted_at__isnull', False), _connector='OR'), fields=['noticed_at', 'id'], name='bereavement_undecided'),
        ),
        migrations.AddConstraint(
            model_name='bereavement',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('state', 'proposed'), _negated=True), models.Q(('cautious_until__isnull', False), ('interaction__isnull', False)), _connector='OR'), name='bereavement_proposed_by_words'),
        ),
        migrations.AddConstraint(
            model_name='bereavement',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('state__in', ['standing', 'lifted']), _negated=True), models.Q(('life_event__isnull', False), ('reported_at__isnull', False), ('reported_by__isnull', False), models.Q(('who_died', ''), _negated=True), models.Q(('source', ''), _negated=True), models.Q(('evidence', ''), _negated=True)), _connector='OR'), name='bereavement_stands_by_a_person'),
        ),
        migrations.AddConstraint(
            model_name='bereavement',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('ended_at', None), ('ended_by', None), ('state__in', ['proposed', 'standing'])), models.Q(('state__in', ['dismissed', 'lifted']), ('ended_at__isnull', False), ('ended_by__isnull', False), models.Q(('ended_because', ''), _negated=True)), _connector='OR'), name='bereavement_ended_because'),
        ),
        migrations.AddConstraint(
            model_name='bereavement',
            constraint=models.CheckConstraint(condition=models.Q(('contradicted_at', None), models.Q(('state', 'standing'), ('who_died', 'customer')), _connector='OR'), name='bereavement_contradicted_stands'),
        ),
        migrations.AddConstraint(
            model_name='bereavement',
            constraint=models.UniqueConstraint(condition=models.Q(('state__in', ['proposed', 'dismissed'])), fields=('interaction',), name='bereavement_proposed_once'),
        ),
        migrations.AddIndex(
            model_name='householdmember',
            index=models.Index(fields=['household', 'id'], name='household_members'),
        ),
        migrations.AddIndex(
            model_name='householdmember',
            index=models.Index(fields=['customer', 'id'], name='household_of_customer'),
        ),
        migrations.AddConstraint(
            model_name='householdmember',
            constraint=models.CheckConstraint(condition=models.Q(('because', ''), _negated=True), name='household_member_because'),
        ),
        migrations.AddConstraint(
            model_name='householdmember',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('left_at', None), ('left_noted_by', None), ('was_mistake', False)), models.Q(('left_at__isnull', False), ('left_noted_by__isnull', False), models.Q(('left_because', ''), _negated=True)), _connector='OR'), name='household_member_left_because'),
        ),
        migrations.AddIndex(
            model_name='representative',
            index=models.Index(fields=['principal', 'id'], name='representatives_of'),
        ),
        migrations.AddIndex(
            model_name='representative',
            index=models.Index(condition=models.Q(('address', ''), _negated=True), fields=['address'], name='representative_by_address'),
        ),
        migrations.AddConstraint(
            model_name='representative',
            constraint=models.CheckConstraint(condition=models.Q(('person__isnull', False), models.Q(models.Q(('name', ''), _negated=True), models.Q(('address', ''), _negated=True)), _connector='OR'), name='representative_is_somebody'),
        ),
        migrations.AddConstraint(
            model_name='representative',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('person', models.F('principal')), _negated=True), ('ended_at__isnull', False), _connector='OR'), name='representative_is_another'),
        ),
        migrations.AddConstraint(
            model_name='representative',
            constraint=models.CheckConstraint(condition=models.Q(('evidence', ''), _negated=True), name='representative_has_evidence'),
        ),
        migrations.AddConstraint(
            model_name='representative',
            constraint=models.CheckConstraint(condition=models.Q(('scope', 'matter'), ('conversation', None), _connector='XOR'), name='representative_of_one_matter_names_it'),
        ),
        migrations.AddConstraint(
            model_name='representative',
            constraint=models.CheckConstraint(condition=models.Q(('valid_until', None), ('valid_until__gt', models.F('valid_from')), _connector='OR'), name='representative_until_after_from'),
        ),
        migrations.AddConstraint(
            model_name='representative',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('ended_at', None), ('ended_by', None)), models.Q(('ended_at__isnull', False), ('ended_by__isnull', False), models.Q(('ended_because', ''), _negated=True)), _connector='OR'), name='representative_ended_because'),
        ),
        migrations.AddConstraint(
            model_name='placement',
            constraint=models.UniqueConstraint(condition=models.Q(('put_back_at', None)), fields=('conversation',), name='placement_one_stands'),
        ),
        migrations.AddConstraint(
            model_name='placement',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('put_back_at', None), ('put_back_by', None)), models.Q(('put_back_at__isnull', False), ('put_back_by__isnull', False)), _connector='OR'), name='placement_put_back_by_somebody'),
        ),
    ]
