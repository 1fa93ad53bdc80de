# colbert_tune on real data. The chosen settings reach the target recall, as measured independently,
# are cheaper than the index's own choice, and are used by later searches. The function reports
# progress, can be cancelled, and works on a standby, except for changing options.

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

# tune(METHOD, ARGUMENTS): store the result in the table tuned.
sub tune
{
	my ($method, $arguments) = @_;

	$node->safe_psql('postgres', <<"SQL");
DROP TABLE IF EXISTS tuned;
CREATE TABLE tuned AS SELECT * FROM colbert_tune('passages_${method}_index', $sample, $arguments) WITH ORDINALITY AS t;
SQL
	return;
}

# scan(METHOD, SQL before, COLUMNS): columns of colbert_last_scan after a search.
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
	is($node->safe_psql('postgres', 'SELECT round(recall::numeric, 4) FROM tuned WHERE ordinality = 1'), $automatic, "recall of the automatic settings: $automatic");
	is($node->safe_psql('postgres', 'SELECT count(*) FROM tuned WHERE chosen'), '1', 'settings are chosen');
	my $recall = recall($node, 'short', $queries, $table);
	cmp_ok($recall, '>=', .85, "with the applied settings, searches reach the target: $recall");
	is($node->safe_psql('postgres', 'SELECT round(recall::numeric, 4) FROM tuned WHERE chosen'), $recall, 'the measured recall is the reported one');
	cmp_ok($recall, '<', $automatic, 'recall is lower than with the automatic settings');
	is( $node->safe_psql('postgres', 'SELECT c.ms < a.ms AND (c.target > 0) <> (c.candidates > 0 AND c.rerank > 0 AND c.probes + coalesce(c.ef_search, 0) > 0) FROM tuned c, tuned a WHERE c.chosen AND a.ordinality = 1'),
		't', 'searches take less time, by a lower aim or by fixed widths');
	is(scan($method, '', 'recall, cardinality(automatic)'),
		$node->safe_psql('postgres', "SELECT CASE WHEN target > 0 THEN target ELSE .97 END, CASE WHEN target > 0 THEN 4 ELSE 1 END FROM tuned WHERE chosen"), 'searches use the applied settings');
	is(scan($method, 'SET colbert.candidates = 1234;', 'candidates'), '1234', 'a session setting takes precedence');

	# Tune for the maximum recall, and then for a low one.
	tune($method, 'target_recall => 0.97, apply => true');
	my $more = recall($node, 'short', $queries, $table);
	cmp_ok($more, '>=', .97, "tuned again for more recall: $more");
	is($node->safe_psql('postgres', 'SELECT bool_and(probes = 0 AND coalesce(ef_search, 0) = 0 AND candidates = 0 AND round(recall::numeric, 4) = ' . $automatic . ') FROM tuned WHERE ordinality = 1'),
		't', "the automatic settings are measured as before, whatever the options");
	my (undef, undef, $said) = $node->psql('postgres', "SET client_min_messages = debug1; SELECT * FROM colbert_tune('passages_${method}_index', $sample)");
	my %found = $said =~ /target (0\.\d+), probes 0, ef_search 0, candidates 0, rerank 0: measured, recall (\S+),/g;
	my @aims = sort { $a <=> $b } keys %found;
	cmp_ok(scalar @aims, '>=', 3, "recalls that searches aimed at: @aims");
	cmp_ok($found{ $aims[0] }, '<=', $found{ $aims[-1] }, 'a higher aim finds more');
});

# A progress message every ten seconds, and none after the end. The rows are slow to read, so that
# the machine's speed does not matter.
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
like($err, qr/NOTICE:  exact answers: \d+ of about 100 rows/, 'progress of the exact answers is reported');
like($err, qr/canceling statement due to statement timeout/, 'tuning can be cancelled');
($rc, $out, $err) = $node->psql('postgres', "SET statement_timeout = '1s'; SELECT * FROM colbert_tune('passages_hnsw_index', (SELECT array_agg(long) FROM questions))");
like($err, qr/canceling statement due to statement timeout/, 'tuning can be cancelled at any time');

# A standby measures, but cannot change the options.
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
$node->wait_for_catchup($standby);
is($standby->safe_psql('postgres', "SELECT count(*) FILTER (WHERE chosen) FROM colbert_tune('passages_ivf_index', $sample, 0.8)"), '1', 'tuning works on a standby');
($rc, $out, $err) = $standby->psql('postgres', "SELECT * FROM colbert_tune('passages_ivf_index', $sample, apply => true)");
like($err, qr/ERROR:  cannot execute colbert_tune\(apply => true\) in a read-only transaction/, 'a standby cannot apply the settings');

$standby->stop;
$node->stop;
done_testing();
