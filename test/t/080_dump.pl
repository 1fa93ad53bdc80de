# pg_dump and pg_restore keep documents bit by bit, columns, indexes with their options, settings
# of the database, views, triggers and full-text statistics, whatever the schema of the extension
# and the search_path of the target; and \copy keeps documents in each of its formats.

use strict;
use warnings;
use ColbertTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('dump');
my $dir = PostgreSQL::Test::Utils::tempdir();
my $query = q{'[[1,0,0,0,0,0,0,0],[0,.5,.5,0,0,0,0,.7]]'};

# The elements' extreme values, documents of one and more tokens, and NULL.
my $create = <<"SQL";
CREATE SCHEMA app;
CREATE TABLE app.docs (
	id int PRIMARY KEY,
	doc multivector(8),
	half multivector(8, float2) GENERATED ALWAYS AS (doc::multivector(8, float2)) STORED,
	byte multivector(8, int8),
	anything multivector,
	many multivector[],
	undeclared multivector,
	CHECK (num_tokens(doc) < 100),
	EXCLUDE USING hash (anything WITH =)
);
INSERT INTO app.docs (id, doc, byte, anything, many, undeclared)
SELECT i, d, d, nullif(ARRAY[[i, 9e17, 1e-45, -0.0]]::multivector, '[[30,9e17,1e-45,0]]'), ARRAY[d, '[[65504,6e-8]]', NULL], d::multivector(8, int8)
FROM (SELECT i, CASE WHEN i % 29 > 0 THEN (SELECT multivector_agg(ARRAY(SELECT sin(i * 31 + t * 7 + d * d) FROM generate_series(1, 8) d)::real[])
                                           FROM generate_series(1, 1 + i % 5) t) END AS d
      FROM generate_series(1, 300) i) AS s;
CREATE INDEX docs_hnsw ON app.docs USING colbert_hnsw (doc multivector_cosine_ops) WITH (quantizer = sq4, m = 8, ef_construction = 32, probes = 40, ef_search = 60);
CREATE INDEX docs_ivf ON app.docs USING colbert_ivf (half) WITH (quantizer = pq, pq_m = 4, lists = 8, probes = 8, candidates = 500, rerank = 200);
CREATE INDEX docs_bit ON app.docs USING colbert_hnsw (byte multivector_l2_ops) WITH (quantizer = bit, tokens_per_node = 1);
CREATE INDEX docs_expression ON app.docs USING colbert_ivf ((anything::multivector(4))) WHERE id % 2 = 0;
CREATE TABLE app.parts (id int, doc multivector(8, float2)) PARTITION BY RANGE (id);
CREATE TABLE app.parts_1 PARTITION OF app.parts FOR VALUES FROM (1) TO (100);
CREATE TABLE app.parts_2 PARTITION OF app.parts FOR VALUES FROM (100) TO (1000);
CREATE INDEX ON app.parts USING colbert_hnsw (doc) WITH (quantizer = flat);
INSERT INTO app.parts SELECT id, doc FROM app.docs;
CREATE MATERIALIZED VIEW app.best AS SELECT id, doc, maxsim(doc, $query) AS score FROM app.docs WHERE doc IS NOT NULL ORDER BY doc <#> $query LIMIT 50;
CREATE INDEX best_doc ON app.best USING colbert_ivf (doc) WITH (quantizer = flat);
CREATE TABLE app.texts (id int PRIMARY KEY, tsv tsvector);
INSERT INTO app.texts SELECT i, format('w%s:1A all:2 w%s:3', i % 7, i % 3)::tsvector FROM generate_series(1, 100) i;
SELECT bm25_analyze('app.texts', 'tsv', config => 'simple');
ALTER TABLE app.texts ADD frozen bm25_frozen GENERATED ALWAYS AS (bm25f_freeze(tsv, '{"k1": 1.2, "b": 0.75, "weights": [1, 2, 3, 5], "lengths": [2, 0, 0, 1], "words": []}')) STORED, ADD kept bm25_frozen;
UPDATE app.texts SET kept = bm25f_freeze(tsv, bm25_query('app.texts_tsv_bm25', ''));
CREATE TABLE app.queries AS SELECT bm25_query('app.texts_tsv_bm25', words) AS q FROM unnest('{w1 all,w5}'::text[]) AS words;
CREATE MATERIALIZED VIEW app.answers AS SELECT id, bm25f(tsv, q) AS score FROM app.texts, bm25_query('app.texts_tsv_bm25', 'w1 all') AS q WHERE tsv @@ bm25_candidates(q);
CREATE VIEW app.near AS SELECT id, doc <=> $query AS distance FROM app.docs WHERE maxsim(doc, $query) > 1 ORDER BY 2 LIMIT 20;
CREATE FUNCTION app.search(n int) RETURNS SETOF int LANGUAGE sql STABLE SET colbert.probes = 30
	BEGIN ATOMIC SELECT id FROM app.docs WHERE doc IS NOT NULL ORDER BY maxsim(doc, $query) DESC LIMIT n; END;
