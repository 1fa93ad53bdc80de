# Races, produced by pausing a process at a point of its work (COLBERT_PAUSE, in the test library).
# Meanwhile other sessions move or reuse what it is about to read, merge what it is merging, or
# change the state that it encodes with.

use strict;
use warnings;
use ColbertTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $node = faults_node('races');
my $folder = PostgreSQL::Test::Utils::tempdir();

# Documents of random tokens. The first dim is far from 0, so that sketches with another mean have
# another meaning. One in three documents has a token that all of these share, whose posting list is
# long.
$node->safe_psql('postgres', <<'SQL');
SELECT setseed(.5);
CREATE TABLE docs (id int PRIMARY KEY, doc multivector(16));
INSERT INTO docs
	SELECT i, (SELECT multivector_agg(CASE WHEN t = 1 AND i % 3 = 0 THEN ARRAY(SELECT CASE d WHEN 2 THEN 4 ELSE 0 END FROM generate_series(1, 16) d)::real[]
	                                       ELSE ARRAY(SELECT CASE d WHEN 1 THEN 3 ELSE 0 END + random() * 2 - 1 FROM generate_series(1, 16) d WHERE i > 0 AND t > 0)::real[] END)
	           FROM generate_series(1, 3) t)
	FROM generate_series(1, 5000) i;
SQL

# The best rows of a query according to a search, and according to the table.
my $query = "'[[0,4,0,0,0,0,0,0,0,0,0,0,0,0,0,0],[0,0,1,-1,1,-1,1,-1,1,-1,1,-1,1,-1,1,-1]]'::multivector";
sub search_sql
{
	my ($limit) = @_;

	return "SELECT string_agg(id::text, ' ' ORDER BY distance, id) FROM (SELECT id, doc <#> $query AS distance FROM t ORDER BY doc <#> $query LIMIT $limit) AS found;";
}

sub exact
{
	my ($limit) = @_;

	return $node->safe_psql('postgres', 'SET enable_indexscan = off; ' . search_sql($limit));
}

# make(INDEX, DOCUMENTS, WHEN): create a table of this many documents and its index, before or after
# they are inserted. Documents with the shared token come last, so that it can become a node of its
# own.
sub make
{
	my ($index, $documents, $when) = @_;
	my $create = "CREATE INDEX t_index ON t USING $index;";
	my $insert = "INSERT INTO t SELECT * FROM docs WHERE id % 3 > 0 AND id <= $documents;";
	my $shared = "INSERT INTO t SELECT * FROM docs WHERE id % 3 = 0 AND id <= $documents;";

	$node->safe_psql('postgres', 'DROP TABLE IF EXISTS t; CREATE TABLE t (id int PRIMARY KEY, doc multivector(16)); '
		. ($when eq 'before' ? "$create $insert $shared" : "$insert $create $shared SELECT colbert_merge('t_index');"));
	return;
}

# during(POINT, SQL, CODE): run statements that pause at a point, and run the code meanwhile. Return
# their output and errors.
sub during
{
	my ($point, $sql, $code) = @_;
	my $handle = start_sql($node, "LOAD 'colbert_pg'; SET colbert_faults.folder = '$folder'; SET colbert_faults.pause = '$point';\n$sql");

	reached($folder, $point) or BAIL_OUT(stop_sql($handle));
	$code->();
	append_to_file("$folder/$point.go", '');
	my $err = stop_sql($handle);
	unlink "$folder/$point.reached", "$folder/$point.go";
	chomp $handle->{out};
	return $handle->{out}, $err;
}

# waits(SQL): check that a statement waits for the merge lock, by attempts (src/storage/locks.h), while others are paused. Return its handle.
sub waits
{
	my ($sql, $name) = @_;
	my $handle = start_sql($node, "SET application_name = 'waiting';\n$sql");

	ok($node->poll_query_until('postgres', q{SELECT count(*) > 0 FROM pg_stat_activity WHERE application_name = 'waiting' AND wait_event_type = 'Extension'}), $name);
	return $handle;
}

