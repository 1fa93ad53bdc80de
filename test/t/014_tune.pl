# colbert_tune on real data: what it chooses reaches the target as recall is measured elsewhere, is cheaper than what the index chooses,
# and is what searches use from then on; it tells of its progress, can be cancelled, and works on a standby but for changing options.

use strict;
use warnings;
use ColbertTest;
use PostgreSQL::Test::Cluster;
use Test::More;

my $queries = 40;
my $sample = '(SELECT array_agg(short ORDER BY id) FROM questions WHERE ' . ColbertTest::chosen($queries) =~ s/q\.//gr . ')';
my $node = new_node('tune', allows_streaming => 1);

load_questions($node);
load_passages($node, 'pool', 4000);
create_tables($node, 'true');
exact_tenths($node, 'short', $queries, 'pool');
$node->safe_psql('postgres', "ALTER TABLE tenths_short_pool RENAME TO tenths_short_passages_hnsw; CREATE TABLE tenths_short_passages_ivf AS TABLE tenths_short_passages_hnsw; VACUUM ANALYZE");

# tune(METHOD, ARGUMENTS): what comes out, into the table tuned.
sub tune
{
	my ($method, $arguments) = @_;

	$node->safe_psql('postgres', <<"SQL");
DROP TABLE IF EXISTS tuned;
CREATE TABLE tuned AS SELECT * FROM colbert_tune('passages_${method}_index', $sample, $arguments) WITH ORDINALITY AS t;
SQL
	return;
}

# scan(METHOD, SQL before, COLUMNS): of colbert_last_scan after a search.
sub scan
{
	my ($method, $before, $columns) = @_;

	return $node->safe_psql('postgres', <<"SQL") =~ s/.*\n//rs;
$ColbertTest::by_index
$before
SELECT count(*) FROM (SELECT id FROM passages_$method ORDER BY doc <#> (SELECT short FROM questions WHERE id = 1) LIMIT 10) AS t;
SELECT $columns FROM colbert_last_scan();
SQL
}

each_method('chosen and applied', sub {
	my ($method, $table) = @_;
	my $automatic = recall($node, 'short', $queries, $table);

	tune($method, 'target_recall => 0.85, apply => true');
	is($node->safe_psql('postgres', 'SELECT round(recall::numeric, 4) FROM tuned WHERE ordinality = 1'), $automatic, "left to the index, recall is $automatic");
	is($node->safe_psql('postgres', 'SELECT count(*) FROM tuned WHERE chosen'), '1', 'settings are chosen');
	my $recall = recall($node, 'short', $queries, $table);
	cmp_ok($recall, '>=', .85, "applied, searches reach the target: $recall");
	is($node->safe_psql('postgres', 'SELECT round(recall::numeric, 4) FROM tuned WHERE chosen'), $recall, 'and that is the recall that was told');
	cmp_ok($recall, '<', $automatic, 'no more than needed');
	is( $node->safe_psql('postgres', 'SELECT c.ms < a.ms AND c.candidates > 0 AND c.rerank > 0 AND c.probes + coalesce(c.ef_search, 0) > 0 FROM tuned c, tuned a WHERE c.chosen AND a.ordinality = 1'),
		't', 'for less time');
	is(scan($method, '', 'automatic, candidates, rerank'),
		$node->safe_psql('postgres', "SELECT CASE '$method' WHEN 'hnsw' THEN '{probes}' ELSE '{ef_search}' END, candidates, rerank FROM tuned WHERE chosen"), 'searches use them');
	is(scan($method, 'SET colbert.candidates = 1234;', 'candidates'), '1234', 'a setting of the session wins');

	# From there to all that can be had, and back to what is not asked for.
	tune($method, 'target_recall => 0.97, apply => true');
	my $more = recall($node, 'short', $queries, $table);
	cmp_ok($more, '>=', .97, "again, for more: $more");
	is($node->safe_psql('postgres', 'SELECT bool_and(probes = 0 AND coalesce(ef_search, 0) = 0 AND candidates = 0 AND round(recall::numeric, 4) = ' . $automatic . ') FROM tuned WHERE ordinality = 1'),
		't', "what the index would choose is measured as before, whatever its options are");
});

# News every ten seconds, and none after the end. Rows that take their time, so that the machine has none to spend.
$node->safe_psql('postgres', <<'SQL');
CREATE FUNCTION slowly(doc multivector) RETURNS multivector LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	PERFORM pg_sleep(current_setting('tune.sleep')::float8);
	RETURN doc;
END $$;
SET tune.sleep = 0;
CREATE TABLE slow AS SELECT doc FROM pool WHERE id <= 100;
CREATE INDEX slow_index ON slow USING colbert_hnsw ((slowly(doc)::multivector(128)));
SQL
my ($rc, $out, $err) = $node->psql('postgres', "SET tune.sleep = 0.5; SET statement_timeout = '12s'; SELECT * FROM colbert_tune('slow_index', $sample)");
like($err, qr/NOTICE:  exact answers: \d+ of about 100 rows/, 'it tells how far the exact answers are');
like($err, qr/canceling statement due to statement timeout/, 'and can be cancelled');
($rc, $out, $err) = $node->psql('postgres', "SET statement_timeout = '1s'; SELECT * FROM colbert_tune('passages_hnsw_index', (SELECT array_agg(long) FROM questions))");
like($err, qr/canceling statement due to statement timeout/, 'at any time');

# A standby measures, and leaves the options to its primary.
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
$node->wait_for_catchup($standby);
is($standby->safe_psql('postgres', "SELECT count(*) FILTER (WHERE chosen) FROM colbert_tune('passages_ivf_index', $sample, 0.8)"), '1', 'a standby measures');
($rc, $out, $err) = $standby->psql('postgres', "SELECT * FROM colbert_tune('passages_ivf_index', $sample, apply => true)");
like($err, qr/ERROR:  cannot execute colbert_tune\(apply => true\) in a read-only transaction/, 'and does not apply');

$standby->stop;
$node->stop;
done_testing();
