# Recall of partitions on MedQuAD, and their work in sum compared with that of one index: their scans
# look for the wanted rows together.
#
# The long form uses all passages and both access methods.

use strict;
use warnings;
use ColbertTest;
use Test::More;

my $questions = 60;	# times 16 searches: no more than colbert_last_scans keeps
my $modulus = amount(2, 1);
my $node = new_node('partition_recall');

load_questions($node);
load_passages($node, 'passages', undef, '', "WHERE id % $modulus = 0");
exact_tenths($node, $_, $questions, 'passages') for 'short', 'long';

# Counters of the searches of all questions, in sum.
sub work
{
	my ($kind, $table) = @_;
	my $chosen = ColbertTest::chosen($questions);
	my $counters = $node->safe_psql('postgres', <<"SQL");
SET enable_seqscan = off;
SET enable_sort = off;
SELECT count(*) FROM questions q, LATERAL (SELECT id FROM $table ORDER BY doc <#> q.$kind LIMIT 10) AS r WHERE $chosen \\g /dev/null
SELECT sum(postings), sum(narrowed), sum(reranked), sum(fetched), round(sum(expected_misses)::numeric / $questions, 3) FROM colbert_last_scans();
SQL
	my %work;

	@work{qw(postings narrowed reranked fetched misses)} = split /\|/, $counters;
	return \%work;
}

# The most work of partitions, as a multiple of that of one index. Before scans knew of each other,
# 4 partitions of all passages had 2.1 to 2.4, 1.8, 2.7 to 3 and 3.
my %most = (4 => { postings => 1.4, narrowed => 2, reranked => 2, fetched => 2.2 }, 16 => { postings => 1.9, narrowed => 3.5, reranked => 3, fetched => 5 });

sub test_partitions
{
	my ($method, $n) = @_;
	my $table = "parts_$n";

	$node->safe_psql('postgres', <<"SQL");
CREATE TABLE $table (id int, doc multivector(128, float2)) PARTITION BY HASH (id);
SELECT format('CREATE TABLE ${table}_%s PARTITION OF $table FOR VALUES WITH (MODULUS $n, REMAINDER %s)', i, i) FROM generate_series(0, $n - 1) AS i \\gexec
INSERT INTO $table SELECT id, doc FROM passages;
CREATE INDEX ON $table USING colbert_$method (doc);
ANALYZE $table;
CREATE VIEW tenths_short_$table AS SELECT * FROM tenths_short_passages;
CREATE VIEW tenths_long_$table AS SELECT * FROM tenths_long_passages;
SQL
	for my $kind ('short', 'long')
	{
		my $least = $kind eq 'short' ? .94 : .95;
		my $recall = recall($node, $kind, $questions, $table);
		my ($one, $all) = (work($kind, 'passages'), work($kind, $table));

		cmp_ok($recall, '>=', $least, "$n partitions: recall of $questions $kind queries: $recall");
		for my $counter (sort keys %{ $most{$n} })
		{
			my $times = sprintf '%.2f', $all->{$counter} / $one->{$counter};

			cmp_ok($times, '<=', $most{$n}{$counter}, "$kind queries: $times times the $counter of one index");
		}
		cmp_ok($all->{misses}, '<=', .5, "$kind queries: $all->{misses} misses expected, in sum");
	}
	is(in_exact_order($node, $table, 'short', 20, 50), '20', '20 of 20 short queries in exact order at LIMIT 50');
	$node->safe_psql('postgres', "DROP TABLE $table CASCADE; DROP VIEW IF EXISTS tenths_short_$table, tenths_long_$table");
	return;
}

for my $method (amount(1, 2) == 1 ? ('ivf') : @methods)
{
	$node->safe_psql('postgres', "CREATE INDEX passages_index ON passages USING colbert_$method (doc)");
	for my $n (4, 16)
	{
		subtest "colbert_$method, $n partitions" => sub { test_partitions($method, $n) };
	}
	$node->safe_psql('postgres', 'DROP INDEX passages_index');
}

stop_node($node);
done_testing();
