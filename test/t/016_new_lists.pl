# An index that began small finds as much as after REINDEX: VACUUM trains new lists when it has
# grown. Searches and inserts go on meanwhile.

use strict;
use warnings;
use ColbertTest;
use Test::More;

my $node = new_node('lists');
my $passages = $ENV{COLBERT_EXTRA} ? 16_373 : 3_000;
my $queries = $ENV{COLBERT_EXTRA} ? 200 : 100;

load_questions($node);
load_passages($node, 'pool', $passages);
exact_tenths($node, $_, $queries, 'pool') for 'short', 'long';

sub info
{
	my ($column) = @_;

	return $node->safe_psql('postgres', "SELECT $column FROM colbert_index_info('grown_index')");
}

# recalls(TEST NAME): recall@10 by kind of query.
sub recalls
{
	my ($name) = @_;
	my %recall = map { $_ => recall($node, $_, $queries, 'grown') } 'short', 'long';

	note("$name: short $recall{short}, long $recall{long}, lists " . info('nodes'));
	return \%recall;
}

# Lists of the first 300 passages, which hold a tenth of the tokens at most.
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE grown (LIKE pool);
CREATE INDEX grown_index ON grown USING colbert_ivf (doc);
CREATE TABLE tenths_short_grown AS SELECT * FROM tenths_short_pool;
CREATE TABLE tenths_long_grown AS SELECT * FROM tenths_long_pool;
INSERT INTO grown SELECT * FROM pool WHERE id <= 300;
VACUUM grown;
SQL
my $first = info('nodes');
cmp_ok($first, '>', 250, "lists of the first passages: $first");
is(info('advice'), '', 'no advice');

# the rest, by two clients, beside searches and VACUUM
my @clients = map { start_sql($node, join '', map { "INSERT INTO grown SELECT * FROM pool WHERE id = $_;\n" } $_ .. $_ + 199) } 301, 501;
push @clients, start_sql($node, "VACUUM grown; SELECT pg_sleep(.05);\n" x 10);
my $reader = start_sql($node, join "\n", $ColbertTest::by_index,
	map { "SELECT count(*) FROM (SELECT id FROM grown ORDER BY doc <#> (SELECT short FROM questions WHERE id = $_) LIMIT 100) AS found;" } 1 .. 200);
is(stop_sql($_), '', 'no error beside the growth') for @clients, $reader;
unlike($reader->{out}, qr/^(?!100$)/m, 'searches get all rows');
checker_is_content($node, 'grown', 'beside the growth');
$node->safe_psql('postgres', 'INSERT INTO grown SELECT * FROM pool WHERE id > 700');
$node->safe_psql('postgres', q{SELECT colbert_merge('grown_index')});
like(info('advice'), qr/^VACUUM the table: the lists hold \d+ tokens on average; 64 are best/, 'the advice is VACUUM');
my $few = recalls('few lists');

$node->safe_psql('postgres', 'VACUUM grown');
is(info('advice'), '', 'no advice after VACUUM');
checker_is_content($node, 'grown', 'new lists');
my $grown = recalls('new lists');
my ($lists, $postings, $bytes) = map { info($_) } 'nodes', 'postings', 'node_bytes';

# an index that does not grow keeps its lists
$node->safe_psql('postgres', 'DELETE FROM grown WHERE id % 10 = 0; INSERT INTO grown SELECT * FROM pool WHERE id % 10 = 0; VACUUM grown');
is(join(' ', map { info($_) } 'nodes', 'node_bytes'), "$lists $bytes", 'the lists stay without growth');
checker_is_content($node, 'grown', 'after changes');

$node->safe_psql('postgres', 'REINDEX TABLE grown');
my $rebuilt = recalls('REINDEX');
is($lists, info('nodes'), 'as many lists as by REINDEX');
cmp_ok($postings, '<', 1.02 * info('postings'), 'as many postings as by REINDEX');
cmp_ok($grown->{$_}, '>=', $rebuilt->{$_} - .015, "recall of $_ queries: $grown->{$_}, by REINDEX $rebuilt->{$_}, before $few->{$_}") for 'short', 'long';
stop_node($node);
done_testing();
