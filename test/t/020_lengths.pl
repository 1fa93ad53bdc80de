# Tokens of different length: the index finds by inner product what maxsim scores so. Without that recall was .6 and .4 for the questions
# of 16 tokens below.

use strict;
use warnings;
use ColbertTest;
use Test::More;

my $node = new_node('lengths');
my $bound = .92;

load_questions($node);
load_passages($node, 'pool', 1500);
# Lognormal lengths with these deviations of the logarithm, by Box and Muller's transformation of a hash.
for my $table ([ 'passages_varied', .7 ], $ENV{COLBERT_EXTRA} ? [ 'passages_wild', 1.5 ] : ())
{
	my ($name, $sigma) = @$table;

	$node->safe_psql('postgres', <<"SQL");
CREATE FUNCTION part(id int, t int, salt int) RETURNS float8 LANGUAGE sql IMMUTABLE
	RETURN (hashint8extended(id * 1000003::bigint + t, salt) & 1073741823 | 1) / 1073741824.0;
CREATE TABLE $name AS
	SELECT p.id, d.doc::multivector(128) AS doc
	FROM pool p, LATERAL (SELECT multivector_agg(ARRAY(SELECT x * s.length FROM unnest(t.embedding) WITH ORDINALITY AS e (x, k) ORDER BY k)::real[] ORDER BY t.ordinal) AS doc
	                      FROM unnest(p.doc) AS t, LATERAL (SELECT exp($sigma * sqrt(-2 * ln(part(p.id, t.ordinal, 1))) * cos(2 * pi() * part(p.id, t.ordinal, 2))) AS length) AS s) AS d;
DROP FUNCTION part;
ALTER TABLE $name ADD PRIMARY KEY (id);
ANALYZE $name;
SQL
	for my $kind (qw(short long))
	{
		exact_tenths($node, $kind, 50, $name);
	}
	for my $method (@methods)
	{
		$node->safe_psql('postgres', "CREATE INDEX lengths_index ON $name USING colbert_$method (doc)");
		uses_index($node, "SET enable_seqscan = off; EXPLAIN SELECT id FROM $name ORDER BY maxsim(doc, (SELECT long FROM questions WHERE id = 1)) DESC LIMIT 10", "colbert_$method: by the index");
		for my $kind (qw(short long))
		{
			my $recall = recall($node, $kind, 50, $name);

			cmp_ok($recall, '>=', $bound, "colbert_$method, sigma = $sigma, $kind questions: recall $recall");
		}
		$node->safe_psql('postgres', 'DROP INDEX lengths_index');
	}
}

# An index that began empty measures the lengths when its first nodes are trained.
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE later (LIKE passages_varied);
CREATE INDEX later_index ON later USING colbert_hnsw (doc);
INSERT INTO later SELECT * FROM passages_varied;
SELECT colbert_merge('later_index');
SQL
$node->safe_psql('postgres', 'ALTER TABLE tenths_long_passages_varied RENAME TO tenths_long_later');
my $recall = recall($node, 'long', 50, 'later');

cmp_ok($recall, '>=', $bound, "an index that began empty: recall $recall");

stop_node($node);
done_testing();
