# Merges that are killed or cancelled at a point of their work (COLBERT_PAUSE, in the test library):
# documents encoded before keep their meaning, and the postings are counted again.

use strict;
use warnings;
use ColbertTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $node = faults_node('interrupted');
my $folder = PostgreSQL::Test::Utils::tempdir();
my $session = "LOAD 'colbert_pg'; SET colbert_faults.folder = '$folder'; SET colbert.background_merge = off; SET colbert.pending_limit = 100000000;";

# Random tokens. The later documents lie elsewhere, so that they have another mean and other
# codebooks.
$node->safe_psql('postgres', <<'SQL');
SELECT setseed(.5);
CREATE TABLE docs (id int PRIMARY KEY, doc multivector(16));
INSERT INTO docs
	SELECT i, (SELECT multivector_agg(ARRAY(SELECT CASE WHEN d = 1 + (i > 100)::int THEN 3 ELSE 0 END + random() * 2 - 1
	                                        FROM generate_series(1, 16) d WHERE i > 0 AND t > 0)::real[])
	           FROM generate_series(1, 3) t)
	FROM generate_series(1, 2000) i;
SQL

# stop_at(POINT, SQL, HOW): run statements until a point, and then kill the server or cancel them.
sub stop_at
{
	my ($point, $sql, $how) = @_;
	my $client = start_sql($node, "$session SET application_name = 'at $point'; SET colbert_faults.pause = '$point';\n$sql");

	for (1 .. 1200)
	{
		last if -e "$folder/$point.reached";
		usleep(50_000);
	}
	ok(-e "$folder/$point.reached", "$point is reached") or BAIL_OUT(stop_sql($client));
	if ($how eq 'kill')
	{
		# so that all WAL up to the point is on disk
		$node->safe_psql('postgres', 'CREATE TABLE flushed (); DROP TABLE flushed');
		kill_all($node);
		start_after_kill($node);
	}
	else
	{
		$node->safe_psql('postgres', "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name = 'at $point'");
		append_to_file("$folder/$point.go", '');
	}
	like(stop_sql($client), $how eq 'kill' ? qr/connection/ : qr/canceling statement/, "$how: the statement ends with an error");
	unlink "$folder/$point.reached", "$folder/$point.go";
	return;
}

my %indexes = (
	'colbert_hnsw' => 'colbert_hnsw (doc) WITH (tokens_per_node = 16)',
	'colbert_ivf' => 'colbert_ivf (doc) WITH (lists = 300)',
	'colbert_hnsw, pq' => 'colbert_hnsw (doc) WITH (tokens_per_node = 16, quantizer = pq)',
	'colbert_ivf, bit' => 'colbert_ivf (doc) WITH (lists = 300, quantizer = bit)');

