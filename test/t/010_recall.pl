# Recall, exact order and size on MedQuAD, for each access method and codec. Recall by the number of
# query tokens, including padded and repeated tokens. Upkeep: recall after single inserts, and after
# deletes, VACUUM and inserts.
#
# The long form uses all passages, and a quarter for upkeep. The quick form uses every second one by
# default, and every eighth for upkeep and for the other codecs.

use strict;
use warnings;
use ColbertTest;
use Test::More;

my $short = amount(500, 1000);
my $long = amount(100, 200);
my $everything = amount(100, 200);
my $modulus = amount(2, 1);
my $part_modulus = amount(8, 4);
my $half = "id / $part_modulus % 2 = 0";	# of the part

# Access method; options; table of the quick form; maximum bytes per token of the whole index; minimum recall of short
# queries that examine everything.
my @indexes = (
	[ 'hnsw', '', 'passages', 185, .998 ],
	[ 'ivf', '', 'passages', 165, .998 ],
	[ 'ivf', 'quantizer = pq, pq_m = 32', 'part', 75, .98 ],
	[ 'ivf', 'quantizer = bit', 'part', 32, .97 ],
);

my $node = new_node('recall');

sub index_size
{
	return $node->safe_psql('postgres', "SELECT pg_relation_size('$_[0]')");
}

# Build an index over all rows of a table and check recall, order and size.
sub test_build
{
	my ($method, $options, $table, $bytes, $everywhere) = @_;
	my $with = $options eq '' ? '' : "WITH ($options)";
	my $index = "${table}_index";

	$node->safe_psql('postgres', "CREATE INDEX $index ON $table USING colbert_$method (doc) $with");
	my $tokens = $node->safe_psql('postgres', "SELECT tokens FROM colbert_index_info('$index')");
	my $size = sprintf '%.1f', index_size($index) / $tokens;
	cmp_ok($size, '<=', $bytes, "$size bytes per token");
	my $n = $table eq 'part' ? 200 : $short;
	my $recall = recall($node, 'short', $n, $table);
	cmp_ok($recall, '>=', .95, "recall of $n short queries: $recall");
	$recall = recall($node, 'long', $long, $table);
	cmp_ok($recall, '>=', .97, "recall of $long 16-token queries: $recall");
	is(in_exact_order($node, $table, $_, 60, 50), '60', "60 of 60 $_ queries in exact order at LIMIT 50") for 'short', 'long';
	if ($options eq '')
	{
		uses_index($node, 'EXPLAIN (COSTS OFF) SELECT id FROM passages ORDER BY doc <#> (SELECT short FROM questions WHERE id = 1) LIMIT 10',
			'ORDER BY doc <#> query uses the index');
		uses_index($node, 'EXPLAIN (COSTS OFF) SELECT id, maxsim(doc, (SELECT short FROM questions WHERE id = 1)) AS score FROM passages ORDER BY score DESC LIMIT 10',
			'ORDER BY maxsim(doc, query) DESC uses the index');
		index_is_sound($node, 'passages', 'after the build');
	}
	# The search excludes as little as possible, so that only the codes limit recall.
	$recall = recall($node, 'short', $everything, $table, 'SET colbert.probes = 1000000; SET colbert.candidates = 20000; SET colbert.rerank = 1000;');
	cmp_ok($recall, '>=', $everywhere, "recall of $everything short queries that examine everything: $recall");
	$node->safe_psql('postgres', "DROP INDEX $index");
	return;
}

load_questions($node);
load_passages($node, 'passages', undef, '', "WHERE id % $modulus = 0");
$node->safe_psql('postgres', "CREATE TABLE part AS SELECT * FROM passages WHERE id % $part_modulus = 0; ANALYZE part");
exact_tenths($node, 'short', $short, 'passages');
exact_tenths($node, 'long', $long, 'passages');
exact_tenths($node, $_, 200, 'part') for 'short', 'long';

# numpy computed the exact answers of the data set. The last bit of an embedding depends on the
# machine's BLAS, hence the tolerance.
is( $node->safe_psql('postgres', <<'SQL'), '10', 'the sequential scan agrees with the exact answers of the data set');
SELECT count(*)
FROM tenths_short_passages t JOIN questions q ON q.id = t.question,
     LATERAL (SELECT maxsim(doc, q.short) AS score FROM passages ORDER BY score DESC OFFSET 9 LIMIT 1) AS s
WHERE q.id % 100 = 0 AND abs(s.score - t.tenth) < 1e-3;
SQL

for my $index (@indexes)
{
	my ($method, $options, $table, @bounds) = @$index;

	subtest join(' ', "colbert_$method", $options || 'by default') => sub { test_build($method, $options, amount($table, 'passages'), @bounds) };
}

# Upkeep, for all methods at once: each has an index on the same table. First measure a build with
# all rows.
my (%built, %size);

sub build_all
{
	$node->safe_psql('postgres', "CREATE INDEX part_${_}_index ON part USING colbert_$_ (doc)") for @methods;
	return;
}

