# An index larger than shared_buffers: pages are requested before they are read, up to
# effective_io_concurrency; the rows are the same without; nothing is requested while every page is
# found; pages that are found count as used, and code rows do not evict them; files that were cut
# short cause errors, no crash.

use strict;
use warnings;
use ColbertTest;
use Test::More;

my @stages = qw(find gather narrow rerank exact);
my %nodes = (hnsw => 'tokens_per_node = 50', ivf => 'lists = 1200');
my $node = new_node('read_ahead', no_data_checksums => 1);

# Documents of 20 to 40 tokens around 50 topics, which are in the TOAST table.
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE tokens AS
	SELECT id, n, ARRAY(SELECT (sin((id * 7 + n % 3) % 50 * 37 + d * d * 1.7) + sin(id * 13.1 + n * 7.7 + d * d * 2.3))::real FROM generate_series(1, 64) d) AS token
	FROM generate_series(1, 3000) id, generate_series(1, 40) n WHERE n <= 20 + id % 21;
CREATE TABLE queries AS SELECT id, multivector_agg(token) AS query FROM tokens WHERE id % 100 = 1 AND n <= 3 GROUP BY id;

-- Run the queries. Returns the rows, and the sums of the counters.
CREATE FUNCTION ask(target text) RETURNS TABLE (rows text, counts jsonb) LANGUAGE plpgsql
SET enable_seqscan = off SET enable_sort = off SET jit = off SET max_parallel_workers_per_gather = 0 AS $$
DECLARE
	query multivector;
	ids int[];
	scan jsonb;
	name text;
BEGIN
	rows := '';
	counts := '{}';
	FOR query IN SELECT q.query FROM queries q ORDER BY q.id LOOP
		EXECUTE format('SELECT array_agg(id) FROM (SELECT id FROM %I ORDER BY doc <#> %L LIMIT 10) AS best', target, query) INTO ids;
		rows := rows || ids::text;
		scan := to_jsonb(colbert_last_scan());
		FOR name IN SELECT k FROM jsonb_object_keys(scan) k WHERE k ~ '_(hit|read|ahead)$' LOOP
			counts := counts || jsonb_build_object(name, coalesce((counts ->> name)::int, 0) + (scan ->> name)::int);
		END LOOP;
	END LOOP;
	RETURN NEXT;
END $$;
SQL
for my $method (@methods)
{
	# With so little memory, the index keeps the order of the table, in which like documents are not
	# near each other; in the order of a build, it would hardly read a page twice.
	$node->safe_psql('postgres', <<"SQL");
SET maintenance_work_mem = '2MB';
CREATE TABLE docs_$method (id int PRIMARY KEY, doc multivector(64));
INSERT INTO docs_$method SELECT id, multivector_agg(token ORDER BY n) FROM tokens GROUP BY id;
CREATE INDEX docs_${method}_index ON docs_$method USING colbert_$method (doc) WITH ($nodes{$method});
SQL
}
$node->safe_psql('postgres', 'CREATE EXTENSION pg_buffercache');
$node->safe_psql('postgres', 'VACUUM ANALYZE');

# set_buffers(SIZE): restart the server with this much shared memory for pages.
sub set_buffers
{
	my ($size) = @_;

	$node->append_conf('postgresql.conf', "shared_buffers = $size");
	$node->restart;
	return;
}

