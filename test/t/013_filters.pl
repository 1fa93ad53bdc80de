# WHERE cond ORDER BY score LIMIT k returns min(k, matching) rows at any selectivity, with the
# documented recall and order, and in bounded memory. A filter that no row passes costs one walk
# over all documents, which can be cancelled at any moment.

use strict;
use warnings;
use ColbertTest;
use Test::More;
use Time::HiRes qw(time usleep);

my $node = new_node('filters');
my $rows = amount(2000, 4000);
my $prime = amount(2003, 4001);
my $tiny = amount(500_000, 1_000_000);
my $questions = 'id IN (101, 202, 303, 404, 505, 606, 707, 808)';

load_questions($node);
load_passages($node, 'pool', $rows);
$node->safe_psql('postgres', <<"SQL");
ALTER TABLE pool ADD pick int;
UPDATE pool SET pick = id * 1913 % $prime;
CREATE TABLE scores AS
SELECT q.id AS question, p.id, p.pick, maxsim(p.doc, q.short) AS score, row_number() OVER (PARTITION BY q.id ORDER BY maxsim(p.doc, q.short)) AS worst
FROM questions q, pool p WHERE q.$questions;
CREATE INDEX ON scores (question, id);

-- Searches of a table with a condition: rows wanted and found, without duplicates, in order unless a row was late; and recall.
CREATE FUNCTION filtered(name text, condition text, matching text, OUT complete bool, OUT distinct_rows bool, OUT in_order bool, OUT recall numeric)
LANGUAGE plpgsql AS \$\$
DECLARE
	q record;
	ids int[];
	found float8[];
	exact float8[];
	late bigint;
BEGIN
	complete := true; distinct_rows := true; in_order := true; recall := 0;
	FOR q IN SELECT id, short FROM questions WHERE $questions LOOP
		EXECUTE format('SELECT array_agg(id), array_agg(score) FROM (SELECT id, maxsim(doc, \$1) AS score FROM %I WHERE doc IS NOT NULL AND '
			|| replace(condition, 'QUESTION', q.id::text) || ' ORDER BY score DESC LIMIT 10) AS r', name) INTO ids, found USING q.short;
		SELECT s.late INTO late FROM colbert_last_scan() s;
		EXECUTE 'SELECT array_agg(score) FROM (SELECT score FROM scores WHERE question = \$1 AND id NOT IN (SELECT id FROM gone) AND ' || matching
			|| ' ORDER BY score DESC LIMIT 10) AS r' INTO exact USING q.id;
		complete := complete AND coalesce(array_length(ids, 1), 0) = coalesce(array_length(exact, 1), 0);
		distinct_rows := distinct_rows AND (SELECT count(*) = count(DISTINCT id) FROM unnest(ids) AS id);
		in_order := in_order AND (late > 0 OR found IS NOT DISTINCT FROM (SELECT array_agg(score ORDER BY score DESC) FROM unnest(found) AS score));
		recall := recall + coalesce((SELECT avg((score >= exact[array_length(exact, 1)])::int) FROM unnest(found) AS score), 1);
	END LOOP;
	recall := round(recall / 8, 3);
END \$\$;
CREATE TABLE gone (id int);
SQL
create_tables($node, 'true');

# at_selectivities(METHOD, TABLE, NAME): check conditions of all selectivities.
sub at_selectivities
{
	my ($method, $table, $name) = @_;
	my @recalls;

	for my $n ($rows / 2, 400, 40, 4, 1, 0)
	{
		my $far = "id = ANY ((SELECT array_agg(id) FROM scores WHERE question = QUESTION AND worst <= $n)::int[])";

		for (['any', "pick <= $n", "pick <= $n"], [ 'far', $far, "worst <= $n" ])
		{
			my ($kind, $condition, $matching) = @$_;
			my $result = $node->safe_psql('postgres', "$ColbertTest::by_index SELECT * FROM filtered('$table', \$\$$condition\$\$, '$matching')");
			my ($rest, $recall) = $result =~ /^(.*)\|(.*)$/;

			is($rest, 't|t|t', "$name: $n rows ($kind): all matching rows, no duplicates, in order");
			cmp_ok($recall, '>=', .9, "$name: $n rows ($kind): recall $recall");
			push @recalls, $recall if $n > 0;
		}
	}
	my $mean = eval { my $sum = 0; $sum += $_ for @recalls; $sum / @recalls };
	cmp_ok($mean, '>=', .95, "$name: mean recall " . sprintf('%.3f', $mean));
	return;
}

