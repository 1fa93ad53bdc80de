# CREATE INDEX. Any number of workers must give the same nodes and answers. A build that is
# cancelled at any moment must leave nothing behind. A build must succeed with 1 MB. After a kill -9
# in the middle of a build, the server must start.

use strict;
use warnings;
use ColbertTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

my $node = new_node('build');
# segments as files, so that they can be counted
$node->append_conf('postgresql.conf', <<'CONF');
dynamic_shared_memory_type = mmap
max_worker_processes = 8
CONF
$node->restart;

load_questions($node);
load_passages($node, 'pool', amount(1000, 2000));

# By default, the planner gives no workers to a table of this size.
$node->safe_psql('postgres', 'ALTER TABLE pool SET (parallel_workers = 4)');

sub workers
{
	my ($workers) = @_;

	return "SET max_parallel_maintenance_workers = $workers; SET maintenance_work_mem = '128MB';\n";
}


sub create_sql
{
	my ($method) = @_;

	return "CREATE INDEX pool_index ON pool USING colbert_$method (doc);\n";
}

# segments(): the files of dynamic shared memory, including the control segment and the server's
# own.
sub segments
{
	my @files = glob($node->data_dir . '/pg_dynshmem/mmap.*');

	return scalar @files;
}

my $segments_at_rest = segments();

# left_behind(NAME): check that a failed build left nothing behind. Workers may take a moment to
# exit.
sub left_behind
{
	my ($name) = @_;
	my $processes = q{SELECT count(*) FROM pg_stat_activity
		WHERE backend_type IN ('client backend', 'parallel worker') AND pid <> pg_backend_pid()};

	$node->poll_query_until('postgres', "SELECT ($processes) = 0") or fail("$name: a process remains");
	# the first file of a dropped relation stays, empty, until a checkpoint
	my $left = $node->safe_psql('postgres', <<'SQL');
CHECKPOINT;
SELECT format('relation %s', oid::regclass) FROM pg_class WHERE relname = 'pool_index'
UNION ALL
SELECT format('file %s', file) FROM pg_ls_dir('base/' || (SELECT oid FROM pg_database WHERE datname = current_database())) AS file
WHERE file ~ '^[0-9]' AND pg_filenode_relation(0, substring(file FROM '^[0-9]+')::oid) IS NULL
UNION ALL
SELECT format('temporary file %s', name) FROM pg_ls_tmpdir()
UNION ALL
SELECT format('lock %s %s', locktype, mode) FROM pg_locks WHERE pid <> pg_backend_pid();
SQL
	is($left, '', "$name: no relation, no file, no lock is left");
	is(segments(), $segments_at_rest, "$name: no shared memory is left");
	return;
}

