# postgres_fdw: foreign tables of two servers, alone and as partitions: order, LIMIT, NULLs,
# thresholds and elements as in a local table, the hex form, and a lost server.

use strict;
use warnings;
use ColbertTest;
use Test::More;

my $coordinator = new_node('coordinator');
my @shards = map { new_node("shard_$_") } 0, 1;

find_all($coordinator, @shards);
my $query = q{'[[1,0,0,0,0,0,0,0],[0,.5,.5,0,0,0,0,.7]]'};
my $rows = 3000;

# Every 29th row has no document. Of two elements, one is not that of a literal in JSON.
my $documents = <<"SQL";
INSERT INTO docs SELECT i, d, d FROM (SELECT i, CASE WHEN i % 29 > 0 THEN
	(SELECT multivector_agg(ARRAY(SELECT sin(i * 31 + t * 7 + d * d) FROM generate_series(1, 8) d)::real[] ORDER BY t) FROM generate_series(1, 1 + i % 5) t) END AS d
	FROM generate_series(1, $rows) i) AS s
SQL
my $columns = '(id int, doc multivector(8), byte multivector(8, int8))';

$coordinator->safe_psql('postgres', "CREATE EXTENSION postgres_fdw; CREATE TABLE docs $columns; $documents; CREATE TABLE parts $columns PARTITION BY HASH (id)");
for my $number (0, 1)
{
	my $shard = $shards[$number];

	$shard->safe_psql('postgres', <<"SQL");
CREATE TABLE docs $columns;
CREATE TABLE modulus (LIKE docs) PARTITION BY HASH (id);
CREATE TABLE docs_here PARTITION OF modulus FOR VALUES WITH (MODULUS 2, REMAINDER $number);
$documents;
INSERT INTO docs_here SELECT * FROM docs WHERE satisfies_hash_partition('modulus'::regclass, 2, $number, id);
DROP TABLE docs;
CREATE INDEX docs_index ON docs_here USING colbert_hnsw (doc);
ANALYZE docs_here;
CREATE VIEW form AS SELECT current_setting('colbert.multivector_output') AS form FROM (SELECT doc FROM docs_here LIMIT 1) AS d;
SQL
	$coordinator->safe_psql('postgres', sprintf(<<'SQL', $number, $shard->host, $shard->port));
CREATE SERVER shard_%1$s FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '%2$s', port '%3$s', dbname 'postgres', extensions 'colbert_pg', fetch_size '10',
	async_capable 'true', options '-c colbert.multivector_output=hex -c colbert.probes=1000');
CREATE USER MAPPING FOR CURRENT_USER SERVER shard_%1$s;
CREATE FOREIGN TABLE parts_%1$s PARTITION OF parts FOR VALUES WITH (MODULUS 2, REMAINDER %1$s) SERVER shard_%1$s OPTIONS (table_name 'docs_here');
CREATE FOREIGN TABLE form_%1$s (form text) SERVER shard_%1$s OPTIONS (table_name 'form');
SQL
}
$coordinator->safe_psql('postgres', 'ANALYZE docs, parts, parts_0, parts_1');

# plan_of(SQL): the plan, in which the query is shortened.
sub plan_of
{
	my ($sql) = @_;

	return $coordinator->safe_psql('postgres', "EXPLAIN (VERBOSE, COSTS OFF) $sql") =~ s/'\[\[[^']*\]\]'/Q/gr;
}

# same(TEST NAME, SQL with the table as %s): check that the foreign partitions give the rows of the
# local table, bit by bit. The shards have their settings from the options of their servers.
sub same
{
	my ($name, $sql) = @_;
	my ($far, $near) = map { $coordinator->safe_psql('postgres', 'SET colbert.probes = 1000; ' . sprintf($sql, $_)) } 'parts', 'docs';

	isnt($near, '', "$name: there are rows");
	return is($far, $near, "$name: foreign partitions give the rows of a local table");
}

is($coordinator->safe_psql('postgres', 'SELECT form FROM form_0 UNION ALL SELECT form FROM form_1'), "hex\nhex", 'shards write documents in hex');

# One foreign table: the remote server sorts by its index and stops.
my $plan = plan_of("SELECT id FROM parts_0 ORDER BY maxsim(doc, $query) DESC LIMIT 10");
like($plan, qr/^Foreign Scan .*Remote SQL: SELECT id, doc FROM public\.docs_here ORDER BY public\.maxsim\(doc, Q::public\.multivector\) DESC NULLS FIRST LIMIT 10::bigint$/s,
	'a foreign table: order and LIMIT are sent');
my $scans = q{SELECT pg_stat_get_xact_numscans('docs_index'::regclass)};
is($shards[0]->safe_psql('postgres', "SET enable_seqscan = off; SELECT count(*) FROM (SELECT id FROM docs_here ORDER BY maxsim(doc, $query) DESC NULLS LAST LIMIT 10) AS s"), 10, 'the shard answers');
$coordinator->safe_psql('postgres', "SELECT id FROM parts_0 ORDER BY maxsim(doc, $query) DESC NULLS LAST LIMIT 10");
ok($shards[0]->poll_query_until('postgres', q{SELECT idx_scan >= 2 FROM pg_stat_user_indexes WHERE indexrelname = 'docs_index'}), 'the shard uses its index for both');