each_method('after the build', sub { at_selectivities(@_, 'built') });

# NULL, dead and pending rows.
$node->safe_psql('postgres', 'INSERT INTO gone SELECT id FROM pool WHERE id % 3 = 0');
each_method('deleted, NULL and pending rows', sub {
	my ($method, $table) = @_;

	$node->safe_psql('postgres', <<"SQL");
DELETE FROM $table WHERE id IN (SELECT id FROM gone) OR id % 50 = 1;
INSERT INTO $table (id, source, body, doc, pick) SELECT id, source, body, doc, pick FROM pool WHERE id % 50 = 1 AND id % 3 <> 0;
INSERT INTO $table (id, source, body, doc, pick) SELECT 10000 + i, '', '', NULL, i FROM generate_series(1, 30) i;
SQL
	at_selectivities($method, $table, 'deleted');
	is( $node->safe_psql('postgres', <<"SQL"), '20|20|5', 'matching NULL documents come first');
$ColbertTest::by_index
SELECT count(*), count(DISTINCT id), count(*) FILTER (WHERE n <= 5 AND doc IS NULL)
FROM (SELECT id, doc, row_number() OVER () AS n
      FROM (SELECT id, doc FROM $table WHERE pick <= 5 OR id BETWEEN 100 AND 200
            ORDER BY maxsim(doc, (SELECT short FROM questions WHERE id = 101)) DESC LIMIT 20) AS r) AS numbered;
SQL
	$node->safe_psql('postgres', "VACUUM $table");
	at_selectivities($method, $table, 'vacuumed');
});

