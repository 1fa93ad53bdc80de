# Inserts concurrent with merges. No insert takes long, none is cancelled by a timeout shorter than
# a merge, and pending documents stay within colbert.pending_limit: with a background worker,
# without one, and with autovacuum. A document larger than memory is merged in parts.

use strict;
use warnings;
use ColbertTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

my $node = new_node('inserts');
my $clients = 4;
my $limit = 16384;

load_questions($node);
load_passages($node, 'pool', $ENV{COLBERT_EXTRA} ? 16000 : 2500);
$node->safe_psql('postgres', <<'SQL');
-- Insert rows of the pool one by one, each with a timeout; record the time of each, and the number of pending tokens.
CREATE TABLE took (target text, ms float8, pending bigint, state text);
CREATE PROCEDURE insert_one_by_one(target text, lowest int, highest int) LANGUAGE plpgsql AS $$
DECLARE
	r record;
	start timestamptz;
	state text;
BEGIN
	FOR r IN SELECT * FROM pool WHERE id BETWEEN lowest AND highest ORDER BY id LOOP
		start := clock_timestamp();
		state := '';
		BEGIN
			EXECUTE format('INSERT INTO %I VALUES ($1, $2, $3, $4)', target) USING r.id, r.source, r.body, r.doc;
		EXCEPTION WHEN query_canceled THEN
			state := 'cancelled';
		END;
		INSERT INTO took SELECT target, extract(epoch FROM clock_timestamp() - start) * 1000,
			CASE WHEN r.id % 10 = 0 THEN (SELECT pending_tokens FROM colbert_index_info((target || '_index')::regclass)) END, state;
		COMMIT;
	END LOOP;
END $$;
SQL

# insert_pool(TABLE, LOWEST, SETTINGS): insert the pool from an id on, with several clients. Return
# their errors.
sub insert_pool
{
	my ($table, $lowest, $settings) = @_;
	my $highest = $node->safe_psql('postgres', 'SELECT max(id) FROM pool');
	my $share = ($highest - $lowest + 1) / $clients;
	my @handles = map {
		my ($from, $to) = (int($lowest + $_ * $share), int($lowest + ($_ + 1) * $share) - 1);

		start_sql($node, "LOAD 'colbert_pg'; SET colbert.pending_limit = $limit; $settings CALL insert_one_by_one('$table', $from, $to);")
	} 0 .. $clients - 1;

	$node->safe_psql('postgres', 'TRUNCATE took');
	return join('', map { stop_sql($_) } @handles);
}

# was_quick(TABLE, NAME): check the times of the last inserts.
sub was_quick
{
	my ($table, $name, $most) = @_;
	my ($n, $median, $slow, $pending) = split /\|/, $node->safe_psql('postgres', <<"SQL");
SELECT count(*), percentile_cont(.5) WITHIN GROUP (ORDER BY ms), percentile_cont(.99) WITHIN GROUP (ORDER BY ms), max(pending) FROM took WHERE target = '$table'
SQL

	# the bounds allow for other load on the machine; merges used to take a second
	cmp_ok($slow, '<', 150, sprintf('%s: %d inserts: median %.1f ms, 99th percentile %.1f ms', $name, $n, $median, $slow));
	cmp_ok($pending, '<', $most, "$name: at most $pending tokens are pending");
	index_is_sound($node, $table, $name);
	return;
}

