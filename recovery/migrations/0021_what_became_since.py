"""What became since their newest count of days that are counted at night, kept so that telling how it stands reads little."""

import django.contrib.postgres.fields
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('recovery', '0020_pairs_ring'),
    ]

    operations = [
        migrations.CreateModel(
            name='DaySince',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('names', models.JSONField(verbose_name='names')),
                ('metric', django.contrib.postgres.fields.ArrayField(base_field=models.SmallIntegerField(), size=None, verbose_name='metric')),
                ('stratum', django.contrib.postgres.fields.ArrayField(base_field=models.SmallIntegerField(), size=None, verbose_name='kind')),
                ('channel', django.contrib.postgres.fields.ArrayField(base_field=models.SmallIntegerField(), size=None, verbose_name='channel')),
                ('bin', django.contrib.postgres.fields.ArrayField(base_field=models.SmallIntegerField(), size=None, verbose_name='bin')),
                ('d', django.contrib.postgres.fields.ArrayField(base_field=models.IntegerField(), size=None, verbose_name='seen')),
                ('q', django.contrib.postgres.fields.ArrayField(base_field=models.IntegerField(), size=None, verbose_name='still waiting')),
                ('day', models.DateField(unique=True, verbose_name='day')),
                ('counted_at', models.DateTimeField(verbose_name='counted')),
                ('at', models.DateTimeField(verbose_name='as of')),
            ],
            options={
                'verbose_name': 'what became of a day since',
                'verbose_name_plural': 'what became of days since',
                'constraints': [models.CheckConstraint(condition=models.Q(('at__gt', models.F('counted_at'))), name='day_since_later_than_its_count'), models.CheckConstraint(condition=models.Q(('bin__len', models.F('d__len')), ('channel__len', models.F('d__len')), ('metric__len', models.F('d__len')), ('q__len', models.F('d__len')), ('stratum__len', models.F('d__len'))), name='day_since_lists_of_one_length')],
            },
        ),
    ]
