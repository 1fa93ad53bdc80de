# colbert_fan_out: shards on two servers give the rows of one table; lost servers, slow shards,
# copies, the deadline and coverage.

use strict;
use warnings;
use ColbertTest;
use PostgreSQL::Test::Cluster;
use Test::More;
use Time::HiRes qw(time);

my $coordinator = new_node('coordinator');
my %node = map { $_ => new_node($_) } 'one', 'two';

find_all($coordinator, values %node);
my $query = '[[1,0,0,0,0,0,0,0],[0,.5,.5,0,0,0,0,.7]]';
my $documents = <<'SQL';
CREATE TABLE d (id int PRIMARY KEY, doc multivector(8));
INSERT INTO d SELECT i, (SELECT multivector_agg(ARRAY(SELECT sin(i * 31 + t * 7 + d * d) FROM generate_series(1, 8) d)::real[])
	FROM generate_series(1, 1 + i % 5) t) FROM generate_series(1, 2000) i
SQL

# Four shards with two copies of each: shard_N of one server, copy_N of the other.
$coordinator->safe_psql('postgres', "CREATE EXTENSION colbert_fan_out CASCADE; $documents");
for my $shard (0 .. 3)
{
	my @places = (["shard_$shard", $shard % 2 ? 'two' : 'one'], ["copy_$shard", $shard % 2 ? 'one' : 'two']);
	for (@places)
	{
		my ($name, $node) = @$_;
		$node{$node}->safe_psql('postgres', "CREATE DATABASE $name");
		$node{$node}->safe_psql($name, "CREATE EXTENSION colbert_pg; $documents; DELETE FROM d WHERE id % 4 <> $shard; CREATE INDEX d_index ON d USING colbert_hnsw (doc)");
		$coordinator->safe_psql('postgres', sprintf(<<'SQL', $name, $node{$node}->host, $node{$node}->port, $name));
CREATE SERVER %1$s FOREIGN DATA WRAPPER dblink_fdw OPTIONS (host '%2$s', port '%3$s', dbname '%4$s');
CREATE USER MAPPING FOR CURRENT_USER SERVER %1$s;
SQL
	}
}
my $alone = '{shard_0,shard_1,shard_2,shard_3}';
my $copies = '{"shard_0,copy_0","shard_1, copy_1","shard_2,copy_2","shard_3,copy_3"}';
my $top = "SELECT id, maxsim(doc, ''$query'') AS score FROM d ORDER BY score DESC";

# fan_out(ARGUMENTS, COLUMNS): the output and the messages of a search of 20 rows, and its seconds.
sub fan_out
{
	my ($arguments, $columns) = @_;
	my $start = time;
	my ($rc, $out, $err) = $coordinator->psql('postgres', "SELECT $columns FROM colbert_fan_out('$top', 20, $arguments)");

	return ($out, $err, time - $start);
}