each_method('inserts in steps, without a worker', sub {
	my ($method, $table) = @_;

	create_tables($node, 'id <= 1000') if $method eq $methods[0];
	is(insert_pool($table, 1001, 'SET colbert.background_merge = off;'), '', 'no error');
	was_quick($table, 'without a worker', $limit);
	is($node->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'colbert_pg%'"), '0', 'no worker runs');
	$node->safe_psql('postgres', "DROP TABLE $table");
});

each_method('an index that was created empty, with a worker', sub {
	my ($method, $table) = @_;

	create_tables($node) if $method eq $methods[0];
	is(insert_pool($table, 1, ''), '', 'no error');
	ok($node->poll_query_until('postgres', "SELECT nodes > 0 AND pending_tokens < $limit FROM colbert_index_info('${table}_index')"), 'a worker trains the index and merges');
	# with this limit there are too few tokens to train before it is reached
	was_quick($table, 'with a worker', 3 * $limit);
	$node->safe_psql('postgres', "DROP TABLE $table");
});
ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type LIKE 'colbert_pg%'"), 'workers exit');

# What a worker has merged leaves the queue batch by batch, not when it has merged all: inserts that wait meanwhile need not go on.
each_method('a worker merges in batches', sub {
	my ($method, $table) = @_;

	create_tables($node, 'id <= 600') if $method eq $methods[0];
	$node->safe_psql('postgres', "LOAD 'colbert_pg'; SET colbert.pending_limit = 1000000000; INSERT INTO $table SELECT * FROM pool WHERE id BETWEEN 601 AND 1400");
	my $pending = "SELECT pending_tokens FROM colbert_index_info('${table}_index')";
	my $before = $node->safe_psql('postgres', $pending);

	cmp_ok($before, '<', 65536, "$before tokens are pending, fewer than a merge without haste takes at once");
	# a session that stays, and looks as often as it can while the worker merges
	$node->safe_psql('postgres', <<"SQL");
LOAD 'colbert_pg'; SET colbert.pending_limit = $limit;
INSERT INTO $table SELECT * FROM pool WHERE id = 1401;
CREATE TEMP TABLE looks (pending bigint);
DO \$\$ BEGIN
	FOR i IN 1 .. 5000 LOOP
		INSERT INTO looks $pending;
		EXIT WHEN (SELECT min(pending) FROM looks) < $limit / 8;
		PERFORM pg_sleep(.01);
	END LOOP;
END \$\$;
CREATE TABLE steps_$method AS SELECT count(DISTINCT pending) AS n FROM looks WHERE pending BETWEEN $limit / 8 AND $before - 1000;
SQL
	cmp_ok($node->safe_psql('postgres', "SELECT n FROM steps_$method"), '>=', 3, 'and go in steps');
	index_is_sound($node, $table, 'merged in batches');
	$node->safe_psql('postgres', "DROP TABLE $table");
});

# registered(FUNCTION): return the OIDs of the indexes for which the server registers workers while the function runs.
sub registered
{
	my ($function) = @_;
	my $offset = -s $node->logfile;

	$node->append_conf('postgresql.conf', 'log_min_messages = debug1');
	$node->reload;
	$function->();
	# the server logs a registration later than the session goes on
	$node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type LIKE 'colbert_pg%'");
	$node->append_conf('postgresql.conf', 'log_min_messages = warning');
	$node->reload;
	my $log = PostgreSQL::Test::Utils::slurp_file($node->logfile, $offset);
	return $log =~ /DEBUG:  registering background worker "colbert_pg merge of index (\d+)/g;
}

# A session whose worker has merged what was pending starts another one as soon as much is pending again. It used to merge by itself for the rest of
# a second if more was pending than when the last worker had started.
each_method('a worker follows another', sub {
	my ($method, $table) = @_;

	create_tables($node, 'id <= 600') if $method eq $methods[0];
	is(scalar(my @indexes = registered(sub { $node->safe_psql('postgres', <<"SQL") })), 2, 'two workers');
LOAD 'colbert_pg';
SET colbert.pending_limit = $limit;
INSERT INTO $table SELECT * FROM pool WHERE id BETWEEN 601 AND 700;
SET colbert.pending_limit = @{[ 2 * $limit ]};
DO \$\$ BEGIN
	FOR i IN 1 .. 6000 LOOP
		PERFORM pg_stat_clear_snapshot();
		-- the worker has not come yet, or works
		EXIT WHEN (SELECT pending_tokens FROM colbert_index_info('${table}_index')) <= $limit / 8
			AND NOT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'colbert_pg merge');
		PERFORM pg_sleep(.01);
	END LOOP;
END \$\$;
INSERT INTO $table SELECT * FROM pool WHERE id BETWEEN 701 AND 900;
SQL
	$node->safe_psql('postgres', "DROP TABLE $table");
});

