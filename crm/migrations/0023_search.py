"""Fields of the house's own, and what messages and customers are found by: tables, the way through them, and their forgetting."""

import crm.models.ids
import django.contrib.postgres.fields
import django.contrib.postgres.indexes
import django.contrib.postgres.search
from django.db import migrations, models

# Newest first, at a cost that does not grow with how common a word is: the newest rows are walked through; where they do not
# suffice, words and days are looked up together, in ever longer spans of days while that is quick; in the end all at once.
# Gives the keys and times, newest first. Where patience ends, a last row without a key says how far was looked.
# wanted: the words. newest, newest_number: begin behind this row. oldest: nothing before it. walked: rows to walk through.
# only_open: messages of matters that wait for us.
SEARCH = """
CREATE FUNCTION crm_search(
  places regclass, wanted tsquery, newest timestamptz, newest_number bigint, oldest timestamptz, only_open boolean,
  walked integer, most integer, patience interval
) RETURNS TABLE (number bigint, at timestamptz) LANGUAGE plpgsql
SET enable_seqscan = off SET max_parallel_workers_per_gather = 0 AS $$
DECLARE
  began timestamptz;
  took interval := '0';
  behind text := 'SELECT p.number, p.at, p.words FROM ' || places
    || ' p WHERE (p.at, p.number) < ($1, $2) AND p.at >= $3 ORDER BY p.at DESC, p.number DESC';
  fits text := CASE WHEN only_open THEN ' AND EXISTS (SELECT 1 FROM crm_interaction i JOIN crm_conversation c '
    'ON c.id = i.conversation_id WHERE i.id = x.number AND c.state = ''open'')' ELSE '' END;
  left_over integer := most;
  here integer;
  first_at timestamptz;
  edge_at timestamptz;
  edge_number bigint;
  span interval;
  low timestamptz;
  days tsquery;
BEGIN
  RETURN QUERY EXECUTE 'SELECT x.number, x.at FROM (' || behind || ' LIMIT $4) x WHERE x.words @@ $5' || fits || ' LIMIT $6'
    USING newest, newest_number, oldest, walked, wanted, left_over;
  GET DIAGNOSTICS here = ROW_COUNT;
  left_over := left_over - here;
  IF left_over = 0 THEN RETURN; END IF;
  EXECUTE 'SELECT x.at FROM (' || behind || ' LIMIT 1) x' INTO first_at USING newest, newest_number, oldest;
  EXECUTE 'SELECT x.at, x.number FROM (' || behind || ' OFFSET $4 - 1 LIMIT 1) x'
    INTO edge_at, edge_number USING newest, newest_number, oldest, walked;
  IF edge_at IS NULL THEN RETURN; END IF;
  span := greatest(first_at - edge_at, interval '1 hour');
  LOOP
    began := clock_timestamp();
    -- As long as what was found so far lets expect twice of what is left to find; sixteen times at most.
    IF took < interval '60 milliseconds' THEN
      span := span * CASE WHEN here = 0 THEN 16 ELSE least(16, greatest(1, ceil(2.0 * left_over / here))) END;
    END IF;
    days := NULL;
    IF span > interval '62 days' THEN
      low := oldest;
    ELSE
      low := greatest(edge_at - span, oldest);
      SELECT string_agg(format('''@d%s''', n), '|')::tsquery INTO days
      FROM generate_series(floor(extract(epoch FROM low) / 86400)::bigint, floor(extract(epoch FROM edge_at) / 86400)::bigint) n;
    END IF;
    RETURN QUERY EXECUTE 'SELECT x.number, x.at FROM (SELECT p.number, p.at FROM ' || places || ' p WHERE p.words @@ '
      || quote_literal(CASE WHEN days IS NULL THEN wanted ELSE wanted && days END) || '::tsquery OFFSET 0) x '
      'WHERE (x.at, x.number) < ($1, $2) AND x.at >= $3' || fits || ' ORDER BY x.at DESC, x.number DESC LIMIT $4'
      USING edge_at, edge_number, low, left_over;
    GET DIAGNOSTICS here = ROW_COUNT;
    left_over := left_over - here;
    IF left_over = 0 OR low = oldest THEN RETURN; END IF;
    took := clock_timestamp() - began;
    patience := patience - took;
    IF patience < interval '0' THEN
      RETURN QUERY SELECT NULL::bigint, low;
      RETURN;
    END IF;
    edge_at := low;
    edge_number := 0;
  END LOOP;
END $$;
"""
SEARCH_BACK = "DROP FUNCTION crm_search(regclass, tsquery, timestamptz, bigint, timestamptz, boolean, integer, integer, interval);"
# What was found by words that are gone must not be found any more, whoever takes them away and by whichever way.
FORGETS = """
CREATE FUNCTION evenhand_search_forgets() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('DELETE FROM %I WHERE number = $1', TG_ARGV[0]) USING OLD.id;
  IF TG_OP = 'UPDATE' THEN
    INSERT INTO crm_searchdue (of, number) VALUES (TG_ARGV[0], NEW.id) ON CONFLICT DO NOTHING;
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER interaction_search_forgets AFTER UPDATE OF subject, text ON crm_interaction FOR EACH ROW
  WHEN (OLD.subject IS DISTINCT FROM NEW.subject OR OLD.text IS DISTINCT FROM NEW.text)
  EXECUTE FUNCTION evenhand_search_forgets('crm_searchedmessage');
CREATE TRIGGER interaction_search_forgets_row AFTER DELETE ON crm_interaction FOR EACH ROW
  EXECUTE FUNCTION evenhand_search_forgets('crm_searchedmessage');
CREATE TRIGGER customer_search_forgets AFTER UPDATE OF display_name ON crm_customer FOR EACH ROW
  WHEN (OLD.display_name IS DISTINCT FROM NEW.display_name)
  EXECUTE FUNCTION evenhand_search_forgets('crm_searchedcustomer');
CREATE TRIGGER customer_search_forgets_row AFTER DELETE ON crm_customer FOR EACH ROW
  EXECUTE FUNCTION evenhand_search_forgets('crm_searchedcustomer');
"""
FORGETS_BACK = """
DROP TRIGGER customer_search_forgets_row ON crm_customer;
DROP TRIGGER customer_search_forgets ON crm_customer;
DROP TRIGGER interaction_search_forgets_row ON crm_interaction;
DROP TRIGGER interaction_search_forgets ON crm_interaction;
DROP FUNCTION evenhand_search_forgets();
"""


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
        migrations.CreateModel(
            name='SearchDue',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('of', models.CharField(choices=[('crm_searchedmessage', 'messages'), ('crm_searchedcustomer', 'customers')], max_length=32)),
                ('number', models.BigIntegerField()),
            ],
            options={
                'verbose_name': 'words to be read anew',
                'verbose_name_plural': 'words to be read anew',
                'constraints': [models.UniqueConstraint(fields=('of', 'number'), name='search_due_once')],
            },
        ),
        migrations.CreateModel(
            name='SearchedCustomer',
            fields=[
                ('number', models.BigIntegerField(primary_key=True, serialize=False)),
                ('at', models.DateTimeField()),
                ('words', django.contrib.postgres.search.SearchVectorField()),
            ],
            options={
                'verbose_name': 'words of a name',
                'verbose_name_plural': 'words of names',
                'indexes': [models.Index(fields=['at', 'number'], name='searched_customer_newest'), django.contrib.postgres.indexes.GinIndex(fastupdate=False, fields=['words'], name='searched_customer_words')],
            },
        ),
        migrations.CreateModel(
            name='SearchedMessage',
            fields=[
                ('number', models.BigIntegerField(primary_key=True, serialize=False)),
                ('at', models.DateTimeField()),
                ('words', django.contrib.postgres.search.SearchVectorField()),
            ],
            options={
                'verbose_name': 'words of a message',
                'verbose_name_plural': 'words of messages',
                'indexes': [models.Index(fields=['at', 'number'], name='searched_message_newest'), django.contrib.postgres.indexes.GinIndex(fastupdate=False, fields=['words'], name='searched_message_words')],
            },
        ),
        migrations.CreateModel(
            name='SearchMark',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('of', models.CharField(choices=[('crm_searchedmessage', 'messages'), ('crm_searchedcustomer', 'customers')], max_length=32, unique=True)),
                ('ahead', models.BigIntegerField()),
                ('behind', models.BigIntegerField()),
            ],
            options={
                'verbose_name': 'how far has been read',
                'verbose_name_plural': 'how far has been read',
                'constraints': [models.CheckConstraint(condition=models.Q(('behind__lte', models.F('ahead'))), name='search_mark_in_order')],
            },
        ),
        migrations.RunSQL(SEARCH, SEARCH_BACK),
        migrations.RunSQL(FORGETS, FORGETS_BACK),
    ]
