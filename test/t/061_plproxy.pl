# PL/Proxy before four shards: the rows and scores of one table, and a lost shard.
# Skipped where the server has no PL/Proxy (Debian: postgresql-15-plproxy).

use strict;
use warnings;
use ColbertTest;
use PostgreSQL::Test::Cluster;
use Test::More;

my $node = new_node('coordinator');
if ($node->safe_psql('postgres', "SELECT count(*) FROM pg_available_extensions WHERE name = 'plproxy'") eq '0')
{
	stop_node($node);
	plan skip_all => 'PL/Proxy is not installed';
}

my $other = new_node('other');

find_all($node, $other);
my $query = '[[1,0,0,0,0,0,0,0],[0,.5,.5,0,0,0,0,.7]]';
my $documents = <<'SQL';
CREATE TABLE d (id int PRIMARY KEY, doc multivector(8));
INSERT INTO d SELECT i, CASE WHEN i % 29 > 0 THEN (SELECT multivector_agg(ARRAY(SELECT sin(i * 31 + t * 7 + d * d) FROM generate_series(1, 8) d)::real[])
	FROM generate_series(1, 1 + i % 5) t) END FROM generate_series(1, 2000) i
SQL
my $top = 'SELECT id, maxsim(doc, query) AS score FROM d WHERE doc IS NOT NULL ORDER BY doc <#> query LIMIT 20';
my @shards;
for my $shard (0 .. 3)
{
	my $place = $shard % 2 ? $other : $node;

	$place->safe_psql('postgres', "CREATE DATABASE shard_$shard");
	$place->safe_psql("shard_$shard", "CREATE EXTENSION colbert_pg; $documents; DELETE FROM d WHERE id % 4 <> $shard; CREATE INDEX d_index ON d USING colbert_ivf (doc)");
	push @shards, sprintf("p%d 'host=%s port=%d dbname=shard_%d'", $shard, $place->host, $place->port, $shard);
}
$node->safe_psql('postgres', "CREATE EXTENSION plproxy; $documents; CREATE SERVER shards FOREIGN DATA WRAPPER plproxy OPTIONS (" . join(', ', @shards) . ')');
$node->safe_psql('postgres', 'CREATE USER MAPPING FOR CURRENT_USER SERVER shards');
$node->safe_psql('postgres', <<"SQL");
CREATE FUNCTION search_shards(query multivector) RETURNS TABLE (id int, score float8) LANGUAGE plproxy AS \$\$
	CLUSTER 'shards';
	RUN ON ALL;
	$top;
\$\$;
SQL

my $search = "SELECT * FROM search_shards('$query') ORDER BY score DESC LIMIT 20";
my $one = $node->safe_psql('postgres', $top =~ s/query/'$query'/gr);
is($node->safe_psql('postgres', $search), $one, 'four shards give the rows and the scores of one table');
is($node->safe_psql('postgres', "$search; " x 3), join("\n", ($one) x 3), 'again in one session');

$other->stop('immediate');
my ($rc, $out, $err) = $node->psql('postgres', $search);
like($err, qr/ERROR: .*(connect|Connection)/, 'a lost shard is an error');
$other->start;
is($node->safe_psql('postgres', $search), $one, 'until it is back');

stop_node($_) for $node, $other;
done_testing();