CREATE FUNCTION app.changed() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER row_changed AFTER UPDATE ON app.docs FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION app.changed();
CREATE TRIGGER doc_changed BEFORE UPDATE ON app.docs FOR EACH ROW
	WHEN ((OLD.doc IS NULL) <> (NEW.doc IS NULL) OR OLD.doc OPERATOR(public.<>) NEW.doc) EXECUTE FUNCTION app.changed();
SQL

# contents(DATABASE, SCHEMA): documents, definitions and answers of a database whose extension is
# in a schema.
sub contents
{
	my ($database, $schema) = @_;
	my %answers = (
		'documents of each element' => "SELECT md5(string_agg(concat_ws(',', id, multivector_send(doc), multivector_send(half), multivector_send(byte), multivector_send(anything),
			(SELECT string_agg(coalesce(multivector_send(m)::text, 'null'), ',' ORDER BY n) FROM unnest(many) WITH ORDINALITY AS u(m, n))), ',' ORDER BY id)), count(doc) FROM app.docs",
		'numbers of undeclared elements' => "SELECT md5(string_agg(undeclared::text, ',' ORDER BY id)) FROM app.docs",
		'partitions' => "SELECT md5(string_agg(concat_ws(',', id, multivector_send(doc), tableoid::regclass), ',' ORDER BY id)) FROM app.parts",
		'the materialized view' => "SELECT md5(string_agg(concat_ws(',', id, multivector_send(doc), score), ',' ORDER BY id)), count(*) FROM app.best",
		'the view' => 'SELECT string_agg(n::text, chr(10)) FROM app.near AS n',
		'full-text statistics' => "SELECT string_agg(s::text, chr(10) ORDER BY lexeme) FROM app.texts_tsv_bm25 AS s",
		'the materialized view of a full-text search' => 'SELECT count(*), sum(score) FROM app.answers',
		'full-text scores' => "SELECT sum(bm25f(tsv, q)), sum(bm25f(tsv, bm25_query('app.texts_tsv_bm25', 'w1 all'))), sum(bm25_bound(q)) FROM app.texts, app.queries",
		'frozen weights' => "SELECT md5(string_agg(concat_ws(',', id, frozen, kept), ',' ORDER BY id)), sum(bm25f_frozen(frozen, q)), sum(bm25f_frozen(kept, q)), bool_or(bm25f_is_stale(kept, bm25_query('app.texts_tsv_bm25', '')))
			FROM app.texts, app.queries",
		'types of columns' => "SELECT string_agg(concat_ws(' ', attrelid::regclass, attname, format_type(atttypid, atttypmod)), chr(10) ORDER BY attrelid::regclass::text, attnum)
			FROM pg_attribute WHERE attrelid::regclass::text LIKE 'app.%' AND attnum > 0",
		'definitions of indexes' => "SELECT string_agg(indexdef, chr(10) ORDER BY indexname) FROM pg_indexes WHERE schemaname = 'app'",
		'triggers and constraints' => "SELECT string_agg(replace(d, '$schema.', ''), chr(10) ORDER BY d) FROM (
			SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal UNION ALL SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'app.docs'::regclass) AS s(d)",
		'answers of a function' => 'SELECT string_agg(s::text, chr(10)) FROM app.search(20) AS s',
		'findings of the checker' => "SELECT count(*) FROM pg_class c JOIN pg_am a ON a.oid = c.relam, colbert_index_check(c.oid, heapallindexed => true, rescore => true)
			WHERE a.amname LIKE 'colbert%' AND c.relkind = 'i'",
		map({ my ($column, $operator) = @$_;
			"answers of the index on $column" => "$ColbertTest::by_index SELECT string_agg(concat_ws(' ', id, d), chr(10))
				FROM (SELECT id, $column $operator $query AS d FROM app.docs ORDER BY $column $operator $query LIMIT 40) AS s" }
			[ 'doc', '<=>' ], [ 'half', '<#>' ], [ 'byte', '<->' ]));

	return { map { $_ => $node->safe_psql($database, "SET search_path = $schema; $answers{$_}") } keys %answers };
}

