# A worker that merges does not keep others from its database: DROP DATABASE and the like succeed
# while it has more to do. They wait five seconds for other processes to disconnect. Nor do timeouts
# of sessions end a worker.

use strict;
use warnings;
use ColbertTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $node = faults_node('drop_database');
my $folder = PostgreSQL::Test::Utils::tempdir();
my $pending = q{SELECT pending_documents FROM colbert_index_info('t_index')};

# A template of databases with an index, in which 1,500 documents are inserted later. Their 4,500
# tokens are more than three eighths of the limit, and more than four batches.
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE docs (id int, doc multivector(16));
INSERT INTO docs
	SELECT i, (SELECT multivector_agg(ARRAY(SELECT sin(i * 31 + t * 7 + d * d) FROM generate_series(1, 16) d)::real[]) FROM generate_series(1, 3) t)
	FROM generate_series(1, 4500) i;
CREATE TABLE t (LIKE docs);
INSERT INTO t SELECT * FROM docs WHERE id <= 3000;
CREATE INDEX t_index ON t USING colbert_hnsw (doc) WITH (tokens_per_node = 16);
SQL
$node->safe_psql('template1', 'CREATE DATABASE prepared TEMPLATE postgres');
my $insert = q{LOAD 'colbert_pg'; SET colbert.pending_limit = 10000; INSERT INTO t SELECT * FROM docs WHERE id > 3000};

# configure(SETTINGS): append to the server's configuration, and load it.
sub configure
{
	my ($settings) = @_;

	$node->append_conf('postgresql.conf', $settings);
	$node->reload;
	return;
}

# Wait until a worker pauses in a batch. Return true if one does.
sub worker_pauses
{
	for (1 .. 1200)
	{
		return 1 if -e "$folder/merge-posted.reached";
		usleep(50_000);
	}
	return 0;
}

# A worker is paused in its first batch when a statement locks its database, and goes on when the
# statement waits for it. It ends after that batch.
sub statement_succeeds
{
	my ($statement, $database) = @_;

	$node->safe_psql('postgres', 'CREATE DATABASE work TEMPLATE prepared');
	$node->safe_psql('work', $insert);
	ok(worker_pauses(), "$statement: a worker merges");
	my $handle = start_sql($node, $statement);
	ok($node->poll_query_until('postgres', <<'SQL'), "$statement: the database is locked");
SELECT count(*) > 0 FROM pg_locks
WHERE locktype = 'object' AND classid = 'pg_database'::regclass AND objid = (SELECT oid FROM pg_database WHERE datname = 'work')
	AND mode IN ('AccessExclusiveLock', 'ShareLock')
SQL
	append_to_file("$folder/merge-posted.go", '');
	is(stop_sql($handle), '', "$statement: succeeds");
	is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'colbert_pg merge'}), '0', "$statement: the worker has ended");
	if (defined $database)
	{
		cmp_ok($node->safe_psql($database, $pending), '>', 1000, "$statement: after one batch");
		index_continues($database, $statement);
		$node->safe_psql('postgres', "DROP DATABASE $database");
	}
	$node->safe_psql('postgres', 'DROP DATABASE IF EXISTS work');
	unlink glob "$folder/*";
	return;
}

# The index of a database is sound, and its documents can be merged.
sub index_continues
{
	my ($database, $name) = @_;

	is($node->safe_psql($database, q{SELECT message FROM colbert_index_check('t_index', true, true) WHERE severity = 'error'}), '', "$name: the index is sound");
	$node->safe_psql($database, q{LOAD 'colbert_pg'; SET colbert_faults.pause = ''; SELECT colbert_merge('t_index')});
	is($node->safe_psql($database, $pending), '0', "$name: the others can be merged");
	return;
}

configure("colbert_faults.folder = '$folder'\ncolbert_faults.pause = 'merge-posted'");
statement_succeeds('DROP DATABASE work');
statement_succeeds('ALTER DATABASE work RENAME TO renamed', 'renamed');
statement_succeeds('CREATE DATABASE copy TEMPLATE work', 'copy');

# A worker in the middle of a batch can be terminated.
$node->safe_psql('postgres', 'CREATE DATABASE work TEMPLATE prepared');
$node->safe_psql('work', $insert);
ok(worker_pauses(), 'a worker merges');
$node->safe_psql('postgres', 'DROP DATABASE work WITH (FORCE)');
is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_database WHERE datname = 'work'}), '0', 'DROP DATABASE ... WITH (FORCE) ends it');
unlink glob "$folder/*";

# A worker waits for a lock longer than the timeouts of sessions. The session that holds the lock
# inserts and looks, because no other can connect meanwhile.
my $timeouts = q{SELECT name FROM pg_settings WHERE name IN ('lock_timeout', 'transaction_timeout')};
my @timeouts = split /\n/, $node->safe_psql('postgres', $timeouts);
configure(join("\n", "colbert_faults.pause = ''", map { "$_ = '300ms'" } @timeouts));
is($node->safe_psql('prepared', <<"SQL"), 't', 'a worker waits for a lock');
@{[ join(' ', map { "SET $_ = 0;" } @timeouts) ]}
BEGIN;
LOCK TABLE pg_db_role_setting IN ACCESS EXCLUSIVE MODE;
$insert;
DO \$\$ BEGIN
	FOR i IN 1 .. 600 LOOP
		EXIT WHEN EXISTS (SELECT FROM pg_locks WHERE relation = 'pg_db_role_setting'::regclass AND NOT granted);
		PERFORM pg_sleep(.1);
	END LOOP;
	PERFORM pg_sleep(1);
END \$\$;
SELECT EXISTS (SELECT FROM pg_locks WHERE relation = 'pg_db_role_setting'::regclass AND NOT granted);
SQL
ok($node->poll_query_until('prepared', "SELECT ($pending) < 500"), 'and merges when it has got it');

stop_node($node);
done_testing();
