# Documents of a kind that is new to an index: those inserted before there are nodes near them are
# found as well as later ones.

use strict;
use warnings;
use ColbertTest;
use Test::More;

my $node = new_node('kind');

load_questions($node);
load_passages($node, 'pool', 2000);
exact_tenths($node, $_, 200, 'pool') for 'short', 'long';
# MedQuAD is ordered by source: the first 500 passages have other topics than the next
create_tables($node, 'id <= 500');

each_method('documents of a new kind', sub {
	my ($method, $table) = @_;

	for my $worker ('off', 'on')
	{
		my $setting = "LOAD 'colbert_pg'; SET colbert.background_merge = $worker; SET colbert.pending_limit = 4000;";

		$node->safe_psql('postgres', "DELETE FROM $table WHERE id > 500; VACUUM $table; REINDEX TABLE $table");
		$node->safe_psql('postgres', "$setting INSERT INTO $table SELECT * FROM pool WHERE id > 500");
		# the timing of the steps varies, and occasionally one document is missed; without adoption
		# it was 20 to 30
		my @missed = split /\n/, rows_not_found($node, $table, 'id BETWEEN 501 AND 1000');
		cmp_ok(scalar @missed, '<=', 2, "worker $worker: the first documents not found by their own tokens: @{[ scalar @missed ]}");
		for my $kind ('short', 'long')
		{
			$node->safe_psql('postgres', "CREATE TABLE IF NOT EXISTS tenths_${kind}_$table AS SELECT * FROM tenths_${kind}_pool");
			my $recall = recall($node, $kind, 200, $table, $ColbertTest::by_index);
			cmp_ok($recall, '>=', .955, "worker $worker: recall of 200 $kind queries: $recall");
		}
		checker_is_content($node, $table, "worker $worker");
	}
});

my $share = $node->safe_psql('postgres', "SELECT postings / num::float8 FROM colbert_index_info('passages_hnsw_index'),
	(SELECT sum(num_tokens(doc)) AS num FROM passages_hnsw) AS s");

cmp_ok($share, '<', .7, "postings per token: $share");
stop_node($node);
done_testing();
