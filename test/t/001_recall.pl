# Recall and exact order on all of MedQuAD: after a build, after inserts one by one, after deletes, VACUUM and inserts.

use strict;
use warnings;
use ColbertTest;
use Test::More;

my $short = 1000;
my $long = 200;
my $node = new_node('recall');

# recall_is_near(SHORT, LONG, TEST NAME): within .02 of the recall after a build with all rows.
sub recall_is_near
{
	my ($short_built, $long_built, $name) = @_;
	my $short_now = recall($node, 'short', $short);
	my $long_now = recall($node, 'long', $long);

	cmp_ok($short_now, '>=', $short_built - .02, "$name: recall of short queries $short_now, $short_built after a build");
	cmp_ok($long_now, '>=', $long_built - .02, "$name: recall of 16-token queries $long_now, $long_built after a build");
	return;
}

sub index_size
{
	return $node->safe_psql('postgres', "SELECT pg_relation_size('$_[0]')");
}

load_questions($node);
load_passages($node, 'passages');
exact_tenths($node, 'short', $short);
exact_tenths($node, 'long', $long);

# The data set's exact answers were computed with numpy. The last bit of an embedding depends on the machine's BLAS, hence the tolerance.
is( $node->safe_psql('postgres', <<'SQL'), '20', 'the sequential scan agrees with the exact answers of the data set');
SELECT count(*)
FROM tenths_short t JOIN questions q ON q.id = t.question,
     LATERAL (SELECT maxsim(doc, q.short) AS score FROM passages ORDER BY score DESC OFFSET 9 LIMIT 1) AS s
WHERE q.id % 50 = 0 AND abs(s.score - t.tenth) < 1e-3;
SQL

$node->safe_psql('postgres', 'CREATE INDEX passages_index ON passages USING colbert_hnsw (doc)');
uses_index($node, 'EXPLAIN (COSTS OFF) SELECT id FROM passages ORDER BY doc <#> (SELECT short FROM questions WHERE id = 1) LIMIT 10', 'ORDER BY doc <#> query uses the index');
uses_index($node, 'EXPLAIN (COSTS OFF) SELECT id, maxsim(doc, (SELECT short FROM questions WHERE id = 1)) AS score FROM passages ORDER BY score DESC LIMIT 10',
	'ORDER BY maxsim(doc, query) DESC uses the index');

my $short_built = recall($node, 'short', $short);
my $long_built = recall($node, 'long', $long);
cmp_ok($short_built, '>=', .95, "recall of $short short queries: $short_built");
cmp_ok($long_built, '>=', .97, "recall of $long 16-token queries: $long_built");

is(in_exact_order($node, 'passages', $_, 60, 50), '60', "60 of 60 $_ queries in exact order at LIMIT 50") for 'short', 'long';
index_is_sound($node, 'passages', 'after the build');

# Half by a build, half one by one.
my $built_size = index_size('passages_index');
$node->safe_psql('postgres', <<'SQL');
DROP INDEX passages_index;
CREATE TABLE rest AS SELECT * FROM passages WHERE id % 2 = 0;
DELETE FROM passages WHERE id % 2 = 0;
VACUUM passages;
CREATE INDEX passages_index ON passages USING colbert_hnsw (doc);
SQL
$node->safe_psql('postgres', 'DO $$ DECLARE r record; BEGIN FOR r IN SELECT * FROM rest LOOP INSERT INTO passages VALUES (r.id, r.source, r.body, r.doc); END LOOP; END $$');
recall_is_near($short_built, $long_built, 'half inserted one by one');
$node->safe_psql('postgres', 'VACUUM passages');
recall_is_near($short_built, $long_built, 'half inserted, and VACUUM');
index_is_sound($node, 'passages', 'half inserted');

# Delete half, VACUUM, insert it again: space is used again.
my $before = index_size('passages_index');
$node->safe_psql('postgres', 'DELETE FROM passages WHERE id % 2 = 0');
$node->safe_psql('postgres', 'VACUUM passages');
index_is_sound($node, 'passages', 'half deleted');
$node->safe_psql('postgres', 'INSERT INTO passages SELECT * FROM rest');
$node->safe_psql('postgres', 'VACUUM passages');
my $after = index_size('passages_index');
cmp_ok($after, '<=', 1.1 * $before, "delete half, VACUUM, insert again: $before bytes before, $after after ($built_size by a build)");
recall_is_near($short_built, $long_built, 'half deleted and inserted again');
index_is_sound($node, 'passages', 'half deleted and inserted again');

$node->stop;
done_testing();
