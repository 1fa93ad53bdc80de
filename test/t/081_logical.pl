# Logical replication of tables with multivectors: the initial copy and changes, as text and in the
# binary format, found by primary key or by the whole row; the subscriber's indexes find the rows,
# and full-text statistics rank them.

use strict;
use warnings;
use ColbertTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# Subscriptions by format, and their tables: format and replica identity.
my %options = (text => '', binary => 'WITH (binary = true)');
my @tables = ('text_key', 'text_full', 'binary_key', 'binary_full');
my %column = (hnsw => 'doc', ivf => 'half', bit => 'byte');
my $query = q{'[[1,0,0,0,0,0,0,0],[0,.5,.5,0,0,0,0,.7]]'};

# documents(FIRST, LAST): a SELECT of rows; every 29th has no document, and byte differs from doc
# so that UPDATEs of one column leave the other.
sub documents
{
	my ($first, $last) = @_;

	return <<"SQL";
SELECT i, d, d, d, 'row ' || i
FROM (SELECT i, CASE WHEN i % 29 > 0 THEN (SELECT multivector_agg(ARRAY(SELECT sin(i * 31 + t * 7 + d * d) FROM generate_series(1, 8) d)::real[])
                                           FROM generate_series(1, 1 + i % 5) t) END AS d
      FROM generate_series($first, $last) i) AS s
SQL
}

my $publisher = new_node('publisher', allows_streaming => 'logical');
my $subscriber = new_node('subscriber', allows_streaming => 'logical');

# 2 to apply, 4 for initial copies, and background merges
$subscriber->append_conf('postgresql.conf', "max_worker_processes = 20\nmax_logical_replication_workers = 8\nmax_sync_workers_per_subscription = 2\nwal_retrieve_retry_interval = 100ms");
$subscriber->restart;

# The extension is in another schema on the subscriber: the publisher names types, not their OIDs.
$subscriber->safe_psql('postgres', 'CREATE SCHEMA vectors; ALTER EXTENSION colbert_pg SET SCHEMA vectors; ALTER DATABASE postgres SET search_path = public, vectors');
for my $table (@tables)
{
	# a row of a table without a key is found by comparing all its columns
	my $key = $table =~ /_key/ ? 'PRIMARY KEY' : '';
	my $create = "CREATE TABLE $table (id int $key, doc multivector(8), half multivector(8, float2), byte multivector(8, int8), body text);";

	$publisher->safe_psql('postgres', "$create INSERT INTO $table " . documents(1, 200) . ";"
		. ($key ? '' : "ALTER TABLE $table REPLICA IDENTITY FULL;"));
	$subscriber->safe_psql('postgres', <<"SQL");
$create
CREATE INDEX ${table}_hnsw ON $table USING colbert_hnsw (doc);
CREATE INDEX ${table}_ivf ON $table USING colbert_ivf (half);
CREATE INDEX ${table}_bit ON $table USING colbert_hnsw (byte) WITH (quantizer = bit);
SQL
}
my $connection = $publisher->connstr('postgres');
$connection =~ s/'/''/g;
for my $format (sort keys %options)
{
	$publisher->safe_psql('postgres', "CREATE PUBLICATION pub_$format FOR TABLE ${format}_key, ${format}_full");
	$subscriber->safe_psql('postgres', "CREATE SUBSCRIPTION sub_$format CONNECTION '$connection' PUBLICATION pub_$format $options{$format}");
}
$subscriber->wait_for_subscription_sync;

# same_rows(TEST NAME): check that the subscriber has the publisher's rows, bit by bit, and finds
# them by each of its indexes.
sub same_rows
{
	my ($name) = @_;

	$publisher->wait_for_catchup("sub_$_") for sort keys %options;
	for my $table (@tables)
	{
		subtest "$table: $name" => sub {
			my $rows = "SELECT count(*), md5(string_agg(concat_ws(',', id, multivector_send(doc), multivector_send(half), multivector_send(byte), body), ',' ORDER BY id, multivector_send(doc))) FROM $table";

			is($subscriber->safe_psql('postgres', $rows), $publisher->safe_psql('postgres', $rows), 'the rows are the same');
			for my $index (sort keys %column)
			{
				my $search = "SELECT id FROM $table ORDER BY $column{$index} <#> $query, id LIMIT 30;";
				my $by_index = "$ColbertTest::by_index SET enable_incremental_sort = on; SET colbert.probes = 1000; SET colbert.candidates = 1000; SET colbert.rerank = 1000;";

				my $found = $subscriber->safe_psql('postgres', <<"SQL");
$by_index
$search
SELECT 'findings: ' || count(*) FROM colbert_index_check('${table}_$index', heapallindexed => true, rescore => true);
EXPLAIN (COSTS OFF) $search
SQL
				my $rows = $publisher->safe_psql('postgres', $search);

				like($found, qr/^\Q$rows\E\nfindings: 0\n.*Index Scan using ${table}_$index/s, "the index on $column{$index} is sound and finds the same rows");
			}
		};
	}
	return;
}

