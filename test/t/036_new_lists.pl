# VACUUM replaces the lists of a colbert_ivf index that has grown. It is killed, cancelled or paused
# at each point of that work (COLBERT_PAUSE, in the test library); meanwhile and afterwards searches
# find every row, and the next VACUUM completes the work.

use strict;
use warnings;
use ColbertTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $node = faults_node('lists');
my $folder = PostgreSQL::Test::Utils::tempdir();
my $session = "LOAD 'colbert_pg'; SET colbert_faults.folder = '$folder'; SET colbert.background_merge = off; SET colbert.pending_limit = 100000000;";
my $count = 700;

# Random tokens, 60 per document: 300 documents are enough for lists, and 650 need more of them.
$node->safe_psql('postgres', <<"SQL");
SELECT setseed(.5);
CREATE TABLE docs (id int PRIMARY KEY, doc multivector(16));
INSERT INTO docs
	SELECT i, (SELECT multivector_agg(ARRAY(SELECT random() * 2 - 1 FROM generate_series(1, 16) d WHERE i > 0 AND t > 0)::real[])
	           FROM generate_series(1, 60) t)
	FROM generate_series(1, $count) i;
SQL

# make(QUANTIZER): an index of 300 documents with lists for these, and 350 further documents.
sub make
{
	my ($quantizer) = @_;

	$node->safe_psql('postgres', "$session DROP TABLE IF EXISTS t; CREATE TABLE t (id int PRIMARY KEY, doc multivector(16));
		CREATE INDEX t_index ON t USING colbert_ivf (doc) WITH (quantizer = $quantizer);
		INSERT INTO t SELECT * FROM docs WHERE id <= 300; SELECT colbert_merge('t_index');
		INSERT INTO t SELECT * FROM docs WHERE id BETWEEN 301 AND 650; SELECT colbert_merge('t_index')");
	return;
}

sub lists
{
	return $node->safe_psql('postgres', "SELECT nodes FROM colbert_index_info('t_index')");
}

# finds_all(TEST NAME): check that each row is found by its own tokens, and that the index is intact.
sub finds_all
{
	my ($name) = @_;

	is(rows_not_found($node, 't', 'p.id % 40 = 0'), '', "$name: rows are found by their own tokens");
	checker_is_content($node, 't', $name, q{severity = 'error'});
	return;
}

# pause_at(POINT): start a VACUUM that pauses at a point, and wait until it does. go_on(POINT) lets it
# continue.
sub pause_at
{
	my ($point, $sql) = @_;
	my $client = start_sql($node, "$session SET application_name = 'at $point'; SET colbert_faults.pause = '$point';\n" . ($sql // 'VACUUM t'));

	for (1 .. 1200)
	{
		last if -e "$folder/$point.reached";
		usleep(50_000);
	}
	ok(-e "$folder/$point.reached", "$point is reached") or BAIL_OUT(stop_sql($client));
	return $client;
}

sub go_on
{
	my ($point, $client) = @_;

	append_to_file("$folder/$point.go", '');
	my $error = stop_sql($client);
	unlink "$folder/$point.reached", "$folder/$point.go";
	return $error;
}

# One attempt after the other ends at these points. From the last one on, the new lists are in use.
my @points = ('relist-trained', 'nodes-stored', 'relist-posted', 'relist-filled', 'relist-cleared');

for my $how ('cancel', 'kill')
{
	make($how eq 'kill' ? 'sq8' : 'pq');
	my $few = lists();

	for my $point (@points)
	{
		my $name = "$how at $point";
		my $new = $point eq 'relist-cleared';
		my $client = pause_at($point);

		if ($how eq 'kill')
		{
			$node->safe_psql('postgres', 'CREATE TABLE flushed (); DROP TABLE flushed');    # so that all WAL up to the point is on disk
			kill_all($node);
			start_after_kill($node);
		}
		else
		{
			$node->safe_psql('postgres', "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name = 'at $point'");
		}
		like(go_on($point, $client), $how eq 'kill' ? qr/connection/ : qr/canceling statement/, "$name: VACUUM ends with an error");
		cmp_ok(lists(), $new ? '>' : '==', $few, "$name: searches use the " . ($new ? 'new' : 'former') . ' lists');

		# changes and merges between the attempts
		my $i = $count - 10 * (grep { $points[$_] eq $point } 0 .. $#points)[0];
		$node->safe_psql('postgres', "$session DELETE FROM t WHERE id BETWEEN $i - 500 AND $i - 498; INSERT INTO t SELECT * FROM docs WHERE id BETWEEN $i - 9 AND $i;
			SELECT colbert_merge('t_index')");
		finds_all($name);
	}
	$node->safe_psql('postgres', "$session VACUUM t");
	cmp_ok(lists(), '>', 1.9 * $few, "$how: VACUUM completes the new lists");
	finds_all("$how, VACUUM");
	checker_is_content($node, 't', "$how, nothing is left");
}

# Changes and merges while VACUUM works without the merge lock.
for my $point ('relist-trained', 'relist-filled')
{
	make('sq4');
	my $client = pause_at($point);
	$node->safe_psql('postgres', "$session DELETE FROM t WHERE id % 7 = 1; UPDATE t SET doc = (SELECT doc FROM docs WHERE id = 1) WHERE id % 7 = 2;
		INSERT INTO t SELECT * FROM docs WHERE id > 650; SELECT colbert_merge('t_index')");
	finds_all("beside $point");
	is(go_on($point, $client), '', "changes at $point: VACUUM ends without an error");
	finds_all("changes at $point");
	checker_is_content($node, 't', "changes at $point, nothing is left");
}

# Documents that are pending when the new lists are filled are listed once, by the merge. They share a token, whose list has
# several segments.
make('sq4');
my $vacuum = pause_at('relist-trained');
$node->safe_psql('postgres', "$session INSERT INTO t SELECT id + 1000, doc || multivector_agg((ARRAY[9] || array_fill(0, ARRAY[15]))::real[]) FROM docs GROUP BY id");
is(go_on('relist-trained', $vacuum), '', 'pending documents: VACUUM ends without an error');
is($node->safe_psql('postgres', "$session SELECT colbert_merge('t_index')"), $count, 'pending documents: the merge lists them');
checker_is_content($node, 't', 'pending documents: each is listed once', q{severity = 'error'});

# A search whose lists are replaced and emptied before it reads them finds the row without looking at
# all others.
for my $point ('posting-head', 'probed')
{
	my $search = "$ColbertTest::by_index SET colbert.probes = 8; SET colbert.candidates = 10; SELECT string_agg(id::text, ' ' ORDER BY distance, id)
		FROM (SELECT id, doc <#> (SELECT doc FROM docs WHERE id = 5) AS distance FROM t ORDER BY 2 LIMIT 1) AS found;
		SELECT widenings, exhaustive FROM colbert_last_scan()";

	make('sq8');
	my $client = pause_at($point, $search);
	$node->safe_psql('postgres', 'VACUUM t');
	is(go_on($point, $client), '', "search at $point: no error");
	is($client->{out}, "5\n0|f\n", "search at $point: the row is found");
}
$node->stop;
done_testing();
