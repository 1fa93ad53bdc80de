# An unlogged table: its index works, is empty after a crash, works again; and both become logged.

use strict;
use warnings;
use ColbertTest;
use Test::More;

my $node = new_node('unlogged');

load_questions($node);
load_passages($node, 'pool', 1000);
load_passages($node, 'passages', 500, 'UNLOGGED');
$node->safe_psql('postgres', 'CREATE INDEX passages_index ON passages USING colbert_hnsw (doc)');
$node->safe_psql('postgres', 'INSERT INTO passages SELECT * FROM pool WHERE id > 500');
index_is_sound($node, 'passages', 'built and inserted');

$node->restart;
index_is_sound($node, 'passages', 'after a clean restart');

$node->stop('immediate');
$node->start;
is($node->safe_psql('postgres', 'SELECT count(*) FROM passages'), '0', 'a crash empties the table');
index_is_sound($node, 'passages', 'emptied');
$node->safe_psql('postgres', 'INSERT INTO passages SELECT * FROM pool');
index_is_sound($node, 'passages', 'filled again');
$node->safe_psql('postgres', 'VACUUM passages');
index_is_sound($node, 'passages', 'filled again, and VACUUM');

$node->safe_psql('postgres', 'ALTER TABLE passages SET LOGGED');
$node->stop('immediate');
$node->start;
is($node->safe_psql('postgres', 'SELECT count(*) FROM passages'), '1000', 'SET LOGGED: a crash loses nothing');
index_is_sound($node, 'passages', 'SET LOGGED');

$node->stop;
done_testing();