# on_each(SQL): run SQL on the publisher for each table, whose name replaces %1$s.
sub on_each
{
	my ($sql) = @_;

	$publisher->safe_psql('postgres', sprintf($sql, $_)) for @tables;
	return;
}

same_rows('the initial copy');

on_each('INSERT INTO %1$s ' . (documents(201, 300) =~ s/%/%%/gr));
on_each(q{UPDATE %1$s SET body = body || ' x' WHERE id %% 3 = 0});
on_each(q{UPDATE %1$s SET doc = '[[1,2,3,4,5,6,7,8],[8,7,6,5,4,3,2,1]]' WHERE id %% 7 = 0});
on_each(q{UPDATE %1$s SET half = NULL, byte = doc WHERE id %% 11 = 0});
# Rows that differ in a single number of a document: REPLICA IDENTITY FULL compares documents.
$publisher->safe_psql('postgres', <<"SQL") for grep { /_full/ } @tables;
INSERT INTO $_ SELECT 1001, ARRAY[[1, 1, 1, 1, 1, 1, 1, i]]::multivector, NULL, NULL, 'twin' FROM generate_series(1, 4) AS i;
UPDATE $_ SET body = 'third' WHERE doc = '[[1,1,1,1,1,1,1,3]]';
DELETE FROM $_ WHERE doc = '[[1,1,1,1,1,1,1,2]]';
SQL
same_rows('INSERT and UPDATE');

on_each('DELETE FROM %1$s WHERE id %% 5 = 0');
$subscriber->safe_psql('postgres', "VACUUM $_") for @tables;
same_rows('DELETE, and VACUUM on the subscriber');

# Documents that are TOASTed and left by an UPDATE are not sent by key, but kept.
on_each(q{INSERT INTO %1$s SELECT 2000 + i, d, d, d, 'long' FROM (SELECT i, (SELECT multivector_agg(ARRAY(SELECT sin(i * 31 + t * 7 + d * d) FROM generate_series(1, 8) d)::real[])
	FROM generate_series(1, 400) t) AS d FROM generate_series(1, 3) AS i) AS s});
on_each(q{UPDATE %1$s SET body = 'longer' WHERE id > 2000});
same_rows('long documents');

on_each('TRUNCATE %1$s');
on_each('INSERT INTO %1$s ' . documents(1, 28));
same_rows('TRUNCATE');

# The hex form, by a setting of the database of the publisher: int8 documents stay int8 in a column
# without an element, in the initial copy and after.
$publisher->safe_psql('postgres', 'CREATE DATABASE hex');
$publisher->safe_psql('hex', <<'SQL');
CREATE EXTENSION colbert_pg;
ALTER DATABASE hex SET colbert.multivector_output = hex;
CREATE TABLE elements (id int PRIMARY KEY, doc multivector);
INSERT INTO elements VALUES (1, '[[1,2],[-3,0.5]]'::multivector(2, int8));
CREATE PUBLICATION pub_hex FOR TABLE elements;
SQL
$subscriber->safe_psql('postgres', 'CREATE TABLE elements (id int PRIMARY KEY, doc multivector)');
my $hex_connection = $publisher->connstr('hex') =~ s/'/''/gr;
$subscriber->safe_psql('postgres', "CREATE SUBSCRIPTION sub_hex CONNECTION '$hex_connection' PUBLICATION pub_hex");
$subscriber->wait_for_subscription_sync;
$publisher->safe_psql('hex', "INSERT INTO elements VALUES (2, '[[1,2],[-3,0.5]]'::multivector(2, float2)); UPDATE elements SET doc = '[[5,6]]'::multivector(2, int8) WHERE id = 1");
$publisher->wait_for_catchup('sub_hex');
my $bits = q{SELECT string_agg(multivector_send(doc)::text, ',' ORDER BY id) FROM elements};
is($subscriber->safe_psql('postgres', $bits), $publisher->safe_psql('hex', $bits), 'elements survive in the hex form');
$subscriber->safe_psql('postgres', 'DROP SUBSCRIPTION sub_hex');

