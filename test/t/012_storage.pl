# Situations that only a crash or a race creates: a free space map of a longer file, a document
# whose sketches are older than the nodes, and appenders without a pause.

use strict;
use warnings;
use ColbertTest;
use File::Copy;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('storage', no_data_checksums => 1);

# Options that create many nodes with few tokens.
my %few = (hnsw => 'tokens_per_node = 8', ivf => 'lists = 64');

# query(SQL): the single value it returns.
sub query
{
	my ($sql) = @_;

	return $node->safe_psql('postgres', $sql);
}

sub checked
{
	my ($index, $name) = @_;

	is(query("SELECT * FROM colbert_index_check('$index', heapallindexed => true, rescore => true)"), '', "$name: the checker finds nothing");
	return;
}

# Small documents of 8 tokens with 32 dims, each combined from two halves of 4 tokens.
query(<<'SQL');
CREATE TABLE halves (id int PRIMARY KEY, doc multivector(32));
INSERT INTO halves
SELECT id, l2_normalize(array_agg(token ORDER BY t)::real[]::multivector)
FROM (SELECT id, t, array_agg((random() - .5)::real) AS token FROM generate_series(0, 99) id, generate_series(1, 4) t, generate_series(1, 32) GROUP BY id, t) AS tokens
GROUP BY id;
CREATE FUNCTION make_doc(id int) RETURNS multivector LANGUAGE sql STABLE AS
	'SELECT a.doc || b.doc FROM halves a, halves b WHERE a.id = $1 % 100 AND b.id = ($1 / 100 * 7 + $1 + 1) % 100';
SQL

# The free space map is not WAL-logged, so after a crash it may list pages that the file lost. Here
# it is replaced by that of another index, which has more pages. PostgreSQL 15.20 itself suggests
# none of these pages.
my %path;
for my $method (@methods)
{
	for my $size ([ short => 300 ], [ long => 6000 ])
	{
		my ($name, $rows) = @$size;
		my $table = "${name}_$method";

		query(<<"SQL");
CREATE TABLE $table (id int, doc multivector(32));
INSERT INTO $table SELECT i, make_doc(i) FROM generate_series(1, $rows) i;
CREATE INDEX ${table}_index ON $table USING colbert_$method (doc) WITH ($few{$method});
DELETE FROM $table WHERE id % 2 = 0;
SQL
		query("VACUUM $table");
		$path{$table} = $node->data_dir . '/' . query("SELECT pg_relation_filepath('${table}_index')");
	}
}
$node->stop;
copy("$path{\"long_$_\"}_fsm", "$path{\"short_$_\"}_fsm") or die "no free space map: $!" for @methods;
$node->start;
each_method('a free space map of a longer file', sub {
	my ($method) = @_;
	my $index = "short_${method}_index";

	cmp_ok(query("SELECT pg_relation_size('long_${method}_index') / pg_relation_size('$index')"), '>', 5, 'it lists pages beyond the end');
	for my $round (1 .. 3)
	{
		query("INSERT INTO short_$method SELECT i, make_doc(i) FROM generate_series(1000, 1500) i");
		is(query("SELECT colbert_merge('$index')"), '501', "merge $round");
	}
	is(query("SELECT pending_documents FROM colbert_index_info('$index')"), '0', 'all documents are merged');
	checked($index, 'afterwards');
});

# Writing a document takes so long that the index is trained meanwhile, so its sketches are centred
# on a different mean. One of its tokens occurs in no other document.
query(<<'SQL');
CREATE PROCEDURE wait_for(what text) LANGUAGE plpgsql AS $$
DECLARE
	found_it bool := false;
BEGIN
	FOR i IN 1 .. 5000 LOOP
		EXECUTE 'SELECT EXISTS (' || what || ')' INTO found_it;
		EXIT WHEN found_it;
		PERFORM pg_sleep(.001), pg_stat_clear_snapshot();
	END LOOP;
	IF NOT found_it THEN
		RAISE EXCEPTION 'waited in vain for %', what;
	END IF;
