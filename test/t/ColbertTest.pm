
=pod

ColbertTest - what the TAP tests share: servers, MedQuAD in tables, recall, and what must hold of an index at any time.

The data are the files of tools/medquad, in the folder that COLBERT_DATA names (test/run-tap sets it).

=cut

package ColbertTest;

use strict;
use warnings;

use Exporter 'import';
use IPC::Run ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

our @EXPORT = qw(@methods each_method new_node find_all load_questions load_passages create_tables exact_tenths recall only_by checker_is_content in_exact_order index_is_sound
  rows_not_found index_goes_on uses_index start_sql stop_sql add_churn start_load stop_load kill_all start_after_kill replay stop_node rounds amount faults_node add_docs
  leave_free reached);

# The access methods, without "colbert_". A test that does not concern a single one runs for all of
# them in one server, with a table passages_METHOD and an index passages_METHOD_index for each.
our @methods = qw(hnsw ivf);

# Settings that make the planner use the index, whatever its cost.
our $by_index = 'SET enable_seqscan = off; SET enable_sort = off;';

# each_method(TEST NAME, CODE): run a subtest for each method. The code receives the method and its
# table.
sub each_method
{
	my ($name, $code) = @_;

	for my $method (@methods)
	{
		subtest "colbert_$method: $name" => sub { $code->($method, "passages_$method") };
	}
	return;
}

# new_node(NAME, init option...): a running server with the extension in its database.
sub new_node
{
	my ($name, %init) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);

	$node->init(%init);
	$node->append_conf('postgresql.conf', <<'CONF');
shared_buffers = 256MB
max_wal_size = 2GB
maintenance_work_mem = 128MB
max_connections = 20
autovacuum = off
jit = off
log_statement = none
log_line_prefix = '%m [%p] %e '
CONF
	# each WAL record contains the resulting page, and replay compares pages with it; configured
	# from the start, for stop_node
	$node->append_conf('postgresql.conf', "wal_consistency_checking = generic\nmax_wal_size = 8GB\ncheckpoint_timeout = 1d") if $ENV{COLBERT_WAL_CONSISTENCY};
	$node->start;
	$node->safe_psql('postgres', 'CREATE EXTENSION colbert_pg');
	return $node;
}

# find_all(NODE...): from now on, searches of these servers narrow every document and aim at nearly
# all rows, so that the answers of several indexes equal those of one.
sub find_all
{
	for my $node (@_)
	{
		$node->append_conf('postgresql.conf', "colbert.candidates = 1000000\ncolbert.recall = 0.9999");
		$node->reload;
	}
	return;
}

# replay(NODE): if COLBERT_WAL_CONSISTENCY=1, kill the server, so that it replays all WAL since its
# last checkpoint and compares each page with its expected content. It does not start if any page
# differs.
sub replay
{
	my ($node) = @_;

	return unless $ENV{COLBERT_WAL_CONSISTENCY};
	is($node->safe_psql('postgres', 'SHOW wal_consistency_checking'), 'generic', 'replay compares pages');
	my $before = -s $node->logfile;

	kill_all($node);
	start_after_kill($node);
	my $log = substr(slurp_file($node->logfile), $before);
	like($log, qr/redo (done at|is not required)/, 'WAL was replayed, if any');
	unlike($log, qr/inconsistent page/, 'all pages are as expected');
	return;
}

# stop_node(NODE): call it at the end of a test.
sub stop_node
{
	my ($node) = @_;

	replay($node);
	$node->stop;
	return;
}

# leave_free(MB): leave this much free on the small disk of COLBERT_DISK, by filling the rest with a
# file.
sub leave_free
{
	my ($mb) = @_;
	my $disk = $ENV{COLBERT_DISK};
	my $ballast = "$disk/ballast";

	unlink $ballast;
	my ($available) = `df -k --output=avail $disk` =~ /(\d+)\s*$/;
	return if $available <= $mb * 1024;
	open(my $fh, '>', $ballast) or die "$ballast: $!";
	print $fh "\0" x 1024 for 1 .. $available - $mb * 1024;
	close($fh);
	return;
}

# faults_node(NAME, init option...): a server like that of new_node, with the test library in which
# calls can fail and points can pause (test/faults). The library is not installed; instead, the
# extension's functions are redirected to it.
sub faults_node
{
	my ($name, %init) = @_;
	my $node = new_node($name, %init);
	my $folder = $ENV{COLBERT_FAULTS} or BAIL_OUT('COLBERT_FAULTS does not name the folder of the library for tests: make faults builds it');

	$node->append_conf('postgresql.conf', "dynamic_library_path = '$folder:\$libdir'");
	$node->reload;
	$node->safe_psql('postgres', q{UPDATE pg_proc SET probin = 'colbert_pg' WHERE probin = '$libdir/colbert_pg'});
	return $node;
}

