"""Who works on what, who looks after what, who is here, and what they are certified for."""

import crm.models.ids
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

OWNER_CHANGES = """
CREATE TRIGGER owner_change_append_only BEFORE UPDATE OR DELETE ON crm_ownerchange
  FOR EACH ROW EXECUTE FUNCTION evenhand_append_only();
"""


class Migration(migrations.Migration):

    dependencies = [
        ('auth', '0012_alter_user_first_name_max_length'),
        ('crm', '0005_promised_by_calendar'),
    ]

    operations = [
        migrations.CreateModel(
            name='Absence',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('starts_at', models.DateTimeField(verbose_name='from')),
                ('ends_at', models.DateTimeField(verbose_name='until')),
            ],
            options={
                'verbose_name': 'absence',
                'verbose_name_plural': 'absences',
                'permissions': [('plan_people', 'Can plan shifts, absences, workload and certificates')],
            },
        ),
        migrations.CreateModel(
            name='Certificate',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('skill', models.CharField(max_length=40, verbose_name='skill')),
                ('issued_on', models.DateField(verbose_name='issued')),
                ('expires_on', models.DateField(verbose_name='valid until')),
                ('revoked_at', models.DateTimeField(editable=False, null=True, verbose_name='revoked')),
            ],
            options={
                'verbose_name': 'certificate',
                'verbose_name_plural': 'certificates',
            },
        ),
        migrations.CreateModel(
            name='HandOff',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', models.UUIDField(default=crm.models.ids.uuid7, editable=False, unique=True)),
                ('reason', models.CharField(choices=[('knows_it', 'knows more about it'), ('language', "speaks the customer's language"), ('qualified', 'is qualified for it'), ('workload', 'has more room for it'), ('asked_by_customer', 'the customer asked for them'), ('leaving', 'I will not be here')], max_length=20, verbose_name='reason')),
                ('context_note', models.TextField(verbose_name='what the other one has to know')),
                ('state', models.CharField(choices=[('offered', 'offered'), ('accepted', 'accepted'), ('declined', 'declined'), ('withdrawn', 'withdrawn')], default='offered', max_length=12, verbose_name='state')),
                ('offered_at', models.DateTimeField(verbose_name='offered')),
                ('settled_at', models.DateTimeField(null=True, verbose_name='settled')),
                ('customer_told_at', models.DateTimeField(null=True, verbose_name='customer told')),
            ],
            options={
                'verbose_name': 'hand-off',
                'verbose_name_plural': 'hand-offs',
            },
        ),
        migrations.CreateModel(
            name='Helper',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('joined_at', models.DateTimeField(verbose_name='since')),
                ('left_at', models.DateTimeField(null=True, verbose_name='until')),
            ],
            options={
                'verbose_name': 'helper',
                'verbose_name_plural': 'helpers',
            },
        ),
        migrations.CreateModel(
            name='OwnerChange',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('why', models.CharField(choices=[('taken', 'taken from the queue'), ('unowned', 'nobody looked after it'), ('assigned', 'given by a colleague'), ('handed_over', 'handed over'), ('not_there', 'the owner is not there')], max_length=12, verbose_name='why')),
                ('note', models.TextField(blank=True, verbose_name='note')),
                ('at', models.DateTimeField(verbose_name='when')),
            ],
            options={
                'verbose_name': 'change of owner',
                'verbose_name_plural': 'changes of owner',
            },
        ),
        migrations.CreateModel(
            name='Pull',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.DateTimeField(verbose_name='taken')),
                ('mode', models.CharField(choices=[('talk', 'talking'), ('live', 'chatting'), ('written', 'writing')], default='written', max_length=8, verbose_name='how')),
                ('ahead', models.PositiveSmallIntegerField(default=0, verbose_name='passed over')),
                ('reason', models.CharField(blank=True, choices=[('on_the_line', 'the customer is on the line'), ('same_matter', 'it belongs to what I am working on'), ('knows_it', 'I know this matter'), ('asked_by_lead', 'a lead asked me to'), ('language', "I speak the customer's language"), ('training', 'for training')], max_length=16, verbose_name='why before others')),
                ('idle_at', models.DateTimeField(verbose_name='back in the queue after')),
                ('finished_at', models.DateTimeField(null=True, verbose_name='ended')),
                ('finished_how', models.CharField(blank=True, choices=[('answered', 'answered'), ('put_back', 'put back'), ('idle', 'nothing happened'), ('handed_over', 'handed over'), ('closed', 'closed')], max_length=12, verbose_name='ended because')),
                ('put_back_because', models.CharField(blank=True, choices=[('missing', 'something is missing that comes later'), ('not_able', 'somebody else knows better'), ('leaving', 'I have to go'), ('by_mistake', 'taken by mistake')], max_length=12, verbose_name='put back because')),
            ],
            options={
                'verbose_name': 'pull',
                'verbose_name_plural': 'pulls',
            },
        ),
        migrations.CreateModel(
            name='RequiredSkill',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('skill', models.CharField(max_length=40, unique=True, verbose_name='skill')),
                ('demanded_at', models.DateTimeField(verbose_name='asked for since')),
            ],
            options={
                'verbose_name': 'required skill',
                'verbose_name_plural': 'required skills',
            },
        ),
        migrations.CreateModel(
            name='Shift',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('weekday', models.PositiveSmallIntegerField(verbose_name='weekday')),
                ('starts', models.TimeField(verbose_name='from')),
                ('ends', models.TimeField(verbose_name='to')),
            ],
            options={
                'verbose_name': 'shift',
                'verbose_name_plural': 'shifts',
            },
        ),
        migrations.RemoveIndex(
            model_name='user',
            name='user_taking',
        ),
        migrations.AddField(
            model_name='conversation',
            name='skill',
            field=models.CharField(blank=True, db_default='', default='', editable=False, max_length=40, verbose_name='skill'),
        ),
        migrations.AddField(
            model_name='user',
            name='capacity_points',
            field=models.PositiveSmallIntegerField(db_default=120, default=120, verbose_name='effort points at full share'),
        ),
        migrations.AddField(
            model_name='user',
            name='chats_at_once',
            field=models.PositiveSmallIntegerField(db_default=3, default=3, verbose_name='chats at once'),
        ),
        migrations.AddField(
            model_name='user',
            name='customer_service_share',
            field=models.PositiveSmallIntegerField(db_default=100, default=100, verbose_name='share of customer service, percent'),
        ),
        migrations.AddField(
            model_name='user',
            name='is_available',
            field=models.BooleanField(db_default=True, default=True, editable=False, verbose_name='is here now'),
        ),
        migrations.AddField(
            model_name='user',
            name='is_full',
            field=models.BooleanField(db_default=False, default=False, editable=False, verbose_name='has a full desk'),
        ),
        migrations.AddField(
            model_name='user',
            name='is_vendor',
            field=models.BooleanField(db_default=False, default=False, verbose_name='works for a vendor'),
        ),
        migrations.AddField(
            model_name='user',
            name='line_of_work',
            field=models.CharField(choices=[('service', 'customer service'), ('it', 'IT'), ('development', 'development'), ('intern', 'intern')], db_default='service', default='service', max_length=12, verbose_name='line of work'),
        ),
        migrations.AddField(
            model_name='user',
            name='written_at_once',
            field=models.PositiveSmallIntegerField(db_default=5, default=5, verbose_name='written matters at once'),
        ),
        migrations.AddIndex(
            model_name='conversation',
            index=models.Index(condition=models.Q(('state', 'waiting_customer')), fields=['owner', 'last_outbound_at'], name='conversation_waits_for_them'),
        ),
        migrations.AddIndex(
            model_name='user',
            index=models.Index(condition=models.Q(('is_active', True), ('is_available', True), ('is_full', False), ('takes_conversations', True)), fields=['id'], name='user_taking'),
        ),
        migrations.AddConstraint(
            model_name='user',
            constraint=models.CheckConstraint(condition=models.Q(('customer_service_share__lte', 100)), name='user_share_in_percent'),
        ),
        migrations.AddConstraint(
            model_name='user',
            constraint=models.CheckConstraint(condition=models.Q(('chats_at_once__lte', 3)), name='user_at_most_three_chats'),
        ),
        migrations.AddField(
            model_name='absence',
            name='entered_by',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='absence',
            name='stand_in',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='stand-in'),
        ),
        migrations.AddField(
            model_name='absence',
            name='user',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='absences', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='certificate',
            name='issued_by',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='certificate',
            name='revoked_by',
            field=models.ForeignKey(db_index=False, editable=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='certificate',
            name='user',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='certificates', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='handoff',
            name='conversation',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='hand_offs', to='crm.conversation'),
        ),
        migrations.AddField(
            model_name='handoff',
            name='giver',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='from'),
        ),
        migrations.AddField(
            model_name='handoff',
            name='to',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='to'),
        ),
        migrations.AddField(
            model_name='helper',
            name='conversation',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='helpers', to='crm.conversation'),
        ),
        migrations.AddField(
            model_name='helper',
            name='user',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='who'),
        ),
        migrations.AddField(
            model_name='ownerchange',
            name='after',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='after'),
        ),
        migrations.AddField(
            model_name='ownerchange',
            name='before',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='before'),
        ),
        migrations.AddField(
            model_name='ownerchange',
            name='conversation',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='owner_changes', to='crm.conversation'),
        ),
        migrations.AddField(
            model_name='pull',
            name='by',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='who'),
        ),
        migrations.AddField(
            model_name='pull',
            name='conversation',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='pulls', to='crm.conversation'),
        ),
        migrations.AddField(
            model_name='requiredskill',
            name='demanded_by',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='shift',
            name='user',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='shifts', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddIndex(
            model_name='absence',
            index=models.Index(fields=['user', 'ends_at'], name='absence_of_user'),
        ),
        migrations.AddIndex(
            model_name='absence',
            index=models.Index(fields=['ends_at'], name='absence_not_over'),
        ),
        migrations.AddConstraint(
            model_name='absence',
            constraint=models.CheckConstraint(condition=models.Q(('ends_at__gte', models.F('starts_at'))), name='absence_ends_after_it_starts'),
        ),
        migrations.AddConstraint(
            model_name='absence',
            constraint=models.CheckConstraint(condition=models.Q(('stand_in__isnull', True), models.Q(('stand_in', models.F('user')), _negated=True), _connector='OR'), name='absence_stand_in_is_another'),
        ),
        migrations.AddIndex(
            model_name='certificate',
            index=models.Index(fields=['user', 'skill', '-expires_on'], name='certificate_of_user'),
        ),
        migrations.AddIndex(
            model_name='certificate',
            index=models.Index(condition=models.Q(('revoked_at', None)), fields=['expires_on'], name='certificate_ends'),
        ),
        migrations.AddConstraint(
            model_name='certificate',
            constraint=models.CheckConstraint(condition=models.Q(('skill', ''), _negated=True), name='certificate_names_a_skill'),
        ),
        migrations.AddConstraint(
            model_name='certificate',
            constraint=models.CheckConstraint(condition=models.Q(('expires_on__gte', models.F('issued_on'))), name='certificate_ends_after_issue'),
        ),
        migrations.AddConstraint(
            model_name='certificate',
            constraint=models.CheckConstraint(condition=models.Q(('issued_by', models.F('user')), _negated=True), name='certificate_is_given_by_another'),
        ),
        migrations.AddConstraint(
            model_name='certificate',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('revoked_at__isnull', True), ('revoked_by__isnull', True)), models.Q(('revoked_at__isnull', False), ('revoked_by__isnull', False)), _connector='OR'), name='certificate_revoked_by_somebody'),
        ),
        migrations.AddIndex(
            model_name='handoff',
            index=models.Index(condition=models.Q(('state', 'offered')), fields=['to', '-id'], name='hand_off_offered'),
        ),
        migrations.AddConstraint(
            model_name='handoff',
            constraint=models.UniqueConstraint(condition=models.Q(('state', 'offered')), fields=('conversation',), name='hand_off_one_offer'),
        ),
        migrations.AddConstraint(
            model_name='handoff',
            constraint=models.CheckConstraint(condition=models.Q(('giver', models.F('to')), _negated=True), name='hand_off_to_another'),
        ),
        migrations.AddConstraint(
            model_name='handoff',
            constraint=models.CheckConstraint(condition=models.Q(('context_note', ''), _negated=True), name='hand_off_has_a_note'),
        ),
        migrations.AddConstraint(
            model_name='handoff',
            constraint=models.CheckConstraint(condition=models.Q(('state', 'offered'), ('settled_at__isnull', False), _connector='XOR'), name='hand_off_settled_has_time'),
        ),
        migrations.AddConstraint(
            model_name='helper',
            constraint=models.UniqueConstraint(condition=models.Q(('left_at', None)), fields=('conversation', 'user'), name='helper_once'),
        ),
        migrations.AddConstraint(
            model_name='helper',
            constraint=models.CheckConstraint(condition=models.Q(('left_at__isnull', True), ('left_at__gte', models.F('joined_at')), _connector='OR'), name='helper_leaves_after_joining'),
        ),
        migrations.AddIndex(
            model_name='ownerchange',
            index=models.Index(fields=['at'], name='owner_change_newest'),
        ),
        migrations.AddConstraint(
            model_name='ownerchange',
            constraint=models.CheckConstraint(condition=models.Q(('before__isnull', True), models.Q(('before', models.F('after')), _negated=True), _connector='OR'), name='owner_change_to_another'),
        ),
        migrations.AddConstraint(
            model_name='ownerchange',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('why', 'not_there'), _negated=True), models.Q(('note', ''), _negated=True), _connector='OR'), name='owner_change_by_itself_has_note'),
        ),
        migrations.AddIndex(
            model_name='pull',
            index=models.Index(condition=models.Q(('finished_at', None)), fields=['by'], name='pull_in_work'),
        ),
        migrations.AddIndex(
            model_name='pull',
            index=models.Index(condition=models.Q(('finished_at', None)), fields=['idle_at'], name='pull_idle'),
        ),
        migrations.AddIndex(
            model_name='pull',
            index=models.Index(fields=['at', 'by'], name='pull_newest'),
        ),
        migrations.AddIndex(
            model_name='pull',
            index=models.Index(condition=models.Q(('finished_how', 'answered')), fields=['finished_at'], name='pull_answered'),
        ),
        migrations.AddConstraint(
            model_name='pull',
            constraint=models.UniqueConstraint(condition=models.Q(('finished_at', None)), fields=('conversation',), name='pull_one_at_a_time'),
        ),
        migrations.AddConstraint(
            model_name='pull',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('finished_at__isnull', True), ('finished_how', '')), models.Q(('finished_at__isnull', False), models.Q(('finished_how', ''), _negated=True)), _connector='OR'), name='pull_ends_for_a_reason'),
        ),
        migrations.AddConstraint(
            model_name='pull',
            constraint=models.CheckConstraint(condition=models.Q(('ahead', 0), models.Q(('reason', ''), _negated=True), _connector='OR'), name='pull_out_of_order_has_reason'),
        ),
        migrations.AddConstraint(
            model_name='pull',
            constraint=models.CheckConstraint(condition=models.Q(('finished_how', 'put_back'), ('put_back_because', ''), _connector='XOR'), name='pull_put_back_has_reason'),
        ),
        migrations.AddConstraint(
            model_name='requiredskill',
            constraint=models.CheckConstraint(condition=models.Q(('skill', ''), _negated=True), name='required_skill_has_a_name'),
        ),
        migrations.AddConstraint(
            model_name='shift',
            constraint=models.CheckConstraint(condition=models.Q(('weekday__lte', 6)), name='shift_on_a_weekday'),
        ),
        migrations.AddConstraint(
            model_name='shift',
            constraint=models.UniqueConstraint(fields=('user', 'weekday', 'starts'), name='shift_once'),
        ),
        migrations.AddConstraint(
            model_name='outgoingmessage',
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(('kind', 'service'), _negated=True),
                    ('conversation__isnull', True),
                    ('signed_by__isnull', False),
                    _connector='OR',
                ),
                name='outgoing_about_a_matter_is_signed',
            ),
        ),
        migrations.RunSQL(OWNER_CHANGES, "DROP TRIGGER owner_change_append_only ON crm_ownerchange"),
    ]
