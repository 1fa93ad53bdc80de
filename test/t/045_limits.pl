# Ordinals have 32 bits. In a library with a low limit (test/faults), a full index raises an error
# with a hint in time, and remains sound. When documents are deleted and vacuumed, there is room
# again.

use strict;
use warnings;
use ColbertTest;
use Test::More;

my $node = faults_node('limits');

add_docs($node, 800);
$node->safe_psql('postgres', <<'SQL');
-- Insert documents one by one, with occasional merges, until an error occurs; return the error.
CREATE FUNCTION fill(target text, merge_every int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	message text;
	hint text;
BEGIN
	FOR n IN 1 .. 800 LOOP
		EXECUTE format('INSERT INTO %s SELECT id, doc FROM docs WHERE id = %s AND doc IS NOT NULL', target, n);
		IF n % merge_every = 0 THEN
			PERFORM colbert_merge((target || '_index')::regclass);
		END IF;
	END LOOP;
	RETURN 'no error';
EXCEPTION WHEN program_limit_exceeded THEN
	GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
	RETURN format('%s. %s', message, hint);
END $$;
-- The same, row by row, so that rows inserted before the error are kept.
CREATE PROCEDURE insert_until(target text, INOUT message text) LANGUAGE plpgsql AS $$
BEGIN
	FOR n IN 1 .. 800 LOOP
		BEGIN
			EXECUTE format('INSERT INTO %s SELECT id, doc FROM docs WHERE id = %s AND doc IS NOT NULL ON CONFLICT DO NOTHING', target, n);
		EXCEPTION WHEN program_limit_exceeded THEN
			message := SQLERRM;
			RETURN;
		END;
		COMMIT;
	END LOOP;
	message := 'no error';
END $$;
SQL
my $full = qr/^index "\w+" is full. VACUUM the table, REINDEX the index, or partition the table.$/;

# limited(ITEMS, SQL): run SQL in a session in which arrays have at most this many items.
sub limited
{
	my ($items, $sql) = @_;

	return $node->safe_psql('postgres', "LOAD 'colbert_pg'; SET colbert_faults.max_items = @{[ int $items ]}; $sql");
}

# make(INDEX): create an empty table and its index.
sub make
{
	my ($index) = @_;

	$node->safe_psql('postgres', "DROP TABLE IF EXISTS t; CREATE TABLE t (id int PRIMARY KEY, doc multivector(16)); CREATE INDEX t_index ON t USING $index");
	return;
}

# indexes, and the documents they must hold: first, and in addition
my %indexes = (
	'colbert_hnsw, sq8' => [ 'colbert_hnsw (doc) WITH (tokens_per_node = 8, m = 4)', 700, 1500 ],
	'colbert_ivf, sq4' => [ 'colbert_ivf (doc) WITH (lists = 60, quantizer = sq4)', 1500, 5000 ]);
for my $name (sort keys %indexes)
{
	my ($index, $less, $more) = @{ $indexes{$name} };

	make($index);
	for my $items ($less, $more)
	{
		is(limited($items, "CALL insert_until('t', '')"), 'index "t_index" is full', "$name: $items items: inserts end with an error");
		my $tokens = $node->safe_psql('postgres', 'SELECT sum(num_tokens(doc)) FROM t');
		cmp_ok($tokens, '<=', $items, "$name: $tokens tokens");
		# the length of a run of pending rows is rounded up to a power of two
		cmp_ok($tokens, '>', $name =~ /sq4/ ? .6 * $items : $items - 21, "$name: the index was full");
		checker_is_content($node, 't', "$name: full");
	}
	limited($more, 'DELETE FROM t WHERE id % 3 = 0; VACUUM t;');
	like(limited($more, 'INSERT INTO t SELECT id, doc FROM docs WHERE id IN (9, 29) ON CONFLICT DO NOTHING RETURNING id'), qr/^9$/m, "$name: space freed by VACUUM is used");
	checker_is_content($node, 't', "$name: afterwards");
	like(limited($less, 'SELECT count(*) FROM (SELECT id FROM t ORDER BY doc <#> (SELECT doc FROM docs WHERE id = 39) LIMIT 20) AS found'), qr/^20$/, "$name: searches continue to work");

	# a build counts first
	my $tokens = $node->safe_psql('postgres', 'DROP INDEX t_index; SELECT sum(num_tokens(doc)) FROM t');
	my ($rc, undef, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\nLOAD 'colbert_pg'; SET colbert_faults.max_items = " . ($tokens - 1) . "; CREATE INDEX t_index ON t USING $index");
	like($err, qr/ERROR:  54000: cannot index \d+ documents of $tokens tokens in one index.*HINT:  Partition the table/s, "$name: a build of $tokens tokens, one more than fits");
	limited($name =~ /sq4/ ? 1.6 * $tokens : $tokens, "CREATE INDEX t_index ON t USING $index");
	checker_is_content($node, 't', "$name: a build of the maximum number of tokens");
}

# Other arrays: nodes, and rows whose document is NULL.
make('colbert_hnsw (doc) WITH (tokens_per_node = 1, m = 4, quantizer = bit)');
like(limited(600, "SELECT fill('t', 20)"), $full, 'nodes: merges end with an error');
checker_is_content($node, 't', 'nodes: full', q{severity = 'error'});
is($node->safe_psql('postgres', "SELECT fill('t', 20)"), 'no error', 'nodes: works again when there is room');
checker_is_content($node, 't', 'nodes: afterwards', q{severity = 'error'});
# A page holds 1,358 such rows, and is one item.
limited(1, "INSERT INTO t SELECT 10000 + i, NULL FROM generate_series(1, 1358) i");
my ($rc, undef, $err) = $node->psql('postgres', "LOAD 'colbert_pg'; SET colbert_faults.max_items = 1; INSERT INTO t VALUES (2000, NULL)");
like($err, qr/index "t_index" is full/, 'NULL rows: one too many');
checker_is_content($node, 't', 'NULL rows: full');
is($node->safe_psql('postgres', "SELECT null_documents FROM colbert_index_info('t_index')"), 1358, 'NULL rows: all that fit');

stop_node($node);
done_testing();