# Wait until all workers of a build wait for the leader.
sub workers_wait
{
	my ($name) = @_;

	ok($node->poll_query_until('postgres', q{SELECT count(*) > 0 AND bool_and(wait_event = 'ParallelCreateIndexScan') FROM pg_stat_activity WHERE backend_type = 'parallel worker'}), $name);
	return;
}

# Pause a search while everything around it changes. It must return the rows of its snapshot.
sub search_during
{
	my ($name, $point, $limit, $settings, $sql) = @_;
	my $wanted = exact($limit);
	my $search = "$ColbertTest::by_index $settings " . search_sql($limit);

	is($node->safe_psql('postgres', $search), $wanted, "$name: without a race");
	my ($found, $err) = during($point, $search, sub { $node->safe_psql('postgres', $sql) });
	is($err, '', "$name: no error");
	is($found, $wanted, "$name: the search returns the rows of its snapshot");
	checker_is_content($node, 't', $name, q{severity = 'error'});
	return;
}

my %indexes = (
	'colbert_hnsw' => 'colbert_hnsw (doc) WITH (tokens_per_node = 16)',
	'colbert_ivf' => 'colbert_ivf (doc) WITH (lists = 300)',
	'colbert_hnsw, bit' => 'colbert_hnsw (doc) WITH (tokens_per_node = 16, quantizer = bit)',
	'colbert_ivf, pq' => 'colbert_ivf (doc) WITH (lists = 300, quantizer = pq)');
# Settings that make a search use the postings of a small index.
sub few
{
	my ($candidates) = @_;

	return "LOAD 'colbert_pg'; SET colbert.probes = 64; SET colbert.ef_search = 200; SET colbert.candidates = $candidates; SET colbert.rerank = $candidates;";
}

my $grow = "INSERT INTO t SELECT * FROM docs WHERE id > 2400; SELECT colbert_merge('t_index');";
my $shrink = "DELETE FROM t WHERE id % 3 = 0 AND id > 300; VACUUM t;";

