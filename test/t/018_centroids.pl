# Centroids from a table: a dump restores with them, or without them if the table or the right to
# read it is missing by then; a role without rights does not wait for the table's lock.
#
# clients/python/tests/test_gpu_medquad.py has the recall of centroids that were trained outside.

use strict;
use warnings;
use ColbertTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('centroids');
my $dir = PostgreSQL::Test::Utils::tempdir();

# A dump restores, with the centroids if they are there and readable by then.
sub run
{
	my ($program, @arguments) = @_;
	my ($out, $err) = ('', '');

	IPC::Run::run([ $program, '-h', $node->host, '-p', $node->port, @arguments ], '<', '/dev/null', '>', \$out, '2>', \$err);
	return $err;
}

sub restored
{
	my ($database) = @_;

	return $node->safe_psql($database, "SELECT coalesce(centroids::text, 'own') || ' ' || documents FROM colbert_index_info('app.docs_given')");
}

$node->safe_psql('postgres', 'CREATE ROLE reader; CREATE ROLE keeper');
$node->safe_psql('postgres', "CREATE DATABASE $_") for qw(origin again parallel without granted);
$node->safe_psql('origin', <<'SQL');
CREATE EXTENSION colbert_pg;
CREATE SCHEMA app;
CREATE SCHEMA kept;
CREATE TABLE app.docs AS SELECT i AS id, (SELECT multivector_agg(ARRAY(SELECT sin(i * 31 + t * 7 + d * d) FROM generate_series(1, 8) d)::real[])
                                          FROM generate_series(1, 6) t)::multivector(8) AS doc FROM generate_series(1, 500) i;
CREATE TABLE kept.centroids AS SELECT i AS id, CASE WHEN i > 5 THEN i % 5 + 1 END AS parent, ARRAY(SELECT sin(i * 17 + d * d) FROM generate_series(1, 8) d)::real[] AS embedding
	FROM generate_series(1, 40) i;
CREATE INDEX docs_given ON app.docs USING colbert_ivf (doc) WITH (centroids = 'kept.centroids');
SQL
is(restored('origin'), 'kept.centroids 500', 'the original took the centroids');
is(run('pg_dump', '-f', "$dir/plain.sql", 'origin'), '', 'pg_dump');
is(run('psql', '-Xq', '-o', '/dev/null', '-d', 'again', '-f', "$dir/plain.sql"), '', 'a plain dump restores without a warning');
is(restored('again'), 'kept.centroids 500', 'a restored index took the centroids');
is(run('pg_dump', '-Fd', '-f', "$dir/folder", 'origin'), '', 'pg_dump of a folder');
my $warnings = run('pg_restore', '-d', 'parallel', '-j', '3', "$dir/folder");
unlike($warnings, qr/error/i, 'pg_restore by three connections');
like(restored('parallel'), qr/^(kept\.centroids|own) 500$/, 'pg_restore by three connections: the index is built');
# The server's log has the WARNING, since pg_restore does not print them.
$warnings = run('pg_restore', '-d', 'without', '--exclude-schema', 'kept', "$dir/folder");
is($warnings, '', 'a restore without the table of centroids');
is(restored('without'), 'own 500', 'the index trained by itself');
like(slurp_file($node->logfile), qr/WARNING:  cannot take the nodes of index "docs_given" from table kept\.centroids/, 'with a warning in the log');

# The table of another role: its rights are restored after the indexes.
$node->safe_psql('origin', 'ALTER TABLE app.docs OWNER TO reader; ALTER TABLE kept.centroids OWNER TO keeper; GRANT USAGE ON SCHEMA kept, app TO reader, keeper; GRANT SELECT ON kept.centroids TO reader; REINDEX TABLE app.docs');
is(restored('origin'), 'kept.centroids 500', 'rights of the owner of the documents');
is(run('pg_dump', '-Fd', '-f', "$dir/granted", 'origin'), '', 'pg_dump of tables of two roles');
is(run('pg_restore', '-d', 'granted', "$dir/granted"), '', 'pg_restore of tables of two roles');
is(restored('granted'), 'own 500', 'rights are restored after indexes');
$node->safe_psql('granted', 'REINDEX TABLE app.docs');
is(restored('granted'), 'kept.centroids 500', 'REINDEX takes the centroids then');

# A role without rights does not wait for the table's lock; one with rights does.
my $locker = start_sql($node, "\\c origin\nBEGIN; LOCK TABLE kept.centroids; SELECT 'locked'; SELECT pg_sleep(600); ROLLBACK;\n");
$node->poll_query_until('origin', "SELECT count(*) = 1 FROM pg_locks WHERE relation = 'kept.centroids'::regclass AND mode = 'AccessExclusiveLock' AND granted") or die 'no lock';
$node->safe_psql('origin', "REVOKE USAGE ON SCHEMA kept FROM reader; SET lock_timeout = '10s'; REINDEX TABLE app.docs");
is(restored('origin'), 'own 500', 'a role without rights does not wait');
$node->safe_psql('origin', 'GRANT USAGE ON SCHEMA kept TO reader');
my ($rc, $out, $err) = $node->psql('origin', "SET lock_timeout = '100ms'; REINDEX TABLE app.docs");
like($err, qr/canceling statement due to lock timeout/, 'a role with rights waits');
$node->safe_psql('origin', "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE relation = 'kept.centroids'::regclass AND mode = 'AccessExclusiveLock'");
stop_sql($locker);

# A temporary table of another session may be a child. It is left out, as a SELECT leaves it out.
my $session = start_sql($node, "\\c origin\nCREATE TEMP TABLE theirs () INHERITS (kept.centroids); INSERT INTO theirs SELECT * FROM ONLY kept.centroids; SELECT pg_sleep(60);\n");
$node->poll_query_until('origin', q{SELECT count(*) = 1 FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)%' AND pid <> pg_backend_pid()}) or die 'no child';
$node->safe_psql('origin', 'REINDEX TABLE app.docs');
is(restored('origin'), 'kept.centroids 500', 'without the temporary child of another session');
$node->safe_psql('origin', q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)%' AND pid <> pg_backend_pid()});
stop_sql($session);

# A virtual column is not stored: its rows have NULL there.
SKIP:
{
	skip 'virtual columns came with PostgreSQL 18', 1 if $node->safe_psql('origin', 'SHOW server_version_num') < 180000;
	$node->safe_psql('origin', 'CREATE TABLE kept.virtual (id int, parent int GENERATED ALWAYS AS (CASE WHEN id > 5 THEN id % 5 + 1 END) VIRTUAL, embedding real[]); INSERT INTO kept.virtual (id, embedding) SELECT id, embedding FROM kept.centroids; GRANT SELECT ON kept.virtual TO reader');
	($rc, $out, $err) = $node->psql('origin', q{CREATE INDEX ON app.docs USING colbert_ivf (doc) WITH (centroids = 'kept.virtual')});
	like($err, qr/Column parent is virtual/, 'a virtual column');
}
stop_node($node);
done_testing();
