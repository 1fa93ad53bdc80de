# Patroni before a primary and a standby: the standby answers with the primary's rows, the primary's
# machine is lost while clients search and insert, the standby takes over with an intact index, and
# the former primary returns as its standby.
# Skipped where Patroni with Raft is not installed (Debian: patroni and python3-pysyncobj), and
# unless COLBERT_EXTRA is set: it waits for the loss of the primary to be noticed, and takes two minutes.
#
# Raft keeps the state of the cluster: both servers and a third process, a witness, vote.

use strict;
use warnings;
use ColbertTest;
use POSIX ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $patroni = (grep { -x } map { "$_/patroni" } split(/:/, $ENV{PATH}))[0];
my $witness = (grep { -x } map { "$_/patroni_raft_controller" } split(/:/, $ENV{PATH}))[0];

plan skip_all => 'set COLBERT_EXTRA for two minutes of waiting' unless $ENV{COLBERT_EXTRA};
plan skip_all => 'Patroni is not installed (tools/install-deps failover installs it)'
  unless $patroni && $witness && system('/usr/bin/python3 -c "import patroni.dcs.raft" >/dev/null 2>&1') == 0;

my $dir = PostgreSQL::Test::Utils::tempdir_short();
chomp(my $bindir = `pg_config --bindir`);
my %port = map { $_ => PostgreSQL::Test::Cluster::get_free_port() } map { ("$_ server", "$_ raft", "$_ rest") } qw(a b witness);
my %started;

END { my $status = $?; kill_machine($_) for keys %started; $? = $status; }

# write_conf(NAME): the configuration of a machine, which the witness shares in part.
sub write_conf
{
	my ($name) = @_;
	my $partners = join(', ', map { "'127.0.0.1:$port{qq{$_ raft}}'" } grep { $_ ne $name } qw(a b witness));

	mkdir "$dir/$name" or die "$dir/$name: $!";
	append_to_file("$dir/$name.yml", <<"CONF");
scope: colbert
name: $name
raft:
  data_dir: $dir/$name/raft
  self_addr: 127.0.0.1:$port{"$name raft"}
  partner_addrs: [$partners]
restapi:
  listen: 127.0.0.1:$port{"$name rest"}
  connect_address: 127.0.0.1:$port{"$name rest"}
bootstrap:
  dcs:
    ttl: 20
    loop_wait: 1
    retry_timeout: 5
    postgresql:
      use_pg_rewind: true
      parameters: {wal_log_hints: 'on', max_connections: 20}
  initdb: [{encoding: UTF8}, no-locale, {auth: trust}]
  pg_hba: [local all all trust, host all all 127.0.0.1/32 trust, host replication all 127.0.0.1/32 trust]
postgresql:
  listen: 127.0.0.1:$port{"$name server"}
  connect_address: 127.0.0.1:$port{"$name server"}
  data_dir: $dir/$name/data
  bin_dir: $bindir
  pgpass: $dir/$name/pgpass
  authentication:
    superuser: {username: postgres, password: postgres}
    replication: {username: replicator, password: replicator}
  parameters: {unix_socket_directories: $dir/$name, fsync: 'off', jit: 'off', autovacuum: 'off', shared_buffers: 64MB}
CONF
	return;
}

# start_machine(NAME): a process group of its own, to be killed as a whole.
sub start_machine
{
	my ($name) = @_;
	my $pid = fork() // die "fork: $!";

	if ($pid == 0)
	{
		setpgrp;
		open(STDIN, '<', '/dev/null');
		open(STDOUT, '>>', "$dir/$name.log");
		open(STDERR, '>&', \*STDOUT);
		exec($name eq 'witness' ? $witness : $patroni, "$dir/$name.yml") or POSIX::_exit(127);
	}
	$started{$name} = $pid;
	return;
}

# kill_machine(NAME): its Patroni and its server at once, as if it lost power.
sub kill_machine
{
	my ($name) = @_;
	my $pidfile = "$dir/$name/data/postmaster.pid";
	my $server = -f $pidfile ? (split(/\n/, slurp_file($pidfile)))[0] : undef;

	kill 'KILL', -$started{$name}, $started{$name};
	# Patroni's server has a process group of its own. SIGQUIT ends it without a shutdown, with all backends.
	kill 'QUIT', $server if $server;
	waitpid($started{$name}, 0);
	delete $started{$name};
	return;
}

