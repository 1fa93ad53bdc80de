# A table that Citus distributes over two workers: the rows and scores of one table, from the
# coordinator and from a worker, also after a shard has moved; and a lost worker.
# Skipped where the server has no Citus, which Debian does not package. Written from the statements of
# doc/scale-out.md; no machine of ours has run it.

use strict;
use warnings;
use ColbertTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

chomp(my $libraries = `pg_config --pkglibdir`);
plan skip_all => 'Citus is not installed' unless -f "$libraries/citus.so" || -f "$libraries/citus.dylib";

my ($coordinator, @workers) = map {
	my $node = PostgreSQL::Test::Cluster->new($_);

	$node->init(allows_streaming => 'logical');
	$node->append_conf('postgresql.conf', <<'CONF');
shared_preload_libraries = citus
shared_buffers = 64MB
autovacuum = off
jit = off
colbert.candidates = 1000000
colbert.recall = 0.9999
colbert.multivector_output = hex
citus.max_cached_conns_per_worker = 8
citus.executor_slow_start_interval = 0
CONF
	$node->start;
	$node->safe_psql('postgres', 'CREATE EXTENSION citus; CREATE EXTENSION colbert_pg');
	$node;
} qw(coordinator one two);

$coordinator->safe_psql('postgres', sprintf(q{SELECT citus_set_coordinator_host('%s', %d)}, $coordinator->host, $coordinator->port));
$coordinator->safe_psql('postgres', sprintf(q{SELECT citus_add_node('%s', %d)}, $_->host, $_->port)) for @workers;
my $documents = <<'SQL';
SELECT i, CASE WHEN i % 29 > 0 THEN (SELECT multivector_agg(ARRAY(SELECT sin(i * 31 + t * 7 + d * d) FROM generate_series(1, 8) d)::real[])
	FROM generate_series(1, 1 + i % 5) t) END FROM generate_series(1, 1000) i
SQL
$coordinator->safe_psql('postgres', <<"SQL");
CREATE TABLE alone (id bigint PRIMARY KEY, doc multivector(8));
CREATE TABLE shared (id bigint PRIMARY KEY, doc multivector(8));
SELECT create_distributed_table('shared', 'id', shard_count => 4);
INSERT INTO alone $documents;
INSERT INTO shared SELECT * FROM alone;
CREATE INDEX shared_doc ON shared USING colbert_ivf (doc);
SQL
my $query = "'[[1,0,0,0,0,0,0,0],[0,.5,.5,0,0,0,0,.7]]'";
my $top = "SELECT id, maxsim(doc, $query) AS score FROM %s WHERE doc IS NOT NULL ORDER BY doc <#> $query LIMIT 20";
my $one = $coordinator->safe_psql('postgres', sprintf($top, 'alone'));
my $search = sprintf($top, 'shared');

is($coordinator->safe_psql('postgres', $search), $one, 'the coordinator finds the rows and scores of one table');
is($workers[0]->safe_psql('postgres', $search), $one, 'and so does a worker');
like($coordinator->safe_psql('postgres', "SET citus.explain_all_tasks = on; EXPLAIN $search"), qr/Task Count: 4.*Index Scan using shared_doc_/s, 'four shards use their indexes');
$coordinator->safe_psql('postgres', <<'SQL');
SELECT citus_move_shard_placement(s.shardid, s.nodename, s.nodeport, o.nodename, o.nodeport, 'block_writes')
FROM (SELECT * FROM citus_shards WHERE table_name = 'shared'::regclass ORDER BY shardid LIMIT 1) s,
	LATERAL (SELECT nodename, nodeport FROM pg_dist_node n WHERE n.nodeport <> s.nodeport AND n.shouldhaveshards LIMIT 1) o (nodename, nodeport)
SQL
is($coordinator->safe_psql('postgres', $search), $one, 'after a shard has moved');

$workers[1]->stop('immediate');
my ($rc, $out, $err) = $coordinator->psql('postgres', $search);
like($err, qr/ERROR:/, 'a lost worker is an error');
$workers[1]->start;
is($coordinator->safe_psql('postgres', $search), $one, 'until it is back');

$_->stop for $coordinator, @workers;
done_testing();