for my $name (sort keys %indexes)
{
	my $index = $indexes{$name};

	# Lists grow and move, and other lists take their places: the owner of a segment must be checked
	# again.
	make($index, 2400, 'after');
	search_during("$name, postings move", 'posting-head', 10, few(1000), $grow);

	# The first segment of a list with several segments has been read, when the others are joined,
	# unlinked and reused.
	make($index, 5000, 'after');
	$node->safe_psql('postgres', 'DELETE FROM t WHERE id % 3 = 0 AND id > 300');
	search_during("$name, segments go away", 'posting-next', 10, few(2400), "VACUUM t; INSERT INTO t SELECT -id, doc FROM docs WHERE id % 3 > 0; SELECT colbert_merge('t_index');");

	# Documents that the search has found belong to dead rows; other documents reuse their ordinals
	# and rows.
	for my $point ('gathered', 'exact-fetch')
	{
		make($index, 3000, 'after');
		$node->safe_psql('postgres', 'DELETE FROM t WHERE id <= 1000');
		search_during("$name, ordinals are reused, $point", $point, 10, few(1200), "VACUUM t; INSERT INTO t SELECT -id, doc FROM docs WHERE id <= 1000; SELECT colbert_merge('t_index');");

		# Rows have two versions. When VACUUM removes the first, the second replaces it, and more
		# versions are added.
		make($index, 3000, 'after');
		$node->safe_psql('postgres', 'UPDATE t SET id = id + 5000 WHERE id % 2 = 0');
		search_during("$name, versions move up, $point", $point, 10, few(1200), 'VACUUM t; UPDATE t SET id = id + 5000; VACUUM t; UPDATE t SET id = id + 5000;');
	}

	# An index without nodes is trained, so that its sketches have another mean.
	make($index, 2000, 'before');
	search_during("$name, the epoch changes", 'scan-opened', 10, '', "SELECT colbert_merge('t_index');");

	# The reverse: a search begins while some documents have sketches of the previous epoch.
	make($index, 2000, 'before');
	my $found;
	my (undef, $err) = during('merge-trained', "SELECT colbert_merge('t_index')", sub {
		$found = $node->safe_psql('postgres', "$ColbertTest::by_index " . few(1000) . search_sql(10));
	});
	is($err, '', "$name, a search during a change of the epoch: no error");
	is($found, exact(10), "$name, a search during a change of the epoch: the best rows");

	# Documents are encoded before the training and queued after it.
	make($index, 2000, 'before');
	(undef, $err) = during('append-written', 'INSERT INTO t SELECT * FROM docs WHERE id = 2001', sub {
		$node->safe_psql('postgres', "SELECT colbert_merge('t_index'); INSERT INTO t SELECT * FROM docs WHERE id BETWEEN 2002 AND 2100");
	});
	is($err, '', "$name, a change of the epoch during an insert: no error");
	checker_is_content($node, 't', "$name, an insert of another epoch");
	is($node->safe_psql('postgres', "SELECT colbert_merge('t_index')"), '100', "$name, later documents are merged");
	checker_is_content($node, 't', "$name, an insert of another epoch, merged");
	is($node->safe_psql('postgres', "$ColbertTest::by_index SELECT id FROM t ORDER BY doc <#> (SELECT doc FROM docs WHERE id = 2001) LIMIT 1"),
		$node->safe_psql('postgres', "SET enable_indexscan = off; SELECT id FROM t ORDER BY doc <#> (SELECT doc FROM docs WHERE id = 2001) LIMIT 1"), "$name, the document is found");

	# VACUUM does not wait for an insert that has reserved its place, does not take the place, and
	# does not block other inserts.
	make($index, 2000, 'after');
	$node->safe_psql('postgres', 'INSERT INTO t SELECT * FROM docs WHERE id BETWEEN 2051 AND 2100');
	(undef, $err) = during('append-reserved', 'INSERT INTO t SELECT * FROM docs WHERE id = 2001', sub {
		my $vacuum = start_sql($node, "SET statement_timeout = '60s'; VACUUM (INDEX_CLEANUP on) t;");

		$node->safe_psql('postgres', "SET statement_timeout = '10s'; INSERT INTO t SELECT * FROM docs WHERE id = $_") for 2101 .. 2110;
		is(stop_sql($vacuum), '', "$name: VACUUM finishes during an insert that has reserved a place");
	});
	is($err, '', "$name: the insert finishes too");

	# Under SERIALIZABLE, a search that comes before an insert publishes its document does not find it; the two transactions conflict nevertheless.
	my $serializable = "$ColbertTest::by_index BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT id FROM t ORDER BY doc <#> $query LIMIT 1; INSERT INTO t SELECT * FROM docs WHERE id =";
	(undef, $err) = during('append-reserved', "$serializable 2111; COMMIT;", sub { $node->safe_psql('postgres', "$serializable 2112; COMMIT") });
	like($err, qr/could not serialize access/, "$name: of two transactions that do not see each other's document, one fails");
	$node->safe_psql('postgres', 'INSERT INTO t SELECT * FROM docs WHERE id BETWEEN 2002 AND 2050');
	checker_is_content($node, 't', "$name, VACUUM during an insert");

	# A first training that is interrupted while it stores nodes leaves none; the next one creates
	# them all.
	make($index, 2000, 'before');
	$node->safe_psql('postgres', "SELECT colbert_merge('t_index')");
	my $nodes = $node->safe_psql('postgres', "SELECT nodes FROM colbert_index_info('t_index')");
	make($index, 2000, 'before');
	(undef, $err) = during('nodes-stored', "SELECT colbert_merge('t_index')", sub {
		$node->safe_psql('postgres', q{SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE 'SELECT colbert_merge%' AND pid <> pg_backend_pid()});
	});
	like($err, qr/canceling statement/, "$name: a training is cancelled while it stores nodes");
	is($node->safe_psql('postgres', "SELECT nodes, pending_documents FROM colbert_index_info('t_index')"), '0|2000', "$name: a cancelled training changes nothing");
	checker_is_content($node, 't', "$name, a training cancelled", q{severity = 'error'});
	$node->safe_psql('postgres', "SELECT colbert_merge('t_index')");
	is($node->safe_psql('postgres', "SELECT nodes, pending_documents FROM colbert_index_info('t_index')"), "$nodes|0", "$name: the next training creates as many nodes");
	checker_is_content($node, 't', "$name, trained after a cancel");

	# A merge is cancelled after it has written postings and before it has updated the queue: each
	# posting exists once.
	make($index, 2000, 'after');
	$node->safe_psql('postgres', 'INSERT INTO t SELECT * FROM docs WHERE id BETWEEN 2001 AND 2600');
	(undef, $err) = during('merge-posted', "SELECT colbert_merge('t_index')", sub {
		$node->safe_psql('postgres', q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'SELECT colbert_merge%' AND pid <> pg_backend_pid()});
	});
	like($err, qr/terminating connection/, "$name: a merge is terminated after its postings");
	$node->safe_psql('postgres', "LOAD 'colbert_pg'; SET colbert.background_merge = off; SET colbert.pending_limit = 0; INSERT INTO t SELECT * FROM docs WHERE id BETWEEN 2601 AND 2700");
	is($node->safe_psql('postgres', "SELECT count(colbert_merge('t_index'))"), '1', "$name: inserts in steps and another merge continue");
	checker_is_content($node, 't', "$name, a merge ended after its postings", q{severity = 'error'});

	# A merge waits for another one; an insert that finds much to merge does not wait long.
	my $waiting;
	make($index, 2000, 'after');
	$node->safe_psql('postgres', 'INSERT INTO t SELECT * FROM docs WHERE id BETWEEN 2001 AND 2100');
	(undef, $err) = during('merge-posted', "SELECT colbert_merge('t_index')", sub {
		$waiting = waits("SELECT colbert_merge('t_index')", "$name: a merge waits for another");
		$node->safe_psql('postgres', "LOAD 'colbert_pg'; SET colbert.pending_limit = 0; INSERT INTO t SELECT * FROM docs WHERE id BETWEEN 2101 AND 2150");
	});
	is($err . stop_sql($waiting), '', "$name: both merges succeed");
	is($waiting->{out}, "50\n", "$name: the second merges documents inserted meanwhile");
	checker_is_content($node, 't', "$name, two merges");
}