# ask(SQL, NAME or target_session_attrs): the rows of a new session, or undef.
sub ask
{
	my ($sql, $target) = @_;
	my ($host, $port) = map { my $what = $_; join(',', map { $what eq 'host' ? '127.0.0.1' : $port{"$_ server"} } $port{"$target server"} ? $target : qw(a b)) } qw(host port);
	my $attrs = $port{"$target server"} ? 'any' : $target;
	my ($out, $err) = ('', '');

	IPC::Run::run([ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', "host=$host port=$port user=postgres dbname=postgres connect_timeout=5 target_session_attrs=$attrs" ],
		'<', \$sql, '>', \$out, '2>', \$err, IPC::Run::timeout(60)) or return undef;
	chomp $out;
	return $out;
}

# wait_for(NAME, SQL, EXPECTED): until a server answers so, for two minutes.
sub wait_for
{
	my ($target, $sql, $expected) = @_;
	my $end = time + 120;

	while (time < $end)
	{
		return 1 if (ask($sql, $target) // '') eq $expected;
		sleep 0.3;
	}
	return 0;
}

write_conf($_) for qw(a b witness);
start_machine($_) for qw(witness a);
ok(wait_for('a', 'SELECT pg_is_in_recovery()', 'f'), 'the first server is the primary') or diag(slurp_file("$dir/a.log"));
start_machine('b');
ask(<<'SQL', 'a') // die 'no index';
CREATE EXTENSION colbert_pg;
CREATE TABLE docs (id int PRIMARY KEY, doc multivector(16));
INSERT INTO docs SELECT i, (SELECT multivector_agg(ARRAY(SELECT sin(i * 31 + t * 7 + d * d) FROM generate_series(1, 16) d)::real[])
	FROM generate_series(1, 1 + i % 20) t) FROM generate_series(1, 500) i;
CREATE INDEX docs_hnsw ON docs USING colbert_hnsw (doc);
CREATE INDEX docs_ivf ON docs USING colbert_ivf (doc);
SQL
my $search = "$ColbertTest::by_index SELECT id FROM docs ORDER BY doc <#> '[[1,0,0,0,0,0,0,0,.5,0,0,0,0,0,0,0],[0,1,0,0,0,0,0,0,.5,0,0,0,0,0,0,0]]' LIMIT 5";
my $rows = ask($search, 'a');

like($rows, qr/^\d+(\n\d+){4}$/, 'it finds five rows');
ok(wait_for('a', "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'", '1'), 'the second one becomes its standby') or diag(slurp_file("$dir/b.log"));
ok(wait_for('b', 'SELECT count(*) FROM docs', '500'), 'with its rows');
is(ask($search, 'b'), $rows, "and answers with the primary's");

# Every session asks whichever server there is, or the one that takes inserts.
my ($searches, $lost, $wrong, $refused) = (0, 0, 0, 0);
my $inserted = 1000;
my $killed = time;

kill_machine('a');
while (time < $killed + 180)
{
	my $found = ask($search, 'any');

	$searches++;
	$lost++ unless defined $found;
	$wrong++ if defined $found && $found ne $rows;
	last if defined ask("INSERT INTO docs VALUES ($inserted, '[[0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,1]]')", 'read-write');
	$refused++;
	sleep 0.2;
}
my $seconds = sprintf('%.0f', time - $killed);

note("$searches searches while the primary was lost, $lost of them failed; inserts failed $refused times in $seconds seconds");
is($wrong, 0, "searches find the former primary's rows");
cmp_ok($lost, '<=', 2, "the loss of the primary costs few searches ($lost of $searches)");
is(ask('SELECT pg_is_in_recovery()', 'b'), 'f', 'the standby has become the primary');
is(ask("$ColbertTest::by_index SELECT id FROM docs ORDER BY doc <#> '[[0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,1]]' LIMIT 1", 'b'), $inserted, 'an inserted row is found');
for my $index (qw(docs_hnsw docs_ivf))
{
	is(ask("SELECT * FROM colbert_index_check('$index', heapallindexed => true)", 'b'), '', "$index is intact");
}

start_machine('a');
ok(wait_for('b', "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'", '1'), 'the former primary returns as a standby') or diag(slurp_file("$dir/a.log"));
ok(wait_for('a', "SELECT count(*) FROM docs WHERE id = $inserted", '1'), 'with the inserted row');
is(ask($search, 'a'), ask($search, 'b'), 'and the same answers');

kill_machine($_) for qw(a b witness);
done_testing();
