# An index that grows step by step, beyond the extents that fit on the meta page, while other
# sessions search, insert, check and vacuum; and growth that is cancelled, or ends in a crash.
# Nobody waits for it, and no page of the file is lost.

use strict;
use warnings;
use ColbertTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $node = faults_node('growth');
my $folder = PostgreSQL::Test::Utils::tempdir();

# Replay must reproduce each page.
$node->append_conf('postgresql.conf', "wal_consistency_checking = 'generic'");
$node->reload;
$node->safe_psql('postgres', <<'SQL');
SELECT setseed(.5);
CREATE FUNCTION random_doc(tokens int, dims int) RETURNS multivector LANGUAGE sql VOLATILE AS
	'SELECT multivector_agg(ARRAY(SELECT random() - .5 FROM generate_series(1, dims) WHERE t > 0)::real[]) FROM generate_series(1, tokens) t';
CREATE TABLE docs AS SELECT i AS id, random_doc(2 + i % 20, 256) AS doc FROM generate_series(1, 1000) i;
CREATE TABLE small AS SELECT i AS id, random_doc(5, 32) AS doc FROM generate_series(1, 1500) i;
CREATE TABLE large AS SELECT random_doc(30000, 32) AS doc;
SQL
my $session = "LOAD 'colbert_pg'; SET colbert_faults.folder = '$folder'; SET colbert.pending_limit = 100000000;";

# query(SQL): its result, in a separate session.
sub query
{
	my ($sql) = @_;

	return $node->safe_psql('postgres', "$session $sql");
}

# make(INDEX, DIMENSIONS): create an empty table and its index.
sub make
{
	my ($index, $dims) = @_;

	query("DROP TABLE IF EXISTS t; CREATE TABLE t (id int PRIMARY KEY, doc multivector($dims)); CREATE INDEX t_index ON t USING $index");
	return;
}

# index_file: the path of the index, after all changes were written to disk.
sub index_file
{
	query('CHECKPOINT');
	return $node->data_dir . '/' . query("SELECT pg_relation_filepath('t_index')");
}

# pages: the number of pages of each kind: map, empty, other.
sub pages
{
	my $bytes = slurp_file(index_file());
	my %pages = (map => 0, empty => 0, other => 0);

	for (my $at = 0; $at < length($bytes); $at += 8192)
	{
		my ($kind, $array, $magic) = unpack('vvV', substr($bytes, $at + 8184, 8));

		$pages{ $magic == 0 ? 'empty' : $kind == 4 ? 'map' : 'other' }++;
	}
	return %pages;
}

# findings: the checker's findings, except those about the graph of random vectors.
sub findings
{
	return query(q{SELECT severity, part, message FROM colbert_index_check('t_index', heapallindexed => true, rescore => true) WHERE part <> 'nodes' OR severity = 'error'});
}

# finds_all(NAME): check that a whole scan returns every row once, and that documents are found by
# their own embeddings.
sub finds_all
{
	my ($name) = @_;
	my $rows = query('SET enable_indexscan = off; SELECT count(*) FROM t');

	is(query("$ColbertTest::by_index SELECT count(*), count(DISTINCT id) FROM (SELECT id FROM t ORDER BY doc <#> (SELECT doc FROM docs WHERE id = 500)) AS scan"),
		"$rows|$rows", "$name: a whole scan gives each of $rows rows once");
	# Every node is visited, so that each row is found if its postings are there: among random vectors
	# of 256 dims, no graph of few edges leads to the nearest one (hnswlib with M = 4 and ef = 40
	# misses 12% of 1,780).
	is(rows_not_found($node, 't', 'p.id % 50 = 7', "$session $ColbertTest::by_index SET colbert.ef_search = 5000; SET colbert.probes = 5000;"),
		'', "$name: rows are found");
	is(findings(), '', "$name: the checker finds nothing");
	return;
}

sub crash
{
	kill_all($node);
	start_after_kill($node);
	unlike(slurp_file($node->logfile), qr/inconsistent page/, 'replay reproduces the pages');
	return;
}

