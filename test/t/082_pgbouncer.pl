# PgBouncer in transaction mode: searches, SET LOCAL and prepared statements work through it, and
# what a session keeps (SET, colbert_last_scan) belongs to the server's session, which clients share.

use strict;
use warnings;
use ColbertTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my ($pgbouncer) = grep { -x } map { "$_/pgbouncer" } split(/:/, $ENV{PATH}), '/usr/sbin';
plan skip_all => 'no pgbouncer (tools/install-deps test installs it)' unless $pgbouncer;
my ($major, $minor) = `$pgbouncer --version` =~ /PgBouncer (\d+)\.(\d+)/;
my $tracks_statements = $major > 1 || $minor >= 21;

my $node = new_node('pooled');

add_docs($node, 500);
$node->safe_psql('postgres', 'CREATE INDEX docs_index ON docs USING colbert_hnsw (doc); ALTER DATABASE postgres SET colbert.probes = 55');

# PgBouncer listens on a socket in its own folder. It has two sessions of the server for all
# clients; in the database "one" it has a single one.
my $dir = PostgreSQL::Test::Utils::tempdir_short();
my $port = PostgreSQL::Test::Cluster::get_free_port();
my $user = getpwuid($>);
my $server = 'host=' . $node->host . ' port=' . $node->port;

append_to_file("$dir/users.txt", qq("$user" ""\n));
append_to_file("$dir/pgbouncer.ini", <<"CONF" . ($tracks_statements ? "max_prepared_statements = 100\n" : ''));
[databases]
postgres = $server dbname=postgres pool_size=2
one = $server dbname=postgres pool_size=1
[pgbouncer]
listen_addr =
listen_port = $port
unix_socket_dir = $dir
auth_type = trust
auth_file = $dir/users.txt
pool_mode = transaction
CONF

# END stops it; if the test itself is killed, "timeout" does.
my ($out, $log) = ('', '');
my $pooler = IPC::Run::start([ 'timeout', '120', $pgbouncer, "$dir/pgbouncer.ini" ], '<', '/dev/null', '>', \$out, '2>', \$log);
END { my $status = $?; $pooler->kill_kill if $pooler; $? = $status; }

# client(DATABASE, SQL): the output, and errors, of a client of PgBouncer.
sub client
{
	my ($database, $sql) = @_;
	my $result = '';

	IPC::Run::run([ 'psql', '-XAtq', '-h', $dir, '-p', $port, '-d', $database ], '<', \$sql, '>', \$result, '2>&1');
	chomp $result;
	return $result;
}

# pgbench(TEST NAME, EXPECTED LOG, SCRIPT, OPTION...): run a script by clients of PgBouncer.
sub pgbench
{
	my ($name, $expected, $script, @options) = @_;
	my $result = '';
	my $file = PostgreSQL::Test::Utils::tempdir() . '/script.sql';

	append_to_file($file, $script);
	IPC::Run::run([ 'timeout', '30', 'pgbench', '-n', '-h', $dir, '-p', $port, '-f', $file, @options, 'postgres' ], '<', '/dev/null', '>', \$result, '2>&1');
	like($result, $expected, $name);
	return;
}

for (1 .. 100)
{
	last if client('postgres', 'SELECT 1') eq '1';
	Time::HiRes::usleep(100_000);
}
is(client('postgres', 'SELECT current_database()'), 'postgres', "PgBouncer $major.$minor runs");

# Searches and settings.
my $query = q{'[[1,0,0,0,0,0,0,0,.5,0,0,0,0,0,0,0],[0,1,0,0,0,0,0,0,.5,0,0,0,0,0,0,0]]'};
my $search = "SELECT id FROM docs ORDER BY doc <#> $query LIMIT 5";
my $in_transaction = "BEGIN; SET LOCAL colbert.probes = 88; SET LOCAL enable_seqscan = off; $search; SHOW colbert.probes; SELECT probes FROM colbert_last_scan(); COMMIT;";
my $found = $node->safe_psql('postgres', "$ColbertTest::by_index SET colbert.probes = 88; $search");