# ask(TABLE, CONCURRENCY, times): the rows of all queries, and the sums of the counters of the last
# time.
sub ask
{
	my ($table, $concurrency, $times) = @_;
	my $sums = join(" || ' ' || ", map { my $stage = $_; map { "(counts ->> '${stage}_$_')" } qw(hit read ahead) } @stages);
	my @lines = split /\n/, $node->safe_psql('postgres', "SET effective_io_concurrency = $concurrency;" . "SELECT rows || '|' || $sums FROM ask('$table');" x ($times // 1));
	my ($rows, $numbers) = split /\|/, $lines[-1];
	my %count;

	@count{ map { my $stage = $_; map { "${stage}_$_" } qw(hit read ahead) } @stages } = split / /, $numbers;
	return ($rows, \%count);
}

# total(COUNTS, SUFFIX): the sum over the stages.
sub total
{
	my ($count, $suffix) = @_;
	my $sum = 0;

	$sum += $count->{"${_}_$suffix"} for @stages;
	return $sum;
}

set_buffers('64MB');
my %wanted;
each_method 'pages in memory' => sub {
	my ($method) = @_;
	my ($rows, $count) = ask("docs_$method", 16, 2);

	$wanted{$method} = $rows;
	is(total($count, 'read'), 0, 'every page is found');
	is(total($count, 'ahead'), 0, 'none is requested');

	my ($used, $pages) = split /\|/, $node->safe_psql('postgres', <<"SQL");
SELECT count(*) FILTER (WHERE usagecount > 1), count(*) FROM pg_buffercache WHERE relfilenode = pg_relation_filenode('docs_${method}_index')
SQL
	cmp_ok($used, '>', $pages / 2, 'pages that are found count as used');
};

set_buffers('6MB');
each_method 'pages on disk' => sub {
	my ($method) = @_;
	my $size = $node->safe_psql('postgres', "SELECT pg_relation_size('docs_${method}_index')");
	cmp_ok($size, '>', 1.2 * 6 * 1024 * 1024, 'the index is larger than shared_buffers');

	my ($rows, $off) = ask("docs_$method", 0);
	is($rows, $wanted{$method}, 'the rows without requests');
	is(total($off, 'ahead'), 0, 'effective_io_concurrency = 0 makes no requests');

	$node->restart;
	($rows, my $on) = ask("docs_$method", 16);
	is($rows, $wanted{$method}, 'the rows with requests');
	cmp_ok($on->{"${_}_ahead"}, '>', 0, "requests while pages are looked up: $_") for qw(gather narrow rerank exact);
	cmp_ok($on->{rerank_ahead}, '>', $on->{rerank_read} / 2, 'most code rows are requested');

	($rows, my $warm) = ask("docs_$method", 16, 4);
	cmp_ok($warm->{rerank_read}, '>', 0, 'code rows are still read');
	cmp_ok($warm->{gather_read} + $warm->{narrow_read}, '<', $warm->{rerank_read} / 4, 'lists and sketches stay in shared_buffers');
	diag explain $warm if $ENV{COLBERT_EXTRA};
};

# In a file cut short, a search may request pages beyond its end.
each_method 'files cut short' => sub {
	my ($method) = @_;

	for my $relation ("docs_${method}_index", "docs_$method", "(SELECT reltoastrelid::regclass FROM pg_class WHERE relname = 'docs_$method')")
	{
		my $target = $relation =~ /SELECT/ ? $relation : "'$relation'";
		my $path = $node->data_dir . '/' . $node->safe_psql('postgres', "SELECT pg_relation_filepath($target)");
		my $size = -s $path;

		$node->stop;
		rename $path, "$path.whole" or die "$path: $!";
		system('cp', '-p', "$path.whole", $path) == 0 or die "cp: $?";
		truncate($path, int($size / 2 / 8192) * 8192) or die "$path: $!";
		$node->start;
		my ($code, $out, $err) = $node->psql('postgres', "SET effective_io_concurrency = 32; SELECT length(rows) > 0 FROM ask('docs_$method')", on_error_stop => 0);
		isnt($err, '', "a search reports the damage of $relation");
		unlike($err, qr/server closed the connection/, 'and does not crash');
		$node->stop;
		rename "$path.whole", $path or die "$path: $!";
		$node->start;
	}
	my ($rows) = ask("docs_$method", 16);
	is($rows, $wanted{$method}, 'the whole files have the same rows');
};

stop_node($node);
done_testing();
