"""How often a customer has to show who they are is a row of the matter; no place in it holds what they showed."""

import crm.models.ids
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('crm', '0036_what_changed_since'),
    ]

    operations = [
        migrations.CreateModel(
            name='IdentityCheck',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', models.UUIDField(default=crm.models.ids.uuid7, editable=False, unique=True)),
                ('kind', models.CharField(choices=[('reference', 'the number of an order or contract, known'), ('code', 'a code that we sent to a proved mail address of theirs'), ('call_back', 'reached by calling back a proved number of theirs'), ('document', 'an identity document, seen'), ('authority', 'an authority to act for the customer, seen')], max_length=12, verbose_name='what was asked')),
                ('need', models.CharField(choices=[('release', 'to tell what is only theirs to know'), ('money', 'to pay, or to change where money goes'), ('address', 'to change an address of theirs'), ('act_for', 'to let somebody act for them')], max_length=12, verbose_name='what it was needed for')),
                ('is_beyond', models.BooleanField(default=False, verbose_name='more than the rules ask for')),
                ('because', models.CharField(blank=True, max_length=300, verbose_name='why more than the rules ask for')),
                ('state', models.CharField(choices=[('asked', 'asked'), ('passed', 'shown'), ('failed', 'not shown'), ('withdrawn', 'not asked any more')], default='asked', editable=False, max_length=12, verbose_name='state')),
                ('asked_at', models.DateTimeField(verbose_name='asked')),
                ('settled_at', models.DateTimeField(null=True, verbose_name='settled')),
                ('digest', models.CharField(blank=True, max_length=64)),
                ('tries', models.PositiveSmallIntegerField(default=0, verbose_name='codes typed in')),
                ('asked_by', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='asked by')),
                ('conversation', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='crm.conversation')),
                ('message', models.OneToOneField(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='crm.outgoingmessage')),
                ('settled_by', models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='settled by')),
            ],
            options={
                'verbose_name': 'identity check',
                'verbose_name_plural': 'identity checks',
                'indexes': [models.Index(fields=['conversation', '-id'], name='identity_check_of_matter'), models.Index(condition=models.Q(('state', 'asked')), fields=['asked_at'], name='identity_check_open')],
                'constraints': [models.UniqueConstraint(condition=models.Q(('state', 'asked')), fields=('conversation', 'kind'), name='identity_check_asked_once'), models.CheckConstraint(condition=models.Q(models.Q(('settled_at', None), ('settled_by', None), ('state', 'asked')), models.Q(('settled_at__isnull', False), ('settled_by__isnull', False), ('state__in', ['passed', 'failed'])), models.Q(('settled_at__isnull', False), ('state', 'withdrawn')), _connector='OR'), name='identity_check_settled_by_somebody'), models.CheckConstraint(condition=models.Q(('settled_at', None), ('settled_at__gte', models.F('asked_at')), _connector='OR'), name='identity_check_settled_later'), models.CheckConstraint(condition=models.Q(models.Q(('because', ''), ('is_beyond', False)), models.Q(('is_beyond', True), models.Q(('because', ''), _negated=True)), _connector='OR'), name='identity_check_beyond_has_reason'), models.CheckConstraint(condition=models.Q(('kind', 'code'), ('message__isnull', True), _connector='XOR'), name='identity_check_code_has_letter'), models.CheckConstraint(condition=models.Q(('digest', ''), models.Q(('kind', 'code'), ('state', 'asked')), _connector='OR'), name='identity_check_digest_while_asked'), models.CheckConstraint(condition=models.Q(('tries', 0), models.Q(('kind', 'code'), ('tries__lte', 5)), _connector='OR'), name='identity_check_tries')],
            },
        ),
    ]
