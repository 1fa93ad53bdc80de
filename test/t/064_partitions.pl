# Partitions under load: while clients search and insert, partitions are attached with a ready index,
# detached, truncated and dropped. No search fails or is short, and no row is missed or stays.

use strict;
use warnings;
use ColbertTest;
use Test::More;

my $node = new_node('partitions');
my $query = q{'[[1,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]]'};
my $size = 400;

# volume(NUMBER): a partition's name and bounds. Ids of a volume begin at 1,000 times its number.
sub volume
{
	my ($number) = @_;

	return ("volume_$number", sprintf('FROM (%d) TO (%d)', $number * 1000, $number * 1000 + 1000));
}

# make_volume(NUMBER): a table of its own with documents and an index.
sub make_volume
{
	my ($number) = @_;
	my ($name, $bounds) = volume($number);
	my ($first, $last) = $bounds =~ /\((\d+)\) TO \((\d+)\)/;

	$node->safe_psql('postgres', <<"SQL");
CREATE TABLE $name (id int NOT NULL, doc multivector(16), CHECK (id >= $first AND id < $last));
INSERT INTO $name SELECT $first + i % 1000, (SELECT multivector_agg(ARRAY(SELECT sin(i * 31 + t * 7 + d * d) FROM generate_series(1, 16) d)::real[]) FROM generate_series(1, 1 + i % 20) t)
	FROM generate_series(1, $size) i;
CREATE INDEX ${name}_doc ON $name USING colbert_hnsw (doc);
SQL
	return ($name, $bounds);
}

sub attach
{
	my ($name, $bounds) = make_volume(@_);

	return $node->safe_psql('postgres', <<"SQL");
SELECT pg_relation_filenode('${name}_doc') AS ready \\gset
ALTER TABLE volumes ATTACH PARTITION $name FOR VALUES $bounds;
SELECT pg_relation_filenode('${name}_doc') = :ready AND inhparent = 'volumes_doc'::regclass FROM pg_inherits WHERE inhrelid = '${name}_doc'::regclass;
SQL
}

$node->safe_psql('postgres', <<'SQL');
CREATE TABLE volumes (id int NOT NULL, doc multivector(16)) PARTITION BY RANGE (id);
CREATE INDEX volumes_doc ON volumes USING colbert_hnsw (doc);
CREATE TABLE done (searches bigint);
SQL
attach($_) for 0 .. 3;

# Two clients search, one inserts into volume 0, until the table stop appears. Volumes 0 and 1 stay,
# so that a search always finds 20 rows. Each search plans anew or has a generic plan.
my $client = <<"SQL";
SET enable_seqscan = off;
SET enable_sort = off;
CREATE PROCEDURE pg_temp.work(mode text) LANGUAGE plpgsql AS \$\$
DECLARE
	n bigint := 0;
	found int[];
BEGIN
	PERFORM set_config('plan_cache_mode', mode, false);
	WHILE to_regclass('stop') IS NULL LOOP
		SELECT array_agg(id) INTO found FROM (SELECT id FROM volumes ORDER BY maxsim(doc, $query) DESC NULLS LAST LIMIT 20) AS s;
		IF cardinality(found) <> 20 THEN
			RAISE EXCEPTION 'found % rows', cardinality(found);
		END IF;
		n := n + 1;
		COMMIT;
	END LOOP;
	INSERT INTO done VALUES (n);
END \$\$;
SQL
my @clients = map { start_sql($node, "$client CALL pg_temp.work('$_')") } 'force_custom_plan', 'force_generic_plan';
my $inserter = start_sql($node, <<'SQL');
DO $$
BEGIN
	WHILE to_regclass('stop') IS NULL LOOP
		INSERT INTO volumes SELECT 500 + i, array_fill(sin(i)::real, ARRAY[2, 16])::multivector FROM generate_series(1, 5) i;
		COMMIT;
		PERFORM pg_sleep(.01);
	END LOOP;
END $$;
SQL

my $rounds = amount(3, 20);
my ($taken_over, $kept) = (0, 0);
for my $round (1 .. $rounds)
{
	my $number = 3 + $round;
	my ($name) = volume($number);
	my $held = "SELECT count(*) FROM (SELECT id FROM volumes WHERE id >= " . $number * 1000 . " ORDER BY maxsim(doc, $query) DESC NULLS LAST) AS s";

	$taken_over++ if attach($number) eq 't';
	$kept++ if $node->safe_psql('postgres', $held) == $size;
	$node->safe_psql('postgres', 'ALTER TABLE volumes DETACH PARTITION volume_' . ($number - 1) . ($round % 2 ? ' CONCURRENTLY' : ''));
	$node->safe_psql('postgres', 'DROP TABLE volume_' . ($number - 1));
	$node->safe_psql('postgres', 'TRUNCATE volume_2') if $round == 2;
}
is($taken_over, $rounds, 'each attached index is taken over as it is');
is($kept, $rounds, 'an attached partition is searched at once');
$node->safe_psql('postgres', 'CREATE TABLE stop ()');
is(stop_sql($_), '', 'no search fails or is short') for @clients;
is(stop_sql($inserter), '', 'no insert fails');
cmp_ok($node->safe_psql('postgres', 'SELECT min(searches) FROM done'), '>', $rounds, 'clients searched meanwhile');
my $last = 3 + $rounds;
is($node->safe_psql('postgres', "SELECT string_agg(partition::text, ' ' ORDER BY length(partition::text), partition::text) FROM colbert_partition_info('volumes_doc')"),
	"volume_0_doc volume_1_doc volume_2_doc volume_${last}_doc", 'the partitions that are left');
is($node->safe_psql('postgres', "SELECT documents = (SELECT count(doc) FROM volumes) FROM colbert_index_info('volumes_doc')"), 't', 'their indexes have all documents');
is($node->safe_psql('postgres', "SELECT * FROM colbert_index_check('volumes_doc', heapallindexed => true, rescore => true)"), '', 'and are sound');

stop_node($node);
done_testing();