END $$;
CREATE TABLE large AS
SELECT l2_normalize(array_agg(token)::real[]::multivector) || ARRAY[array_fill(1::real, ARRAY[32])]::multivector AS doc
FROM (SELECT array_agg((random() - .5)::real) AS token FROM generate_series(1, 80000) t, generate_series(1, 32) GROUP BY t) AS tokens;
SQL
each_method('a document that is written while the index is trained', sub {
	my ($method) = @_;

	for my $quantizer ('sq8', 'bit')
	{
		my $table = "epoch_${method}_$quantizer";
		my $index = "${table}_index";
		my $best = "$ColbertTest::by_index SELECT id FROM $table ORDER BY doc <#> ARRAY[array_fill(1::real, ARRAY[32])]::multivector LIMIT 1";

		query(<<"SQL");
CREATE TABLE $table (id int, doc multivector(32));
CREATE INDEX $index ON $table USING colbert_$method (doc) WITH (quantizer = $quantizer);
SET colbert.pending_limit = 100000000;
INSERT INTO $table SELECT i, make_doc(i) FROM generate_series(1, 2200) i;
SQL
		# The appender starts when the other session waits for its lock, and the merge when the
		# appender has its lock.
		my $merge = start_sql($node, <<"SQL");
SET application_name = 'merge $index';
CALL wait_for('SELECT FROM pg_locks WHERE page = 0 AND relation = ''$index''::regclass AND mode = ''ShareLock''');
SELECT colbert_merge('$index');
SQL
		query("CALL wait_for('SELECT FROM pg_stat_activity WHERE application_name = ''merge $index''')");
		query("SET colbert.pending_limit = 100000000; INSERT INTO $table SELECT 0, doc FROM large");
		is(stop_sql($merge), '', "$quantizer: the merge raises no error");
		is(query("SELECT nodes > 0, pending_documents FROM colbert_index_info('$index')"), 't|1', "$quantizer: the index is trained, except for one late document");
		is(query($best), '0', "$quantizer: the late document is found");
		is(query("$ColbertTest::by_index SELECT count(*), count(DISTINCT id) FROM (SELECT id FROM $table ORDER BY doc <#> make_doc(7)) AS whole"), '2201|2201',
			"$quantizer: every row is returned once");
		checked($index, "$quantizer: before the next merge");
		is(query("SELECT colbert_merge('$index')"), '1', "$quantizer: the late document is merged");
		is(query($best), '0', "$quantizer: the merged document is found");
		checked($index, "$quantizer: after it");
	}
});

# With quantizer bit, a document has rows only while it is pending. Their array starts over even if
# an appender is active at all times: it never holds more than the rows that were pending at once, in
# runs of 8 rows since documents have 8 tokens, and the eighth by which arrays grow. On a machine
# with little processor time, more rows are pending than colbert.pending_limit says, since an insert
# waits only for a while. The appenders therefore record how many they saw, every tenth document. The
# true maximum lies up to $unseen tokens above it: of 9 documents of each appender, and of a merge.
my ($limit, $row_bytes, $unseen) = (16384, 32 + 4, 3 * 9 * 8 + 1024);
query(<<'SQL');
CREATE TABLE most_pending (target regclass, tokens bigint);
CREATE PROCEDURE append(target regclass, rows int) LANGUAGE plpgsql AS $$
DECLARE
	pending bigint;
	most bigint := 0;
BEGIN
	FOR i IN 1 .. rows LOOP
		EXECUTE format('INSERT INTO %s VALUES ($1, make_doc($1))', target) USING i;
		COMMIT;
		IF i % 10 = 0 THEN
			SELECT pending_tokens INTO pending FROM colbert_index_info((target || '_index')::regclass);
			most := greatest(most, pending);
		END IF;
	END LOOP;
	INSERT INTO most_pending VALUES (target, most);
