# Writers, readers, VACUUM and merges at the same time: no error, no lost row, exact order throughout.

use strict;
use warnings;
use ColbertTest;
use Test::More;

my $node = new_node('concurrency');

load_questions($node);
load_passages($node, 'pool', 3000);
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE passages (LIKE pool);
ALTER TABLE passages ADD PRIMARY KEY (id);
INSERT INTO passages SELECT * FROM pool WHERE id <= 1500;
CREATE INDEX passages_index ON passages USING colbert_hnsw (doc);
-- Ids are unique in the table, so a search that gives one twice, or rows out of order under one snapshot, is at fault.
CREATE PROCEDURE read(steps int) LANGUAGE plpgsql AS $$
DECLARE
	q multivector;
	bad int;
BEGIN
	FOR i IN 1 .. steps LOOP
		SELECT short INTO q FROM questions WHERE id = 1 + floor(random() * 1000);
		SELECT count(*) - count(DISTINCT id) + count(*) FILTER (WHERE NOT ordered) + abs(count(*) - 50) INTO bad
		FROM (SELECT id, coalesce(lag(score) OVER (ORDER BY n) >= score, true) AS ordered
			  FROM (SELECT id, score, row_number() OVER () AS n
					FROM (SELECT id, maxsim(doc, q) AS score FROM passages ORDER BY doc <#> q LIMIT 50) AS found) AS numbered) AS compared;
		IF bad > 0 THEN
			RAISE EXCEPTION 'a search gave % rows twice, out of order, too many or too few', bad;
		END IF;
		COMMIT;
	END LOOP;
END $$;
SQL
add_churn($node, 'passages');

my %clients = (
	'writer 1' => "LOAD 'colbert_pg'; CALL churn(2500);",
	'writer 2' => "LOAD 'colbert_pg'; SET colbert.pending_limit = 4000; CALL churn(2500);",
	'reader 1' => "$ColbertTest::by_index CALL read(1500);",
	'reader 2' => "$ColbertTest::by_index CALL read(1500);",
	'vacuum' => "VACUUM passages; SELECT pg_sleep(.1);\n" x 40,
	'merge' => "SELECT colbert_merge('passages_index'), pg_sleep(.1);\n" x 40);
my %running = map { $_ => start_sql($node, $clients{$_}) } sort keys %clients;
is(stop_sql($running{$_}), '', "$_ meets no error") for sort keys %running;

index_is_sound($node, 'passages', 'after all that');
$node->safe_psql('postgres', 'VACUUM passages');
index_is_sound($node, 'passages', 'and VACUUM');

$node->stop;
done_testing();