# reached(FOLDER, POINT): check that a process pauses at a point of colbert_faults, within a minute. Returns whether it does.
sub reached
{
	my ($folder, $point) = @_;
	my $file = "$folder/$point.reached";

	for (1 .. 1200)
	{
		last if -e $file;
		usleep(50_000);
	}
	return ok(-e $file, "$point is reached");
}

# add_docs(NODE, COUNT): create a table docs of small documents, of which every twentieth is NULL.
sub add_docs
{
	my ($node, $count) = @_;

	$node->safe_psql('postgres', <<"SQL");
CREATE TABLE docs (id int PRIMARY KEY, doc multivector(16));
INSERT INTO docs
	SELECT i, CASE WHEN i % 20 > 0 THEN (SELECT multivector_agg(ARRAY(SELECT sin(i * 31 + t * 7 + d * d) FROM generate_series(1, 16) d)::real[])
	                                     FROM generate_series(1, 1 + i % 20) t) END
	FROM generate_series(1, $count) i;
SQL
	return;
}

# Load the questions, and the exact top 100 passages of each.
sub load_questions
{
	my ($node) = @_;

	$node->safe_psql('postgres', <<"SQL");
CREATE TABLE questions (id int PRIMARY KEY, source text, question text, short multivector(128), long multivector(128));
CREATE TABLE exact (question int, rank int, passage int);
COPY questions FROM '$ENV{COLBERT_DATA}/questions.bin' (FORMAT binary);
COPY exact FROM '$ENV{COLBERT_DATA}/exact.bin' (FORMAT binary);
ANALYZE;
SQL
	return;
}

# first_passages(COUNT): a file with the first COUNT passages. COPY with WHERE would read all of them.
sub first_passages
{
	my ($count) = @_;
	my ($all, $some) = ("$ENV{COLBERT_DATA}/passages.bin", PostgreSQL::Test::Utils::tempdir() . '/passages.bin');
	my $bytes;

	open(my $in, '<:raw', $all) or die "$all: $!";
	open(my $out, '>:raw', $some) or die "$some: $!";
	my $copy = sub {
		read($in, $bytes, $_[0]) == $_[0] or die "$all is too short";
		print $out $bytes;
		return $bytes;
	};
	$copy->(19);	# header
	for (1 .. $count)
	{
		for (1 .. unpack('n', $copy->(2)))
		{
			$copy->(unpack('N', $copy->(4)));
		}
	}
	print $out "\xff\xff";	# trailer
	close($out) or die "$some: $!";
	return $some;
}

# load_passages(NODE, TABLE, COUNT, PERSISTENCE, WHERE): load the first COUNT passages (by default all)
# that satisfy a condition, if there is one, into a new table. Their ids count from 1.
sub load_passages
{
	my ($node, $table, $count, $persistence, $where) = @_;
	my $file = defined $count ? first_passages($count) : "$ENV{COLBERT_DATA}/passages.bin";

	$persistence //= '';
	$where //= '';
	$node->safe_psql('postgres', <<"SQL");
CREATE $persistence TABLE $table (id int PRIMARY KEY, source text, body text, doc multivector(128, float2));
COPY $table FROM '$file' (FORMAT binary) $where;
ANALYZE $table;
SQL
	return;
}

# create_tables(NODE, CONDITION, PERSISTENCE): create a table for each method, with the rows of
# "pool" that satisfy the condition, if there is one, and its index.
sub create_tables
{
	my ($node, $condition, $persistence) = @_;

	$condition //= 'false';
	$persistence //= '';
	for my $method (@methods)
	{
		my $table = "passages_$method";

		$node->safe_psql('postgres', <<"SQL");
CREATE $persistence TABLE $table (LIKE pool);
ALTER TABLE $table ADD PRIMARY KEY (id);
INSERT INTO $table SELECT * FROM pool WHERE $condition;
CREATE INDEX ${table}_index ON $table USING colbert_$method (doc);
-- an UPDATE of the body, if there is one, keeps the document and is never HOT
SELECT 'CREATE INDEX ON $table (length(body))' FROM pg_attribute WHERE attrelid = '$table'::regclass AND attname = 'body' \\gexec
SQL
	}
	return;
}