# One session has workers for several indexes.
subtest 'a worker for each index of a table' => sub {
	$node->safe_psql('postgres', <<'SQL');
CREATE TABLE two AS SELECT * FROM pool WHERE id <= 600;
CREATE INDEX ON two USING colbert_hnsw (doc);
CREATE INDEX ON two USING colbert_ivf (doc);
SQL
	my @indexes = registered(sub { $node->safe_psql('postgres', "LOAD 'colbert_pg'; SET colbert.pending_limit = $limit; INSERT INTO two SELECT * FROM pool WHERE id BETWEEN 601 AND 720") });

	is(scalar(keys %{ { map { $_ => 1 } @indexes } }), 2, 'two indexes have one');
	$node->safe_psql('postgres', 'DROP TABLE two');
};

# A worker whose batches are too small to group all nodes of a graph for one of them does so after a few.
subtest 'colbert_hnsw: small batches of a graph with many nodes' => sub {
	my $offset = -s $node->logfile;

	$node->safe_psql('postgres', <<"SQL");
CREATE TABLE crowded AS SELECT * FROM pool WHERE id <= 2000;
CREATE INDEX crowded_index ON crowded USING colbert_hnsw (doc) WITH (tokens_per_node = 10);
SQL
	cmp_ok($node->safe_psql('postgres', q{SELECT nodes FROM colbert_index_info('crowded_index')}), '>', 9000, 'the graph has more than eight nodes per token of a batch');
	$node->safe_psql('postgres', <<"SQL");
LOAD 'colbert_pg';
SET colbert.pending_limit = $limit;
INSERT INTO crowded SELECT * FROM pool WHERE id BETWEEN 2001 AND 2300;
DO \$\$ BEGIN
	FOR i IN 1 .. 6000 LOOP
		PERFORM pg_stat_clear_snapshot();
		PERFORM pg_log_backend_memory_contexts(pid) FROM pg_stat_activity WHERE backend_type = 'colbert_pg merge';
		EXIT WHEN NOT FOUND AND (SELECT pending_tokens FROM colbert_index_info('crowded_index')) <= $limit / 8;
		PERFORM pg_sleep(.01);
	END LOOP;
END \$\$;
SQL
	like(PostgreSQL::Test::Utils::slurp_file($node->logfile, $offset), qr/colbert_pg graph groups/, 'the worker has grouped them');
	index_is_sound($node, 'crowded', 'merged in small batches');
	$node->safe_psql('postgres', 'DROP TABLE crowded');
};

each_method('a timeout that is shorter than a merge', sub {
	my ($method, $table) = @_;

	create_tables($node, 'id <= 600') if $method eq $methods[0];
	$node->safe_psql('postgres', "LOAD 'colbert_pg'; SET colbert.pending_limit = 1000000000; INSERT INTO $table SELECT * FROM pool WHERE id BETWEEN 601 AND 2000");
	$node->safe_psql('postgres', <<"SQL");
LOAD 'colbert_pg'; SET colbert.pending_limit = 1; SET colbert.background_merge = off;
SET statement_timeout = '300ms';
@{[ join("\n", map { "INSERT INTO $table SELECT * FROM pool WHERE id = $_;" } 2001 .. 2300) ]}
SQL
	cmp_ok($node->safe_psql('postgres', "SELECT pending_documents FROM colbert_index_info('${table}_index')"), '<', 1700, 'no insert is cancelled, and they merge');
	index_is_sound($node, $table, 'merged in steps');
	$node->safe_psql('postgres', "DROP TABLE $table");
});

