
import crm.models.ids
import django.contrib.postgres.fields
import django.contrib.postgres.indexes
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("crm", "0022_privacy"),
    ]

    operations = [
        migrations.CreateModel(
            name='CustomField',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', models.UUIDField(default=crm.models.ids.uuid7, editable=False, unique=True)),
                ('of', models.CharField(choices=[('customer', 'customers'), ('case', 'cases')], max_length=8, verbose_name='of')),
                ('code', models.CharField(max_length=40, verbose_name='code')),
                ('label', models.CharField(max_length=80, verbose_name='name')),
                ('kind', models.CharField(choices=[('text', 'words'), ('number', 'number'), ('date', 'date'), ('choice', 'one of a list'), ('yes_no', 'yes or no')], max_length=8, verbose_name='kind')),
                ('choices', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=80), default=list, size=None, verbose_name='choices')),
                ('help', models.CharField(blank=True, max_length=300, verbose_name='what it is for')),
                ('seen_by', models.CharField(choices=[('staff', 'colleagues only'), ('customer', 'also the customer, in the app')], default='staff', max_length=8, verbose_name='seen by')),
                ('is_active', models.BooleanField(default=True, verbose_name='in use')),
                ('place', models.PositiveSmallIntegerField(default=0, verbose_name='place')),
                ('created_at', models.DateTimeField(verbose_name='since')),
            ],
            options={
                'verbose_name': 'field of our own',
                'verbose_name_plural': 'fields of our own',
                'permissions': [('manage_customfield', "Can add, change and retire fields of the house's own")],
            },
        ),
        migrations.AddField(
            model_name='customer',
            name='custom',
            field=models.JSONField(blank=True, db_default=models.Value({}, models.JSONField()), default=dict, editable=False, verbose_name='fields of our own'),
        ),
        migrations.AddIndex(
            model_name='customer',
            index=django.contrib.postgres.indexes.GinIndex(condition=models.Q(('custom', {}), _negated=True), fields=['custom'], name='customer_custom', opclasses=['jsonb_path_ops']),
        ),
        migrations.AddConstraint(
            model_name='customfield',
            constraint=models.UniqueConstraint(fields=('of', 'code'), name='custom_field_once'),
        ),
        migrations.AddConstraint(
            model_name='customfield',
            constraint=models.CheckConstraint(condition=models.Q(('code__regex', '^[a-z][a-z0-9_]{0,39}$')), name='custom_field_code'),
        ),
        migrations.AddConstraint(
            model_name='customfield',
            constraint=models.CheckConstraint(condition=models.Q(('label', ''), _negated=True), name='custom_field_has_label'),
        ),
        migrations.AddConstraint(
            model_name='customfield',
            constraint=models.CheckConstraint(condition=models.Q(('kind', 'choice'), ('choices', []), _connector='XOR'), name='custom_field_choices_where_chosen'),
        ),
    ]
