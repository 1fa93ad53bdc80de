# Documents that were merged while inserts waited, and the graph lacked nodes, are merged again: these documents alone, by their own tokens. In the
# test library, a slice of them looks at two pages of the directory.

use strict;
use warnings;
use ColbertTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = faults_node('settle');
# merges by the inserts themselves, under pressure
my $haste = q{LOAD 'colbert_pg'; SET colbert.background_merge = off; SET colbert.pending_limit = 0;};

load_passages($node, 'pool', 1500);

# Merges that inserts wait for add no nodes to a graph. VACUUM makes up for it: the index gets its
# nodes, made of all these documents, and finds them by their own embeddings. With sq4 and pq, other
# documents have taken the pending rows of most of them by then.
for my $quantizer ('sq8', 'sq4', 'pq')
{
	my $rows = $quantizer eq 'sq8' ? 'true' : 'id > 300 AND id % 2 = 0';

	subtest "colbert_hnsw, $quantizer: nodes that merges in haste left out" => sub {
		my $info = "colbert_index_info('late_index')";

		$node->safe_psql('postgres', <<"SQL");
$haste
CREATE TABLE late AS SELECT * FROM pool WHERE id <= 300;
CREATE INDEX late_index ON late USING colbert_hnsw (doc) WITH (quantizer = $quantizer);
INSERT INTO late SELECT * FROM pool WHERE id BETWEEN 301 AND 1500;
SQL
		my ($lacking, $pending) = split /\|/, $node->safe_psql('postgres', "SELECT tokens / tokens_per_node - nodes, pending_documents FROM $info");
		cmp_ok($lacking, '>', 1000, "$lacking nodes are lacking, $pending documents are pending");
		checker_is_content($node, 'late', 'nodes are lacking', q{severity = 'error'});
		$node->safe_psql('postgres', 'VACUUM late');
		cmp_ok($node->safe_psql('postgres', "SELECT tokens / tokens_per_node - nodes FROM $info"), '<', 100, 'VACUUM adds them');
		is(rows_not_found($node, 'late', $rows), '', 'rows are found by their own embeddings');
		checker_is_content($node, 'late', 'nodes added later', q{severity = 'error'});
		$node->safe_psql('postgres', 'DROP TABLE late');
	};
}

# merged_again(SQL): the number of documents that statements merge again, and their messages about it.
sub merged_again
{
	my ($sql) = @_;
	my (undef, undef, $err) = $node->psql('postgres', "$haste SET client_min_messages = debug1; $sql");
	my $documents = 0;

	$documents += $_ for $err =~ /merged (\d+) documents again/g;
	return $documents;
}

# Only the documents that were merged in haste are merged again, although their ordinals are far apart: the first ones are appended, because they
# do not fit into the places that deleted documents have left, and the last ones take these.
subtest 'colbert_hnsw: documents far apart that were merged in haste' => sub {
	my $free = "SELECT free_documents FROM colbert_index_info('apart_index')";

	$node->safe_psql('postgres', <<"SQL");
$haste
SELECT setseed(.5);
CREATE FUNCTION random_doc(i int, n int) RETURNS multivector LANGUAGE sql AS
	'SELECT multivector_agg(ARRAY(SELECT random() * 2 - 1 FROM generate_series(1, 16) d WHERE i + t > 0)::real[]) FROM generate_series(1, n) t';
CREATE TABLE apart AS SELECT i AS id, random_doc(i, 4)::multivector(16) AS doc FROM generate_series(1, 3000) i;
CREATE INDEX apart_index ON apart USING colbert_hnsw (doc) WITH (tokens_per_node = 8);
DELETE FROM apart WHERE id % 8 = 0;
VACUUM apart;
INSERT INTO apart SELECT 3000 + i, random_doc(i, 8) FROM generate_series(1, 600) i;
SQL
	my $before = $node->safe_psql('postgres', $free);
	$node->safe_psql('postgres', "$haste INSERT INTO apart SELECT 3600 + i, random_doc(i, 4) FROM generate_series(1, 20) i");
	is($before - $node->safe_psql('postgres', $free), 20, 'places are taken again');
	my $merged = merged_again(q{SELECT colbert_merge('apart_index')});
	cmp_ok($merged, '<=', 620, "of 620 documents merged in haste, $merged are merged again");
	cmp_ok($merged, '>', 100, 'they are those that were merged while nodes were lacking');
	is(merged_again(q{SELECT colbert_merge('apart_index')}), 0, 'no document is merged again twice');
	is(rows_not_found($node, 'apart', 'id > 3500'), '', 'the last rows are found by their own embeddings');
	checker_is_content($node, 'apart', 'merged again');

	# documents that died before they were merged again
	$node->safe_psql('postgres', <<"SQL");
$haste
INSERT INTO apart SELECT 4000 + i, random_doc(i, 8) FROM generate_series(1, 1500) i;
DELETE FROM apart WHERE id > 4000 AND id % 2 = 0;
SQL
	$merged = merged_again('VACUUM apart');
	cmp_ok($merged, '<=', 750, "of 1,500 documents half of which are deleted, $merged are merged again");
	cmp_ok($merged, '>', 100, 'they are some of the others');
	checker_is_content($node, 'apart', 'merged again without the deleted');
	$node->safe_psql('postgres', 'DROP TABLE apart');
};

$node->stop;
done_testing();
