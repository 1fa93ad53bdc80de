# HAProxy and pgpool-II before two standbys: searches are answered by the standbys with the
# primary's rows, and a standby that is killed costs at most a few of them.
# Each half is skipped where its program is not installed.

use strict;
use warnings;
use ColbertTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $primary = new_node('primary', allows_streaming => 1);

add_docs($primary, 500);
$primary->safe_psql('postgres', 'CREATE INDEX docs_index ON docs USING colbert_hnsw (doc)');
$primary->backup('base');
my @standbys = map {
	my $standby = PostgreSQL::Test::Cluster->new("standby_$_");

	$standby->init_from_backup($primary, 'base', has_streaming => 1);
	$standby->append_conf('postgresql.conf', "cluster_name = 'standby_$_'");
	$standby->start;
	$primary->wait_for_catchup($standby);
	$standby;
} 1, 2;

my $query = q{'[[1,0,0,0,0,0,0,0,.5,0,0,0,0,0,0,0],[0,1,0,0,0,0,0,0,.5,0,0,0,0,0,0,0]]'};
my $search = "SELECT id FROM docs ORDER BY doc <#> $query LIMIT 5";
my $rows = $primary->safe_psql('postgres', "$ColbertTest::by_index $search");
my $user = getpwuid($>);
my $program;
END { my $status = $?; $program->kill_kill if $program; $? = $status; }

# installed(NAME): the path of a program, or nothing.
sub installed
{
	my ($name) = @_;

	return (grep { -x } map { "$_/$name" } split(/:/, $ENV{PATH}), '/usr/sbin')[0];
}

# search_through(DIR, PORT): the rows, and the name of the server that answered.
sub search_through
{
	my ($dir, $port) = @_;
	my ($out, $err) = ('', '');

	# not by its input, which a psql without a connection does not read: SIGPIPE
	IPC::Run::run([ 'psql', '-XAtq', '-h', $dir, '-p', $port, '-d', 'postgres', '-c', 'SHOW cluster_name', '-c', $search ], '<', '/dev/null', '>', \$out, '2>', \$err);
	chomp $out;
	my ($name, $found) = split(/\n/, $out, 2);
	return ($found // '', $name // '');
}

# balance(NAME, DIR, PORT, COMMAND...): start the program, search through it, and kill a standby on the way.
sub balance
{
	my ($name, $dir, $port, @command) = @_;
	my ($out, $log) = ('', '');
	my (%answered, $lost, $wrong);

	$program = IPC::Run::start([ 'timeout', '120', @command ], '<', '/dev/null', '>', \$out, '2>', \$log);
	for (1 .. 100)
	{
		last if (search_through($dir, $port))[0] eq $rows;
		usleep(100_000);
	}
	# Both have been found to be alive when both have answered.
	for (1 .. 200)
	{
		$answered{ (search_through($dir, $port))[1] } = 1;
		last if $answered{standby_1} && $answered{standby_2};
		usleep(50_000);
	}
	is(join(' ', sort keys %answered), 'standby_1 standby_2', "$name: both standbys answer") or diag($log);
	$standbys[0]->stop('immediate');
	($lost, $wrong) = (0, 0);
	for (1 .. 40)
	{
		my ($found, $from) = search_through($dir, $port);

		if ($found eq '') { $lost++; usleep(100_000); }
		elsif ($found ne $rows || $from ne 'standby_2') { $wrong++; }
	}
	is($wrong, 0, "$name: the other standby answers with the primary's rows");
	cmp_ok($lost, '<=', 5, "$name: a killed standby costs a few searches ($lost of 40)");
	is((search_through($dir, $port))[0], $rows, "$name: and none later");
	$program->kill_kill;
	undef $program;
	$standbys[0]->start;
	return;
}

SKIP:
{
	my $haproxy = installed('haproxy') or skip 'no haproxy (tools/install-deps test installs it)', 4;
	my $dir = PostgreSQL::Test::Utils::tempdir_short();
	my $servers = join('', map { sprintf("	server %s unix@%s/.s.PGSQL.%d check\n", $_->name, $_->host, $_->port) } @standbys);

	append_to_file("$dir/haproxy.cfg", <<"CONF");
defaults
	mode tcp
	timeout connect 2s
	timeout client 1m
	timeout server 1m
	option redispatch
	retries 2
listen standbys
	bind unix\@$dir/.s.PGSQL.5432
	balance roundrobin
	option pgsql-check user $user
	default-server inter 500ms fall 2 rise 1 on-marked-down shutdown-sessions
$servers
CONF
	balance('HAProxy', $dir, 5432, $haproxy, '-db', '-f', "$dir/haproxy.cfg");
}

SKIP:
{
	my $pgpool = installed('pgpool') or skip 'no pgpool-II (tools/install-deps test installs it)', 4;
	my $dir = PostgreSQL::Test::Utils::tempdir_short();
	my $port = PostgreSQL::Test::Cluster::get_free_port();
	my $pcp_port = PostgreSQL::Test::Cluster::get_free_port();
	my $backends = join('', map {
		my $node = ($primary, @standbys)[$_];
		sprintf("backend_hostname%1\$d = '%2\$s'\nbackend_port%1\$d = %3\$d\nbackend_weight%1\$d = %4\$d\nbackend_flag%1\$d = 'ALLOW_TO_FAILOVER'\n",
			$_, $node->host, $node->port, $_ > 0);
	} 0 .. 2);

	append_to_file("$dir/$_", '') for 'pcp.conf', 'pool_hba.conf';
	append_to_file("$dir/pgpool.conf", <<"CONF");
backend_clustering_mode = 'streaming_replication'
listen_addresses = ''
port = $port
# the name in pgpool-II 4.3, and in 4.7; either ignores the other
socket_dir = '$dir'
unix_socket_directories = '$dir'
pcp_listen_addresses = ''
pcp_port = $pcp_port
pcp_socket_dir = '$dir'
pid_file_name = '$dir/pgpool.pid'
logdir = '$dir'
work_dir = '$dir'
$backends
num_init_children = 4
load_balance_mode = on
sr_check_period = 1
sr_check_user = '$user'
health_check_period = 1
health_check_timeout = 2
health_check_user = '$user'
failover_on_backend_error = on
CONF
	balance('pgpool-II', $dir, $port, $pgpool, '-n', '-f', "$dir/pgpool.conf", '-F', "$dir/pcp.conf", '-a', "$dir/pool_hba.conf");
}

stop_node($_) for @standbys, $primary;
done_testing();
