# 2 writers insert 10,000 rows (100,000 with COLBERT_EXTRA or COLBERT_SOAK) while 2 readers query and
# VACUUM runs: no errors, no missing rows, and every answer in exact order. COLBERT_ROWS sets another
# number of rows.

use strict;
use warnings;
use ColbertTest;
use Test::More;

my $rows = $ENV{COLBERT_ROWS} // amount(10_000, 100_000);
my $built = 1000;
my $node = new_node('load');

# Small documents of 8 tokens with 32 dims, each combined from two halves of 4 tokens. Ids up to
# $built exist when the index is built.
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE halves (id int PRIMARY KEY, doc multivector(32));
INSERT INTO halves
SELECT id, l2_normalize(array_agg(token ORDER BY t)::real[]::multivector)
FROM (SELECT id, t, array_agg((random() - .5)::real) AS token FROM generate_series(0, 999) id, generate_series(1, 4) t, generate_series(1, 32) GROUP BY id, t) AS tokens
GROUP BY id;
CREATE TABLE finished (writer text);

CREATE FUNCTION make_doc(id int) RETURNS multivector LANGUAGE sql STABLE AS
	'SELECT a.doc || b.doc FROM halves a, halves b WHERE a.id = $1 % 1000 AND b.id = ($1 / 1000 * 7 + $1) % 1000';

-- One transaction per row; of every 1,000 rows, one in eight is deleted again.
CREATE PROCEDURE write(target regclass, first int, step int, last int) LANGUAGE plpgsql AS $$
DECLARE
	n int := 0;
BEGIN
	FOR i IN first .. last BY step LOOP
		EXECUTE format('INSERT INTO %s VALUES ($1, make_doc($1))', target) USING i;
		COMMIT;
		n := n + 1;
		IF n % 1000 = 0 THEN
			EXECUTE format('DELETE FROM %s WHERE id > $1 AND id <= $2 AND id %% $3 = $4 AND id / $3 %% 8 = 0', target)
			USING i - 1000 * step, i, step, first % step;
			COMMIT;
		END IF;
	END LOOP;
	INSERT INTO finished VALUES (target::text || first);
END $$;

-- Until both writers have finished: the best 20 rows of some query, without duplicates, in the order of the rows' scores; and
-- occasionally all rows.
CREATE PROCEDURE read(target regclass) LANGUAGE plpgsql AS $$
DECLARE
	pick int;
	q multivector;
	bad text;
	searches int := 0;
BEGIN
	WHILE (SELECT count(*) < 2 FROM finished WHERE writer LIKE target::text || '%') LOOP
		pick := floor(random() * 1000);
		SELECT doc INTO STRICT q FROM halves WHERE id = pick;
		EXECUTE format('SELECT string_agg(concat_ws('' '', n, id, score, exact), '', '' ORDER BY n)
			FROM (SELECT n, id, score, maxsim(t.doc, $1) AS exact, lag(score) OVER (ORDER BY n) AS before, count(*) OVER () AS n_all, count(*) OVER (PARTITION BY id) AS n_id
				  FROM (SELECT id, score, row_number() OVER () AS n
						FROM (SELECT id, maxsim(doc, $1) AS score FROM %1$s ORDER BY doc <#> $1 LIMIT 20) AS best) AS found LEFT JOIN %1$s AS t USING (id)) AS compared
			WHERE score > before OR score <> exact OR exact IS NULL OR n_all <> 20 OR n_id <> 1', target)
		INTO bad USING q;
		IF bad IS NOT NULL THEN
			RAISE EXCEPTION 'a search gave: place, id, score, score of its row: %', bad;
		END IF;
		COMMIT;
		searches := searches + 1;
		IF searches % 200 = 0 THEN
			EXECUTE format('SELECT concat_ws('' '', count(*), count(DISTINCT id), (SELECT count(*) FROM %1$s)) FROM (SELECT id FROM %1$s ORDER BY doc <#> $1) AS whole', target)
			INTO bad USING q;
			IF bad !~ '^(\d+) \1 \1$' THEN
				RAISE EXCEPTION 'a whole scan gave: rows, different rows, rows of the table: %', bad;
			END IF;
			COMMIT;
		END IF;
		PERFORM pg_sleep(.02);
	END LOOP;
	RAISE NOTICE '% searches', searches;
END $$;
SQL

my %running;
for my $method (@methods)
{
	my $table = "passages_$method";

	$node->safe_psql('postgres', <<"SQL");
CREATE TABLE $table (id int PRIMARY KEY, doc multivector(32));
INSERT INTO $table SELECT i, make_doc(i) FROM generate_series(1, $built) i;
CREATE INDEX ${table}_index ON $table USING colbert_$method (doc);
SQL
	my %clients = (
		(map { ("writer $_" => sprintf "LOAD 'colbert_pg'; CALL write('$table', %d, 2, %d);", $built + $_, $built + $rows) } 1 .. 2),
		(map { ("reader $_" => "$ColbertTest::by_index CALL read('$table');") } 1 .. 2),
		'vacuum' => "SELECT count(*) = 2 AS done FROM finished WHERE writer LIKE '$table%' \\gset\n\\if :done\n\\q\n\\endif\nVACUUM $table;\nSELECT pg_sleep(.2);\n" x 2000);

	$running{$method}{$_} = start_sql($node, $clients{$_}) for sort keys %clients;
}
each_method("$rows rows", sub {
	my ($method, $table) = @_;
	my $clients = $running{$method};

	is(stop_sql($clients->{$_}), '', "$_ gets no error") for sort grep { /writer/ } keys %$clients;
	# expected if the load outruns the lists that VACUUM trains
	my $outgrown = qr/psql:[^\n]*WARNING:  index "${table}_index" has outgrown its lists\nDETAIL:  [^\n]*\nHINT:  [^\n]*\n/;
	like(stop_sql($clients->{vacuum}), $method eq 'ivf' ? qr/\A($outgrown)*\z/ : qr/\A\z/, 'vacuum gets no error');
	like(stop_sql($clients->{$_}), qr/\A[^\n]*NOTICE:  [1-9]\d+ searches\n\z/, "$_ gets no error") for sort grep { /reader/ } keys %$clients;
	for my $vacuum ('', 'and VACUUM')
	{
		$node->safe_psql('postgres', "VACUUM $table") if $vacuum;
		is( $node->safe_psql('postgres', <<"SQL"), '0', "no row is missing or duplicate $vacuum");
$ColbertTest::by_index
SELECT count(*) FROM
	(SELECT id, count(*) AS times FROM (SELECT id FROM $table ORDER BY doc <#> (SELECT doc FROM halves WHERE id = 1)) AS whole GROUP BY id) AS scanned
	FULL JOIN (SELECT i AS id FROM generate_series(1, $built + $rows) i WHERE i <= $built OR i / 2 % 8 <> 0) AS wanted USING (id)
WHERE times IS DISTINCT FROM 1 OR wanted.id IS NULL;
SQL
	}
});

stop_node($node);
done_testing();
