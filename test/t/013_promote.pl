# Base backups that are taken while a primary inserts, updates, deletes, merges and vacuums, and standbys made of them that are promoted
# at random moments: each is whole, and goes on.

use strict;
use warnings;
use ColbertTest;
use PostgreSQL::Test::Cluster;
use Test::More;
use Time::HiRes qw(usleep);

my $rounds = rounds(3);
my $primary = new_node('primary', allows_streaming => 1);

$primary->append_conf('postgresql.conf', "wal_consistency_checking = 'generic'");
$primary->reload;
load_questions($primary);
load_passages($primary, 'pool', 1500);
create_tables($primary, 'id <= 800');
add_churn($primary);

for my $round (1 .. $rounds)
{
	my @clients;

	for my $table (map { "passages_$_" } @methods)
	{
		push @clients, start_sql($primary, "LOAD 'colbert_pg'; SET colbert.pending_limit = 4000; CALL churn('$table', 1000000);");
		push @clients, start_sql($primary, "VACUUM $table; SELECT pg_sleep(.05);\n" x 1000);
	}
	usleep(300_000 + rand(700_000));
	$primary->backup("backup$round");
	my $standby = PostgreSQL::Test::Cluster->new("standby$round");

	$standby->init_from_backup($primary, "backup$round", has_streaming => 1);
	$standby->start;
	usleep(rand(1_500_000));
	$standby->promote;
	$primary->safe_psql('postgres', "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()");
	stop_sql($_) for @clients;
	each_method("promotion $round", sub {
		my ($method, $table) = @_;

		index_is_sound($standby, $table, 'as it is');
		$standby->safe_psql('postgres', "VACUUM $table; CALL churn('$table', 100); VACUUM $table");
		index_is_sound($standby, $table, 'after changes and VACUUM');
	});
	$standby->stop('immediate');
}

each_method('the primary', sub { index_is_sound($primary, $_[1], 'after all that') });
$primary->stop;
done_testing();