# start_at(POINT, SQL): run statements that pause at a point. Return the client and its process id.
sub start_at
{
	my ($point, $sql) = @_;

	# so that little is replayed after a crash
	query('CHECKPOINT');
	my $client = start_sql($node, "$session SET application_name = 'at $point'; SET colbert_faults.pause = '$point';\n$sql");

	for (1 .. 1200)
	{
		last if -e "$folder/$point.reached";
		usleep(50_000);
	}
	ok(-e "$folder/$point.reached", "$point is reached") or BAIL_OUT(stop_sql($client));
	return $client, query("SELECT pid FROM pg_stat_activity WHERE application_name = 'at $point'");
}

# go_on(POINT, CLIENT): let the client continue. Return its errors.
sub go_on
{
	my ($point, $client) = @_;

	append_to_file("$folder/$point.go", '');
	my $err = stop_sql($client);
	unlink "$folder/$point.reached", "$folder/$point.go";
	return $err;
}

# kill_at(POINT): kill the whole server while a client is paused there.
sub kill_at
{
	my ($point, $client) = @_;

	crash();
	stop_sql($client);
	unlink "$folder/$point.reached";
	return;
}

# Many extents: arrays grow page by page and in turns, so that few of their pages are adjacent.
my %few = (hnsw => 'tokens_per_node = 8, m = 4', ivf => 'lists = 64');
each_method('many extents', sub {
	my ($method) = @_;

	make("colbert_$method (doc) WITH (quantizer = sq4, $few{$method})", 256);
	query("SET colbert_faults.extent_pages = 1; INSERT INTO t SELECT * FROM docs WHERE id BETWEEN 200 * $_ + 1 AND 200 * $_ + 200") for 0 .. 4;
	my %pages = pages();
	cmp_ok($pages{map}, '>=', 4, "$pages{map} map pages");
	finds_all('pending');
	is(query("SELECT colbert_merge('t_index')"), '1000', 'all documents are merged');
	finds_all('merged');
	query('DELETE FROM t WHERE id % 2 = 0; VACUUM t');
	is(query("SELECT free_documents FROM colbert_index_info('t_index')"), '500', 'VACUUM frees documents');
	query("SET colbert_faults.extent_pages = 1; INSERT INTO t SELECT * FROM docs WHERE id % 2 = 0; SELECT colbert_merge('t_index'); INSERT INTO t SELECT id + 1000, doc FROM docs WHERE id <= 300");
	finds_all('places are taken again');
	crash();
	finds_all('after a crash');
	query('VACUUM t');
	my %grown = pages();
	cmp_ok($grown{map}, '>=', $pages{map}, 'map pages stay');
	finds_all('after VACUUM');
});

# Damage to a map page: an error reports it, nothing crashes, and the checker finds it.
my $path = index_file();
$node->stop;
my $intact = slurp_file($path);
my ($at) = grep { unpack('v', substr($intact, $_ + 8184, 2)) == 4 && unpack('v', substr($intact, $_ + 8186, 2)) == 2 } map { $_ * 8192 } 0 .. length($intact) / 8192 - 1;
my $corrupted = qr/ERROR:  XX00[12]/;
my %damages = (
	'is empty' => [ sub { "\0" x 8192 }, $corrupted ],
	'is of another array' => [ sub { my ($page) = @_; substr($page, 8186, 2) = pack('v', 3); $page }, $corrupted ],
	'has extents out of order' => [ sub { my ($page) = @_; substr($page, 24 + 8 + 80, 4) = pack('V', 0); $page }, $corrupted ],
	'has an extent beyond the file' => [ sub { my ($page) = @_; substr($page, 24 + 8 + 84, 4) = pack('V', 4_000_000_000); $page }, $corrupted ],
	# a search may not reach this page
	'has an extent on the meta page' => [ sub { my ($page) = @_; substr($page, 24 + 8 + 84, 4) = pack('V', 0); $page }, qr/^$|$corrupted/ ]);
