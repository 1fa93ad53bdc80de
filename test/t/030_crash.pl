# kill -9 of the whole server during inserts, updates, deletes, VACUUM and merges: after the
# restart, every committed row is found.

use strict;
use warnings;
use ColbertTest;
use Cwd qw(realpath);
use Test::More;
use Time::HiRes qw(usleep);

my $node = new_node('crash');

# Replaying WAL must reproduce each page.
$node->append_conf('postgresql.conf', "wal_consistency_checking = 'generic'");
$node->reload;
load_questions($node);
load_passages($node, 'pool', 2000);
create_tables($node, 'id <= 1000');
add_churn($node);

# Kill all processes of the server, and start it. A server does not start while the process of its
# lock files exists, and a dead one does until its parent reaps it: two seconds, if that is the
# first process of a container. The lock files are removed as soon as no process lives that has the
# data folder as its working folder, as all processes of a server have.
sub crash
{
	my @clients = @_;
	my $folder = realpath($node->data_dir);

	kill_all($node);
	for (1 .. 100)
	{
		if (!grep { (readlink($_) // '') eq $folder } glob '/proc/[0-9]*/cwd')
		{
			unlink "$folder/postmaster.pid", $node->host . '/.s.PGSQL.' . $node->port . '.lock';
			last;
		}
		usleep(20_000);
	}
	stop_sql($_) for @clients;
	start_after_kill($node);
	return;
}

for my $round (1 .. rounds(6))
{
	# in every other round, a small limit makes inserts merge
	my $limit = $round % 2 ? 'SET colbert.pending_limit = 4000;' : '';
	my @clients;

	for my $table (map { "passages_$_" } @methods)
	{
		push @clients, map { start_sql($node, "LOAD 'colbert_pg'; $limit CALL churn('$table', 100000);") } 1 .. 2;
		push @clients, start_sql($node, "VACUUM $table;\n" x 1000);
		push @clients, start_sql($node, "SELECT colbert_merge('${table}_index'), pg_sleep(.02);\n" x 1000) if $round > 3;
	}
	usleep(700_000 + rand(1_500_000));
	crash(@clients);
	each_method("crash $round", sub {
		my ($method, $table) = @_;

		cmp_ok($node->safe_psql('postgres', "SELECT count(*) FROM $table WHERE body LIKE '%x'"), '>', 100, 'the load changed rows');
		index_is_sound($node, $table, 'after the crash');
	});
}

# A crash in the middle of a build leaves no index, and the table can be indexed afterwards.
my @builds = map { start_sql($node, "CREATE INDEX second_${_}_index ON pool USING colbert_$_ (doc);") } @methods;
usleep(150_000);
crash(@builds);
each_method('a crash during CREATE INDEX', sub {
	my ($method) = @_;
	my $index = "second_${method}_index";

	$node->safe_psql('postgres', "DROP INDEX IF EXISTS $index; CREATE INDEX $index ON pool USING colbert_$method (doc)");
	index_is_sound($node, 'pool', 'the table can be indexed');
	$node->safe_psql('postgres', "DROP INDEX $index");
});

$node->stop;
done_testing();
