# Transaction id wraparound: an index holds no transaction ids, only locations of rows. The server
# is moved three quarters around, then past the end, with changes and VACUUM FREEZE on the way. Each
# row is found at any time.

use strict;
use warnings;
use ColbertTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('wraparound');

# Check that the index is sound as it is, after changes, and after VACUUM.
sub stays_sound
{
	my ($table, $vacuum) = @_;

	index_is_sound($node, $table, 'unchanged');
	$node->safe_psql('postgres', "CALL churn('$table', 300)");
	index_is_sound($node, $table, 'changed');
	$node->safe_psql('postgres', "$vacuum $table");
	index_is_sound($node, $table, 'vacuumed');
	return;
}

load_questions($node);
load_passages($node, 'pool', 800);
create_tables($node, 'id <= 500');
add_churn($node);
$node->safe_psql('postgres', 'UPDATE pg_database SET datallowconn = true');

# 4,294,934,528 is one page of the commit log (32,768 ids) before the end: ids begin on a page that
# does not exist yet.
for my $xid (1_499_987_968, 2_999_975_936, 4_294_934_528)
{
	$node->safe_psql('postgres', "CALL churn('passages_$_', 300)") for @methods;
	$node->safe_psql('postgres', 'CALL churn(' . join(', ', "'passages_$_'", 60) . "); SELECT colbert_merge('passages_${_}_index')") for @methods;
	$node->command_ok([ 'vacuumdb', '--all', '--freeze', '--quiet' ], 'all is frozen');
	$node->stop;
	command_ok([ 'pg_resetwal', '-x', $xid, '-D', $node->data_dir ], "the next transaction is $xid");
	$node->start;
	cmp_ok($node->safe_psql('postgres', 'SELECT pg_current_xact_id()::xid::text::bigint'), '>=', $xid, 'the next transaction id is set');
	each_method("from transaction $xid on", sub { stays_sound($_[1], 'VACUUM') });
}

# Past the end: rows with ids before and after it.
$node->safe_psql('postgres', <<'SQL');
CREATE PROCEDURE use_ids(steps int) LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. steps LOOP
		PERFORM pg_current_xact_id();
		COMMIT;
	END LOOP;
END $$;
CALL use_ids(33000);
SQL
cmp_ok($node->safe_psql('postgres', 'SELECT pg_current_xact_id()::xid::text::bigint'), '<', 100_000, 'ids have wrapped around');
each_method('past the end', sub {
	my ($method, $table) = @_;

	stays_sound($table, 'VACUUM FREEZE');
	checker_is_content($node, $table, 'at the end');
});
stop_node($node);
done_testing();
