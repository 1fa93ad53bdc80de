# VACUUM after deleting everything, updating everything and aborted inserts, and VACUUM of an index
# with only pending documents.

use strict;
use warnings;
use ColbertTest;
use Test::More;

my $node = new_node('vacuum');
my $half = amount(500, 1000);

# index_size(TABLE): bytes of its index.
sub index_size
{
	my ($table) = @_;

	return $node->safe_psql('postgres', "SELECT pg_relation_size('${table}_index')");
}

load_questions($node);
load_passages($node, 'pool', 2 * $half);
create_tables($node);
each_method('deletes, updates, aborts and NULLs', sub {
	my ($method, $table) = @_;

	$node->safe_psql('postgres', "INSERT INTO $table SELECT * FROM pool WHERE id <= $half");
	index_is_sound($node, $table, 'an index on an empty table, filled by inserts');
	$node->safe_psql('postgres', "VACUUM $table");
	index_is_sound($node, $table, 'an index filled by inserts, and VACUUM');

	$node->safe_psql('postgres', "BEGIN; INSERT INTO $table SELECT * FROM pool WHERE id > $half; ROLLBACK");
	index_is_sound($node, $table, 'an aborted insert');
	$node->safe_psql('postgres', "VACUUM $table");
	index_is_sound($node, $table, 'an aborted insert, and VACUUM');

	my $filled = index_size($table);
	for my $round (1 .. 4)
	{
		$node->safe_psql('postgres', "UPDATE $table SET doc = doc, body = body || '.'");
		$node->safe_psql('postgres', "VACUUM $table");
	}
	index_is_sound($node, $table, 'every row updated four times');
	my $updated = index_size($table);
	cmp_ok($updated, '<=', 2.5 * $filled, "updates with VACUUM reuse space: $filled bytes before, $updated after");

	$node->safe_psql('postgres', "DELETE FROM $table");
	is($node->safe_psql('postgres', "$ColbertTest::by_index SELECT count(*) FROM (SELECT id FROM $table ORDER BY doc <#> (SELECT short FROM questions WHERE id = 1)) s"),
		'0', 'a search returns nothing before VACUUM');
	$node->safe_psql('postgres', "VACUUM $table");
	$node->safe_psql('postgres', "INSERT INTO $table SELECT * FROM pool");
	index_is_sound($node, $table, 'everything deleted, and inserted again');
	$node->safe_psql('postgres', "UPDATE $table SET doc = NULL WHERE id % 3 = 0");
	$node->safe_psql('postgres', "VACUUM $table");
	index_is_sound($node, $table, 'a third set to NULL');
	is( $node->safe_psql('postgres', "$ColbertTest::by_index SELECT count(*) FROM (SELECT id FROM $table WHERE doc IS NOT NULL ORDER BY doc <#> (SELECT short FROM questions WHERE id = 1)) s"),
		$node->safe_psql('postgres', "SELECT count(*) FROM $table WHERE id % 3 <> 0"),
		'WHERE doc IS NOT NULL leaves out the NULLs');
	checker_is_content($node, $table, 'before VACUUM FULL');
	$node->safe_psql('postgres', "VACUUM FULL $table");
	index_is_sound($node, $table, 'VACUUM FULL');
	$node->safe_psql('postgres', "TRUNCATE $table; INSERT INTO $table SELECT * FROM pool WHERE id <= 50");
	index_is_sound($node, $table, 'TRUNCATE');
	checker_is_content($node, $table, 'at the end');
});

stop_node($node);
done_testing();
