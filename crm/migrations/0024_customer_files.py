"""Files of customers: uploads as due rows, imports that go on, and indexes that say who is worth comparing."""

import crm.models.ids
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

HOME_KEYS = r"""
CREATE FUNCTION evenhand_home_keys(address text) RETURNS text[] LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT COST 100000 AS $$
  WITH told AS (
    SELECT string_to_array(translate(lower(address), 'äöüßáàâãåéèêëíìîïóòôõúùûñçøłśżźćńęą', 'aousaaaaaeeeeiiiioooouuuncolszzcnea'), ', ') AS part
  ), names AS (
    SELECT DISTINCT left(word, 1) || left(regexp_replace(substr(word, 2), '[aeiouyhw]', '', 'g'), 3) AS name
    FROM told, regexp_split_to_table(part[1], '[^[:alpha:]]+') AS word WHERE length(word) > 1
  ), place AS (
    SELECT coalesce((
      SELECT (regexp_match(one, '^(?:[a-z]{1,3}-)?(\w*[0-9][\w-]*)'))[1] FROM unnest(part[3:]) WITH ORDINALITY AS each(one, n)
      WHERE one ~ '^([a-z]{1,3}-)?\w*[0-9]' ORDER BY n DESC LIMIT 1
    ), '') AS postcode, coalesce((regexp_match(part[2], '[0-9]+'))[1], '') AS number,
    coalesce((SELECT left(w[1], 1) || left(regexp_replace(substr(w[1], 2), '[aeiouyhw]', '', 'g'), 3)
              FROM regexp_match(part[2], '[[:alpha:]]{3,}') AS w), '') AS street FROM told
  )
  SELECT coalesce(array_agg(key), '{}') FROM (
    SELECT 'p' || name || '|' || postcode AS key FROM names, place WHERE postcode <> ''
    UNION ALL SELECT 's' || name || '|' || street FROM names, place WHERE street <> ''
    UNION ALL SELECT 'h' || street || '|' || number || '|' || left(postcode, 1) FROM place WHERE street <> '' AND number <> ''
  ) AS keys
$$;
COMMENT ON FUNCTION evenhand_home_keys(text) IS
  'What letter addresses of one person mostly share: who is worth comparing (crm/actions/likely_customers.py)';
CREATE INDEX contact_point_home_keys ON crm_contactpoint USING gin (evenhand_home_keys(address)) WITH (fastupdate = off)
  WHERE kind || '' = 'postal' AND unlinked_at IS NULL; -- so that no other index seems to answer the same question
CREATE INDEX contact_point_mailbox_name ON crm_contactpoint (split_part(address, '@', 1))
  WHERE kind = 'email' AND unlinked_at IS NULL;
"""
HOME_KEYS_BACK = """
DROP INDEX contact_point_mailbox_name;
DROP INDEX contact_point_home_keys;
DROP FUNCTION evenhand_home_keys(text);
"""
FINISHED = "UPDATE crm_customerimport SET finished_at = at WHERE finished_at IS NULL"