my $rows = $coordinator->safe_psql('postgres', "SELECT id, score FROM (" . ($top =~ s/''/'/gr) . ") s LIMIT 20");
my $columns = "hit->>'id', score";
my ($out, $err) = fan_out("'$alone'", $columns);
is($out, $rows, 'four shards give the rows and the scores of one table');
is($err, '', 'without a message');
is((fan_out("'$copies'", $columns))[0], $rows, 'the same with copies');
is((fan_out("'$alone'", 'count(*), count(DISTINCT shard), min(coverage), bool_and(server = format(\'shard_%s\', shard - 1))'))[0], '20|4|1|t',
	'each row tells its shard, its server and the coverage');
is($coordinator->safe_psql('postgres', "SELECT count(*) FROM unnest(dblink_get_connections()) c"), '0', 'connections are those of a session');
is($coordinator->safe_psql('postgres', "SELECT FROM colbert_fan_out('$top', 1, '$alone'); SELECT FROM colbert_fan_out('$top', 1, '$alone'); SELECT count(*) FROM unnest(dblink_get_connections()) c") =~ s/\n//gr,
	'4', 'which opens each once');
$node{one}->poll_query_until('shard_0', "SELECT idx_scan > 0 FROM pg_stat_user_indexes WHERE indexrelname = 'd_index'");
pass('a shard uses its index');

# Rows without a document take the places of hits unless the statement leaves them out.
$node{one}->safe_psql('shard_0', 'INSERT INTO d SELECT 10000 + i FROM generate_series(1, 30) i');
($out, $err) = fan_out("'$alone'", 'count(*), count(score)');
like($err, qr/\A(?:psql:\S+ )?WARNING:  the first row of shard 1 \(shard_0\) has no score\nDETAIL:  NULLs come first .*\nHINT:  Add WHERE doc IS NOT NULL .*\z/, 'a shard without a score is named');
for my $statement ($top =~ s/ FROM d/ FROM d WHERE doc IS NOT NULL/r, "$top NULLS LAST")
{
	(undef, $out, $err) = $coordinator->psql('postgres', "SELECT $columns FROM colbert_fan_out('$statement', 20, '$alone')");
	is("$out$err", $rows, 'and no row is lost by ' . $statement =~ s/.*(WHERE|NULLS).*/$1/r);
}
$node{one}->safe_psql('shard_0', 'DELETE FROM d WHERE id > 10000');

# Rows of equal scores keep the order that the statement gives them, and so does the choice of the last ones.
my $ties = "SELECT hit->>'id' FROM colbert_fan_out('SELECT id, id / 700 AS score FROM d ORDER BY score DESC, id DESC', 800, '$alone')";
is($coordinator->safe_psql('postgres', $ties), $coordinator->safe_psql('postgres', 'SELECT id FROM d ORDER BY id / 700 DESC, id % 4, id DESC LIMIT 800'),
	'rows of equal scores are in the order of their statement');

# The scores of a distance ascend: the best rows are not those of the largest scores.
my $distances = "SELECT id, maxsim_l2(doc, ''$query'') AS score FROM d ORDER BY score";
(undef, $out, $err) = $coordinator->psql('postgres', "SELECT count(*) FROM colbert_fan_out('$distances', 20, '$alone')");
is(() = $err =~ /WARNING:  the scores of shard [1-4] \(shard_[0-3]\) ascend\n/g, 4, 'ascending scores are named');
like($err, qr/HINT:  Negate the score of a distance/, 'with a hint');
(undef, $out, $err) = $coordinator->psql('postgres', "SELECT $columns FROM colbert_fan_out('" . $distances =~ s/maxsim_l2/-$&/r . " DESC', 20, '$alone')");
is("$out$err", $coordinator->safe_psql('postgres', "SELECT id, -maxsim_l2(doc, '$query') FROM d ORDER BY 2 DESC LIMIT 20"), 'negated ones give the nearest rows');

# A shard that does not answer: its table is locked.
my $lock = $node{two}->background_psql('shard_1');
$lock->query_safe('BEGIN; LOCK TABLE d');
($out, $err, my $took) = fan_out("'$alone', patience => '300 ms', least_coverage => .5", 'count(*), count(DISTINCT shard), min(coverage)');
is($out, '20|3|0.75', 'the deadline leaves a slow shard out');
like($err, qr/WARNING:  shard 2 \(shard_1\) did not answer\nDETAIL:  it did not answer in time/, 'with a warning');
cmp_ok($took, '<', 10, 'in time');
($out, $err) = fan_out("'$alone', patience => '300 ms'", 'count(*)');
like($err, qr/ERROR:  coverage is 0\.750, below 1\n/, 'all shards are wanted by default');
like($err, qr/HINT:  A smaller least_coverage accepts/, 'and the hint tells how to do without');
($out, $err) = fan_out("'$alone', patience => '300 ms', least_coverage => .5, sizes => '{1,7,1,1}'", 'min(coverage)');
like($err, qr/ERROR:  coverage is 0\.300, below 0\.5\n/, 'sizes weigh the coverage');
($out, $err) = fan_out("'$copies', patience => NULL, hedge_after => '50 ms'", $columns);
is("$out$err", $rows, 'a second copy is asked after a while');
is((fan_out("'$copies', patience => '1 min', hedge_after => '50 ms'", "DISTINCT server"))[0] =~ s/copy_[023]|shard_[0123]|\n//gr, 'copy_1', 'and answers instead of the slow one');
# One session: connections of the shard that was given up are opened again.
my $session = $coordinator->background_psql('postgres');
$session->query("SELECT FROM colbert_fan_out('$top', 1, '$alone', patience => '200 ms', least_coverage => .5)");
$lock->query_safe('COMMIT');
$lock->quit;
is($session->query("SELECT string_agg($columns, '|' ORDER BY score DESC) FROM colbert_fan_out('$top', 20, '$alone')" =~ s/\Q$columns\E/concat_ws(' ', $columns)/r),
	$rows =~ s/\|/ /gr =~ s/\n/|/gr, 'the session goes on when the shard answers again');
my $from = $session->query('SELECT count(*) FROM unnest(dblink_get_connections())');
is($from, '4', 'with a connection to each shard');

# A search that is cancelled, or gives a shard up, ends the statement on the shard.
my $slow = "SELECT 1 AS score FROM pg_sleep(600)";
my $sleepers = "SELECT count(*) = 0 FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)%' AND pid <> pg_backend_pid()";
my $sleeps = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'SELECT coalesce%pg_sleep(600)%')";
my $sleeping = $coordinator->background_psql('postgres', on_error_stop => 0);
$sleeping->query_until(qr/sent/, "\\echo sent\nSELECT FROM colbert_fan_out('$slow', 1, '{shard_0}', patience => '10 min');\n");
ok($node{one}->poll_query_until('shard_0', $sleeps), 'a shard is slow');
$coordinator->safe_psql('postgres', "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE '%colbert_fan_out%' AND pid <> pg_backend_pid()");
ok($node{one}->poll_query_until('shard_0', $sleepers), 'and stops when the search is cancelled');
$sleeping->quit;
$coordinator->psql('postgres', "SELECT FROM colbert_fan_out('$slow', 1, '{shard_0}', patience => '100 ms')");
ok($node{one}->poll_query_until('shard_0', $sleepers), 'or does not wait for it');

# A connection belongs to a role and to the definition of a server, whatever the length of its name.
my $long = 'a_server_whose_name_has_almost_sixty_three_bytes_in_all_number';
for my $shard (0, 1)
{
	$coordinator->safe_psql('postgres', sprintf(<<'SQL', $long . $shard, $node{one}->host, $node{one}->port, $shard ? 'copy_1' : 'shard_0'));
CREATE SERVER %1$s FOREIGN DATA WRAPPER dblink_fdw OPTIONS (host '%2$s', port '%3$s', dbname '%4$s');
CREATE USER MAPPING FOR CURRENT_USER SERVER %1$s;
SQL
}
my $database = "SELECT string_agg(hit->>'current_database', ' ' ORDER BY shard) FROM colbert_fan_out('SELECT 1 AS score, current_database()', 2, '{${long}0,${long}1}')";
is($session->query($database), 'shard_0 copy_1', 'long names');
is($session->query($database), 'shard_0 copy_1', 'on open connections');
$coordinator->safe_psql('postgres', "ALTER SERVER ${long}0 OPTIONS (SET dbname 'shard_2')");
is($session->query($database), 'shard_2 copy_1', 'a changed server is connected anew');
is($session->query('SELECT count(*) FROM unnest(dblink_get_connections())'), '6', 'instead of the old connection');
like(($coordinator->psql('postgres', "CREATE ROLE other; SELECT FROM colbert_fan_out('SELECT 1 AS score', 1, '{shard_0}'); SET ROLE other; SELECT FROM colbert_fan_out('SELECT 1 AS score', 1, '{shard_0}')"))[2],
	qr/permission denied for foreign server shard_0|user mapping not found/, 'a role does not use the connection of another one');

# A user mapping that is changed, or dropped, and a right that is revoked count in a session with an open connection.
$coordinator->safe_psql('postgres', 'CREATE ROLE first; CREATE ROLE second');
$node{$_}->safe_psql('postgres', 'CREATE ROLE first SUPERUSER LOGIN; CREATE ROLE second SUPERUSER LOGIN') for 'one', 'two';
$coordinator->safe_psql('postgres', sprintf(<<'SQL', $node{one}->host, $node{one}->port));
CREATE SERVER mapped FOREIGN DATA WRAPPER dblink_fdw OPTIONS (host '%s', port '%s', dbname 'shard_0');
CREATE ROLE asker;
GRANT USAGE ON FOREIGN SERVER mapped TO asker;
CREATE USER MAPPING FOR PUBLIC SERVER mapped OPTIONS (user 'first');
SQL
sub session_user { return "SELECT hit->>'session_user' FROM colbert_fan_out('SELECT 1 AS score, session_user', 1, '{$_[0]}')"; }
my $open = "SELECT count(*) FROM unnest(dblink_get_connections()) AS c WHERE starts_with(c, (SELECT format('colbert_fan_out %s %s ', r.oid, s.oid) FROM pg_foreign_server s, pg_roles r WHERE srvname = 'mapped' AND rolname = current_user))";
my %means = ('the mapping of PUBLIC' => '', 'an altered one' => "ALTER USER MAPPING FOR PUBLIC SERVER mapped OPTIONS (SET user 'second')",
	'an own one before it' => "CREATE USER MAPPING FOR CURRENT_USER SERVER mapped OPTIONS (user 'first')",
	'an altered own one' => "ALTER USER MAPPING FOR CURRENT_USER SERVER mapped OPTIONS (SET user 'second')");
for (['the mapping of PUBLIC', 'first'], ['an altered one', 'second'], ['an own one before it', 'first'], ['an altered own one', 'second'])
{
	my ($mapping, $user) = @$_;
	$coordinator->safe_psql('postgres', $means{$mapping}) if $means{$mapping};
	is($session->query(session_user('mapped')), $user, "a search uses $mapping");
	is($session->query($open), '1', 'by one connection');
}
$coordinator->safe_psql('postgres', 'DROP USER MAPPING FOR CURRENT_USER SERVER mapped; DROP USER MAPPING FOR PUBLIC SERVER mapped');
is($session->query("SELECT server FROM colbert_fan_out('SELECT 1 AS score', 1, '{\"mapped,copy_0\"}')"), 'copy_0', 'a copy without a user mapping is replaced by the next one');
is($session->query($open), '0', 'and the connection by a dropped mapping is closed');
($out, $err) = ($coordinator->psql('postgres', "SELECT count(*), min(coverage) FROM colbert_fan_out('SELECT 1 AS score', 2, '{mapped,shard_0}', least_coverage => .5)"))[1, 2];
is($out, '1|0.5', 'or left out');
like($err, qr/shard 1 \(mapped\) did not answer\nDETAIL:  user mapping not found/, 'with the reason');
$coordinator->safe_psql('postgres', "CREATE USER MAPPING FOR asker SERVER mapped OPTIONS (user 'first')");
$err = ($coordinator->psql('postgres', "SET ROLE asker; SELECT FROM colbert_fan_out('SELECT 1 AS score', 1, '{mapped}', least_coverage => 0)"))[2];
like($err, qr/WARNING:  shard 1 \(mapped\) did not answer\nDETAIL:  password/, 'a mapping without a password is a reason, too');
my $reuse = sprintf("SET ROLE asker; DO \$\$ BEGIN PERFORM dblink_connect_u(colbert_fan_out_connection('mapped'), 'host=%s port=%s dbname=shard_0 user=first'); END \$\$; ",
	$node{one}->host, $node{one}->port) . "SELECT count(*) FROM colbert_fan_out('SELECT 1 AS score', 1, '{mapped}', least_coverage => 0)";
$coordinator->safe_psql('postgres', 'GRANT EXECUTE ON FUNCTION dblink_connect_u(text, text) TO asker');
is(($coordinator->psql('postgres', $reuse))[1], '1', 'asker uses an open connection');
($out, $err) = ($coordinator->psql('postgres', $reuse =~ s/; SELECT count/; RESET ROLE; REVOKE USAGE ON FOREIGN SERVER mapped FROM asker; SET ROLE asker; SELECT count/r))[1, 2];
is($out, '0', 'but not without a right to the server');
like($err, qr/DETAIL:  permission denied for foreign server mapped/, 'which is the reason');

# Servers that close an open connection: an idle session, and a restart
$session->query("SELECT FROM colbert_fan_out('SELECT 1 AS score', 1, '$alone')");
$node{$_}->safe_psql('postgres', "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname LIKE 'shard%'") for 'one', 'two';
is($session->query("SELECT string_agg(server, ' ' ORDER BY shard) FROM colbert_fan_out('SELECT 1 AS score', 4, '$copies')"),
	'shard_0 shard_1 shard_2 shard_3', 'a connection that was lost is opened again');
$node{two}->restart;
is($session->query("SELECT count(*), min(coverage) FROM colbert_fan_out('SELECT 1 AS score', 4, '$alone')"), '4|1', 'also after a restart');
$err = $session->query("SELECT count(*) FROM colbert_fan_out('SELECT 1 / 0 AS score', 1, '{shard_0}', least_coverage => 0)");
is($err, '0', 'an error of a statement is none of its connection');
is($session->query("SELECT count(*) FROM colbert_fan_out('SELECT pg_terminate_backend(pg_backend_pid()) AS score', 1, '{shard_0}', least_coverage => 0)"), '0',
	'a connection that its statement ends is opened at most once more');

# A server that hangs.
my $hanging = $session->query("SELECT hit->>'pid' FROM colbert_fan_out('SELECT 1 AS score, pg_backend_pid() AS pid', 1, '{shard_1}')");
my $postmaster = $node{two}->safe_psql('postgres', q{SELECT split_part(pg_read_file('postmaster.pid'), E'\n', 1)});
kill 'STOP', $hanging, $postmaster;
my $start = time;
$session->query("SELECT FROM colbert_fan_out('SELECT 1 AS score', 1, '{shard_0,shard_1}', patience => '300 ms', least_coverage => .5)");
cmp_ok(time - $start, '<', 20, 'a server that hangs is left out in time');
kill 'CONT', $hanging, $postmaster;

# A server that is lost, and returns.
$node{two}->stop('immediate');
($out, $err) = fan_out("'$alone', least_coverage => .5", 'count(*), count(DISTINCT shard), min(coverage)');
is($out, '20|2|0.5', 'shards of a lost server are left out');
like($err, qr/shard 2 \(shard_1\) did not answer\nDETAIL:  could not (establish connection|connect)/, 'with the reason');
is((fan_out("'$copies'", $columns))[0], $rows, 'or their copies answer');
like($session->query("SELECT string_agg(server, ' ' ORDER BY shard) FROM (SELECT DISTINCT shard, server FROM colbert_fan_out('$top', 20, '$copies')) s"),
	qr/shard_0 copy_1 shard_2 copy_3/, 'also in a session with open connections');
$node{two}->start;
is($session->query("SELECT string_agg(server, ' ' ORDER BY shard) FROM (SELECT DISTINCT shard, server FROM colbert_fan_out('$top', 20, '$copies')) s"),
	'shard_0 shard_1 shard_2 shard_3', 'which uses the server when it is back');
$session->quit;

# Errors of a statement, of arguments and of rights
my %refused = (
	"'SELECT 1 AS score FROM nowhere', 1, '$alone', least_coverage => 0" => qr/shard 1 \(shard_0\) did not answer\nDETAIL:  ERROR:  relation "nowhere" does not exist/,
	"'SELECT id FROM d', 1, '$alone'" => qr/ERROR:  the statement has no column "score"/,
	"'SELECT 1', 0, '$alone'" => qr/ERROR:  k must be at least 1/,
	"'SELECT 1', 1, '{}'" => qr/ERROR:  shards must be a list of foreign servers/,
	"'SELECT 1', 1, '{shard_0,NULL}'" => qr/ERROR:  a shard has no server/,
	"'SELECT 1', 1, '{host=nowhere}'" => qr/ERROR:  server "host=nowhere" does not exist/,
	"'SELECT 1', 1, '{shard_0,shard_0}'" => qr/ERROR:  server "shard_0" is given twice/,
	"'SELECT 1', 1, '$alone', sizes => '{1,2}'" => qr/ERROR:  sizes must be a positive number for each shard/,
	"'SELECT 1', 1, '{shard_0}', sizes => '[0:0]={7}'" => qr/ERROR:  sizes must be a positive number for each shard/,
	"'SELECT 1', 1, '{shard_0}', sizes => '{{7}}'" => qr/ERROR:  sizes must be a positive number for each shard/,
	"'SELECT 1', 1, '$alone', least_coverage => 2" => qr/ERROR:  least_coverage must be between 0 and 1/);
for my $arguments (sort keys %refused)
{
	like(($coordinator->psql('postgres', "SELECT * FROM colbert_fan_out($arguments)"))[2], $refused{$arguments}, $arguments);
}
is($coordinator->safe_psql('postgres', "SELECT count(*), min(coverage) FROM colbert_fan_out('SELECT 1.5 AS score FROM d WHERE false -- none', 5, '$alone')"), '0|',
	'no row, and a comment at the end');
is($coordinator->safe_psql('postgres', "SELECT count(*) FROM colbert_fan_out('SELECT NULL::float8 AS score FROM d', 5, '$alone')"), '5', 'rows without a score');
like(($coordinator->psql('postgres', "CREATE ROLE stranger; SET ROLE stranger; SELECT FROM colbert_fan_out('SELECT 1', 1, '$alone')"))[2],
	qr/permission denied for foreign server shard_0|user mapping not found/, 'who may not use a server may not ask it');

stop_node($_) for $coordinator, values %node;
done_testing();
