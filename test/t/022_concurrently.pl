# CREATE INDEX CONCURRENTLY, REINDEX CONCURRENTLY and, since PostgreSQL 19, REPACK (CONCURRENTLY)
# while rows are inserted, updated, deleted and set to NULL.

use strict;
use warnings;
use ColbertTest;
use Test::More;

my $node = new_node('concurrently', allows_streaming => 1);    # REPACK decodes the WAL
my $has_repack = $node->safe_psql('postgres', 'SHOW server_version_num') >= 190000;

load_questions($node);
my $rows = amount(1000, 2000);
load_passages($node, 'pool', 1.5 * $rows);
$node->safe_psql('postgres', 'UPDATE pool SET doc = NULL WHERE id % 20 = 0');
create_tables($node, "id <= $rows");
add_churn($node);

each_method('concurrent writers', sub {
	my ($method, $table) = @_;

	$node->safe_psql('postgres', "DROP INDEX ${table}_index");
	my @statements = ("CREATE INDEX CONCURRENTLY ${table}_index ON $table USING colbert_$method (doc)",
		"REINDEX INDEX CONCURRENTLY ${table}_index", "REINDEX TABLE CONCURRENTLY $table");

	push @statements, "REPACK (CONCURRENTLY) $table" if $has_repack;
	for my $statement (@statements)
	{
		my @writers = map { start_sql($node, "CALL churn('$table', @{[ amount(600, 1200) ]});") } 1 .. 2;

		$node->safe_psql('postgres', $statement);
		# an error of PostgreSQL's own: while both primary keys are maintained, ON CONFLICT checks
		# only the old one
		my $core = $statement =~ /TABLE/ ? qr/psql:[^\n]*ERROR:  duplicate key value violates unique constraint "${table}_pkey_ccnew"\n.*/s : qr/(?!)/;
		like(stop_sql($_), qr/\A($core)?\z/, "$statement: a writer gets no error") for @writers;
		is($node->safe_psql('postgres', "SELECT count(*) FROM pg_index WHERE indrelid = '$table'::regclass AND indisvalid AND indisready"),
			'3', "$statement: the indexes are valid");
		index_is_sound($node, $table, $statement);
	}
	checker_is_content($node, $table, 'at the end');
});

stop_node($node);
done_testing();
