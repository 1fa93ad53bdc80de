# PostgreSQL cancels an autovacuum that holds a lock for which others have waited in its queue for deadlock_timeout. Sessions that wait for
# the locks of an index by attempts do not have that effect. Autovacuum is paused (COLBERT_PAUSE) while it holds the merge lock, and then
# the append lock.

use strict;
use warnings;
use ColbertTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = faults_node('autovacuum');
my $folder = PostgreSQL::Test::Utils::tempdir();

$node->append_conf('postgresql.conf', "deadlock_timeout = 10ms\nautovacuum_naptime = 1\nautovacuum_vacuum_cost_delay = 0\ncolbert_faults.folder = '$folder'");
$node->reload;
add_docs($node, 700);

# waits(NAME, SQL): start a statement, and check that it waits, for more than ten times deadlock_timeout. Return its handle.
sub waits
{
	my ($name, $sql) = @_;
	my $handle = start_sql($node, "SET application_name = '$name';\n$sql");

	ok($node->poll_query_until('postgres', "SELECT count(*) > 0 FROM pg_stat_activity WHERE application_name = '$name' AND wait_event IS NOT NULL AND clock_timestamp() > query_start + interval '100 ms'"), "$name waits");
	return $handle;
}

# Turn autovacuum on or off, with these points to pause at.
sub autovacuum
{
	my ($on, $points) = @_;

	$node->append_conf('postgresql.conf', "autovacuum = $on\ncolbert_faults.pause = '$points'");
	$node->reload;
	return;
}

each_method('autovacuum that others wait for', sub {
	my ($method, $table) = @_;
	my $merge = "SELECT colbert_merge('${table}_index');";
	my $nodes = $method eq 'ivf' ? 'lists = 60' : 'tokens_per_node = 8';
	my $offset = -s $node->logfile;

	$node->safe_psql('postgres', <<"SQL");
CREATE TABLE $table (LIKE docs) WITH (autovacuum_vacuum_insert_threshold = 1, autovacuum_vacuum_insert_scale_factor = 0);
INSERT INTO $table SELECT * FROM docs WHERE id <= 600;
CREATE INDEX ${table}_index ON $table USING colbert_$method (doc) WITH ($nodes);
INSERT INTO $table SELECT * FROM docs WHERE id BETWEEN 601 AND 620;
SQL

	# an insert that ends after it has reserved its place, which VACUUM frees under the append lock
	my $insert = start_sql($node, "LOAD 'colbert_pg'; SET colbert_faults.pause = 'append-reserved';\nINSERT INTO $table SELECT * FROM docs WHERE id = 621;");
	reached($folder, 'append-reserved') or BAIL_OUT('no process pauses');
	$node->safe_psql('postgres', "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'INSERT INTO $table%621%' AND pid <> pg_backend_pid()");
	like(stop_sql($insert), qr/terminating connection/, 'an insert ends early');

	autovacuum('on', 'vacuum-begun append-locked');
	reached($folder, 'vacuum-begun') or BAIL_OUT('no process pauses');
	my $holder = q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'autovacuum worker' AND query LIKE '%passages_%'};
	my $pid = $node->safe_psql('postgres', $holder);
	like($pid, qr/^\d+$/, 'autovacuum holds the merge lock');

	my $merging = waits('a merge', $merge);
	my $checking = waits('a check', "SELECT message FROM colbert_index_check('${table}_index');");
	my $cancelled = waits('a merge to cancel', $merge);
	$node->safe_psql('postgres', q{SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name = 'a merge to cancel'});
	like(stop_sql($cancelled), qr/canceling statement due to user request/, 'a waiting merge can be cancelled');
	isnt($node->psql('postgres', "\\set VERBOSITY verbose\nSET lock_timeout = '50ms'; SET statement_timeout = '5s'; $merge", stderr => \my $timeout), 0, 'a merge ends after lock_timeout');
	like($timeout, qr/55P03: canceling statement due to lock timeout/, 'with the error of a lock that is not available');
	$node->safe_psql('postgres', "SET statement_timeout = '30s'; LOAD 'colbert_pg'; SET colbert.pending_limit = 0; INSERT INTO $table SELECT * FROM docs WHERE id BETWEEN 622 AND 640");

	append_to_file("$folder/vacuum-begun.go", '');
	reached($folder, 'append-locked') or BAIL_OUT('no process pauses');
	my $inserting = waits('an insert', "INSERT INTO $table SELECT * FROM docs WHERE id BETWEEN 641 AND 660;");
	is($node->safe_psql('postgres', $holder), $pid, 'the same autovacuum holds the append lock');
	append_to_file("$folder/append-locked.go", '');

	ok($node->poll_query_until('postgres', "SELECT autovacuum_count > 0 FROM pg_stat_user_tables WHERE relname = '$table'"), 'autovacuum finishes');
	is(stop_sql($merging) . stop_sql($checking) . stop_sql($inserting), '', 'all that waited for it succeed');
	is($checking->{out}, '', 'the check finds nothing');
	unlike(substr(slurp_file($node->logfile), $offset), qr/canceling autovacuum task/, 'no autovacuum was cancelled');
	is($node->safe_psql('postgres', "SELECT documents = (SELECT count(doc) FROM $table) FROM colbert_index_info('${table}_index')"), 't', 'the index has all documents');

	autovacuum('off', '');
	unlink glob "$folder/*";
	$node->safe_psql('postgres', "DROP TABLE $table");
});

stop_node($node);
done_testing();
