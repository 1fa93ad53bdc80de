# kill -9 of the whole server under inserts, updates, deletes, VACUUM and merges: after the restart every committed row is found.

use strict;
use warnings;
use ColbertTest;
use Test::More;
use Time::HiRes qw(usleep);

my $node = new_node('crash');

load_questions($node);
load_passages($node, 'pool', 2000);
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE passages (LIKE pool);
ALTER TABLE passages ADD PRIMARY KEY (id);
INSERT INTO passages SELECT * FROM pool WHERE id <= 1000;
CREATE INDEX passages_index ON passages USING colbert_hnsw (doc);
SQL
add_churn($node, 'passages');

srand(42);
for my $round (1 .. 6)
{
	# a small limit makes inserts merge, too; in every other round
	my $limit = $round % 2 ? 'SET colbert.pending_limit = 4000;' : '';
	my @clients = map { start_sql($node, "LOAD 'colbert_pg'; $limit CALL churn(100000);") } 1 .. 2;
	push @clients, start_sql($node, "VACUUM passages;\n" x 1000);
	push @clients, start_sql($node, "SELECT colbert_merge('passages_index'), pg_sleep(.02);\n" x 1000) if $round > 3;

	usleep(700_000 + rand(1_500_000));
	kill_all($node);
	stop_sql($_) for @clients;
	start_after_kill($node);
	cmp_ok($node->safe_psql('postgres', "SELECT count(*) FROM passages WHERE body LIKE '%x'"), '>', 100, "crash $round: there were changes");
	index_is_sound($node, 'passages', "crash $round");
}

# A crash in the middle of a build leaves no index, and the table can be indexed afterwards.
my $build = start_sql($node, 'CREATE INDEX second_index ON pool USING colbert_hnsw (doc);');
usleep(150_000);
kill_all($node);
stop_sql($build);
start_after_kill($node);
$node->safe_psql('postgres', 'DROP INDEX IF EXISTS second_index; CREATE INDEX second_index ON pool USING colbert_hnsw (doc)');
index_is_sound($node, 'pool', 'after a crash during CREATE INDEX');

$node->stop;
done_testing();