each_method('spellings', sub {
	my ($method, $table) = @_;
	my $by_seq = 'SET enable_indexscan = off; SET enable_bitmapscan = off;';
	my %queries = (
		'a join' => "SELECT p.id FROM $table p JOIN (SELECT id FROM pool WHERE id % 7 = 0 OFFSET 0) o ON o.id = p.id WHERE p.pick < 2000 "
		  . "ORDER BY p.doc <#> (SELECT short FROM questions WHERE id = 202) LIMIT 10",
		'LATERAL, a condition on the outer row' => "SELECT q.id, r.id FROM questions q, LATERAL (SELECT p.id FROM $table p WHERE p.pick % (q.id % 7 + 2) = 0 "
		  . "ORDER BY p.doc <#> q.short LIMIT 5) AS r WHERE q.$questions ORDER BY 1, 2",
		'a sub-select that refers to the row' => "SELECT p.id FROM $table p WHERE (SELECT count(*) FROM gone g WHERE g.id BETWEEN p.id AND p.id + 2) = 1 "
		  . "AND p.pick % 5 = 0 ORDER BY p.doc <#> (SELECT short FROM questions WHERE id = 303) LIMIT 10",
		'NOT IN' => "SELECT id FROM $table WHERE id NOT IN (SELECT id FROM pool WHERE pick > 1000) ORDER BY doc <#> (SELECT short FROM questions WHERE id = 404) LIMIT 10",
	);

	for my $name (sort keys %queries)
	{
		my @exact = split /\n/, $node->safe_psql('postgres', "$by_seq $queries{$name}");
		my %found = map { $_ => 1 } split /\n/, $node->safe_psql('postgres', "SET enable_seqscan = off; SET enable_sort = off; SET enable_bitmapscan = off; $queries{$name}");

		is(keys %found, @exact, "$name: " . @exact . ' rows');
		cmp_ok(scalar(grep { $found{$_} } @exact), '>=', .9 * @exact, "$name: the best ones");
	}
	like($node->safe_psql('postgres', "$ColbertTest::by_index EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) SELECT id FROM $table WHERE doc IS NOT NULL AND pick = 77 "
		  . "ORDER BY doc <#> (SELECT short FROM questions WHERE id = 101) LIMIT 10"), qr/Index Scan using \w+_index.*Rows Removed by Filter: \d{4}/s, 'EXPLAIN counts rows that were filtered early');
	is($node->safe_psql('postgres', "$ColbertTest::by_index SELECT count(*) FROM (SELECT id FROM $table WHERE random() >= 0 ORDER BY doc <#> (SELECT short FROM questions WHERE id = 101) "
		  . 'LIMIT 10) AS r; SELECT tested FROM colbert_last_scan()'), "10\n0", 'the executor tests a volatile condition');

	# User-defined functions must not see rows that a policy hides. They are pushed down only if
	# they are not VOLATILE.
	$node->safe_psql('postgres', <<"SQL");
CREATE ROLE reader_$method;
GRANT SELECT ON $table, questions TO reader_$method;
ALTER TABLE $table ENABLE ROW LEVEL SECURITY;
CREATE POLICY even ON $table USING (id % 2 = 0);
CREATE FUNCTION look_$method(id int) RETURNS bool LANGUAGE plpgsql STABLE COST 0.0001 AS \$\$ BEGIN IF id % 2 = 1 THEN RAISE EXCEPTION 'leaked %', id; END IF; RETURN id % 10 = 0; END \$\$;
SQL
	is( $node->safe_psql('postgres', <<"SQL"), '10|t', 'a policy is tested before the conditions of the statement');
$ColbertTest::by_index
SET ROLE reader_$method;
SELECT count(*), bool_and(id % 10 = 0)
FROM (SELECT id FROM $table WHERE look_$method(id) ORDER BY doc <#> (SELECT short FROM questions WHERE id = 101) LIMIT 10) AS r;
SQL
});

# Half a million tiny documents, or a million.
$node->safe_psql('postgres', <<"SQL");
CREATE UNLOGGED TABLE tiny (id int, doc multivector(8));
SELECT setseed(.4);
INSERT INTO tiny SELECT i, ARRAY[ARRAY[random(), random(), random(), random(), random(), random(), random(), random()]]::real[]::multivector FROM generate_series(1, $tiny) i;
CREATE INDEX tiny_index ON tiny USING colbert_hnsw (doc) WITH (tokens_per_node = 1024);
CREATE FUNCTION memory() RETURNS bigint LANGUAGE sql VOLATILE AS 'SELECT sum(total_bytes)::bigint FROM pg_backend_memory_contexts';
SQL
for my $mb (1, 8)
{
	my ($n, $sum, $squares, $more, $passes) = split /\|/, $node->safe_psql('postgres', <<"SQL");
$ColbertTest::by_index
SET work_mem = '${mb}MB';
SELECT memory() AS before \\gset
SELECT count(*), sum(id) = $tiny\::bigint * ($tiny + 1) / 2, sum(id::bigint * id) = $tiny\::numeric * ($tiny + 1) * (2 * $tiny + 1) / 6, max(memory) - :before,
       (SELECT passes FROM colbert_last_scan() LIMIT sum(id) * 0 + 1)
FROM (SELECT id, CASE WHEN id % 30000 = 0 THEN memory() END AS memory FROM tiny ORDER BY doc <#> '[[.9,.1,.4,.3,.6,.2,.7,.5]]') AS scan;
SQL
	is("$n|$sum|$squares", "$tiny|t|t", "work_mem = ${mb}MB: each of $tiny rows once");
	cmp_ok($more, '<=', (4 * $mb + 3) * 2**20, "work_mem = ${mb}MB: $more more bytes, at most 4 times work_mem plus 3 MB");
	cmp_ok($passes, '>', 1, "work_mem = ${mb}MB: $passes passes") if $mb == 1;
}

# No row passes: all are tested, and few are narrowed.
my $hopeless = "SELECT count(*) FROM (SELECT id FROM tiny WHERE id < 0 ORDER BY doc <#> '[[.9,.1,.4,.3,.6,.2,.7,.5]]' LIMIT 10) AS r";
is($node->safe_psql('postgres', "$ColbertTest::by_index $hopeless; SELECT tested, exhaustive, narrowed < 100000, reranked < 10000, scored FROM colbert_last_scan()"),
	"0\n$tiny|t|t|t|0", 'a filter that no row passes');
my $shortest = 1000;
for (1 .. 3)
{
	my $ms = $node->safe_psql('postgres', <<"SQL");
$ColbertTest::by_index
SET statement_timeout = '100ms';
SELECT extract(epoch FROM clock_timestamp()) AS start \\gset
\\set ON_ERROR_STOP off
$hopeless;
SELECT round((extract(epoch FROM clock_timestamp()) - :start) * 1000);
SQL
	$shortest = $ms if $ms < $shortest;
}
cmp_ok($shortest, '<=', 200, "statement_timeout of 100 ms: $shortest ms");
my $handle = start_sql($node, "SET application_name = 'victim'; $ColbertTest::by_index\n" . "$hopeless;\n" x 20);
usleep(300_000);
$node->safe_psql('postgres', "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name = 'victim'");
my $start = time;
like(stop_sql($handle), qr/canceling statement due to user request/, 'cancelled');
cmp_ok(time - $start, '<', 1, 'at once');

stop_node($node);
done_testing();