# Require recall within .02 of that of a build with all rows, and a sound index.
sub compare_with_build
{
	my ($name) = @_;

	each_method($name, sub {
		my ($method) = @_;
		my $before = only_by($node, "part_${method}_index");

		for my $kind ('short', 'long')
		{
			my $now = recall($node, $kind, 200, 'part', $before);
			cmp_ok($now, '>=', $built{$method}{$kind} - .02, "recall of 200 $kind queries $now, $built{$method}{$kind} after a build");
		}
		index_is_sound($node, 'part', $name, $before);
	});
	return;
}

# Queries of n tokens with a single topic: the first tokens of a question, then noisy tokens of its
# best passage. Some are padded to 32 tokens, as ColBERT does with [MASK]: with copies of the first
# five tokens, with near copies, or with zeros.
my @lengths = map { "first_$_" } 1, 2, 3, 4, 5, 8, 16, 32;
my %masked = (same => .95, near => .95, zeros => .95);

sub make_queries
{
	my ($n) = @_;
	my $columns = join ', ', map { "ADD $_ multivector(128)" } @lengths, keys %masked;
	my $chosen = ColbertTest::chosen($n);
	my $prefixes = join ', ', map { my ($tokens) = /(\d+)/; "$_ = pg_temp.part(m.many, 1, $tokens)" } @lengths;

	$node->safe_psql('postgres', <<"SQL");
ALTER TABLE questions $columns;
CREATE FUNCTION pg_temp.part(mv multivector, first int, last int) RETURNS multivector LANGUAGE sql AS \$\$
	SELECT multivector_agg(token(mv, i) ORDER BY i) FROM generate_series(first, last) i \$\$;
-- n random tokens of a multivector, with this much noise per dim
CREATE FUNCTION pg_temp.noisy(mv multivector, n int, noise float8) RETURNS multivector LANGUAGE sql VOLATILE AS \$\$
	SELECT l2_normalize(multivector_agg(t)) FROM (
		SELECT i, array_agg((element + noise * 2 * (random() + random() + random() - 1.5))::real ORDER BY k) AS t
		FROM (SELECT i, token(mv, 1 + floor(random() * num_tokens(mv))::int) AS picked FROM generate_series(1, n) i) AS p,
			unnest(picked) WITH ORDINALITY AS u (element, k) GROUP BY i) AS s \$\$;
SELECT setseed(.5);
UPDATE questions q SET $prefixes, same = m.five || pg_temp.noisy(m.five, 27, 0), near = m.five || pg_temp.noisy(m.five, 27, .5 / sqrt(128)),
	zeros = m.five || array_fill(0::real, ARRAY[27, 128])::multivector
FROM (SELECT q.id, q.long || pg_temp.noisy(p.doc::multivector(128, float4), 16, .06) AS many, pg_temp.part(q.long, 1, 5) AS five
      FROM questions q JOIN (SELECT DISTINCT ON (question) question, passage FROM exact JOIN passages ON id = passage ORDER BY question, rank) AS best ON best.question = q.id
		JOIN passages p ON p.id = best.passage WHERE $chosen) AS m
WHERE m.id = q.id;
SQL
	return;
}

# Measure recall with default settings for n questions on a table. Padded queries may take 1.5 times
# as long as the queries they are made from.
sub test_lengths
{
	my ($table, $n) = @_;

	make_queries($n);
	exact_tenths($node, $_, $n, $table) for @lengths, keys %masked;
	for my $method (@methods)
	{
		my $before = only_by($node, "${table}_${method}_index");

		for my $kind (@lengths, sort keys %masked)
		{
			my $recall = recall($node, $kind, $n, $table, $before);
			my $least = $masked{$kind} // .95;
			cmp_ok($recall, '>=', $least, "colbert_$method: recall of $n queries, $kind: $recall");
		}
		my $work = $node->safe_psql('postgres', <<"SQL");
$before
$ColbertTest::by_index
CREATE FUNCTION pg_temp.work(query multivector) RETURNS bigint LANGUAGE plpgsql AS \$\$
BEGIN
	PERFORM id FROM $table ORDER BY doc <#> query LIMIT 10;
	RETURN (SELECT nodes + postings + narrowed FROM colbert_last_scan());
END \$\$;
SELECT sum(pg_temp.work(near)) <= 1.5 * sum(pg_temp.work(first_5)) AND sum(pg_temp.work(same)) <= 1.5 * sum(pg_temp.work(first_5)) AND
	sum(pg_temp.work(zeros)) = sum(pg_temp.work(first_5)) FROM questions WHERE first_5 IS NOT NULL;
SQL
		is($work, 't', "colbert_$method: 27 copies of 5 tokens cost little more work, zeros none");
	}
	return;
}