END $$;
SQL
my %clients;
for my $method (@methods)
{
	my $table = "restless_$method";

	query("CREATE TABLE $table (id int, doc multivector(32)); INSERT INTO $table SELECT i, make_doc(i) FROM generate_series(1, 400) i");
	query("CREATE INDEX ${table}_index ON $table USING colbert_$method (doc) WITH ($few{$method}, quantizer = bit)");
	push @{ $clients{$method} }, start_sql($node, "LOAD 'colbert_pg'; SET colbert.pending_limit = $limit; CALL append('$table', 6000)") for 1 .. 3;
	push @{ $clients{$method} }, start_sql($node, "VACUUM $table; SELECT pg_sleep(.05);" x 60);
}
each_method('appenders without a pause', sub {
	my ($method) = @_;
	my $index = "restless_${method}_index";

	is(stop_sql($_), '', 'no error') for @{ $clients{$method} };
	my ($tokens, $bytes) = split /\|/, query("SELECT tokens, code_bytes FROM colbert_index_info('$index')");
	my $most = query("SELECT max(tokens) FROM most_pending WHERE target = 'restless_$method'::regclass") + $unseen;
	cmp_ok($bytes, '<=', $most * $row_bytes * 9 / 8 + 8192, "$bytes bytes of pending rows; at most $most tokens were pending");
	cmp_ok($bytes, '<', $tokens * $row_bytes / 2, "those of all $tokens tokens would be " . $tokens * $row_bytes);
	query("VACUUM restless_$method");
	checked($index, 'afterwards');
});

# The means of documents only guide a search: if all of their bits are wrong, rows come in their
# exact order still, and the checker tells. Page 0 of the file is the meta page; a page's last eight
# bytes are its kind, its array and a magic number.
my ($array_page, $means) = (2, 9);
$node->stop;
for my $method (@methods)
{
	my $bytes = slurp_file($path{"long_$method"});
	my $pages = 0;

	for my $block (1 .. length($bytes) / 8192 - 1)
	{
		my ($kind, $array) = unpack('vv', substr($bytes, ($block + 1) * 8192 - 8, 4));

		next unless $kind == $array_page && $array == $means;
		substr($bytes, $block * 8192 + 24, 8000) ^= "\xFF" x 8000;
		$pages++;
	}
	cmp_ok($pages, '>', 1, "colbert_$method: $pages pages of means");
	open(my $fh, '>:raw', $path{"long_$method"}) or die "no index: $!";
	print $fh $bytes;
	close($fh);
}
$node->start;
each_method('damaged means', sub {
	my ($method) = @_;
	my $index = "long_${method}_index";
	my $scores = "SELECT doc <#> make_doc(77) AS score FROM long_$method ORDER BY doc <#> make_doc(77)";

	is(query("SELECT count(*) FROM colbert_index_check('$index', heapallindexed => true)"), '0', 'the checker does not compare them without rescore');
	is(query("SELECT DISTINCT severity, message FROM colbert_index_check('$index', heapallindexed => true, rescore => true) WHERE item IS NOT NULL"),
		'error|mean of tokens does not match the stored document', 'with rescore it does');
	is(query("$ColbertTest::by_index SELECT count(*), bool_and(score >= before) FROM (SELECT score, lag(score, 1, score) OVER () AS before FROM ($scores) AS rows) AS rows"),
		'3000|t', 'all rows come in their order');
	query("REINDEX INDEX $index");
	checked($index, 'after REINDEX');
});

# The memory of a check is bounded: 64 bytes per document, and a constant.
each_method('memory of a check', sub {
	my ($method) = @_;
	my ($documents, @peaks) = query(<<"SQL") =~ /(\d+)/g;
SELECT documents FROM colbert_index_info('restless_${method}_index');
SELECT pg_backend_pid() AS pid \\gset
\\setenv PID :pid
SELECT FROM colbert_index_check('restless_${method}_index');
\\! grep VmPeak /proc/\$PID/status
SELECT FROM colbert_index_check('restless_${method}_index', true, true);
\\! grep VmPeak /proc/\$PID/status
SQL

	is(scalar @peaks, 2, 'the memory of the process is known');
	cmp_ok($peaks[1] - $peaks[0], '<', 8192 + .064 * $documents, "kB more, for $documents documents");
});

stop_node($node);
done_testing();
