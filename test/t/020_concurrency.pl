# Concurrent writers, readers, VACUUM and merges: no errors, no lost rows, exact order at all times.

use strict;
use warnings;
use ColbertTest;
use Test::More;

my $node = new_node('concurrency');

load_questions($node);
my $half = amount(1, 2);	# of the long form
load_passages($node, 'pool', 1500 * $half);
create_tables($node, "id <= 750 * $half");
$node->safe_psql('postgres', <<'SQL');
-- Ids are unique in the table, so a search must not return one twice, nor rows out of order with the same snapshot.
CREATE PROCEDURE read(target regclass, steps int) LANGUAGE plpgsql AS $$
DECLARE
	pick int;
	q multivector;
	bad int;
BEGIN
	FOR i IN 1 .. steps LOOP
		pick := 1 + floor(random() * 1000);
		SELECT short INTO STRICT q FROM questions WHERE id = pick;
		EXECUTE format('SELECT count(*) - count(DISTINCT id) + count(*) FILTER (WHERE NOT ordered) + abs(count(*) - 50)
			FROM (SELECT id, coalesce(lag(score) OVER (ORDER BY n) >= score, true) AS ordered
				  FROM (SELECT id, score, row_number() OVER () AS n
						FROM (SELECT id, maxsim(doc, $1) AS score FROM %s ORDER BY doc <#> $1 LIMIT 50) AS found) AS numbered) AS compared', target)
		INTO bad USING q;
		IF bad > 0 THEN
			RAISE EXCEPTION 'a search gave % rows twice, out of order, too many or too few', bad;
		END IF;
		COMMIT;
	END LOOP;
END $$;
SQL
add_churn($node);

my %running;
for my $method (@methods)
{
	my $table = "passages_$method";
	my %clients = (
		'writer 1' => "LOAD 'colbert_pg'; CALL churn('$table', 1000 * $half);",
		'writer 2' => "LOAD 'colbert_pg'; SET colbert.pending_limit = 4000; CALL churn('$table', 1000 * $half);",
		'reader 1' => "$ColbertTest::by_index CALL read('$table', 600 * $half);",
		'reader 2' => "$ColbertTest::by_index CALL read('$table', 600 * $half);",
		'checker' => "SELECT * FROM colbert_index_check('${table}_index', heapallindexed => true);\nSELECT pg_sleep(.1);\n" x (8 * $half),
		'vacuum' => "VACUUM $table; SELECT pg_sleep(.1);\n" x (20 * $half),
		'merge' => "SELECT colbert_merge('${table}_index'), pg_sleep(.1);\n" x (20 * $half));

	$running{$method}{$_} = start_sql($node, $clients{$_}) for sort keys %clients;
}
each_method('concurrent load', sub {
	my ($method, $table) = @_;
	my $clients = $running{$method};

	is(stop_sql($clients->{$_}), '', "$_ raises no error") for sort keys %$clients;
	is($clients->{checker}{out} =~ s/\n//gr, '', 'the checker finds nothing during the load');
	index_is_sound($node, $table, 'after the load');
	$node->safe_psql('postgres', "VACUUM $table");
	index_is_sound($node, $table, 'after VACUUM');
	checker_is_content($node, $table, 'at the end');
});

stop_node($node);
done_testing();