# vacuum(POINTS, SQL): start a VACUUM that pauses at these points, in this order.
sub vacuum
{
	my ($points, $settings) = @_;

	return start_sql($node, "LOAD 'colbert_pg'; SET colbert_faults.folder = '$folder'; SET colbert_faults.pause = '$points'; $settings\nVACUUM (INDEX_CLEANUP on) t;");
}

sub go_on
{
	append_to_file("$folder/$_.go", '') for @_;
	return;
}

# While more than three eighths of the limit is pending, VACUUM does not sleep under the merge lock, whatever its cost parameters: neither when
# it walks through the directory, nor when it sweeps lists and hashes. It merges first, and sleeps when less is pending.
for my $name ('colbert_hnsw', 'colbert_ivf')
{
	for my $limit (2000, 10000)
	{
		my $urgent = $limit == 2000;

		make($indexes{$name}, 3000, 'after');
		$node->safe_psql('postgres', "DELETE FROM t WHERE id <= 1000; INSERT INTO t SELECT -id, doc FROM docs WHERE id BETWEEN 2001 AND 2400");
		go_on('vacuum-delay');
		my $vacuum = vacuum('vacuum-begun vacuum-delay vacuum-swept', "SET colbert.pending_limit = $limit; SET vacuum_cost_delay = 1; SET vacuum_cost_limit = 10000;");

		reached($folder, 'vacuum-begun');
		is($node->safe_psql('postgres', "SELECT pending_tokens, dead_documents FROM colbert_index_info('t_index')"), '1200|1000', "$name: documents are pending, others are dead");
		unlink glob "$folder/vacuum-delay.*";
		go_on('vacuum-begun');
		reached($folder, 'vacuum-delay');
		my $left = $node->safe_psql('postgres', "SELECT pending_tokens FROM colbert_index_info('t_index')");
		is($left <= 750 ? 'merged' : $left, $urgent ? 'merged' : '1200', "$name: VACUUM with 1,200 of $limit tokens pending, before it sleeps");
		go_on('vacuum-delay');
		reached($folder, 'vacuum-swept');
		is($node->safe_psql('postgres', "SELECT dead_documents FROM colbert_index_info('t_index')"), '0', "$name: it has freed the dead");
		go_on('vacuum-swept');
		is(stop_sql($vacuum), '', "$name: it finishes");
		unlink glob "$folder/*";
		checker_is_content($node, 't', "$name: VACUUM without sleeping");
	}
}