is(client('one', "$search; SHOW colbert.probes;"), "$found\n55", 'a search finds the rows, with the setting of the database');
is(client('one', $in_transaction), "$found\n88\n88", 'SET LOCAL and colbert_last_scan hold in a transaction');
is(client('one', 'SHOW colbert.probes'), '55', 'SET LOCAL ends with its transaction');
is(client('one', 'SELECT probes FROM colbert_last_scan()'), '88', "colbert_last_scan shows another client's search, outside the transaction of one's own");
client('one', 'SET colbert.probes = 77');
is(client('one', 'SHOW colbert.probes'), '77', 'SET reaches other clients');
client('one', 'RESET colbert.probes');

pgbench('SET LOCAL of many clients stays apart', qr/actually processed: 160\/160/, <<"SQL", '-c', 8, '-t', 20);
\\set mine :client_id + 10
BEGIN;
SET LOCAL enable_seqscan = off;
SET LOCAL colbert.probes = :mine;
$search;
SELECT 1 / (probes = :mine)::int FROM colbert_last_scan();
COMMIT;
SELECT 1 / (current_setting('colbert.probes') = '55')::int;
SQL

# Statements of the extended protocol, with the query as a parameter of unknown type, use the index:
# the last scan has the setting of this transaction. pgbench waits while it prepares, so each client
# has a thread: the sessions that one waits for may be in transactions of the others.
my @extended = (<<'SQL', '-D', 'query=' . ($query =~ s/'//gr), '-c', 4, '-j', 4, '-t', 10);
\set mine 1000 * (:client_id + 1) + random(1, 1000)
BEGIN;
SET LOCAL enable_seqscan = off;
SELECT set_config('colbert.probes', :mine, true);
SELECT id FROM docs WHERE doc IS NOT NULL ORDER BY maxsim(doc, :query) DESC LIMIT 5;
SELECT 1 / (probes = :mine)::int FROM colbert_last_scan();
COMMIT;
SQL

pgbench('unnamed statements work, and use the index', qr/actually processed: 40\/40/, @extended, '-M', 'extended');
SKIP:
{
	skip "PgBouncer $major.$minor does not track statements prepared by the protocol; 1.21 does", 1 unless $tracks_statements;
	pgbench('so do statements prepared by the protocol', qr/actually processed: 40\/40/, @extended, '-M', 'prepared');
}
is(client('postgres', "BEGIN; PREPARE s(multivector) AS SELECT id FROM docs ORDER BY doc <#> \$1 LIMIT 5; SET LOCAL enable_seqscan = off; SET LOCAL colbert.probes = 88; EXECUTE s($query); DEALLOCATE s; COMMIT;"),
	$found, "SQL's PREPARE works within a transaction");

# Writers, too: inserts and searches of several clients share two sessions.
pgbench('inserts and searches', qr/actually processed: 160\/160/, <<'SQL', '-c', 8, '-t', 20);
\set id 1000 + :client_id * 1000 + random(1, 1000)
INSERT INTO docs SELECT :id, doc FROM docs WHERE id = 1 ON CONFLICT DO NOTHING;
SELECT id FROM docs WHERE doc IS NOT NULL ORDER BY doc <#> (SELECT doc FROM docs WHERE id = 1) LIMIT 3;
SQL
is($node->safe_psql('postgres', "SELECT count(*) FROM colbert_index_check('docs_index', heapallindexed => true)"), 0, 'the index is sound');
is($node->safe_psql('postgres', "SELECT count(*) <= 3 FROM pg_stat_activity WHERE application_name <> '' AND backend_type = 'client backend' AND pid <> pg_backend_pid()"), 't',
	'all clients share three sessions');

$pooler->kill_kill;
undef $pooler;
stop_node($node);
done_testing();
