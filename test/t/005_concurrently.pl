# CREATE INDEX CONCURRENTLY and REINDEX CONCURRENTLY while rows are inserted, updated, deleted and set to NULL.

use strict;
use warnings;
use ColbertTest;
use Test::More;

my $node = new_node('concurrently');

load_questions($node);
load_passages($node, 'pool', 3000);
$node->safe_psql('postgres', <<'SQL');
UPDATE pool SET doc = NULL WHERE id % 20 = 0;
CREATE TABLE passages (LIKE pool);
ALTER TABLE passages ADD PRIMARY KEY (id);
INSERT INTO passages SELECT * FROM pool WHERE id <= 2000;
SQL
add_churn($node, 'passages');

for my $statement ('CREATE INDEX CONCURRENTLY passages_index ON passages USING colbert_hnsw (doc)',
	'REINDEX INDEX CONCURRENTLY passages_index', 'REINDEX TABLE CONCURRENTLY passages')
{
	my @writers = map { start_sql($node, 'CALL churn(1500);') } 1 .. 2;

	$node->safe_psql('postgres', $statement);
	is(stop_sql($_), '', "$statement: a writer meets no error") for @writers;
	is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_index WHERE indrelid = 'passages'::regclass AND indisvalid AND indisready}),
		'2', "$statement: the indexes are valid");
	index_is_sound($node, 'passages', $statement);
}

$node->stop;
done_testing();
