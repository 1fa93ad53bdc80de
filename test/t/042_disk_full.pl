# A full disk, with an index on it or with the WAL on it. The result is a clean error (for WAL, a
# restart once there is space again), and nothing is lost.

use strict;
use warnings;
use ColbertTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $disk = $ENV{COLBERT_DISK} // '';

plan skip_all => 'needs a small disk of its own: run as root, where tmpfs can be mounted' if $disk eq '';

my $soundness = q{severity = 'error' OR part <> 'nodes'};
my $node = new_node('full');
my $free_mb = 96;

mkdir "$disk/tablespace";
load_questions($node);
load_passages($node, 'pool', 2000);
$node->safe_psql('postgres', "CREATE TABLESPACE small LOCATION '$disk/tablespace'");

# A build that does not fit leaves nothing behind.
for my $method (@methods)
{
	leave_free(6);
	my ($rc, undef, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\nCREATE INDEX pool_index ON pool USING colbert_$method (doc) TABLESPACE small");
	like($err, qr/ERROR:  53100: could not extend file/, "colbert_$method: a build that does not fit fails");
	is($node->safe_psql('postgres', "SELECT count(*) FROM pg_class WHERE relname = 'pool_index'"), '0', 'a build that fails leaves no index');
	leave_free($free_mb);
	unlike(join(' ', map { -s } glob("$disk/tablespace/*/*/*")), qr/[1-9]/, 'a build that fails leaves no bytes');
}

# Inserts, merges and VACUUM until the disk is full, and again after there is free space.
$node->safe_psql('postgres', "SET default_tablespace = ''; SELECT 1");
create_tables($node, 'id <= 500');
each_method('a disk that fills up', sub {
	my ($method, $table) = @_;
	my $failures = 0;

	$node->safe_psql('postgres', "ALTER INDEX ${table}_index SET TABLESPACE small");
	leave_free(1);
	for my $try (1 .. 8)
	{
		for my $sql ("LOAD 'colbert_pg'; SET colbert.pending_limit = 4000; INSERT INTO $table SELECT * FROM pool WHERE id BETWEEN 100 * $try + 501 AND 100 * $try + 700 ON CONFLICT DO NOTHING",
			"SELECT colbert_merge('${table}_index')", "VACUUM $table", "UPDATE $table SET doc = doc WHERE id % 10 = $try")
		{
			my ($rc, undef, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n$sql");

			next if $rc == 0;
			$failures++;
			like($err, qr/ERROR:  53100: could not extend file/, "a clean error of: " . substr($sql, 0, 70)) or diag($sql);
		}
	}
	cmp_ok($failures, '>', 3, "the disk was full: $failures statements failed");
	checker_is_content($node, $table, 'on the full disk', q{severity = 'error'});
	leave_free($free_mb);
	$node->safe_psql('postgres', "INSERT INTO $table SELECT * FROM pool ON CONFLICT DO NOTHING; VACUUM $table");
	index_is_sound($node, $table, 'once there is free space');
	$node->safe_psql('postgres', "DROP TABLE $table");
});

# All space is used, and none of it is lost. VACUUM frees documents although there is no space for
# its merge. (The indexes have grown by inserts: a build knows how much space it needs.)
create_tables($node);
each_method('a disk that is full for a while', sub {
	my ($method, $table) = @_;
	my $insert = "LOAD 'colbert_pg'; SET colbert.pending_limit = 100000000; INSERT INTO $table SELECT * FROM pool WHERE id BETWEEN %d AND %d ON CONFLICT DO NOTHING";
	my $id = 1000;
	my ($rc, $err);

	$node->safe_psql('postgres', "ALTER INDEX ${table}_index SET TABLESPACE small; INSERT INTO $table SELECT * FROM pool WHERE id <= 1000; SELECT colbert_merge('${table}_index')");
	leave_free(5);
	do
	{
		($rc, undef, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n" . sprintf($insert, $id + 1, $id + 5));
		$id += 5;
	} while ($rc == 0 && $id < 2000);
	like($err, qr/ERROR:  53100: could not extend file/, 'the disk is full after ' . ($id - 1001) . ' documents');
	my ($available) = `df -k --output=avail $disk` =~ /(\d+)\s*$/;
	cmp_ok($available, '<', 100, "$available kB are free");
	my $room = $node->safe_psql('postgres', "SELECT total_bytes / (tokens + 1) * (SELECT sum(num_tokens(doc)) FROM pool WHERE id BETWEEN 1001 AND $id - 5) FROM colbert_index_info('${table}_index')");
	cmp_ok($room, '>', 4_800_000, "the inserted documents take $room bytes of 5 MB");
	leave_free(1);
	is(($node->psql('postgres', sprintf($insert, $id, $id)))[0], '0', 'an insert uses freed space on the full disk');
	leave_free(0);

	$node->safe_psql('postgres', "DELETE FROM $table WHERE id % 3 = 0");
	$node->psql('postgres', "VACUUM $table");
	cmp_ok($node->safe_psql('postgres', "SELECT free_documents FROM colbert_index_info('${table}_index')"), '>', 250, 'VACUUM frees documents on the full disk');
	$node->safe_psql('postgres', sprintf($insert, $_, $_)) for grep { $_ % 3 == 0 } 1 .. 300;
	pass('new documents reuse the freed places');
	checker_is_content($node, $table, 'on the full disk', $soundness);

	leave_free($free_mb);
	$node->safe_psql('postgres', "INSERT INTO $table SELECT * FROM pool ON CONFLICT DO NOTHING; VACUUM $table");
	checker_is_content($node, $table, 'once there is free space', $soundness);
	index_is_sound($node, $table, 'once there is free space');
	$node->safe_psql('postgres', "DROP TABLE $table");
});
$node->stop;

# A full disk of the WAL: the server stops at once, and recovers when there is free space.
my $walled = new_node('wal', extra => [ '--waldir', "$disk/wal", '--wal-segsize', '1' ]);
$walled->append_conf('postgresql.conf', "max_wal_size = 16MB\nmin_wal_size = 2MB");
$walled->restart;
load_questions($walled);
load_passages($walled, 'pool', 1000);
create_tables($walled, 'id <= 500');
add_churn($walled);
for my $round (1 .. rounds(1))
{
	leave_free(3);
	my @clients = map { start_sql($walled, "LOAD 'colbert_pg'; SET colbert.pending_limit = 4000; CALL churn('passages_$_', 100000);") } @methods;
	my $log = '';

	for (1 .. 300)
	{
		$log = slurp_file($walled->logfile);
		last if ($log =~ s/PANIC:  could not write to file//g) >= $round;
		select(undef, undef, undef, .1);
	}
	stop_sql($_) for @clients;
	like($log, qr/No space left/, "round $round: the WAL's disk was full");
	# the server shuts itself down, because restart_after_crash is off in these tests
	for (1 .. 600)
	{
		last unless -e $walled->data_dir . '/postmaster.pid';
		select(undef, undef, undef, .1);
	}
	$walled->_update_pid(0);
	leave_free($free_mb);
	start_after_kill($walled);
	each_method("the WAL's disk was full", sub { index_is_sound($walled, $_[1], 'afterwards') });
}
$walled->stop;
done_testing();
