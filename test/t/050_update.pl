# ALTER EXTENSION colbert_pg UPDATE: an older version's install script with the upgrade scripts
# leads to the same catalog as the newest install script, and until then the library supports the
# older version's objects.
#
# Releases keep their install script in sql/released, and all upgrade scripts are in sql/upgrades.
# In addition, the test invents older versions from the first parts of the install script, whose
# upgrade scripts are the remaining parts, and a next version that adds a function.

use strict;
use warnings;
use ColbertTest;
use File::Basename qw(basename dirname);
use File::Path qw(make_path);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# Create a copy of the server's installation whose extension folder is writable. Programs are
# copied, because they locate other files relative to themselves.
sub private_tree
{
	my ($bindir, $libdir, $sharedir) = map { my $path = `pg_config --$_`; chomp $path; $path } qw(bindir pkglibdir sharedir);
	my $tree = PostgreSQL::Test::Utils::tempdir();
	my $extensions = "$tree$sharedir/extension";

	make_path(map { dirname("$tree$_") } $bindir, $libdir);
	make_path($extensions);
	system_or_bail('cp', '-rL', $bindir, "$tree$bindir");
	symlink($libdir, "$tree$libdir") unless -e "$tree$libdir";
	symlink($_, "$tree$sharedir/" . basename($_)) for grep { !m{/extension$} } glob("$sharedir/*");
	symlink($_, "$extensions/" . basename($_)) for glob("$sharedir/extension/*");
	return ("$tree$bindir", $extensions);
}

sub write_script
{
	my ($path, @texts) = @_;

	unlink $path;
	append_to_file($path, join('', @texts));
	return;
}

my ($bindir, $extensions) = private_tree();
my @parts = map { slurp_file($_) } sort glob("$ENV{COLBERT_SQL}/parts/*.sql");
my ($current) = slurp_file("$extensions/colbert_pg.control") =~ /default_version = '([^']+)'/;
my $node = PostgreSQL::Test::Cluster->new('update', install_path => dirname($bindir));

$node->init;
$node->start;

# catalog(DATABASE, STATEMENT...): the objects of the extension in a new database, after the
# statements.
sub catalog
{
	my ($database, @statements) = @_;

	$node->safe_psql('postgres', "CREATE DATABASE $database");
	$node->safe_psql($database, $_) for @statements;
	return $node->safe_psql($database, slurp_file('t/catalog.sql'));
}

my $fresh = catalog('fresh', 'CREATE EXTENSION colbert_pg');

is($node->safe_psql('fresh', 'SHOW data_directory'), $node->data_dir, 'the server runs from the private tree');
cmp_ok(scalar(split /\n/, $fresh), '>', 300, 'the catalog has lines');
is(join('', @parts), slurp_file("$extensions/colbert_pg--$current.sql"), 'the install script consists of its parts');
$node->safe_psql('fresh', 'DROP EXTENSION colbert_pg');
is($node->safe_psql('fresh', "SELECT count(*) FROM pg_proc, pg_type WHERE probin LIKE '%colbert_pg%' OR typname LIKE '%multivector%'"), '0', 'DROP EXTENSION leaves nothing behind');

