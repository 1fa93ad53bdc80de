# Statements that are cancelled, and backends and parallel workers that are terminated, at random
# moments of builds, inserts, merges, VACUUM and searches. Nothing is lost and nothing is left
# behind: no lock, no file, and no leak that the server warns about.

use strict;
use warnings;
use ColbertTest;
use List::Util qw(sum0);
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $rounds = rounds(42);
my $node = new_node('cancel');

$node->append_conf('postgresql.conf', "max_parallel_maintenance_workers = 2\nmin_parallel_table_scan_size = 0");
$node->reload;
load_questions($node);
load_passages($node, 'pool', 1500);
create_tables($node, 'id <= 800');
add_churn($node);

# Statements to interrupt. Each runs repeatedly in its session.
my %work = (
	build => "DROP INDEX IF EXISTS second_%1\$s; CREATE INDEX second_%1\$s ON pool USING colbert_%1\$s (doc);\n" x 3,
	concurrently => "DROP INDEX IF EXISTS third_%1\$s; CREATE INDEX CONCURRENTLY third_%1\$s ON pool USING colbert_%1\$s (doc);\n" x 3,
	churn => "LOAD 'colbert_pg'; SET colbert.pending_limit = 4000; CALL churn('passages_%1\$s', 100000);",
	merge => "CALL churn('passages_%1\$s', 100); SELECT colbert_merge('passages_%1\$s_index');\n" x 100,
	vacuum => "CALL churn('passages_%1\$s', 100); VACUUM passages_%1\$s;\n" x 100,
	search => "$ColbertTest::by_index SELECT count(*) FROM (SELECT id FROM passages_%1\$s ORDER BY doc <#> (SELECT long FROM questions WHERE id = 1)) AS found;\n" x 500,
	check => "SELECT * FROM colbert_index_check('passages_%1\$s_index', true, true);\n" x 100);
my @kinds = sort keys %work;
my (%interrupted, %sent);
my @unexpected;

for my $round (1 .. $rounds)
{
	my $method = $methods[ rand @methods ];
	my $kind = $kinds[ $round % @kinds ];
	my $signal = rand() < .6 ? 'pg_cancel_backend' : 'pg_terminate_backend';
	my $whom = rand() < .3 ? "backend_type = 'parallel worker'" : "application_name = 'victim' AND backend_type = 'client backend'";
	my $handle = start_sql($node, "SET application_name = 'victim';\n" . sprintf($work{$kind}, $method));
	my $hit = 0;

	usleep(40_000 + rand(400_000));
	# hit a worker if there is one, and finally its leader
	for my $victim ($whom, "application_name = 'victim' AND backend_type = 'client backend'")
	{
		$hit = $node->safe_psql('postgres', "SELECT count($signal(pid)) FROM pg_stat_activity WHERE $victim");
		last if $victim eq $whom && $whom !~ /worker/;
		usleep(20_000);
	}
	my $err = stop_sql($handle);
	$sent{$kind}++;
	$interrupted{$kind}++ if $err ne '';
	push @unexpected, "$kind, $signal: $err"
	  if $err =~ /(ERROR|FATAL|PANIC):/ && $err !~ /canceling statement|terminating connection|terminating background worker|parallel worker|index "third_\w+" (is not valid|was not found)/;
}
is(join("\n", @unexpected), '', sum0(values %interrupted) . ' interruptions: ' . join(', ', map { ($interrupted{$_} // 0) . " of $sent{$_} in $_" } sort keys %sent));
ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'colbert_pg merge'"), 'workers exit');
is($node->safe_psql('postgres', "SELECT count(*) FROM pg_locks WHERE pid <> pg_backend_pid() AND locktype IN ('tuple', 'page', 'relation')"), '0', 'no lock remains');
my $log = slurp_file($node->logfile);
unlike($log, qr/PANIC|TRAP|terminated by signal|leak| XX\d\d\d /, 'no process died, and nothing leaked');
each_method('after the interruptions', sub {
	my ($method, $table) = @_;

	index_is_sound($node, $table, 'the index');
	$node->safe_psql('postgres', "DROP INDEX IF EXISTS second_$method, third_$method");
});

replay($node);

# Every file belongs to a relation.
$node->safe_psql('postgres', 'CHECKPOINT');
my $folder = $node->data_dir . '/' . $node->safe_psql('postgres', "SELECT 'base/' || oid FROM pg_database WHERE datname = 'postgres'");
my %known = map { $_ => 1 } split /\n/, $node->safe_psql('postgres', 'SELECT pg_relation_filenode(oid) FROM pg_class WHERE pg_relation_filenode(oid) IS NOT NULL');
my @files = map { m{/(\d+)[^/]*$} && !$known{$1} && -s $_ ? $_ : () } glob("$folder/*");
is("@files", '', 'interrupted builds leave no files');

$node->stop;
done_testing();