# make(INDEX): a table with too few documents for nodes when the index is created, and enough
# afterwards.
sub make
{
	my ($index) = @_;

	$node->safe_psql('postgres', "$session DROP TABLE IF EXISTS t; CREATE TABLE t (id int PRIMARY KEY, doc multivector(16));
		INSERT INTO t SELECT * FROM docs WHERE id <= 100; CREATE INDEX t_index ON t USING $index; INSERT INTO t SELECT * FROM docs WHERE id BETWEEN 101 AND 1500");
	return;
}

# The mean was trained by the build. Writing a new mean without activating it must not affect the
# sketches of the first.
for my $name (sort keys %indexes)
{
	make($indexes{$name});
	checker_is_content($node, 't', "$name: before");
	stop_at('params-written', "SELECT colbert_merge('t_index')", 'kill');
	checker_is_content($node, 't', "$name: new parameters that do not count", q{message NOT LIKE '%until the next VACUUM'});
	is($node->safe_psql('postgres', "$session SELECT colbert_merge('t_index')"), '1500', "$name: the next merge trains");
	checker_is_content($node, 't', "$name: trained", q{message NOT LIKE '%until the next VACUUM' AND part <> 'nodes'});
}

# Postings were written but not counted, in batches whose tokens go to other nodes the next time:
# some have become nodes.
for my $name (sort keys %indexes)
{
	for my $how ('kill', 'cancel')
	{
		make($indexes{$name});
		$node->safe_psql('postgres', "$session SELECT colbert_merge('t_index'); INSERT INTO t SELECT * FROM docs WHERE id > 1500");
		stop_at('merge-posted', "SELECT colbert_merge('t_index')", $how);
		checker_is_content($node, 't', "$name: uncounted postings", q{message NOT LIKE '%until the next VACUUM' AND part <> 'nodes'});
		# documents deleted meanwhile are already in lists
		$node->safe_psql('postgres', "$session DELETE FROM t WHERE id BETWEEN 1501 AND 1510; SELECT colbert_merge('t_index')");
		$node->safe_psql('postgres', 'VACUUM t');
		is($node->safe_psql('postgres', "SELECT pending_documents FROM colbert_index_info('t_index')"), '0', "$name: all documents are merged");
		checker_is_content($node, 't', "$name: VACUUM counts the postings", q{part <> 'nodes' OR severity = 'error'});
	}
}

# The same with documents that share a token: the segments of its list are full, and documents that were
# posted are in any of them.
for my $method ('colbert_hnsw', 'colbert_ivf')
{
	my $shared = "SELECT id, doc || multivector_agg((ARRAY[9] || array_fill(0, ARRAY[15]))::real[]) FROM docs WHERE id";

	$node->safe_psql('postgres', "$session DROP TABLE t; CREATE TABLE t (id int PRIMARY KEY, doc multivector(16)); INSERT INTO t $shared <= 900 GROUP BY id;
		CREATE INDEX t_index ON t USING $indexes{$method}; INSERT INTO t $shared > 900 GROUP BY id");
	stop_at('merge-posted', "SELECT colbert_merge('t_index')", 'cancel');
	$node->safe_psql('postgres', "$session SELECT colbert_merge('t_index')");
	is($node->safe_psql('postgres', "SELECT pending_documents FROM colbert_index_info('t_index')"), '0', "$method, full segments: all documents are merged");
	checker_is_content($node, 't', "$method, full segments: each document is listed once", q{severity = 'error'});
}

# A merge is cancelled between adding a node and adding the older documents near it to its list:
# the next merge adds them. The token of row 3000 is far from all nodes until row 3001 has one.
$node->safe_psql('postgres', <<"SQL");
$session
DROP TABLE t;
CREATE TABLE t (id int PRIMARY KEY, doc multivector(16));
INSERT INTO t SELECT * FROM docs;
CREATE INDEX t_index ON t USING colbert_hnsw (doc) WITH (tokens_per_node = 16);
INSERT INTO t SELECT 3000, multivector_agg((ARRAY[8] || array_fill(0, ARRAY[15]))::real[]);
SELECT colbert_merge('t_index');
INSERT INTO t SELECT 3001, multivector_agg((ARRAY[7 + i / 100.0] || array_fill(i / 100.0, ARRAY[15]))::real[]) FROM generate_series(1, 40) i;
SQL

# A crash while the neighbours of a node are linked to it leaves a node that can be reached.
stop_at('node-counted', "SELECT colbert_merge('t_index')", 'kill');
checker_is_content($node, 't', 'a node without most of its edges', q{message NOT IN ('node may lack older documents until the next merge')});
my $nodes = "SELECT nodes FROM colbert_index_info('t_index')";
my $before = $node->safe_psql('postgres', $nodes);
stop_at('node-added', "SELECT colbert_merge('t_index')", 'cancel');
is($node->safe_psql('postgres', $nodes), $before + 1, 'a node has been added');
like($node->safe_psql('postgres', "SELECT message FROM colbert_index_check('t_index')"), qr/^node may lack older documents until the next merge$/m, 'the checker names it');
$node->safe_psql('postgres', "$session SELECT colbert_merge('t_index'); VACUUM t");
is($node->safe_psql('postgres', "$session SET colbert.probes = 1; SET enable_seqscan = off; SELECT id FROM t ORDER BY doc <#> (SELECT doc FROM t WHERE id = 3000) LIMIT 1"), '3000', 'the older document is found by the new node');
checker_is_content($node, 't', 'after the next merge', undef);

# A merge in haste is killed between flagging documents as unsettled and removing them from the queue: the next merge, which passes over them,
# extends the range of unsettled documents, and they are merged again.
for my $name ('colbert_hnsw', 'colbert_hnsw, pq')
{
	make($indexes{$name});
	$node->safe_psql('postgres', <<"SQL");
$session
SELECT colbert_merge('t_index');
SET colbert.pending_limit = 0;
INSERT INTO t SELECT * FROM docs WHERE id BETWEEN 1501 AND 1900;
SET colbert.pending_limit = 100000000;
INSERT INTO t SELECT * FROM docs WHERE id BETWEEN 1901 AND 1905;
SQL
	stop_at('merge-flagged', 'SET colbert.pending_limit = 0; INSERT INTO t SELECT 2001, doc FROM docs WHERE id = 1', 'kill');
	checker_is_content($node, 't', "$name: flagged documents in the queue", q{message NOT LIKE '%is queued, but not pending' AND message NOT LIKE '%until the next VACUUM' AND part <> 'nodes'});
	is($node->safe_psql('postgres', "SELECT count(*) FROM colbert_index_check('t_index') WHERE message LIKE '%is queued, but not pending'"), '5', "$name: they are five");
	my (undef, undef, $err) = $node->psql('postgres', "$session SET client_min_messages = debug1; VACUUM t");
	like($err, qr/merged \d{2,} documents again/, "$name: VACUUM merges them again");
	checker_is_content($node, 't', "$name: they are settled", q{part <> 'nodes' OR severity = 'error'});
}
$node->stop;
done_testing();
