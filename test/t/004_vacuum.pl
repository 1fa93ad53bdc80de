# VACUUM: everything deleted, everything updated, aborted inserts, and an index that was all pending.

use strict;
use warnings;
use ColbertTest;
use Test::More;

my $node = new_node('vacuum');

sub index_size
{
	return $node->safe_psql('postgres', "SELECT pg_relation_size('passages_index')");
}

load_questions($node);
load_passages($node, 'pool', 2000);
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE passages (LIKE pool);
ALTER TABLE passages ADD PRIMARY KEY (id);
CREATE INDEX passages_index ON passages USING colbert_hnsw (doc);
INSERT INTO passages SELECT * FROM pool WHERE id <= 1000;
SQL
index_is_sound($node, 'passages', 'an index on an empty table, filled by inserts');
$node->safe_psql('postgres', 'VACUUM passages');
index_is_sound($node, 'passages', 'and VACUUM');

$node->safe_psql('postgres', 'BEGIN; INSERT INTO passages SELECT * FROM pool WHERE id > 1000; ROLLBACK');
index_is_sound($node, 'passages', 'an aborted insert');
$node->safe_psql('postgres', 'VACUUM passages');
index_is_sound($node, 'passages', 'an aborted insert, and VACUUM');

my $filled = index_size();
for my $round (1 .. 4)
{
	$node->safe_psql('postgres', q{UPDATE passages SET doc = doc, body = body || '.'});
	$node->safe_psql('postgres', 'VACUUM passages');
}
index_is_sound($node, 'passages', 'every row updated four times');
my $updated = index_size();
cmp_ok($updated, '<=', 2.5 * $filled, "updates with VACUUM use space again: $filled bytes before, $updated after");

$node->safe_psql('postgres', 'DELETE FROM passages');
is($node->safe_psql('postgres', "$ColbertTest::by_index SELECT count(*) FROM (SELECT id FROM passages ORDER BY doc <#> (SELECT short FROM questions WHERE id = 1)) s"),
	'0', 'nothing is left before VACUUM');
$node->safe_psql('postgres', 'VACUUM passages');
$node->safe_psql('postgres', 'INSERT INTO passages SELECT * FROM pool');
index_is_sound($node, 'passages', 'everything deleted, and inserted anew');
$node->safe_psql('postgres', 'UPDATE passages SET doc = NULL WHERE id % 3 = 0');
$node->safe_psql('postgres', 'VACUUM passages');
index_is_sound($node, 'passages', 'a third set to NULL');
is( $node->safe_psql('postgres', "$ColbertTest::by_index SELECT count(*) FROM (SELECT id FROM passages WHERE doc IS NOT NULL ORDER BY doc <#> (SELECT short FROM questions WHERE id = 1)) s"),
	$node->safe_psql('postgres', 'SELECT count(*) FROM passages WHERE id % 3 <> 0'),
	'WHERE doc IS NOT NULL leaves out the NULLs');
$node->safe_psql('postgres', 'VACUUM FULL passages');
index_is_sound($node, 'passages', 'VACUUM FULL');
$node->safe_psql('postgres', 'TRUNCATE passages; INSERT INTO passages SELECT * FROM pool WHERE id <= 50');
index_is_sound($node, 'passages', 'TRUNCATE');

$node->stop;
done_testing();