# VACUUM waits without the merge lock until no insert is running, to free reservations that nobody will publish. It ignores those that
# have been published since it saw them.
for my $name (sort keys %indexes)
{
	make($indexes{$name}, 2000, 'after');
	my (undef, $err) = during('append-reserved', 'INSERT INTO t SELECT * FROM docs WHERE id = 2001', sub {
		my $vacuum = vacuum('append-lock', '');

		reached($folder, 'append-lock');
		$node->safe_psql('postgres', 'INSERT INTO t SELECT * FROM docs WHERE id BETWEEN 2002 AND 2010');
		is($node->safe_psql('postgres', "SET lock_timeout = '10s'; SELECT colbert_merge('t_index')"), '9', "$name: others merge while VACUUM waits for an insert");
		go_on('append-lock');
		is(stop_sql($vacuum), '', "$name: VACUUM finishes");
	});
	is($err, '', "$name: the insert finishes");
	unlink glob "$folder/*";

	my $vacuum;
	(undef, $err) = during('append-reserved', 'INSERT INTO t SELECT * FROM docs WHERE id = 2011', sub {
		$vacuum = vacuum('vacuum-swept append-lock', '');
		reached($folder, 'vacuum-swept');
		go_on('append-lock');
	});
	is($err, '', "$name: an insert publishes what VACUUM has seen reserved");
	go_on('vacuum-swept');
	is(stop_sql($vacuum), '', "$name: VACUUM finishes");
	ok(!-e "$folder/append-lock.reached", "$name: it has nothing to free, and does not lock out inserts");
	unlink glob "$folder/*";

	# an insert that ends after it has reserved its place
	(undef, $err) = during('append-reserved', 'INSERT INTO t SELECT * FROM docs WHERE id = 2012', sub {
		$node->safe_psql('postgres', q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'INSERT INTO t%2012%' AND pid <> pg_backend_pid()});
	});
	like($err, qr/terminating connection/, "$name: an insert ends early");
	is($node->safe_psql('postgres', "VACUUM (INDEX_CLEANUP on) t; SELECT free_documents FROM colbert_index_info('t_index')"), '1', "$name: VACUUM frees its place");
	checker_is_content($node, 't', "$name, VACUUM and reservations");
}

# Documents come while much is pending and a merge without haste runs. After a first small batch, it goes on in haste: without nodes, which are
# added when the documents are merged again. While much is pending then, they are left for later. Nothing of this happens if no documents come.
for my $comes (0, 1)
{
	my $lacking = q{SELECT (tokens - pending_tokens) / tokens_per_node - nodes > 100, pending_documents FROM colbert_index_info('t_index')};
	my $merge = "LOAD 'colbert_pg'; SET colbert.pending_limit = 2000; SELECT colbert_merge('t_index');";
	my $name = $comes ? 'documents come' : 'no documents come';

	make($indexes{colbert_hnsw}, 2000, 'after');
	$node->safe_psql('postgres', 'ALTER TABLE t DROP CONSTRAINT t_pkey; INSERT INTO t SELECT * FROM docs WHERE id > 2000');
	my $merging = start_sql($node, "LOAD 'colbert_pg'; SET colbert_faults.folder = '$folder'; SET colbert_faults.pause = 'merge-posted merge-settles'; $merge");
	reached($folder, 'merge-posted');
	$node->safe_psql('postgres', 'INSERT INTO t SELECT -id, doc FROM docs WHERE id <= 10') if $comes;
	go_on('merge-posted');
	reached($folder, 'merge-settles');
	is($node->safe_psql('postgres', $lacking), $comes ? 't|10' : 'f|0', "$name: the merge " . ($comes ? 'leaves out nodes' : 'adds all nodes'));
	$node->safe_psql('postgres', 'INSERT INTO t SELECT -id, doc FROM docs WHERE id <= 1000') if $comes;
	go_on('merge-settles');
	is(stop_sql($merging), '', "$name: it finishes");
	unlink glob "$folder/*";
	is($node->safe_psql('postgres', $lacking), $comes ? 't|1010' : 'f|0', "$name: " . ($comes ? 'it settles nothing while much is pending' : 'nothing is left'));
	$node->safe_psql('postgres', $merge);
	is($node->safe_psql('postgres', $lacking), 'f|0', "$name: the next merge adds the nodes");
	checker_is_content($node, 't', "a merge without haste, $name");
}

