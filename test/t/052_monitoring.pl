# colbert_indexes with indexes that cannot be read, and the counters of colbert_stat_indexes over all
# sessions: parallel workers, errors, rights, resets, drops, a full table, restarts, a crash, a standby.

use strict;
use warnings;
use ColbertTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $by_index = $ColbertTest::by_index;
my $query = q{(SELECT doc FROM docs WHERE id = 7)};
my $node = new_node('monitoring', allows_streaming => 1, no_data_checksums => 1);

# sql(SQL): run it in a session of its own, with the index.
sub sql
{
	my ($sql) = @_;

	return $node->safe_psql('postgres', "$by_index $sql");
}

# search(INDEX): SQL that searches this index, which its copy of the table is named after.
sub search
{
	my ($index) = @_;

	return "SELECT id FROM ${index}_docs ORDER BY doc <#> $query LIMIT 5";
}

# counted(COLUMNS, WHERE): counters, as psql writes them.
sub counted
{
	my ($columns, $where) = @_;

	$where //= 'true';
	return $node->safe_psql('postgres', "SELECT $columns FROM (SELECT * FROM colbert_stat_indexes WHERE $where ORDER BY index::text) AS counted");
}

# add_index(NAME, METHOD): a copy of the table docs, and its index.
sub add_index
{
	my ($name, $method) = @_;

	$node->safe_psql('postgres', "CREATE TABLE ${name}_docs AS SELECT * FROM docs; CREATE INDEX $name ON ${name}_docs USING $method (doc)");
	return;
}

# pgbench(SCRIPT): run it 50 times by each of 4 clients.
sub pgbench
{
	my $script = PostgreSQL::Test::Utils::tempdir() . '/script.sql';

	append_to_file($script, $_[0]);
	local $ENV{PGOPTIONS} = '-c enable_seqscan=off -c enable_sort=off';
	$node->command_ok([ 'pgbench', '-n', '-c', 4, '-j', 2, '-t', 50, '-f', $script, 'postgres' ], 'clients search at the same time');
	unlink $script;
	return;
}

# ends_badly(TEST NAME, INDEX, EXPECTED ERROR, SQL): a statement whose search is counted although it fails.
sub ends_badly
{
	my ($name, $index, $error, $sql) = @_;
	my ($searches, $aborted) = split /\|/, counted('searches, aborted', "index::text = '$index'");
	my ($rc, undef, $err) = $node->psql('postgres', "$by_index $sql");

	like($err, $error, "$name: the statement fails");
	is(counted('searches, aborted', "index::text = '$index'"), join('|', $searches + 1, $aborted + 1), "$name: its search is counted, as aborted");
	return;
}

add_docs($node, 300);
add_index('one', 'colbert_hnsw');
add_index('two', 'colbert_ivf');

# Without shared_preload_libraries there is nothing, and no error.
is(sql(search('one') . '; SELECT count(*), (SELECT colbert_stat_info() IS NULL) FROM colbert_stat_indexes; SELECT colbert_stat_reset()') =~ s/^\d+\n//gmr,
	"0|t\n", 'no counters without shared_preload_libraries');
$node->append_conf('postgresql.conf', "shared_preload_libraries = colbert_pg\ncolbert.stat_indexes = 4\nmax_parallel_workers_per_gather = 0");
$node->restart;
is($node->safe_psql('postgres', 'SELECT indexes, max_indexes, evicted, since > now() - interval \'1 hour\' FROM colbert_stat_info()'), '0|4|0|t', 'the table is empty at first');

# Several sessions.
sql(search('one')) for 1 .. 3;
sql(search('two') . ';' . search('two') . ';' . search('one'));
is(counted('index, relation, searches, aborted, emitted, late'), "one|one_docs|4|0|20|0\ntwo|two_docs|2|0|10|0", 'searches of all sessions are counted');
is(counted('last_search BETWEEN since - interval \'1 minute\' AND now(), query_tokens > 0, exhaustive <= searches, find_ms + gather_ms + narrow_ms + rerank_ms + exact_ms > 0'),
	"t|t|t|t\nt|t|t|t", 'the other columns are plausible');

sql('SELECT colbert_stat_reset()');
pgbench(search('one') . ";\n" . search('two') . ";\n");
is(counted('index, searches, emitted'), "one|200|1000\ntwo|200|1000", 'searches at the same time are all counted');