# Invented older versions, one ending after each part.
for my $n (1 .. $#parts)
{
	write_script("$extensions/colbert_pg--0.0.$n.sql", @parts[0 .. $n - 1]);
	write_script("$extensions/colbert_pg--0.0.$n--$current.sql", @parts[$n .. $#parts]);
	is(catalog("part$n", "CREATE EXTENSION colbert_pg VERSION '0.0.$n'", 'ALTER EXTENSION colbert_pg UPDATE'), $fresh, "after $n of the install script's parts, and an update");
}

# The comparison must be able to fail: scripts that forget or change something.
for my $change (['a comment', "COMMENT ON FUNCTION maxsim(multivector, multivector) IS 'another'"], ['a cost', 'ALTER FUNCTION dims(multivector) COST 7'],
	['rights', 'GRANT EXECUTE ON FUNCTION colbert_index_check TO PUBLIC'], ['an operator', 'ALTER OPERATOR <> (multivector, multivector) SET (RESTRICT = NONE)'],
	['a family', 'ALTER OPERATOR FAMILY multivector_l2_ops USING colbert_ivf ADD FUNCTION 1 (multivector, multivector_threshold) maxsim(multivector, multivector)'],
	['a member', 'ALTER EXTENSION colbert_pg DROP CAST (json AS multivector)'])
{
	my ($what, $statement) = @$change;

	(my $name = $what) =~ s/ /_/g;
	ok(catalog("change_$name", 'CREATE EXTENSION colbert_pg', $statement) ne $fresh, "a changed script would be detected: $what");
}

# Released versions.
for my $script (glob("$ENV{COLBERT_SQL}/released/colbert_pg--*.sql"))
{
	my ($version) = $script =~ /--(.+)\.sql$/;

	write_script("$extensions/colbert_pg--$version.sql", slurp_file($script));
	is(catalog('released_' . $version =~ tr/./_/r, "CREATE EXTENSION colbert_pg VERSION '$version'", 'ALTER EXTENSION colbert_pg UPDATE'), $fresh, "$version and an update");
}

# Indexes created before an update: with the objects of an older version, and before the next
# version.
my $without_check = (grep { $parts[$_] =~ /colbert_index_check/ } 0 .. $#parts)[0];

write_script("$extensions/colbert_pg--9.9.9.sql", @parts);
write_script("$extensions/colbert_pg--$current--9.9.9.sql", "CREATE FUNCTION colbert_next() RETURNS int LANGUAGE sql IMMUTABLE RETURN 9;\n");
$node->safe_psql('postgres', <<"SQL");
CREATE EXTENSION colbert_pg VERSION '0.0.$without_check';
CREATE TABLE pool (id int PRIMARY KEY, doc multivector(4));
INSERT INTO pool SELECT i, format('[[%s,%s,1,0],[0,%s,0,1]]', i % 17, i % 19, i % 23)::multivector FROM generate_series(1, 3000) AS i;
SQL
create_tables($node, 'id <= 2500');

sub answers
{
	return join "\n", map { $node->safe_psql('postgres', "$ColbertTest::by_index SELECT array_agg(id ORDER BY score DESC, id) FROM (
		SELECT id, maxsim(doc, '[[3,1,4,1],[5,9,2,6]]') AS score FROM passages_$_ WHERE doc IS NOT NULL ORDER BY score DESC LIMIT 10) t") } @methods;
}
my $answers = answers();

for my $version ($current, '9.9.9')
{
	my $files = $node->safe_psql('postgres', "SELECT relname, relfilenode FROM pg_class WHERE relname LIKE 'passages%'");

	$node->safe_psql('postgres', "ALTER EXTENSION colbert_pg UPDATE TO '$version'");
	is(answers(), $answers, "the same answers after an update to $version");
	each_method("an update to $version", sub {
		my ($method, $table) = @_;

		is($node->safe_psql('postgres', "SELECT * FROM colbert_index_check('${table}_index', true, true)"), '', 'the checker finds nothing');
		$node->safe_psql('postgres', "INSERT INTO $table SELECT id + 10000, doc FROM pool WHERE id > 2500 ON CONFLICT DO NOTHING;
			DELETE FROM $table WHERE id > 2500; VACUUM $table");
		is($node->safe_psql('postgres', "SELECT * FROM colbert_index_check('${table}_index', true, true)"), '', 'the checker finds nothing after changes');
	});
	is($node->safe_psql('postgres', "SELECT relname, relfilenode FROM pg_class WHERE relname LIKE 'passages%'"), $files, 'no index was rebuilt');
}
is($node->safe_psql('postgres', 'SELECT colbert_next()'), '9', 'the next version is installed');
$node->stop;
done_testing();
