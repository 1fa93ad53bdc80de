# An unlogged table: its index works, is empty after a crash, and works again; then both become
# logged.

use strict;
use warnings;
use ColbertTest;
use Test::More;

my $node = new_node('unlogged');

# sql_for_each(SQL): run SQL for each table, whose name replaces %s.
sub sql_for_each
{
	my ($sql) = @_;

	for my $method (@methods)
	{
		$node->safe_psql('postgres', sprintf($sql, "passages_$method"));
	}
	return;
}

sub rows_of
{
	my ($table) = @_;

	return $node->safe_psql('postgres', "SET enable_indexscan = off; SELECT count(*) FROM $table");
}

sub all_sound
{
	my ($name) = @_;

	each_method($name, sub { index_is_sound($node, $_[1], $name) });
	return;
}

load_questions($node);
load_passages($node, 'pool', 1000);
create_tables($node, 'id <= 500', 'UNLOGGED');
sql_for_each('INSERT INTO %s SELECT * FROM pool WHERE id > 500');
all_sound('built and inserted');

$node->restart;
all_sound('after a clean restart');

$node->stop('immediate');
$node->start;
is(rows_of("passages_$_"), '0', "colbert_$_: a crash empties the table") for @methods;
all_sound('emptied');
sql_for_each('INSERT INTO %s SELECT * FROM pool');
all_sound('filled again');
sql_for_each('VACUUM %s');
all_sound('filled again, and VACUUM');

sql_for_each('ALTER TABLE %s SET LOGGED');
$node->stop('immediate');
$node->start;
is(rows_of("passages_$_"), '1000', "colbert_$_: SET LOGGED: a crash loses nothing") for @methods;
all_sound('SET LOGGED');

stop_node($node);
done_testing();
