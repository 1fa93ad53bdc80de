# Random steps in the life of an index: rows that come and go in savepoints and prepared transactions,
# and statements that rewrite the table, rebuild the index or move both. After each step a search
# without a LIMIT returns the rows of the table with their scores, to a snapshot of before the step too,
# and the checker finds nothing.

use strict;
use warnings;
use ColbertTest;
use Test::More;

my $steps = rounds(amount(20, 300));
my $node = new_node('life');

$node->append_conf('postgresql.conf', 'max_prepared_transactions = 5');
$node->restart;
$node->safe_psql('postgres', <<'SQL');
CREATE FUNCTION random_doc(n int) RETURNS multivector LANGUAGE sql VOLATILE AS $$
	SELECT multivector_agg(ARRAY(SELECT random() - .5 + t * 0 FROM generate_series(1, 8))::real[]) FROM generate_series(1, n) AS t
$$;
SQL
for my $method (@methods)
{
	my $option = $method eq 'hnsw' ? 'tokens_per_node = 4' : 'lists = 16';

	$node->safe_psql('postgres', <<"SQL");
CREATE TABLE life_$method (gone int, id int NOT NULL, kind int, doc multivector(8)) WITH (fillfactor = 70);
ALTER TABLE life_$method DROP COLUMN gone;
CREATE INDEX life_${method}_id ON life_$method (id);
INSERT INTO life_$method SELECT i, i % 5, random_doc(1 + i % 7) FROM generate_series(1, 200) i;
CREATE INDEX life_${method}_index ON life_$method USING colbert_$method (doc) WITH ($option);
SQL
}

# Statements about the table %1$s, whose index is %1$s_index; %2$d is a random number.
my @changes = (
	'INSERT INTO %1$s SELECT %2$d * 1000 + i, i %% 5, CASE WHEN i %% 9 > 0 THEN random_doc(1 + i %% 7) END FROM generate_series(1, 60) i',
	'UPDATE %1$s SET kind = kind + 1 WHERE id %% 4 = %2$d %% 4',
	'UPDATE %1$s SET id = id WHERE id %% 3 = %2$d %% 3',
	'UPDATE %1$s SET doc = random_doc(1 + %2$d %% 9) WHERE id %% 9 = %2$d %% 9',
	'UPDATE %1$s SET doc = NULL WHERE id %% 31 = %2$d %% 31',
	'DELETE FROM %1$s WHERE id %% 6 = %2$d %% 6',
	'TRUNCATE %1$s; INSERT INTO %1$s SELECT i, i %% 5, random_doc(1 + i %% 7) FROM generate_series(1, 150) i');
my @transactions = (
	'BEGIN; %s; COMMIT',
	'BEGIN; %s; ROLLBACK',
	'BEGIN; SAVEPOINT a; %s; ROLLBACK TO a; %s; COMMIT',
	'BEGIN; %s; SAVEPOINT a; %s; RELEASE a; SAVEPOINT a; %s; ROLLBACK TO a; COMMIT',
	"BEGIN; %s; PREPARE TRANSACTION 'life'; COMMIT PREPARED 'life'",
	"BEGIN; %s; PREPARE TRANSACTION 'life'; ROLLBACK PREPARED 'life'");
my @statements = (
	'VACUUM (INDEX_CLEANUP ON) %1$s', 'VACUUM (FREEZE) %1$s', 'VACUUM FULL %1$s', 'CLUSTER %1$s USING %1$s_id', 'REINDEX INDEX %1$s_index', 'REINDEX INDEX CONCURRENTLY %1$s_index',
	q{SELECT colbert_merge('%1$s_index')}, 'ALTER TABLE %1$s ADD column_%2$d float DEFAULT random()', 'ALTER TABLE %1$s ALTER doc TYPE multivector(8, float2)',
	'ALTER TABLE %1$s ALTER doc TYPE multivector(8)', 'ALTER TABLE %1$s SET UNLOGGED', 'ALTER TABLE %1$s SET LOGGED', 'ALTER INDEX %1$s_index SET (quantizer = bit)',
	'ALTER INDEX %1$s_index RESET (quantizer)');

sub one_of
{
	return $_[ int rand @_ ];
}

# Return random SQL for a table.
sub random_step
{
	my ($table) = @_;
	my $number = 1 + int rand 100000;

	return sprintf one_of(@statements), $table, $number if rand() < .4;
	return one_of(@transactions) =~ s/%s/sprintf(one_of(@changes), $table, 1 + int rand 100000)/ger;
}

# Return SQL that counts the rows and scores in which a search and a plain scan differ.
sub differences
{
	my ($table) = @_;
	my $score = q{maxsim(doc, '[[1,0,0,0,0,0,0,0],[0,.6,.8,0,0,0,0,0]]')};

	return <<"SQL";
WITH by_index AS MATERIALIZED (SELECT id, kind, $score AS score FROM $table ORDER BY score DESC),
	plain AS MATERIALIZED (SELECT id, kind, doc FROM $table),
	exact AS MATERIALIZED (SELECT id, kind, $score AS score FROM plain)
SELECT count(*) FROM ((TABLE by_index EXCEPT ALL TABLE exact) UNION ALL (TABLE exact EXCEPT ALL TABLE by_index)) AS differing;
SQL
}

$node->safe_psql('postgres', "ALTER DATABASE postgres SET colbert.pending_limit = 2000");
for my $method (@methods)
{
	my $table = "life_$method";
	my $plan = $node->safe_psql('postgres', "$ColbertTest::by_index EXPLAIN (COSTS OFF) " . differences($table));

	like($plan, qr/Index Scan using ${table}_index/, "colbert_$method: the search uses the index");
	for my $step (1 .. $steps)
	{
		my $sql = random_step($table);
		my $error = '';
		my $snapshot = $sql =~ /^(?:BEGIN|VACUUM \()/ && $sql !~ /TRUNCATE/ ? $node->background_psql('postgres') : undef;

		$snapshot->query_safe("$ColbertTest::by_index BEGIN ISOLATION LEVEL REPEATABLE READ; " . differences($table)) if $snapshot;
		$node->psql('postgres', "SELECT setseed(" . rand() . "); $sql" =~ s/; /;\n/gr, on_error_stop => 1, stderr => \$error);
		my $found = join ' ', $node->safe_psql('postgres', "$ColbertTest::by_index " . differences($table)),
		  $node->safe_psql('postgres', "SELECT * FROM colbert_index_check('${table}_index', heapallindexed => true, rescore => true) WHERE severity = 'error'");

		if ($snapshot)
		{
			$found .= ' ' . $snapshot->query_safe(differences($table));
			$snapshot->quit;
		}
		is($error . $found, $snapshot ? '0  0' : '0 ', "colbert_$method: step $step: $sql");
	}
}

$node->stop;
done_testing();
