# A streaming standby answers as its primary does, also while it replays builds, inserts, VACUUM and merges; and takes over.

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

my $answers = <<"SQL";
$ColbertTest::by_index
SELECT md5(string_agg(r.id || ':' || r.score, ',' ORDER BY q.id, r.n))
FROM questions q, LATERAL (SELECT id, score, row_number() OVER () AS n
                           FROM (SELECT id, maxsim(doc, q.short) AS score FROM passages ORDER BY doc <#> q.short LIMIT 20) AS found) AS r
WHERE q.id % 10 = 0;
SQL

sub same_answers
{
	my ($name) = @_;

	$primary->wait_for_catchup($standby);
	is($standby->safe_psql('postgres', $answers), $primary->safe_psql('postgres', $answers), "$name: the standby answers as the primary does");
	index_is_sound($standby, 'passages', "$name, on the standby");
	return;
}

$primary->safe_psql('postgres', <<'SQL');
CREATE TABLE passages (LIKE pool);
ALTER TABLE passages ADD PRIMARY KEY (id);
INSERT INTO passages SELECT * FROM pool WHERE id <= 1000;
CREATE INDEX passages_index ON passages USING colbert_hnsw (doc);
SQL
same_answers('a build');
$primary->safe_psql('postgres', 'INSERT INTO passages SELECT * FROM pool WHERE id > 1000');
same_answers('inserts');
$primary->safe_psql('postgres', 'DELETE FROM passages WHERE id % 3 = 0');
$primary->safe_psql('postgres', 'VACUUM passages');
same_answers('deletes and VACUUM');

# Read from the standby all the while the primary changes everything.
add_churn($primary, 'passages');
my @writers = map { start_sql($primary, $_) } ("LOAD 'colbert_pg'; SET colbert.pending_limit = 4000; CALL churn(2000);", "VACUUM passages; SELECT pg_sleep(.1);\n" x 20);
my $reader = start_sql($standby, join "\n", $ColbertTest::by_index,
	map { "SELECT count(*) FROM (SELECT id FROM passages ORDER BY doc <#> (SELECT short FROM questions WHERE id = $_) LIMIT 100) AS found;" } 1 .. 1000);
is(stop_sql($_), '', 'the primary meets no error') for @writers;
is(stop_sql($reader), '', 'nor does the reader of the standby');
unlike($reader->{out}, qr/^(?!100$)/m, 'which gets all its rows');
same_answers('churn');

$primary->stop('immediate');
$standby->promote;
index_is_sound($standby, 'passages', 'after promotion');
$standby->safe_psql('postgres', 'DELETE FROM passages WHERE id % 5 = 0; INSERT INTO passages SELECT * FROM pool WHERE id % 5 = 0');
$standby->safe_psql('postgres', 'VACUUM passages');
index_is_sound($standby, 'passages', 'after promotion, changes and VACUUM');

$standby->stop;
done_testing();