# Autovacuum of an index with pending rows finishes while inserts continue without a pause.
$node->append_conf('postgresql.conf', "autovacuum = on\nautovacuum_naptime = 1\nautovacuum_vacuum_cost_delay = 0");
$node->reload;
for my $quantizer ($ENV{COLBERT_EXTRA} ? qw(sq4 pq bit) : qw(sq4))
{
	$node->safe_psql('postgres', <<"SQL");
CREATE TABLE steady (LIKE pool) WITH (autovacuum_vacuum_threshold = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_insert_threshold = 50, autovacuum_vacuum_insert_scale_factor = 0);
INSERT INTO steady SELECT * FROM pool WHERE id <= 1000;
CREATE INDEX steady_index ON steady USING colbert_ivf (doc) WITH (quantizer = $quantizer);
SQL
	my @handles = map { start_sql($node, "INSERT INTO steady SELECT * FROM pool WHERE id = 1000 + $_;\nDELETE FROM steady WHERE id = $_;\nSELECT pg_sleep(.002);\n" x 20000) } 1 .. 2;

	ok($node->poll_query_until('postgres', "SELECT autovacuum_count > 1 FROM pg_stat_user_tables WHERE relname = 'steady'"), "$quantizer: autovacuum finishes during inserts");
	stop_load($node, @handles);
	is($node->safe_psql('postgres', q{SELECT message FROM colbert_index_check('steady_index', true, true) WHERE severity = 'error'}), '', "$quantizer: the index is sound after autovacuum");
	$node->safe_psql('postgres', 'DROP TABLE steady');
}
$node->append_conf('postgresql.conf', 'autovacuum = off');
$node->reload;

# A document of 400,000 tokens is merged in parts, so that its size does not determine the memory of
# a merge. All its tokens together would take 25 MB.
each_method('a document larger than memory', sub {
	my ($method) = @_;

	$node->safe_psql('postgres', <<"SQL");
CREATE TABLE large (id int, doc multivector(16));
INSERT INTO large SELECT i, (SELECT multivector_agg(ARRAY(SELECT sin(i * 31 + t * 7 + d * d) FROM generate_series(1, 16) d)::real[]) FROM generate_series(1, 8) t) FROM generate_series(1, 3000) i;
CREATE INDEX large_index ON large USING colbert_$method (doc);
LOAD 'colbert_pg'; SET colbert.pending_limit = 1000000000;
INSERT INTO large SELECT 0, multivector_agg(ARRAY[t % 97, t % 89, t % 83, t % 79, 1, 2, 3, 4, 5, 6, 7, 8, 9, t % 73, t % 71, t % 67]::real[]) FROM generate_series(1, 400000) t;
SQL
	my ($before, $merged, $after) = split /\n/, $node->safe_psql('postgres', <<'SQL');
SET maintenance_work_mem = '2MB';
SELECT (regexp_match(pg_read_file('/proc/self/status'), 'VmPeak:\s+(\d+)'))[1];
SELECT colbert_merge('large_index');
SELECT (regexp_match(pg_read_file('/proc/self/status'), 'VmPeak:\s+(\d+)'))[1];
SQL
	is($merged, '1', 'the document is merged');
	cmp_ok($after - $before, '<', 16000, 'in ' . ($after - $before) . ' kB of memory');
	is($node->safe_psql('postgres', q{SELECT message FROM colbert_index_check('large_index', true, true) WHERE severity = 'error'}), '', 'the index is sound after the merge');
	is($node->safe_psql('postgres', "$ColbertTest::by_index SELECT id FROM large ORDER BY doc <#> '[[9,9,9,9,0,0,0,0,0,0,0,0,9,9,9,9]]' LIMIT 1"), '0', 'the document is found');
	$node->safe_psql('postgres', 'DROP TABLE large');
});

stop_node($node);
done_testing();