# Return values that must not depend on the workers: the number of nodes and postings, and the best
# documents of the nearest node of each query token. No cut is applied that could choose among equal
# candidates at random.
sub fingerprint
{
	return $node->safe_psql('postgres', <<'SQL');
SET enable_seqscan = off; SET enable_sort = off;
LOAD 'colbert_pg';
SET colbert.probes = 1; SET colbert.ef_search = 10; SET colbert.candidates = 2000; SET colbert.rerank = 2000;
SELECT format('%s nodes, %s postings, answers %s', i.nodes, i.postings, a.digest)
FROM colbert_index_info('pool_index') AS i,
     (SELECT md5(string_agg(q.id || ':' || r.scores, ',' ORDER BY q.id)) AS digest
      FROM questions q, LATERAL (SELECT string_agg(score::text, ' ' ORDER BY score) AS scores
           FROM (SELECT maxsim(doc, q.short) AS score FROM pool ORDER BY doc <#> q.short LIMIT 10) AS found) AS r
      WHERE q.id % 20 = 0) AS a;
SQL
}

my %seconds;

each_method('workers', sub {
	my ($method) = @_;
	my $first;

	for my $workers (@{ amount([ 0, 1, 2, 2, 4 ], [ 0, 0, 1, 1, 2, 2, 4 ]) })
	{
		my $start = time;

		$node->safe_psql('postgres', workers($workers) . create_sql($method));
		$seconds{$method} //= time - $start;
		my $print = fingerprint();
		$first //= $print;
		is($print, $first, "$workers workers");
		checker_is_content($node, 'pool', "$workers workers");
		$node->safe_psql('postgres', 'DROP INDEX pool_index');
	}
	left_behind('builds that end well');
});

# Fewer workers than planned, and none.
for my $slots (2, 0)
{
	$node->append_conf('postgresql.conf', "max_worker_processes = $slots");
	$node->restart;
	each_method("$slots worker slots", sub {
		my ($method) = @_;

		$node->safe_psql('postgres', workers(4) . create_sql($method));
		index_is_sound($node, 'pool', 'built');
		$node->safe_psql('postgres', 'DROP INDEX pool_index');
	});
}
$node->append_conf('postgresql.conf', 'max_worker_processes = 8');
$node->restart;

each_method('maintenance_work_mem = 1MB', sub {
	my ($method) = @_;

	for my $workers (0, 2)
	{
		my ($rc, $out, $err) = $node->psql('postgres', workers($workers) . "SET maintenance_work_mem = '1MB'; " . create_sql($method));

		is($rc, 0, "$workers workers: the build succeeds");
		like($err, qr/NOTICE:.*maintenance_work_mem holds only/, "$workers workers: a notice reports the cost");
		index_is_sound($node, 'pool', "$workers workers");
		$node->safe_psql('postgres', 'DROP INDEX pool_index');
	}
});

# Cancel builds at random moments in three ways, until each has stopped this many builds.
srand(5);
my $stopped_builds = 17;
my $max_builds = 200;
my @ways = ('cancelled', 'terminated', 'timed-out');
my @stopped = (0, 0, 0);
my @latencies;

# Wait in the server until the build is running. Starting a psql for each check would take longer
# than the build.
my $wait_for_build = <<'SQL';
DO $$BEGIN
	FOR look IN 1 .. 30000 LOOP
		EXIT WHEN EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'builder' AND %s);
		PERFORM pg_sleep(.001);
		PERFORM pg_stat_clear_snapshot();
	END LOOP;
END$$;
SQL

# stop_a_build(METHOD, WORKERS, WAY): start a build and stop it after a fraction of the time that
# the first one took. Return true if it was stopped, false if it finished before.
sub stop_a_build
{
	my ($method, $workers, $way) = @_;
	my $wait = rand($seconds{$method});
	my $timeout = sprintf 'SET statement_timeout = %d;', $way eq 'timed-out' ? 1 + 1000 * $wait : 0;
	my $build = start_sql($node, "SET application_name = 'builder'; $timeout\n" . workers($workers) . create_sql($method));

	if ($way ne 'timed-out')
	{
		my $function = $way eq 'cancelled' ? 'pg_cancel_backend' : 'pg_terminate_backend';

		$node->safe_psql('postgres', sprintf($wait_for_build, "query ~ 'CREATE INDEX'") . "SELECT pg_sleep($wait);"
			  . "SELECT $function(pid) FROM pg_stat_activity WHERE application_name = 'builder' AND backend_type = 'client backend'");
	}
	my $start = time;
	my $error = stop_sql($build);

	push @latencies, time - $start if $way ne 'timed-out';
	return 1 if $error =~ /canceling statement|terminating connection/;
	# builds are faster now than when they were timed
	$seconds{$method} *= .9;
	$node->safe_psql('postgres', 'DROP INDEX IF EXISTS pool_index');
	return 0;
}

for my $n (0 .. $max_builds - 1)
{
	my $way = $n % 3;

	last if (sort { $a <=> $b } @stopped)[0] >= $stopped_builds;
	$stopped[$way] += stop_a_build($methods[ $n % @methods ], int($n / @methods) % 2 ? 2 : 0, $ways[$way]);
	left_behind("build $n") if $n % 10 == 9;
}
cmp_ok($stopped[$_], '>=', $stopped_builds, "$ways[$_] builds: $stopped[$_]") for 0 .. 2;
note(sprintf 'slowest to stop: %.0f ms, the median %.0f ms', 1000 * (sort { $b <=> $a } @latencies)[0],
	1000 * (sort { $a <=> $b } @latencies)[ @latencies / 2 ]);

each_method('after the cancelled builds', sub {
	$node->safe_psql('postgres', workers(2) . create_sql($_[0]));
	index_is_sound($node, 'pool', 'built');
	$node->safe_psql('postgres', 'DROP INDEX pool_index');
});

# A single killed worker makes the build fail, and nothing else. The workers may finish before they
# are seen; if so, repeat.
my $worker_error = qr/terminating connection|parallel worker/;
my $error = '';

for (1 .. 20)
{
	my $build = start_sql($node, "SET application_name = 'builder';\n" . workers(2) . create_sql('ivf'));

	$node->safe_psql('postgres', sprintf($wait_for_build, "backend_type = 'parallel worker'")
		  . q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'parallel worker'});
	$error = stop_sql($build);
	last if $error =~ $worker_error;
	$node->safe_psql('postgres', 'DROP INDEX pool_index');
}
like($error, $worker_error, 'a terminated worker fails the build');
left_behind('a terminated worker');

# kill -9 of all processes.
my $rows = $node->safe_psql('postgres', 'SELECT count(*), sum(num_tokens(doc)) FROM pool');

for my $method (@methods)
{
	for my $share (.1, .4, .8)
	{
		my $build = start_sql($node, workers(2) . create_sql($method));

		usleep(1e6 * $share * $seconds{$method});
		kill_all($node);
		stop_sql($build);
		start_after_kill($node);
		is($node->safe_psql('postgres', 'SELECT count(*), sum(num_tokens(doc)) FROM pool'), $rows, "colbert_$method: killed at $share, the table is whole");
	}
	$node->safe_psql('postgres', 'DROP INDEX IF EXISTS pool_index;' . workers(2) . create_sql($method));
	index_is_sound($node, 'pool', "colbert_$method: built again after kill -9");
	kill_all($node);
	start_after_kill($node);
	index_is_sound($node, 'pool', "colbert_$method: recovered from the WAL of leader and workers");
	$node->safe_psql('postgres', 'DROP INDEX pool_index');
}
is(segments(), $segments_at_rest, 'the killed server leaves no shared memory');

stop_node($node);
done_testing();