# bytes(PART): size of a part of the index according to colbert_index_info; the queue's is the
# remainder.
sub bytes
{
	my ($what) = @_;

	$what = 'total_bytes - directory_bytes - sketch_bytes - code_bytes - node_bytes - posting_bytes' if $what eq 'queue';
	return $node->safe_psql('postgres', "SELECT $what FROM colbert_index_info('t_index')");
}

# Pending rows and the queue are reused although there is always a pending document or an active
# insert.
make('colbert_ivf (doc) WITH (lists = 300, quantizer = bit)', 2400, 'after');
$node->safe_psql('postgres', 'ALTER TABLE t DROP CONSTRAINT t_pkey');
my ($rows, $queue);
my (undef, $error) = during('append-written', 'INSERT INTO t SELECT * FROM docs WHERE id = 2401', sub {
	$node->safe_psql('postgres', "INSERT INTO t SELECT -id, doc FROM docs WHERE id <= 100; SELECT colbert_merge('t_index')");
	$rows = bytes('code_bytes');
	$node->safe_psql('postgres', "INSERT INTO t SELECT -id, doc FROM docs WHERE id <= 100; SELECT colbert_merge('t_index')") for 1 .. 20;
	is(bytes('code_bytes'), $rows, 'pending rows are reused during an insert');
});
is($error, '', 'the insert succeeds');
for my $round (1 .. 12)
{
	$node->safe_psql('postgres', 'INSERT INTO t SELECT -id, doc FROM docs WHERE id <= 10');
	(undef, $error) = during('merge-posted', "SELECT colbert_merge('t_index')", sub {
		$node->safe_psql('postgres', 'INSERT INTO t SELECT -id, doc FROM docs WHERE id <= 500');
	});
	is($error, '', 'a merge with concurrent inserts');
	$queue //= bytes('queue') if $round > 1;
}
is(bytes('queue'), $queue, 'the queue is reused, although it is never empty');
checker_is_content($node, 't', 'documents pending all the time');
$node->safe_psql('postgres', "SELECT colbert_merge('t_index')");
checker_is_content($node, 't', 'merged at the end');

# A worker encounters broken HOT chains that the leader does not: the index must still not be used
# by older snapshots. In each pass over the table, the workers read everything before the leader
# begins.
for my $method (@methods)
{
	$node->safe_psql('postgres', <<'SQL');
DROP TABLE IF EXISTS t;
CREATE TABLE t (id int, doc multivector(16)) WITH (fillfactor = 50, parallel_workers = 2);
INSERT INTO t SELECT id, CASE WHEN id > 5 THEN doc END FROM docs WHERE id <= 300;
SQL
	my $reader = $node->background_psql('postgres');

	$reader->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM t;');
	$node->safe_psql('postgres', 'UPDATE t SET doc = (SELECT doc FROM docs WHERE id = 6) WHERE id <= 5');
	for my $sql ("CREATE INDEX t_index ON t USING colbert_$method (doc)", 'REINDEX INDEX t_index')
	{
		my (undef, $err) = during('leader-samples',
			"SET max_parallel_maintenance_workers = 2; SET min_parallel_table_scan_size = 0; SET maintenance_work_mem = '128MB'; SET colbert_faults.pause = 'leader-samples leader-encodes'; $sql",
			sub {
				workers_wait("colbert_$method: workers read all of the table");
				append_to_file("$folder/leader-samples.go", '');
				usleep(50_000) until -e "$folder/leader-encodes.reached";
				workers_wait("colbert_$method: and again");
				append_to_file("$folder/leader-encodes.go", '');
			});
		is($err, '', "colbert_$method: the index is created");
		unlink "$folder/leader-encodes.reached", "$folder/leader-encodes.go";
		is($node->safe_psql('postgres', "SELECT indcheckxmin FROM pg_index WHERE indexrelid = 't_index'::regclass"), 't',
			"colbert_$method: workers report broken HOT chains to the leader: $sql");
	}
	is($reader->query_safe('SET enable_seqscan = off; SELECT count(*) FROM t WHERE doc IS NULL;'), '5', "colbert_$method: an older snapshot sees all its rows");
	$reader->quit;
}

