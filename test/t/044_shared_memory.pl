# Too little dynamic shared memory for the workers of a build, as in a container whose /dev/shm has
# 64 MB: a single process builds the index, a notice reports that, and CREATE INDEX CONCURRENTLY and
# REINDEX leave a valid index.

use strict;
use warnings;
use ColbertTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $disk = $ENV{COLBERT_DISK} // '';

plan skip_all => 'needs a small disk of its own: run as root, where tmpfs can be mounted' if $disk eq '';

my $node = new_node('shm');
my $segments = $node->data_dir . '/pg_dynshmem';

# Segments are files on the small disk.
$node->stop;
mkdir "$disk/segments" or die "$disk/segments: $!";
system('rm', '-rf', $segments) == 0 or die "cannot remove $segments";
symlink("$disk/segments", $segments) or die "cannot link $segments: $!";
$node->append_conf('postgresql.conf', "dynamic_shared_memory_type = mmap\nwal_level = replica\nmin_parallel_table_scan_size = 0\nlog_min_messages = notice");
$node->start;

load_questions($node);
load_passages($node, 'pool', 1000);
$node->safe_psql('postgres', 'ALTER TABLE pool SET (parallel_workers = 2)');

my $notice = qr/NOTICE:  building index "\w+" without parallel workers because shared memory is insufficient/;

# create(STATEMENT, MB, EXPECTED NOTICES): run it with this much of the disk free.
sub create
{
	my ($statement, $mb, $expected) = @_;

	leave_free($mb);
	my ($rc, undef, $err) = $node->psql('postgres', "SET max_parallel_maintenance_workers = 2; SET maintenance_work_mem = '128MB'; \n$statement");
	my $notices = () = $err =~ /$notice/g;

	is($rc, 0, "$mb MB: $statement") or diag($err);
	is($notices, $expected, "$mb MB: $expected notices");
	is(join(' ', grep { !/mmap\.\d+$/ || -s > 1024 * 1024 } glob("$segments/*")), '', "$mb MB: no segment remains");
	return;
}

each_method('too little shared memory', sub {
	my ($method) = @_;

	# 8 MB have room for the segment of the workers, but not for the sample; .1 MB not even for the
	# first
	create("CREATE INDEX pool_index ON pool USING colbert_$method (doc)", .1, 1);
	create('REINDEX INDEX pool_index', 8, 1);
	index_is_sound($node, 'pool', 'REINDEX');
	$node->safe_psql('postgres', 'DROP INDEX pool_index');
	create("CREATE INDEX CONCURRENTLY pool_index ON pool USING colbert_$method (doc)", 8, 1);
	is($node->safe_psql('postgres', q{SELECT indisvalid FROM pg_index WHERE indexrelid = 'pool_index'::regclass}), 't', 'the index is valid');
	index_is_sound($node, 'pool', 'CONCURRENTLY');
	$node->safe_psql('postgres', 'DROP INDEX pool_index');
	create("CREATE INDEX pool_index ON pool USING colbert_$method (doc)", 96, 0);
	$node->safe_psql('postgres', 'DROP INDEX pool_index');
});

# The command is still reported as in progress, with the nodes of its graph counted.
leave_free(8);
my $build = start_sql($node, "SET maintenance_work_mem = '128MB'; CREATE INDEX pool_index ON pool USING colbert_hnsw (doc) WITH (ef_construction = 1000)");
$node->poll_query_until('postgres', q{SELECT count(*) > 0 FROM pg_stat_progress_create_index
	WHERE command = 'CREATE INDEX' AND phase = 'building index: building graph' AND tuples_done BETWEEN 1 AND tuples_total}) or fail('no progress is reported');
stop_sql($build);
$node->safe_psql('postgres', 'DROP INDEX pool_index');

# Other failures are not retried.
leave_free(96);
$node->safe_psql('postgres', "CREATE TABLE mixed AS SELECT id, doc::multivector AS doc FROM pool; ALTER TABLE mixed SET (parallel_workers = 2); INSERT INTO mixed VALUES (0, '[[1,2]]')");
my ($rc, undef, $err) = $node->psql('postgres', "SET max_parallel_maintenance_workers = 2; CREATE INDEX ON mixed USING colbert_hnsw ((doc::multivector(128)))");
like($err, qr/ERROR:  expected 128 dimensions, not 2/, 'another error of a parallel build is reported');
unlike($err, $notice, 'after another error the build is not repeated');
($rc, my $out, $err) = $node->psql('postgres', 'SET max_parallel_maintenance_workers = 2; CREATE INDEX ON mixed USING colbert_hnsw ((doc::multivector(128))); SELECT 1', on_error_stop => 0);
is($out, '1', 'the next statement of the session works');

unlike(slurp_file($node->logfile), qr/WARNING|PANIC|leak/, 'nothing is leaked');
stop_node($node);
done_testing();