build_all();
if ($ENV{COLBERT_EXTRA})
{
	$node->safe_psql('postgres', "CREATE INDEX passages_${_}_index ON passages USING colbert_$_ (doc)") for @methods;
	test_lengths('passages', 500);
	$node->safe_psql('postgres', "DROP INDEX passages_${_}_index") for @methods;
}
else
{
	test_lengths('part', 50);
}
for my $method (@methods)
{
	my $before = only_by($node, "part_${method}_index");

	$built{$method}{$_} = recall($node, $_, 200, 'part', $before) for 'short', 'long';
}

# Build with half of the rows, and insert the other half one by one.
$node->safe_psql('postgres', 'DROP INDEX ' . join(', ', map { "part_${_}_index" } @methods));
$node->safe_psql('postgres', <<"SQL");
CREATE TABLE whole AS SELECT * FROM part;
DELETE FROM part WHERE $half;
VACUUM part;
SQL
build_all();
$node->safe_psql('postgres', "DO \$\$ DECLARE r record; BEGIN FOR r IN SELECT * FROM whole WHERE $half LOOP INSERT INTO part VALUES (r.id, r.source, r.body, r.doc); END LOOP; END \$\$");
compare_with_build('half inserted one by one');

# Lists that grow in place, or move into free space, take little more than their entries and
# headers. With an outdated free space map, pages were added for each list that moved.
test_posting_pages('half inserted one by one', hnsw => 1.5, ivf => 1.5);
$node->safe_psql('postgres', 'VACUUM part');
compare_with_build('half inserted, and VACUUM');

# VACUUM has trained new lists for colbert_ivf, which has doubled. The pages of the former ones are free.
test_posting_pages('half inserted, and VACUUM', hnsw => 1.5, ivf => 2.2);

# Delete half, VACUUM, and insert it again: the space is reused. The first time, the index gets room
# for the pending documents of such a statement.
for my $time (1, 2)
{
	$size{$_} = index_size("part_${_}_index") for @methods;
	$node->safe_psql('postgres', "DELETE FROM part WHERE $half");
	$node->safe_psql('postgres', 'VACUUM part');
	$node->safe_psql('postgres', "INSERT INTO part SELECT * FROM whole WHERE $half");
	$node->safe_psql('postgres', 'VACUUM part');
}
for my $method (@methods)
{
	my $after = index_size("part_${method}_index");

	cmp_ok($after, '<=', 1.05 * $size{$method}, "colbert_$method: delete half, VACUUM, insert again: $size{$method} bytes before, $after after");
}
compare_with_build('half deleted and inserted again');

# Test the bytes of posting pages, relative to those of postings and lists.
sub test_posting_pages
{
	my ($when, %most) = @_;

	for my $method (@methods)
	{
		my $share = $node->safe_psql('postgres', "SELECT posting_bytes / (4.0 * postings + 20 * nodes) FROM colbert_index_info('part_${method}_index')");

		cmp_ok($share, '<', $most{$method}, "$when: posting pages of colbert_$method relative to their content: $share");
	}
	return;
}

# Test the same tokens, padded with zeros to more dims than fit on a page. The projection cannot
# distinguish them. This test is slow.
sub test_wide
{
	my ($method) = @_;

	$node->safe_psql('postgres', "CREATE INDEX wide_index ON wide USING colbert_$method (doc)");
	for my $kind ('short', 'long')
	{
		my $recall = recall($node, $kind, 200, 'wide', undef, 'wide_questions');
		cmp_ok($recall, '>=', .95, "recall of 200 $kind queries of 4,096 dims: $recall");
	}
	$node->safe_psql('postgres', 'DROP INDEX wide_index');
	return;
}

if ($ENV{COLBERT_EXTRA})
{
	my $widened = sub {
		my ($doc) = @_;

		return qq{multivector((SELECT string_agg(substring(bytes FROM 9 + 512 * i FOR 512) || decode(repeat('00', 4 * 3968), 'hex'), '' ORDER BY i)
			FROM multivector_send(${doc}::multivector(128, float4)) AS bytes, generate_series(0, num_tokens($doc) - 1) AS i), 4096)};
	};

	$node->safe_psql('postgres', <<"SQL");
CREATE TABLE wide (id int, doc multivector(4096, float2));
ALTER TABLE wide ALTER doc SET STORAGE external;
INSERT INTO wide SELECT id, @{[ $widened->('doc') ]}::multivector(4096, float2) FROM passages WHERE id % 16 = 0;
CREATE TABLE wide_questions AS SELECT id, @{[ $widened->('short') ]} AS short, @{[ $widened->('long') ]} AS long FROM questions q WHERE id % 5 = 0;
CREATE TABLE narrow AS SELECT * FROM passages WHERE id % 16 = 0;
SQL
	for my $kind ('short', 'long')
	{
		exact_tenths($node, $kind, 200, 'narrow');
		$node->safe_psql('postgres', "CREATE TABLE tenths_${kind}_wide AS SELECT question, tenth - 1e-4 AS tenth FROM tenths_${kind}_narrow");
	}
	each_method('4,096 dims', \&test_wide);
}

stop_node($node);
done_testing();