# n of the 1,000 questions, evenly spaced.
sub chosen
{
	my ($n) = @_;

	return "q.id * $n / 1000 > (q.id - 1) * $n / 1000";
}

# exact_tenths(NODE, KIND, N, TABLE): store the exact tenth best score of N queries of a kind (short
# or long) in the table tenths_KIND_TABLE. An answer that reaches it is among the ten best, ties
# included. For short queries of the table passages these come with the data set, which has the best
# 100 of all passages; others are computed, with each document fetched once for all queries.
sub exact_tenths
{
	my ($node, $kind, $n, $table) = @_;
	my $chosen = chosen($n);

	if ($kind eq 'short' && $table eq 'passages')
	{
		$node->safe_psql('postgres', <<"SQL");
CREATE TABLE tenths_short_passages AS
SELECT q.id AS question, maxsim(p.doc, q.short) AS tenth
FROM questions q JOIN (SELECT question, passage, row_number() OVER (PARTITION BY question ORDER BY rank) AS rank
                       FROM exact JOIN passages ON id = passage) AS e ON e.question = q.id AND e.rank = 10
     JOIN passages p ON p.id = e.passage
WHERE $chosen;
SQL
		return;
	}
	$node->safe_psql('postgres', <<"SQL");
SET work_mem = '256MB';
SET enable_indexscan = off;
-- the tenth score is at least that of the best rows of the short query: rows below it are not sorted
CREATE TEMP TABLE chosen AS
SELECT q.id, q.$kind AS query, coalesce((SELECT score FROM (SELECT maxsim(p.doc, q.$kind) AS score FROM exact e JOIN $table p ON p.id = e.passage
                                                            WHERE e.question = q.id OFFSET 0) AS best ORDER BY score DESC OFFSET 9 LIMIT 1), '-infinity') AS least
FROM questions q WHERE $chosen;
CREATE TABLE tenths_${kind}_$table AS
SELECT question, min(score) AS tenth
FROM (SELECT question, score, row_number() OVER (PARTITION BY question ORDER BY score DESC) AS rank
      FROM (SELECT q.id AS question, q.least, maxsim(p.doc, q.query) AS score
            FROM (SELECT doc::multivector(128, float4) FROM $table OFFSET 0) AS p, chosen q OFFSET 0) AS scored
      WHERE score >= least - 1e-6) AS ranked
WHERE rank <= 10 GROUP BY question;
SQL
	return;
}