for my $damage (sort keys %damages)
{
	my ($change, $expected) = @{ $damages{$damage} };
	my $bytes = $intact;

	substr($bytes, $at, 8192) = $change->(substr($intact, $at, 8192));
	open(my $fh, '>:raw', $path) or die "$path: $!";
	print $fh $bytes;
	close($fh);
	$node->start;
	my ($rc, undef, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n$session $ColbertTest::by_index SELECT id FROM t ORDER BY doc <#> (SELECT doc FROM docs WHERE id = 500)");
	like($err, $expected, "a map page that $damage: a search");
	like(findings(), qr/^error\|(extents|meta)/, "a map page that $damage: the checker finds it");
	$node->stop;
}
$node->start;

# A session that extends the file is paused: searches, checks, and inserts that have room continue.
my $unowned = qr/^warning\|pages\|\d+ empty pages from this block on are unused until the next VACUUM$/;
for my $method (@methods)
{
	make("colbert_$method (doc)", 32);
	query('INSERT INTO t SELECT * FROM small WHERE id = 1');
	my ($client) = start_at('grow-extended', 'INSERT INTO t SELECT 10001, doc || doc FROM large');
	is(query("SET statement_timeout = '10s'; SET enable_seqscan = off; SELECT count(*) FROM (SELECT id FROM t ORDER BY doc <#> (SELECT doc FROM small WHERE id = 1) LIMIT 5) AS found"), '1',
		"colbert_$method: a search during an insert that extends the file");
	query("SET statement_timeout = '10s'; INSERT INTO t SELECT * FROM small WHERE id = 2");
	is(query('SELECT count(*) FROM t'), '2', "colbert_$method: another insert that has room");

	# a check that sees pages without an owner waits until they have one, and then finds nothing
	my $check = start_sql($node, "$session SET application_name = 'check'; SELECT severity, message FROM colbert_index_check('t_index');");
	ok($node->poll_query_until('postgres', q{SELECT count(*) > 0 FROM pg_stat_activity WHERE application_name = 'check' AND wait_event_type = 'Lock'}), "colbert_$method: a check waits");
	is(go_on('grow-extended', $client), '', "colbert_$method: the insert succeeds");
	is(stop_sql($check) . $check->{out}, '', "colbert_$method: the checker finds nothing during the insert");

	# Growth that is cancelled keeps its pages.
	($client, my $pid) = start_at('grow-extended', 'INSERT INTO t SELECT 10002, doc || doc || doc || doc FROM large');
	query("SELECT pg_cancel_backend($pid)");
	like(go_on('grow-extended', $client), qr/canceling statement due to user request/, "colbert_$method: growth can be cancelled");
	is(findings(), '', "colbert_$method: cancelled growth loses nothing");

	# A crash leaves pages without an owner: the checker reports them, and VACUUM gives them one.
	($client) = start_at('grow-extended', 'INSERT INTO t SELECT 10003, doc || doc || doc FROM large');
	kill_at('grow-extended', $client);
	my $lost = findings();
	like($lost, $unowned, "colbert_$method: a crash while the file is extended: pages without an owner");
	query('DELETE FROM t WHERE id > 10000; VACUUM t');
	is(findings(), '', "colbert_$method: VACUUM gives the pages an owner");

	# The same for pages of posting lists.
	query('INSERT INTO t SELECT * FROM small ON CONFLICT DO NOTHING; REINDEX INDEX t_index; INSERT INTO t SELECT id + 10000 * k, doc FROM t, generate_series(1, 4) k');
	($client) = start_at('postings-extended', "SELECT colbert_merge('t_index')");
	kill_at('postings-extended', $client);
	like(findings(), $unowned, "colbert_$method: a crash while posting pages are added");
	query('VACUUM t');
	is(query("SELECT pending_documents FROM colbert_index_info('t_index')"), '0', "colbert_$method: VACUUM merges");
	is(findings(), '', "colbert_$method: nothing is lost after a crash");
}

# Many backends extend one index at once.
each_method('concurrent growth', sub {
	my ($method) = @_;

	make("colbert_$method (doc) WITH (quantizer = sq4, $few{$method})", 256);
	my @clients = map { my $k = $_; start_sql($node, "$session SET colbert_faults.extent_pages = 2;\n" . join('', map { "INSERT INTO t SELECT id + 10000 * $k, doc FROM docs WHERE id % 25 = $_;\n" } 0 .. 7)) } 1 .. 4;
	is(stop_sql($_), '', 'no error') for @clients;
	finds_all('afterwards');
	query("VACUUM t; SELECT colbert_merge('t_index')");
	finds_all('after a merge');
});

stop_node($node);
done_testing();