# The second pass of CREATE INDEX CONCURRENTLY has a newer snapshot than the first, which has given
# each document its place.
for my $method (@methods)
{
	$node->safe_psql('postgres', <<'SQL');
DROP TABLE t;
CREATE TABLE t (id int PRIMARY KEY, doc multivector(16));
INSERT INTO t SELECT id, doc FROM docs WHERE id > 10 AND id <= 3000;
SQL
	my $nodes = $method eq 'ivf' ? 'lists = 100' : 'tokens_per_node = 16';
	my (undef, $err) = during('leader-encodes', "CREATE INDEX CONCURRENTLY t_index ON t USING colbert_$method (doc) WITH ($nodes)",
		sub { $node->safe_psql('postgres', 'DELETE FROM t WHERE id BETWEEN 101 AND 120; INSERT INTO t SELECT id, doc FROM docs WHERE id <= 10') });
	is($err, '', "colbert_$method: rows come and go between the two passes");
	is($node->safe_psql('postgres', "SELECT documents, free_documents, nodes > 0 FROM colbert_index_info('t_index')"),
		'2980|20|t', "colbert_$method: new documents have slots, places of deleted ones are free");
	checker_is_content($node, 't', "colbert_$method: places of two snapshots");
	is($node->safe_psql('postgres', 'SET enable_seqscan = off; SET colbert.recall = 0.9999; ' . search_sql(10)), exact(10), "colbert_$method: a search finds the best rows");
}

# While a worker serves an index, other sessions start none, and leave the merges to it.
$node->append_conf('postgresql.conf', "log_min_messages = debug1\ncolbert_faults.folder = '$folder'\ncolbert_faults.pause = 'merge-worker'");
$node->reload;
for my $method (@methods)
{
	my $offset = -s $node->logfile;
	my $nodes = $method eq 'ivf' ? 'lists = 100' : 'tokens_per_node = 16';
	my $pending = q{SELECT pending_documents FROM colbert_index_info('t_index')};

	make("colbert_$method (doc) WITH ($nodes)", 3000, 'after');
	$node->safe_psql('postgres', "LOAD 'colbert_pg'; SET colbert.pending_limit = 1000; INSERT INTO t SELECT * FROM docs WHERE id BETWEEN 3001 AND 3130");
	reached($folder, 'merge-worker');
	$node->safe_psql('postgres', "LOAD 'colbert_pg'; SET colbert.pending_limit = 1000; INSERT INTO t SELECT * FROM docs WHERE id BETWEEN 3$_") for '131 AND 3150', '151 AND 3180', '181 AND 3200';
	is($node->safe_psql('postgres', $pending), '200', "colbert_$method: other sessions do not merge");
	append_to_file("$folder/merge-worker.go", '');
	ok($node->poll_query_until('postgres', "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'colbert_pg merge') AND ($pending) < 100"), "colbert_$method: the worker merges, and exits");
	unlink "$folder/merge-worker.reached", "$folder/merge-worker.go";
	is(scalar(() = substr(slurp_file($node->logfile), $offset) =~ /DEBUG:  registering background worker/g), 1, "colbert_$method: there was no other");
}

stop_node($node);
done_testing();
