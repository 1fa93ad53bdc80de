# Base backups taken while a primary inserts, updates, deletes, merges and vacuums: each is a
# complete server when started on its own, and a standby created from it works after being promoted
# at a random moment.

use strict;
use warnings;
use ColbertTest;
use IPC::Run ();
use PostgreSQL::Test::Cluster;
use Test::More;
use Time::HiRes qw(usleep);

my $rounds = rounds(amount(2, 3));
my $removal;	# of the files of servers that have stopped, in the background
my $primary = new_node('primary', allows_streaming => 1);

$primary->append_conf('postgresql.conf', "wal_consistency_checking = 'generic'");
$primary->reload;
load_questions($primary);
load_passages($primary, 'pool', amount(800, 1500));
create_tables($primary, 'id <= 400');
add_churn($primary);

for my $round (1 .. $rounds)
{
	my @clients = start_load($primary);

	usleep(300_000 + rand(700_000));
	$primary->backup("backup$round");
	my $standby = PostgreSQL::Test::Cluster->new("standby$round");

	$standby->init_from_backup($primary, "backup$round", has_streaming => 1);
	$standby->start;
	usleep(rand(1_500_000));
	$standby->promote;
	stop_load($primary, @clients);
	each_method("promotion $round", sub { index_goes_on($standby, $_[1]) });
	$standby->stop('immediate');

	my $copy = PostgreSQL::Test::Cluster->new("copy$round");

	$copy->init_from_backup($primary, "backup$round");
	$copy->start;
	each_method("base backup $round", sub { index_goes_on($copy, $_[1]) });
	$copy->stop('immediate');
	$removal->finish if $removal;
	$removal = IPC::Run::start([ 'rm', '-rf', (map { $_->basedir } $standby, $copy), $primary->backup_dir . "/backup$round" ]);
}

$removal->finish;
each_method('the primary', sub { index_is_sound($primary, $_[1], 'after all that') });
stop_node($primary);
note("$rounds promotions and $rounds base backups: each index of both access methods was searched, checked, changed, merged and vacuumed");
done_testing();