# Partitions: each is sorted remotely; NULLs are where the query wants them.
$plan = plan_of("SELECT id FROM parts ORDER BY maxsim(doc, $query) DESC NULLS LAST LIMIT 10");
like($plan, qr/Merge Append.*(Foreign Scan.*ORDER BY public\.maxsim\(doc, Q::public\.multivector\) DESC NULLS LAST\n?.*){2}/s, 'partitions: each remote server sorts');
unlike($plan, qr/Sort  |->  Sort/, 'and nothing is sorted here');
for my $order ('maxsim(doc, %s) DESC NULLS LAST', 'maxsim_cosine(doc, %s) DESC NULLS LAST', 'maxsim_l2(doc, %s)', 'doc <#> %s', 'doc <=> %s', 'doc <-> %s')
{
	my $key = sprintf($order, $query);
	same($order, "SELECT id, doc, multivector_send(byte), maxsim(doc, $query) FROM %s ORDER BY $key LIMIT 20");
}
same('NULLs first', "SELECT id, doc IS NULL, maxsim(doc, $query) FROM %s ORDER BY maxsim(doc, $query) DESC, id LIMIT 120");
same('an offset', "SELECT id FROM %s ORDER BY maxsim(doc, $query) DESC NULLS LAST LIMIT 10 OFFSET 15");
same('a filter', "SELECT id, maxsim(doc, $query) FROM %s WHERE id %% 3 = 1 ORDER BY maxsim(doc, $query) DESC NULLS LAST LIMIT 20");

# Thresholds are tested remotely, by shards at the same time.
my $threshold = "maxsim(doc, $query) > 1.2";
$plan = plan_of("SELECT id FROM parts WHERE $threshold");
like($plan, qr/Append.*(Async Foreign Scan.*Remote SQL: SELECT id FROM public\.docs_here WHERE \(\(public\.maxsim\(doc, Q::public\.multivector\) > 1\.2::double precision\)\).*){2}/s,
	'thresholds are sent, and shards work at the same time');
same('a threshold', "SELECT id FROM %s WHERE $threshold ORDER BY id");
same('a threshold and an order', "SELECT id, maxsim(doc, $query) FROM %s WHERE $threshold ORDER BY maxsim(doc, $query) DESC LIMIT 30");
same('a count', "SELECT count(*), count(doc) FROM %s");

# With remote estimates, postgres_fdw of 15 fetches tables that are partitions (doc/scale-out.md warns).
$coordinator->safe_psql('postgres', "ALTER SERVER shard_$_ OPTIONS (ADD use_remote_estimate 'true')") for 0, 1;
like(plan_of("SELECT id FROM parts ORDER BY maxsim(doc, $query) DESC NULLS LAST LIMIT 10"), $coordinator->pg_version >= 17
	? qr/Merge Append.*(Remote SQL: SELECT id, doc FROM public\.docs_here ORDER BY .*){2}/s
	: qr/Sort.*Remote SQL: SELECT id, doc FROM public\.docs_here\n/s, 'use_remote_estimate fetches partitions on 15');
like(plan_of("SELECT id FROM parts_0 ORDER BY maxsim(doc, $query) DESC NULLS LAST LIMIT 10"), qr/Remote SQL: .* LIMIT 10/, 'but not a single foreign table');
$coordinator->safe_psql('postgres', "ALTER SERVER shard_$_ OPTIONS (DROP use_remote_estimate)") for 0, 1;

# Changes by the coordinator.
for my $table ('parts', 'docs')
{
	$coordinator->safe_psql('postgres', <<"SQL");
UPDATE $table SET doc = '[[9,9,9,9,9,9,9,9]]' WHERE id IN (11, 12, 13);
DELETE FROM $table WHERE id = 12;
INSERT INTO $table VALUES (5001, '[[9,9,9,9,9,9,9,8]]', '[[1,2,3,4,5,6,7,8]]'), (5002, '[[9,9,9,9,9,9,9,7]]', '[[1,2,3,4,5,6,7,8]]');
SQL
}
same('UPDATE, DELETE and INSERT', "SELECT id, multivector_send(doc), multivector_send(byte) FROM %s WHERE id < 100 OR id > 5000 ORDER BY maxsim(doc, '[[1,1,1,1,1,1,1,1]]') DESC NULLS LAST, id LIMIT 10");

# A lost server: searches of all partitions fail, those of the others go on, also in a session that
# was connected before. It returns.
my $search = "SELECT id, maxsim(doc, $query) FROM %s ORDER BY maxsim(doc, $query) DESC NULLS LAST LIMIT 5";
my $session = $coordinator->background_psql('postgres', on_error_stop => 0);
my $before = $session->query(sprintf($search, 'parts'));
$shards[1]->stop('immediate');
my ($rc, $out, $err) = $coordinator->psql('postgres', sprintf($search, 'parts'));
like($err, qr/ERROR:  could not connect to server "shard_1"/, 'a search of a lost server is an error');
isnt($coordinator->safe_psql('postgres', sprintf($search, 'parts_0')), '', 'the other partition can be searched');
$session->query(sprintf($search, 'parts'));
like($session->{stderr}, qr/ERROR/, 'and so it is in a session with a connection');
$shards[1]->start;
is($session->query(sprintf($search, 'parts')), $before, 'the session finds the same when the server returns');
$session->quit;

stop_node($_) for @shards, $coordinator;
done_testing();