# recall(NODE, KIND, N, TABLE, SQL before, QUESTIONS): mean recall@10 of a table's index, compared
# with the result of exact_tenths(). The queries come from the table questions, or from another one.
sub recall
{
	my ($node, $kind, $n, $table, $before, $questions) = @_;
	my $chosen = chosen($n);

	$before //= '';
	$questions //= 'questions';
	return $node->safe_psql('postgres', <<"SQL");
$before
$by_index
SELECT round(avg(hits), 4)
FROM (SELECT count(*) FILTER (WHERE r.score >= t.tenth) / 10.0 AS hits
      FROM $questions q JOIN tenths_${kind}_$table t ON t.question = q.id,
           LATERAL (SELECT maxsim(doc, q.$kind) AS score FROM $table ORDER BY doc <#> q.$kind LIMIT 10) AS r
      WHERE $chosen GROUP BY q.id) AS answers;
SQL
}

# only_by(NODE, INDEX): SQL that makes plans use only this one of a table's indexes. It lasts for
# the session and is then undone.
sub only_by
{
	my ($node, $index) = @_;
	my $others = $node->safe_psql('postgres', <<"SQL");
SELECT string_agg(indexrelid::regclass::text, ', ') FROM pg_index JOIN pg_class c ON c.oid = indexrelid JOIN pg_am a ON a.oid = c.relam
WHERE indrelid = (SELECT indrelid FROM pg_index WHERE indexrelid = '$index'::regclass) AND indexrelid <> '$index'::regclass AND amname LIKE 'colbert%';
SQL

	return $others eq '' ? '' : "BEGIN; DROP INDEX $others;";
}

# in_exact_order(NODE, TABLE, KIND, N, LIMIT): the number of queries, out of N, that return their
# rows in exact order.
sub in_exact_order
{
	my ($node, $table, $kind, $n, $limit) = @_;
	my $chosen = chosen($n);

	return $node->safe_psql('postgres', <<"SQL");
$by_index
SELECT count(*)
FROM questions q,
     LATERAL (SELECT bool_and(ordered) AS ordered, count(*) AS rows
              FROM (SELECT coalesce(lag(score) OVER (ORDER BY n) >= score, true) AS ordered
                    FROM (SELECT row_number() OVER () AS n, maxsim(doc, q.$kind) AS score
                          FROM (SELECT doc FROM $table ORDER BY doc <#> q.$kind LIMIT $limit) AS found) AS numbered) AS compared) AS o
WHERE $chosen AND o.ordered AND o.rows = $limit;
SQL
}

# uses_index(NODE, EXPLAIN, TEST NAME): check that the plan is an Index Scan of an index on the
# embeddings.
sub uses_index
{
	my ($node, $explain, $name) = @_;

	return like($node->safe_psql('postgres', $explain), qr/Index Scan using \w+_index/, $name);
}

# index_is_sound(NODE, TABLE, TEST NAME, SQL before): check that a search without a LIMIT returns
# every row once, that a sample of rows is found by their own embeddings, and that the index's
# checker finds nothing.
sub index_is_sound
{
	my ($node, $table, $name, $before) = @_;
	my $rows = $node->safe_psql('postgres', "SET enable_indexscan = off; SELECT count(*) FROM $table");

	$before = ($before // '') . $by_index;
	uses_index($node, "$before EXPLAIN (COSTS OFF) SELECT id FROM $table ORDER BY doc <#> (SELECT short FROM questions WHERE id = 1)", "$name: uses the index");
	is( $node->safe_psql('postgres', <<"SQL"), "$rows|$rows", "$name: a whole scan gives each of $rows rows once");
$before
SELECT count(*), count(DISTINCT id) FROM (SELECT id FROM $table ORDER BY doc <#> (SELECT short FROM questions WHERE id = 1)) AS scan;
SQL
	# can they be found? With the default, a few of a hundred may be missed.
	is(rows_not_found($node, $table, "p.id % greatest(1, $rows / 40) = 0", "$before SET colbert.recall = 0.9999;"), '', "$name: rows are found by their own embeddings");
	checker_is_content($node, $table, $name, q{severity = 'error'});
	return;
}

# rows_not_found(NODE, TABLE, WHICH, SQL before): the ids of those rows p of a table that the index
# does not find by their own embeddings.
sub rows_not_found
{
	my ($node, $table, $which, $before) = @_;

	$before //= $by_index;
	return $node->safe_psql('postgres', <<"SQL");
$before
SELECT p.id
FROM $table p,
     LATERAL (SELECT max(maxsim(doc, p.doc)) AS best, bool_or(id = p.id) AS found
              FROM (SELECT id, doc FROM $table ORDER BY doc <#> p.doc LIMIT 10) AS r) AS search
WHERE p.doc IS NOT NULL AND ($which)
      AND NOT (found OR best >= maxsim(p.doc, p.doc));
SQL
}

# index_goes_on(NODE, TABLE): check a server after a takeover: the index is sound, and remains so
# after VACUUM, changes and a merge.
sub index_goes_on
{
	my ($node, $table) = @_;

	index_is_sound($node, $table, 'after the takeover');
	$node->safe_psql('postgres', "VACUUM $table; CALL churn('$table', 100); SELECT colbert_merge('${table}_index'); VACUUM $table");
	index_is_sound($node, $table, 'after changes, a merge and VACUUM');
	return;
}

# checker_is_content(NODE, TABLE, TEST NAME, WHICH): check that colbert_index_check finds nothing in
# the table's indexes, or no findings of some kind. After a crash some space may be lost, which is
# not an error.
sub checker_is_content
{
	my ($node, $table, $name, $which) = @_;

	$which //= 'true';
	return is( $node->safe_psql('postgres', <<"SQL"), '', "$name: the checker finds nothing");
SELECT c.relname, f.*
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am a ON a.oid = c.relam,
     colbert_index_check(i.indexrelid, heapallindexed => true, rescore => true) AS f
WHERE i.indrelid = '$table'::regclass AND i.indisvalid AND a.amname LIKE 'colbert%' AND ($which);
SQL
}

# add_churn(NODE): create a procedure churn(TABLE, STEPS) that randomly inserts, updates and deletes
# rows of a table, each in a separate transaction. It takes the rows from a table "pool" with the
# same columns.
sub add_churn
{
	my ($node) = @_;

	$node->safe_psql('postgres', <<'SQL');
CREATE PROCEDURE churn(target regclass, steps int) LANGUAGE plpgsql AS $$
DECLARE
	pick int;
	dice float;
	rows int := (SELECT max(id) FROM pool);
BEGIN
	FOR i IN 1 .. steps LOOP
		pick := 1 + floor(random() * rows);
		dice := random();
		IF dice < .25 THEN
			EXECUTE format('DELETE FROM %s WHERE id = $1', target) USING pick;
		ELSIF dice < .5 THEN
			-- locked in order: an UPDATE alone takes rows in the order of the table, which other
			-- sessions' snapshots see differently, and deadlocks
			EXECUTE format('UPDATE %1$s SET body = body || ''yx'' WHERE id IN
				(SELECT id FROM %1$s WHERE id BETWEEN $1 AND $1 + 2 ORDER BY id FOR UPDATE)', target) USING pick;
		ELSE
			EXECUTE format('INSERT INTO %s SELECT * FROM pool WHERE id = $1
				ON CONFLICT (id) DO UPDATE SET doc = excluded.doc, body = excluded.body || ''x''', target) USING pick;
		END IF;
		COMMIT;
	END LOOP;
END $$;
SQL
	return;
}

# start_load(NODE): run churn, merging inserts and VACUUM on each method's table until stopped.
# stop_load(NODE, HANDLE...) ends these clients, and all others of the node.
sub start_load
{
	my ($node) = @_;

	return map {
		start_sql($node, "LOAD 'colbert_pg'; SET colbert.pending_limit = 4000; CALL churn('passages_$_', 1000000);"),
		start_sql($node, "VACUUM passages_$_; SELECT pg_sleep(.05);\n" x 1000)
	} @methods;
}

sub stop_load
{
	my ($node, @clients) = @_;

	$node->safe_psql('postgres', "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()");
	stop_sql($_) for @clients;
	return;
}

# rounds(N): the number of rounds of a fault test: N, or the value of COLBERT_SOAK (make soak).
# Seeds rand(), so that COLBERT_SEED repeats a run.
sub rounds
{
	my ($n) = @_;
	my $seed = $ENV{COLBERT_SEED} // 42;

	$n = $ENV{COLBERT_SOAK} // $n;
	srand($seed);
	note("$n rounds; COLBERT_SEED=$seed COLBERT_SOAK=$n repeats them");
	return $n;
}

# amount(QUICK, LONG): LONG in make test-extra and make soak, else QUICK.
sub amount
{
	my ($quick, $long) = @_;

	return $ENV{COLBERT_EXTRA} || $ENV{COLBERT_SOAK} ? $long : $quick;
}

# start_sql(NODE, SQL): run statements in a separate psql in the background. stop_sql(HANDLE) waits
# for it and returns its errors.
sub start_sql
{
	my ($node, $sql) = @_;
	my $handle = { out => '', err => '' };
	my $script = PostgreSQL::Test::Utils::tempdir() . '/script.sql';

	# not through a pipe, which would only be filled while we wait
	append_to_file($script, $sql);
	$handle->{run} = IPC::Run::start(
		[ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres'), '-f', $script ],
		'<', '/dev/null', '>', \$handle->{out}, '2>', \$handle->{err});
	return $handle;
}

sub stop_sql
{
	my ($handle) = @_;

	IPC::Run::finish($handle->{run});
	return $handle->{err};
}

# kill_all(NODE): kill -9 the postmaster and all its processes, practically at once. Surviving
# processes would continue to work.
sub kill_all
{
	my ($node) = @_;
	my ($postmaster) = split /\n/, slurp_file($node->data_dir . '/postmaster.pid');

	kill 'STOP', $postmaster;
	for my $stat (glob '/proc/[0-9]*/stat')
	{
		# the process may have exited; its name, in parentheses, may contain blanks
		open(my $fh, '<', $stat) or next;
		my ($pid, $parent) = (<$fh> // '') =~ /^(\d+) \(.*\) \S (\d+) /;
		close($fh);
		kill 'KILL', $pid if ($parent // 0) == $postmaster;
	}
	$node->kill9;
	return;
}

# start_after_kill(NODE): start a killed server. Its last processes may hold its shared memory for a
# moment.
sub start_after_kill
{
	my ($node) = @_;

	for (1 .. 300)
	{
		return if $node->start(fail_ok => 1);
		BAIL_OUT('WAL replays to another page than there was') if slurp_file($node->logfile) =~ /inconsistent page/;
		usleep(100_000);
		$node->stop('fast', fail_ok => 1);
	}
	BAIL_OUT('the server does not start after kill -9');
}

1;