# Full-text statistics are an ordinary table with a primary key: a subscriber ranks by them, and
# takes a refresh as one transaction. The subscriber gets the definition by pg_dump.
my $texts = 'CREATE TABLE texts (id int PRIMARY KEY, tsv tsvector);';
my $fill = 'INSERT INTO texts SELECT i, format(%1$s, i %% 7, i %% 3, i)::tsvector FROM generate_series(%2$s, %3$s) i;';

# ranking(NODE): the statistics, a query made of them and the scores, as text.
sub ranking
{
	my ($node) = @_;

	return $node->safe_psql('postgres', <<'SQL');
SELECT string_agg(s::text, chr(10) ORDER BY lexeme) FROM texts_tsv_bm25 AS s;
SELECT bm25_query('texts_tsv_bm25', 'w1 all v2 x7');
SELECT id, bm25f(tsv, q) FROM texts, bm25_query('texts_tsv_bm25', 'w1 all v2 x7') AS q WHERE tsv @@ bm25_candidates(q) ORDER BY 2 DESC, 1 LIMIT 20;
SQL
}

# same_ranking(TEST NAME, LEXEMES)
sub same_ranking
{
	my ($name, $lexemes) = @_;

	$publisher->wait_for_catchup('sub_statistics');
	is($subscriber->safe_psql('postgres', 'SELECT count(*) FROM texts_tsv_bm25'), $lexemes + 1, "$name: the subscriber has the statistics");
	is(ranking($subscriber), ranking($publisher), "$name: the subscriber ranks as the publisher does");
	return;
}

$publisher->safe_psql('postgres', "$texts " . sprintf($fill, "'w%s:1A all:2 v%s:3 x%s:4'", 1, 100) . " SELECT bm25_analyze('texts', 'tsv', config => 'simple')");
my ($definition, $errors);
IPC::Run::run([ 'pg_dump', '--schema-only', '-t', 'texts_tsv_bm25', $publisher->connstr('postgres') ], '>', \$definition, '2>', \$errors);
is($errors, '', 'pg_dump of the definition');
$subscriber->safe_psql('postgres', $texts);
$subscriber->safe_psql('postgres', $definition);
$publisher->safe_psql('postgres', 'CREATE PUBLICATION pub_statistics FOR TABLE texts, texts_tsv_bm25');
$subscriber->safe_psql('postgres', "CREATE SUBSCRIPTION sub_statistics CONNECTION '$connection' PUBLICATION pub_statistics WITH (binary = true)");
$subscriber->wait_for_subscription_sync;
same_ranking('the initial copy', 111);

$publisher->safe_psql('postgres', sprintf($fill, "'w%s:1A all:2 v%s:3,4 y%s:5'", 101, 160));
$publisher->safe_psql('postgres', 'DELETE FROM texts WHERE id <= 30');
$publisher->safe_psql('postgres', "SELECT bm25_analyze('texts', 'tsv')");
same_ranking('a refresh', 141);
$publisher->safe_psql('postgres', "BEGIN; SELECT bm25_analyze('texts', 'tsv'); TRUNCATE texts; SELECT bm25_analyze('texts', 'tsv'); ROLLBACK; SELECT bm25_analyze('texts', 'tsv', sample => 1000)");
same_ranking('refreshes that are rolled back and repeated', 141);
$publisher->safe_psql('postgres', "TRUNCATE texts; SELECT bm25_analyze('texts', 'tsv')");
same_ranking('no rows', 0);
unlike(slurp_file($subscriber->logfile), qr/ERROR/, 'replication never failed');

$subscriber->safe_psql('postgres', 'DROP SUBSCRIPTION sub_statistics');
$subscriber->safe_psql('postgres', "DROP SUBSCRIPTION sub_$_") for sort keys %options;
stop_node($subscriber);
stop_node($publisher);
done_testing();