# same_contents(TEST NAME, DATABASE, SCHEMA, EXPECTED): check that a restored database equals the
# original, and that its searches use the indexes.
sub same_contents
{
	my ($name, $database, $schema, $expected) = @_;
	my $restored = contents($database, $schema);

	subtest $name => sub {
		is($restored->{$_}, $expected->{$_}, $_) for sort keys %$expected;
		for my $plan ([ 'docs_hnsw', 'doc <=>' ], [ 'docs_ivf', 'half <#>' ], [ 'docs_bit', 'byte <->' ], [ 'docs_expression', 'anything <#>' ])
		{
			my ($index, $key) = @$plan;
			my $vector = $index eq 'docs_expression' ? q{'[[1,1,1,1]]'} : $query;

			like($node->safe_psql($database, "SET search_path = $schema; $ColbertTest::by_index EXPLAIN (COSTS OFF) SELECT id FROM app.docs WHERE id % 2 = 0 ORDER BY $key $vector LIMIT 5"),
				qr/Index Scan using \w+ on docs/, "$index can be used");
		}
	};
	return;
}

# run(COMMAND...): run a program of the server on it and return its errors.
sub run
{
	my ($program, @arguments) = @_;
	my ($out, $err) = ('', '');

	IPC::Run::run([ $program, '-h', $node->host, '-p', $node->port, @arguments ], '<', '/dev/null', '>', \$out, '2>', \$err);
	return $err;
}

sub restore_plain
{
	my ($database, $file, @options) = @_;

	return run('psql', '-Xq', @options, '-o', '/dev/null', '-d', $database, '-f', $file);
}

$node->safe_psql('postgres', 'CREATE DATABASE origin');
$node->safe_psql('origin', "CREATE EXTENSION colbert_pg; $create");
$node->safe_psql('postgres', 'ALTER DATABASE origin SET colbert.probes = 50; ALTER DATABASE origin SET colbert.background_merge = off');
my $expected = contents('origin', 'public');
like($expected->{'documents of each element'}, qr/\|290$/, 'the original has documents, and NULLs');
is($expected->{'findings of the checker'}, 0, 'the original is sound');

# Plain, with INSERTs, into a database with another search_path.
is(run('pg_dump', '--inserts', '-f', "$dir/inserts.sql", 'origin'), '', 'pg_dump --inserts');
$node->safe_psql('postgres', 'CREATE DATABASE inserted; ALTER DATABASE inserted SET search_path = elsewhere');
is(restore_plain('inserted', "$dir/inserts.sql", '-v', 'ON_ERROR_STOP=1'), '', 'psql restores it');
same_contents('plain, with INSERTs', 'inserted', 'public', $expected);
my $element = 'SET search_path = public; SELECT DISTINCT get_byte(multivector_send(undeclared), 1) FROM app.docs WHERE undeclared IS NOT NULL';
is($node->safe_psql('origin', $element), 2, 'a column without an element can have int8 documents');
is($node->safe_psql('inserted', $element), 0, 'which a dump, being text, restores as float4');