class Migration(migrations.Migration):

    dependencies = [
        ("crm", "0023_search"),
    ]

    operations = [
        migrations.AddField(
            model_name='customerimport',
            name='by',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='customerimport',
            name='finished_at',
            field=models.DateTimeField(null=True, verbose_name='finished'),
        ),
        migrations.AddField(
            model_name='customerimport',
            name='rows_done',
            field=models.IntegerField(default=0, verbose_name='rows read'),
        ),
        migrations.CreateModel(
            name='CustomerFile',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', models.UUIDField(default=crm.models.ids.uuid7, editable=False, unique=True)),
                ('file', models.FileField(blank=True, max_length=200, upload_to='customer-files/%Y/%m/')),
                ('file_name', models.CharField(max_length=300, verbose_name='file')),
                ('size', models.BigIntegerField(verbose_name='size')),
                ('uploaded_at', models.DateTimeField(verbose_name='uploaded')),
                ('looked', models.JSONField(default=dict)),
                ('table', models.JSONField(default=dict)),
                ('state', models.CharField(choices=[('new', 'its columns are to be named'), ('ready', 'waiting'), ('claimed', 'being read'), ('tried', 'tried'), ('kept', 'brought in'), ('taken_back', 'taken back'), ('refused', 'not readable'), ('parked', 'stopped')], default='new', max_length=12, verbose_name='state')),
                ('wanted', models.CharField(blank=True, choices=[('try', 'try it'), ('keep', 'bring it in'), ('undo', 'take it back')], max_length=8, verbose_name='what is wanted')),
                ('asked_at', models.DateTimeField(null=True, verbose_name='asked for')),
                ('rows_expected', models.IntegerField(default=0, verbose_name='rows, about')),
                ('rows_done', models.IntegerField(default=0, verbose_name='rows read')),
                ('counts', models.JSONField(default=dict)),
                ('reason', models.CharField(blank=True, max_length=300, verbose_name='reason')),
                ('attempt', models.PositiveSmallIntegerField(default=0)),
                ('failed', models.PositiveSmallIntegerField(default=0)),
                ('due_at', models.DateTimeField(null=True)),
                ('lease_until', models.DateTimeField(null=True)),
                ('settled_at', models.DateTimeField(null=True, verbose_name='finished')),
                ('brought_by', models.OneToOneField(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='upload', to='crm.customerimport')),
                ('by', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'verbose_name': 'file of customers',
                'verbose_name_plural': 'files of customers',
                'permissions': [('import_customers', 'Can bring in customers from a file, and take that back'), ('export_customers', 'Can write customers into a file')],
            },
        ),
        migrations.CreateModel(
            name='ImportFinding',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('rejected', 'not taken in'), ('same', 'one person by a verified key'), ('alike', 'may be one person')], max_length=8)),
                ('line', models.IntegerField(null=True)),
                ('code', models.CharField(blank=True, max_length=40)),
                ('content', models.TextField(blank=True)),
                ('reason', models.CharField(blank=True, max_length=300)),
                ('one', models.CharField(blank=True, max_length=200)),
                ('other', models.CharField(blank=True, max_length=200)),
                ('known', models.CharField(blank=True, max_length=36)),
                ('likelihood', models.DecimalField(decimal_places=4, max_digits=5, null=True)),
                ('evidence', models.JSONField(default=list)),
                ('upload', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name="findings", to='crm.customerfile')),
            ],
            options={
                'verbose_name': 'finding in a file of customers',
                'verbose_name_plural': 'findings in files of customers',
            },
        ),
        migrations.AddIndex(
            model_name='customerfile',
            index=models.Index(condition=models.Q(('state__in', ['ready', 'claimed'])), fields=['due_at', 'id'], name='customer_file_due'),
        ),
        migrations.AddIndex(
            model_name='customerfile',
            index=models.Index(condition=models.Q(('file', ''), _negated=True), fields=['uploaded_at'], name='customer_file_stored'),
        ),
        migrations.AddConstraint(
            model_name='customerfile',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('state__in', ['ready', 'claimed']), _negated=True), models.Q(models.Q(('wanted', ''), _negated=True), ('due_at__isnull', False)), _connector='OR'), name='customer_file_due_is_wanted'),
        ),
        migrations.AddConstraint(
            model_name='customerfile',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('state__in', ['parked', 'refused']), _negated=True), models.Q(('reason', ''), _negated=True), _connector='OR'), name='customer_file_stopped_has_reason'),
        ),
        migrations.AddConstraint(
            model_name='customerfile',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('state__in', ['kept', 'taken_back']), _negated=True), models.Q(('brought_by__isnull', False), ('settled_at__isnull', False)), _connector='OR'), name='customer_file_kept_has_import'),
        ),
        migrations.AddConstraint(
            model_name='customerfile',
            constraint=models.CheckConstraint(condition=models.Q(('rows_done__gte', 0)), name='customer_file_rows'),
        ),
        migrations.AddIndex(
            model_name='importfinding',
            index=models.Index(fields=['upload', 'kind', 'id'], name='import_finding_of_file'),
        ),
        migrations.AddConstraint(
            model_name='importfinding',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('kind', 'rejected'), _negated=True), models.Q(('line__isnull', False), models.Q(('code', ''), _negated=True)), _connector='OR'), name='import_finding_rejected_says_why'),
        ),
        migrations.RunSQL(FINISHED, migrations.RunSQL.noop),
        migrations.RunSQL(HOME_KEYS, HOME_KEYS_BACK),
    ]
