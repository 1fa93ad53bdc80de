# A streaming standby answers like its primary, also while it replays builds, inserts, VACUUM and
# merges; and it can take over.

use strict;
use warnings;
use ColbertTest;
use PostgreSQL::Test::Cluster;
use Test::More;

my $primary = new_node('primary', allows_streaming => 1);

$primary->append_conf('postgresql.conf', 'wal_consistency_checking = generic');
$primary->restart;
load_questions($primary);
load_passages($primary, 'pool', 2000);
$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->append_conf('postgresql.conf', "max_standby_streaming_delay = -1\nhot_standby_feedback = on");
$standby->start;

# same_answers(TEST NAME): check that both servers give the same answers for each method, and that
# the standby's index is sound.
sub same_answers
{
	my ($name) = @_;

	# a worker that goes on would change the primary's answers
	ok($primary->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'colbert_pg merge'"), "$name: no worker runs");
	$primary->wait_for_catchup($standby);
	each_method($name, sub {
		my ($method, $table) = @_;
		my $answers = <<"SQL";
$ColbertTest::by_index
SELECT md5(string_agg(r.id || ':' || r.score, ',' ORDER BY q.id, r.n))
FROM questions q, LATERAL (SELECT id, score, row_number() OVER () AS n
                           FROM (SELECT id, maxsim(doc, q.short) AS score FROM $table ORDER BY doc <#> q.short LIMIT 20) AS found) AS r
WHERE q.id % 10 = 0;
SQL

		is($standby->safe_psql('postgres', $answers), $primary->safe_psql('postgres', $answers), 'the standby answers like the primary');
		index_is_sound($standby, $table, 'on the standby');
	});
	return;
}

# on_each(NODE, SQL): run SQL for each table, whose name replaces %1$s.
sub on_each
{
	my ($node, $sql) = @_;

	$node->safe_psql('postgres', sprintf($sql, "passages_$_")) for @methods;
	return;
}

create_tables($primary, 'id <= 1000');
same_answers('a build');
on_each($primary, 'INSERT INTO %1$s SELECT * FROM pool WHERE id > 1000');
same_answers('inserts');
on_each($primary, 'DELETE FROM %1$s WHERE id %% 3 = 0');
on_each($primary, 'VACUUM %1$s');
same_answers('deletes and VACUUM');

# A REINDEX of the primary waits for no snapshot of the standby, and may skip rows that an older one
# sees. A check of the rows under such a snapshot is refused.
$primary->safe_psql('postgres', <<'SQL');
CREATE FUNCTION try_check(index text, against_table bool) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	RETURN coalesce((SELECT string_agg(message, ', ') FROM colbert_index_check(index::regclass, against_table)), 'nothing');
EXCEPTION WHEN serialization_failure THEN
	RETURN sqlerrm;
END $$;
SQL
$primary->wait_for_catchup($standby);
my $older = $standby->background_psql('postgres');
each_method('a check under a snapshot that is older than a REINDEX', sub {
	my ($method, $table) = @_;
	my $index = "${table}_index";

	$older->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM questions');
	$primary->safe_psql('postgres', "DELETE FROM $table WHERE id % 7 = 2");
	$primary->safe_psql('postgres', $method eq 'hnsw' ? "REINDEX INDEX CONCURRENTLY $index" : "REINDEX INDEX $index");
	$primary->wait_for_catchup($standby);
	is($older->query_safe("SELECT try_check('$index', true)"), "index \"$index\" is too new for the snapshot of this transaction", 'is refused');
	is($older->query_safe("SELECT try_check('$index', false)"), 'nothing', 'but for a check of the index alone');
	is($older->query_safe("COMMIT; BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT try_check('$index', true); COMMIT"), 'nothing', 'in a new transaction it finds nothing');
});
$older->quit;

# Read from the standby while the primary changes everything.
add_churn($primary);
my (%writers, %readers, %checkers);
for my $method (@methods)
{
	my $table = "passages_$method";

	$writers{$method} = [ map { start_sql($primary, $_) }
		("LOAD 'colbert_pg'; SET colbert.pending_limit = 4000; CALL churn('$table', 1500);", "VACUUM $table; SELECT pg_sleep(.1);\n" x 20) ];
	$checkers{$method} = start_sql($standby, "SELECT * FROM colbert_index_check('${table}_index', heapallindexed => true);\n" x 10);
	$readers{$method} = start_sql($standby, join "\n", $ColbertTest::by_index,
		map { "SELECT count(*) FROM (SELECT id FROM $table ORDER BY doc <#> (SELECT short FROM questions WHERE id = $_) LIMIT 100) AS found;" } 1 .. 800);
}
each_method('reading from the standby during changes', sub {
	my ($method) = @_;

	is(stop_sql($_), '', 'the primary gets no error') for @{ $writers{$method} };
	is(stop_sql($readers{$method}), '', 'the reader of the standby gets no error');
	unlike($readers{$method}{out}, qr/^(?!100$)/m, 'the reader of the standby gets all rows');
	is(stop_sql($checkers{$method}) . $checkers{$method}{out}, '', 'the checker finds nothing');
});
same_answers('churn');

$primary->stop('immediate');
$standby->promote;
each_method('after promotion', sub {
	my ($method, $table) = @_;

	index_is_sound($standby, $table, 'after promotion');
	$standby->safe_psql('postgres', "DELETE FROM $table WHERE id % 5 = 0; INSERT INTO $table SELECT * FROM pool WHERE id % 5 = 0");
	$standby->safe_psql('postgres', "VACUUM $table");
	index_is_sound($standby, $table, 'after changes and VACUUM');
});

$standby->stop;
done_testing();