# The counters of one search are those of colbert_last_scan.
sql(q{SELECT colbert_stat_reset('one')});
is(counted('index, searches, emitted, last_search IS NULL'), "one|0|0|t\ntwo|200|1000|f", 'a reset of one index');
is( sql(search('one') . <<'SQL') =~ s/^\d+\n//gmr, 'searches', 'one search adds what colbert_last_scan shows');
;
CREATE TEMP TABLE last AS SELECT to_jsonb(l) - ARRAY['index', 'exhaustive'] AS counters FROM colbert_last_scan() AS l;
SELECT s.key FROM last, colbert_stat_indexes i, jsonb_each(to_jsonb(i) - ARRAY['relation', 'aborted', 'exhaustive', 'last_search', 'since', 'index']) AS s
WHERE i.index = 'one'::regclass AND counters -> s.key IS DISTINCT FROM s.value;
SQL

# Rescans are searches of their own; so are those of parallel workers.
sql(q{SELECT colbert_stat_reset()});
is(counted('sum(searches), sum(narrowed), sum(find_ms)'), '0|0|0', 'a reset of all');
sql("SELECT d.id, (SELECT o.id FROM one_docs o WHERE o.doc IS NOT NULL ORDER BY o.doc <#> d.doc LIMIT 1) FROM docs d WHERE d.doc IS NOT NULL AND d.id < 30");
is(counted('searches', "index = 'one'::regclass"), '28', 'each rescan is a search');
$node->safe_psql('postgres', 'CREATE TABLE asked WITH (parallel_workers = 2) AS SELECT * FROM docs WHERE id < 30 AND doc IS NOT NULL; ANALYZE asked');
my $parallel = <<'SQL';
SET max_parallel_workers_per_gather = 2; SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0;
SET parallel_leader_participation = off; SET enable_seqscan = on;
SQL
sql(<<'SQL');
CREATE FUNCTION nearest(query multivector) RETURNS int LANGUAGE plpgsql PARALLEL SAFE AS $$
BEGIN
	RETURN (SELECT id FROM one_docs WHERE doc IS NOT NULL ORDER BY doc <#> query LIMIT 1);
END $$;
SQL
my $in_workers = 'SELECT count(*) FROM asked WHERE nearest(doc) > 0';
my $plan = sql("$parallel EXPLAIN (ANALYZE, COSTS OFF) $in_workers");
like($plan, qr/Workers Launched: [12]/, 'workers run');
is(counted('searches', "index = 'one'::regclass"), '56', 'searches of parallel workers are counted');

# Searches that an error ends, in a statement, a subtransaction, a cursor, a session that is ended.
my $failing = "SELECT id, 1 / (id - id) FROM one_docs WHERE doc IS NOT NULL ORDER BY doc <#> $query LIMIT 5";
ends_badly('an error', 'one', qr/division by zero/, $failing);
ends_badly('an exception', 'one', qr/NOTICE:  caught/, 'DO $$ BEGIN PERFORM' . ($failing =~ s/^SELECT//r) . q{; EXCEPTION WHEN division_by_zero THEN RAISE NOTICE 'caught'; END $$});
ends_badly('a timeout', 'one', qr/statement timeout/,
	"SET statement_timeout = '500ms'; SELECT id, pg_sleep(10) FROM one_docs WHERE doc IS NOT NULL ORDER BY doc <#> $query LIMIT 3");
ends_badly('an aborted transaction', 'one', qr/division by zero/,
	'BEGIN; DECLARE c CURSOR FOR ' . search('one') . '; FETCH c; SELECT 1 / 0');
ends_badly('an ended session', 'one', qr/terminating connection/,
	'BEGIN; DECLARE c CURSOR FOR ' . search('one') . '; FETCH c; SELECT pg_terminate_backend(pg_backend_pid())');
my $before = counted('searches, aborted', "index = 'one'::regclass");
sql('BEGIN; DECLARE c CURSOR FOR ' . search('one') . '; FETCH c; ROLLBACK;');
isnt(counted('searches, aborted', "index = 'one'::regclass"), $before, 'a rolled back cursor is counted');

# Trials of colbert_tune are not.
$before = counted('searches', "index = 'two'::regclass");
is(sql("SELECT count(*) > 0 FROM colbert_tune('two', (SELECT array_agg(doc) FROM docs WHERE id BETWEEN 1 AND 5))"), 't', 'colbert_tune runs');
is(counted('searches', "index = 'two'::regclass"), $before, 'its trials are not counted');

# Rights.
sql('CREATE ROLE nobody; CREATE ROLE reader; CREATE ROLE watcher; GRANT SELECT ON one_docs TO reader; GRANT pg_monitor TO watcher');
is(sql('SET ROLE nobody; SELECT count(*) FROM colbert_stat_indexes'), '0', 'without rights there are no rows');
is(sql('SET ROLE reader; SELECT index FROM colbert_stat_indexes'), 'one', 'a reader sees the tables of which all rows can be read');
# As if the table were dropped between the look-ups of its index and of its rights.
is(sql(q{BEGIN; DELETE FROM pg_class WHERE oid = 'one_docs'::regclass; SET LOCAL ROLE reader; SELECT count(*) FROM colbert_stat_indexes; ROLLBACK}), '0', 'a table that is dropped meanwhile is passed over');
is(sql('SET ROLE watcher; SELECT index FROM colbert_stat_indexes ORDER BY 1'), "one\ntwo", 'a member of pg_monitor sees all');
sql('ALTER TABLE one_docs ENABLE ROW LEVEL SECURITY');
is(sql('SET ROLE reader; SELECT count(*) FROM colbert_stat_indexes'), '0', 'row-level security hides counters');
is(sql('SET ROLE watcher; SELECT count(*) FROM colbert_stat_indexes'), '2', 'but not from a member of pg_monitor');
my ($rc, undef, $err) = $node->psql('postgres', q{SET ROLE watcher; SELECT colbert_stat_reset('one')});
like($err, qr/permission denied for function colbert_stat_reset/, 'a reset needs a grant');
sql('GRANT EXECUTE ON FUNCTION colbert_stat_reset(regclass) TO watcher');
sql(q{SET ROLE watcher; SELECT colbert_stat_reset('one')});
is(counted('searches, aborted', "index = 'one'::regclass"), '0|0', 'and works with one');

# Indexes that cannot be read.
add_index('held', 'colbert_hnsw');
$node->psql('postgres', 'CREATE INDEX CONCURRENTLY failed ON held_docs USING colbert_ivf ((CASE WHEN id / (id - id) > 0 THEN doc END::multivector(16)))');
$node->psql('postgres', 'CREATE UNLOGGED TABLE unlogged_docs AS SELECT * FROM docs; CREATE INDEX unlogged ON unlogged_docs USING colbert_hnsw (doc)');
my $temporary = $node->background_psql('postgres');
$temporary->query_safe('CREATE TEMP TABLE tmp_docs AS SELECT * FROM docs; CREATE INDEX tmp ON tmp_docs USING colbert_hnsw (doc)');
my $holder = $node->background_psql('postgres');
$holder->query_safe('BEGIN; REINDEX INDEX held');
my $state = q{SELECT index::text ~ 'tmp', CASE WHEN index::text !~ 'tmp' THEN index END, status, documents, problem FROM colbert_indexes ORDER BY 1, 2};
is($node->safe_psql('postgres', "SET statement_timeout = '60s'; $state"), <<'ROWS' =~ s/\n$//r, 'each index has a row');
f|one|valid|285|
f|two|valid|285|
f|held|locked||
f|failed|not ready||It is being built, or its build failed.
f|unlogged|valid|285|
t||temporary||
ROWS
$holder->query_safe('COMMIT');
is($temporary->query_safe(q{SELECT index, status, documents FROM colbert_indexes WHERE index::text IN ('tmp', 'held') ORDER BY 1}), "held|valid|285\ntmp|valid|285", 'after a REINDEX, and for the owner of the temporary table');
is($temporary->query_safe("$by_index SELECT count(*) FROM (SELECT id FROM tmp_docs ORDER BY doc <#> $query LIMIT 5) AS found; SELECT searches FROM colbert_stat_indexes WHERE index = 'tmp'::regclass"), "5\n1",
	'searches of temporary tables are counted');
$_->quit for $temporary, $holder;
$node->poll_query_until('postgres', 'SELECT count(*) = 5 FROM colbert_indexes') or die 'the temporary index remains';

# Drops, of which some are rolled back.
is($node->safe_psql('postgres', 'SELECT indexes FROM colbert_stat_info()'), '2', 'counters of a temporary index vanish with it');
sql('BEGIN; DROP INDEX one; ROLLBACK');
sql('BEGIN; SAVEPOINT s; DROP TABLE one_docs; ROLLBACK TO s; COMMIT');
is($node->safe_psql('postgres', 'SELECT indexes FROM colbert_stat_info()'), '2', 'counters survive a drop that is rolled back');
add_index('three', 'colbert_ivf');
sql(search('three'));
sql('DROP TABLE three_docs');
is($node->safe_psql('postgres', 'SELECT indexes FROM colbert_stat_info()'), '2', 'counters vanish with their table');
add_index('three', 'colbert_ivf');
sql(search('three'));
is($node->safe_psql('postgres', 'SELECT indexes FROM colbert_stat_info()'), '3', 'and come back with another one');
# DROP INDEX CONCURRENTLY waits for a search, which is counted meanwhile.
my $reader = $node->background_psql('postgres');
$reader->query_safe("$by_index BEGIN; DECLARE c CURSOR FOR " . search('three') . '; FETCH c');
$node->psql('postgres', "SET lock_timeout = '1s'; DROP INDEX CONCURRENTLY three", stderr => \my $timeout);
like($timeout, qr/lock timeout/, 'DROP INDEX CONCURRENTLY waits for a search');
is($node->safe_psql('postgres', 'SELECT indexes FROM colbert_stat_info()'), '3', 'and keeps counters if it fails');
my $dropper = $node->background_psql('postgres');
$dropper->query_until(qr/sent/, "\\echo sent\nDROP INDEX CONCURRENTLY three;\n");
$node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_activity WHERE query ~ '^DROP INDEX' AND wait_event_type = 'Lock'}) or die 'the drop does not wait';
$reader->query_safe('COMMIT');
$_->quit for $reader, $dropper;
is($node->safe_psql('postgres', 'SELECT indexes FROM colbert_stat_info()'), '2', 'DROP INDEX CONCURRENTLY removes counters');
$node->safe_psql('postgres', 'DROP TABLE three_docs; REINDEX INDEX one');
is(counted('count(*)', "index = 'one'::regclass"), '1', 'REINDEX keeps them');
$node->safe_psql('postgres', 'CREATE DATABASE other TEMPLATE postgres');
$node->safe_psql('other', "$by_index " . search('one'));
is($node->safe_psql('other', 'SELECT index, searches FROM colbert_stat_indexes'), 'one|1', 'databases have their own counters');
is($node->safe_psql('other', 'SELECT colbert_stat_reset(); SELECT indexes FROM colbert_stat_info()'), "\n3", 'a reset concerns one database');
$node->safe_psql('postgres', 'DROP DATABASE other');
is($node->safe_psql('postgres', 'SELECT indexes FROM colbert_stat_info()'), '2', 'counters vanish with their database');

# Too many indexes: those that were not searched for longest give way.
sql(search('one'));
for my $name (qw(a b c d))
{
	add_index($name, 'colbert_hnsw');
	sql(search($name));
	sql(search('one'));
}
is(counted('string_agg(index::text, \' \' ORDER BY index::text)'), 'b c d one', 'the latest indexes have counters');
is(counted('searches', "index = 'one'::regclass"), '5', 'those that are searched keep them');
is($node->safe_psql('postgres', 'SELECT indexes, evicted FROM colbert_stat_info()'), '4|2', 'the others are counted');

$node->safe_psql('postgres', 'CREATE VIEW any_docs AS ' . join(' UNION ALL ', map { "(SELECT '$_' AS index, id FROM (" . search($_) . ') AS found)' } qw(a b c d one)));
pgbench("\\set n random(1, 5)\nSELECT count(id) FROM any_docs WHERE index = (ARRAY['a', 'b', 'c', 'd', 'one'])[:n];\n");
is($node->safe_psql('postgres', 'SELECT indexes, evicted > 2 FROM colbert_stat_info()'), '4|t', 'more indexes than there is room for, at the same time');
is(counted('count(*), bool_and(searches > 0 AND emitted = 5 * searches)'), '4|t', 'their counters are whole');

# A standby has counters of its own, and reads no unlogged index. Drops that it replays leave its view.
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE halves (half int, id bigint, doc multivector(16)) PARTITION BY LIST (half);
CREATE TABLE halves_logged PARTITION OF halves FOR VALUES IN (1);
CREATE UNLOGGED TABLE halves_unlogged PARTITION OF halves FOR VALUES IN (2);
INSERT INTO halves SELECT half, id, doc FROM docs, generate_series(1, 2) AS half;
CREATE INDEX halves_doc ON halves USING colbert_hnsw (doc);
SQL
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
$node->wait_for_catchup($standby);
$standby->safe_psql('postgres', "$by_index " . search('one') . ';' . search('a'));
is($standby->safe_psql('postgres', 'SELECT index, searches FROM colbert_stat_indexes ORDER BY index::text'), "a|1\none|1", 'a standby counts its own searches');
like($standby->safe_psql('postgres', q{SELECT index, status, documents, problem FROM colbert_indexes WHERE index::text IN ('one', 'unlogged') ORDER BY 1}),
	qr/^one\|valid\|285\|\nunlogged\|unlogged\|\|$/, 'and shows an unlogged index, which it cannot read');
for my $call ("colbert_index_info('unlogged')", "colbert_partition_info('unlogged')", "colbert_index_check('unlogged')",
	"colbert_tune('unlogged', ARRAY(SELECT doc FROM docs LIMIT 20))")
{
	like(($standby->psql('postgres', "\\set VERBOSITY verbose\nSELECT * FROM $call"))[2], qr/ERROR:  55000: index "unlogged" is unlogged and empty during recovery/,
		"$call says that the index is empty");
}
for my $call ("documents FROM colbert_index_info('halves_doc')", "documents FROM colbert_partition_info('halves_doc')", "count(*) + 285 FROM colbert_index_check('halves_doc', true)")
{
	my (undef, $out, $err) = $standby->psql('postgres', "SELECT $call");
	is($out, '285', "$call leaves out the unlogged partition");
	like($err, qr/^psql:<stdin>:1: NOTICE:  index "halves_unlogged_doc_idx" is left out, because it is unlogged and empty during recovery$/, 'and says so');
}
is($node->safe_psql('postgres', "SELECT documents FROM colbert_index_info('halves_doc')"), '570', 'the primary has all partitions');
$node->safe_psql('postgres', 'DROP TABLE a_docs CASCADE');
$node->wait_for_catchup($standby);
is($standby->safe_psql('postgres', 'SELECT index FROM colbert_stat_indexes'), 'one', 'an index that is dropped on the primary leaves the view');
$standby->stop;

# Damage. A restart and a crash set the counters to zero.
my $file = $node->data_dir . '/' . $node->safe_psql('postgres', q{SELECT pg_relation_filepath('two')});
$node->restart;
is($node->safe_psql('postgres', 'SELECT count(*), (SELECT indexes FROM colbert_stat_info()) FROM colbert_stat_indexes'), '0|0', 'a restart sets counters to zero');
sql(search('one'));
my $since = $node->safe_psql('postgres', 'SELECT since FROM colbert_stat_info()');
kill_all($node);
start_after_kill($node);
is($node->safe_psql('postgres', "SELECT indexes, since > '$since' FROM colbert_stat_info()"), '0|t', 'so does a crash');
sql(search('one'));
$node->append_conf('postgresql.conf', 'restart_after_crash = on');
$node->reload;
my $victim = $node->background_psql('postgres', on_error_stop => 0);
my $pid = $victim->query_safe('SELECT pg_backend_pid()');
kill 'KILL', $pid;
$node->poll_query_until('postgres', 'SELECT indexes = 0 FROM colbert_stat_info()');
eval { $victim->quit };
sql(search('one'));
is(counted('index, searches'), 'one|1', 'counting goes on after a backend crashed');
$node->stop;
open(my $fh, '+<:raw', $file) or die "$file: $!";
print $fh "\x07" x 4096;
close($fh);
$node->start;
like($node->safe_psql('postgres', $state), qr/^f\|one\|valid\|285\|$/m, 'with a damaged index the others are shown');
like($node->safe_psql('postgres', $state), qr/^f\|two\|error\|\|.*(invalid page|not a colbert_pg index|damaged|corrupt)/mi, 'and the damaged one with its error');

# Off.
$node->append_conf('postgresql.conf', 'colbert.stat_indexes = 0');
$node->restart;
is(sql(search('one') . '; SELECT colbert_stat_info() IS NULL, count(*) FROM colbert_stat_indexes') =~ s/^\d+\n//gmr, 't|0', 'colbert.stat_indexes = 0 turns counters off');

$node->stop;
done_testing();