# The hex form, by the setting of the session that dumps; a database with the setting reads a dump
# in JSON.
{
	local $ENV{PGOPTIONS} = '-c colbert.multivector_output=hex';
	is(run('pg_dump', '-f', "$dir/hex.sql", 'origin'), '', 'pg_dump in the hex form');
}
my $hex = slurp_file("$dir/hex.sql");
like($hex, qr/\\\\x0100080001000000/, 'it contains documents in hex');
unlike($hex, qr/\[\[/, 'and no JSON');
$node->safe_psql('postgres', 'CREATE DATABASE hex');
is(restore_plain('hex', "$dir/hex.sql", '-v', 'ON_ERROR_STOP=1'), '', 'psql restores it');
same_contents('plain, in hex', 'hex', 'public', $expected);
is($node->safe_psql('hex', $element), 2, 'and keeps int8 documents of a column without an element');
$node->safe_psql('postgres', 'CREATE DATABASE json_in_hex; ALTER DATABASE json_in_hex SET colbert.multivector_output = hex');
is(restore_plain('json_in_hex', "$dir/inserts.sql", '-v', 'ON_ERROR_STOP=1'), '', 'a database whose output is hex restores JSON');
is($node->safe_psql('json_in_hex', "SELECT doc::text ~ '^.x0100' FROM app.docs WHERE id = 1"), 't', 'and its output is hex');
$node->safe_psql('postgres', 'ALTER DATABASE json_in_hex RESET colbert.multivector_output');
same_contents('JSON into a database whose output is hex', 'json_in_hex', 'public', $expected);

# Custom, by two jobs, after the extension moved to another schema.
$node->safe_psql('inserted', 'CREATE SCHEMA vectors; ALTER EXTENSION colbert_pg SET SCHEMA vectors');
is(run('pg_dump', '-Fc', '-f', "$dir/moved.dump", 'inserted'), '', 'pg_dump -Fc of an extension in another schema');
$node->safe_psql('postgres', 'CREATE DATABASE moved');
is(run('pg_restore', '-e', '-j', '2', '-d', 'moved', "$dir/moved.dump"), '', 'pg_restore -j 2 restores it');
same_contents('custom, with another schema of the extension', 'moved', 'vectors', $expected);

# Only the data, with the indexes in place, and of one table.
$node->safe_psql('moved', 'TRUNCATE app.docs');
is(run('pg_restore', '-e', '-a', '-t', 'docs', '-d', 'moved', "$dir/moved.dump"), '', 'pg_restore -a -t restores the rows of a table');
$node->safe_psql('moved', 'REINDEX TABLE app.docs');
same_contents('only data', 'moved', 'vectors', $expected);

# One schema, into a database that has the extension. A schema may be renamed with its statistics.
is(run('pg_dump', '-Fc', '-n', 'app', '-f', "$dir/app.dump", 'origin'), '', 'pg_dump -n');
$node->safe_psql('postgres', 'CREATE DATABASE filtered');
$node->safe_psql('filtered', 'CREATE EXTENSION colbert_pg; CREATE SCHEMA app');
is(run('pg_restore', '-e', '-n', 'app', '-d', 'filtered', "$dir/app.dump"), '', 'pg_restore -n restores it');
same_contents('one schema', 'filtered', 'public', $expected);
my $scores = q{SELECT sum(bm25f(tsv, bm25_query('%1$s.texts_tsv_bm25', 'w1 all'))) FROM %1$s.texts};
my $before = $node->safe_psql('origin', sprintf($scores, 'app'));
$node->safe_psql('filtered', 'ALTER SCHEMA app RENAME TO renamed');
is($node->safe_psql('filtered', sprintf($scores, 'renamed')), $before, 'statistics in a renamed schema');

# The texts and their statistics alone, the statistics first.
is(run('pg_dump', '-Fc', '-t', 'app.texts*', '-f', "$dir/texts.dump", 'origin'), '', 'pg_dump -t');
$node->safe_psql('postgres', 'CREATE DATABASE texts');
$node->safe_psql('texts', 'CREATE EXTENSION colbert_pg; CREATE SCHEMA app');
is(run('pg_restore', '-e', '-t', $_, '-d', 'texts', "$dir/texts.dump"), '', "pg_restore -t $_") for 'texts_tsv_bm25', 'texts';
# pg_restore -t leaves out keys, which statistics need
my (undef, undef, $refused) = $node->psql('texts', sprintf($scores, 'app'));
like($refused, qr/is not a table of BM25 statistics\nHINT:  .* ADD PRIMARY KEY/, 'without the primary key');
$node->safe_psql('texts', 'ALTER TABLE app.texts_tsv_bm25 ADD PRIMARY KEY (lexeme)');
is($node->safe_psql('texts', sprintf($scores, 'app')), $before, 'with it');
is($node->safe_psql('texts', "SELECT bm25_analyze('app.texts', 'tsv'); " . sprintf($scores, 'app')), "app.texts_tsv_bm25\n$before", 'and bm25_analyze refreshes the restored table');

# --create restores the settings of the database.
is(run('pg_dump', '-C', '-f', "$dir/create.sql", 'origin'), '', 'pg_dump -C');
$node->safe_psql('postgres', 'ALTER DATABASE origin RENAME TO before');
is(restore_plain('postgres', "$dir/create.sql", '-v', 'ON_ERROR_STOP=1'), '', 'psql restores it');
same_contents('plain, with the database', 'origin', 'public', $expected);
is($node->safe_psql('origin', "LOAD 'colbert_pg'; SHOW colbert.probes; SHOW colbert.background_merge"), "50\noff", 'settings of the database are restored');

# doc/operations.md: IS DISTINCT FROM in a trigger's WHEN is the one construct that fails.
$node->safe_psql('origin', 'CREATE TRIGGER refused BEFORE UPDATE ON app.docs FOR EACH ROW WHEN (OLD.doc IS DISTINCT FROM NEW.doc) EXECUTE FUNCTION app.changed()');
is(run('pg_dump', '-f', "$dir/distinct.sql", 'origin'), '', 'pg_dump of a trigger with IS DISTINCT FROM');
$node->safe_psql('postgres', 'CREATE DATABASE distinct_from');
my @errors = grep { /ERROR/ } split /\n/, restore_plain('distinct_from', "$dir/distinct.sql");
is(scalar(@errors), 1, 'one statement fails');
like($errors[0], qr/operator does not exist: public.multivector = public.multivector/, 'IS DISTINCT FROM finds no operator');
same_contents('everything else', 'distinct_from', 'public', $expected);

# \copy, in each format; columns of other elements take the documents as well.
$node->safe_psql('origin', 'CREATE TABLE app.copied (id int, doc multivector(8), half multivector(8, float2), byte multivector(8, int8), anything multivector, many multivector[])');
for my $format ('text', 'csv', 'binary')
{
	$node->safe_psql('origin', <<"SQL");
TRUNCATE app.copied;
\\copy (SELECT id, doc, half, byte, anything, many FROM app.docs) TO '$dir/copied.$format' (FORMAT $format)
\\copy app.copied FROM '$dir/copied.$format' (FORMAT $format)
SQL
	is($node->safe_psql('origin', <<'SQL'), '300|300', "\\copy (FORMAT $format) keeps every bit");
SELECT count(*), count(*) FILTER (WHERE record_image_eq(ROW(c.doc, c.half, c.byte, c.anything, c.many), ROW(d.doc, d.half, d.byte, d.anything, d.many)))
FROM app.copied c JOIN app.docs d USING (id);
SQL
}

stop_node($node);
done_testing();
