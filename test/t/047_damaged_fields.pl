# Damage aimed at single fields of an index, of which a random one (040_damage.pl) would take long to
# find: counts and references by which memory is sized, loops end and pages are found. A statement that
# meets one raises an error that reports it, and the server lives.

use strict;
use warnings;
use ColbertTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $block_size = 8192;
# the beginning of MetaPageData on its page, and of the items of an array page
my $contents = 24;
# ArrayKind and PageKind
my %arrays = (rows => 2, nulls => 5, nodes => 10, neighbours => 11, upper => 12);
my ($array_page, $posting_page) = (2, 3);

my $node = new_node('fields', no_data_checksums => 1);
$node->append_conf('postgresql.conf', <<'CONF');
colbert.background_merge = off
full_page_writes = off
shared_preload_libraries = colbert_pg
CONF
$node->restart;
$node->safe_psql('postgres', <<'SQL');
CREATE FUNCTION tokens(i int, n int, dims int) RETURNS multivector LANGUAGE sql AS
	'SELECT multivector_agg(ARRAY(SELECT sin(i * 31 + t * 7 + d * d) FROM generate_series(1, dims) d)::real[]) FROM generate_series(1, n) t';
CREATE TABLE docs AS SELECT i AS id, tokens(i, 1 + i % 20, 16)::multivector(16) AS doc FROM generate_series(1, 400) i;
SQL

# index_of(TABLE, ROWS, INDEX): create a table of these rows, with an index. Return the index's file.
sub index_of
{
	my ($table, $rows, $index) = @_;

	$node->safe_psql('postgres', "CREATE TABLE $table AS $rows; CREATE INDEX ${table}_index ON $table USING $index");
	return $node->data_dir . '/' . $node->safe_psql('postgres', "SELECT pg_relation_filepath('${table}_index')");
}

# patch(FILE, CODE): change the pages of a stopped server's file: CODE gets a reference to its bytes.
sub patch
{
	my ($file, $code) = @_;
	my $bytes = slurp_file($file);

	$code->(\$bytes);
	open(my $fh, '+<:raw', $file) or die "$file: $!";
	print $fh $bytes;
	close($fh);
	return;
}

# patch_meta(FILE, OFFSET, FORMAT, OLD, NEW): change a number in MetaPageData.
sub patch_meta
{
	my ($file, $offset, $format, $old, $new) = @_;

	patch($file, sub {
		my ($bytes) = @_;
		my $size = length(pack($format, 0));
		my $found = unpack($format, substr($$bytes, $contents + $offset, $size));

		die "expected $old at $offset of MetaPageData, not $found" if $found != $old;
		substr($$bytes, $contents + $offset, $size) = pack($format, $new);
	});
	return;
}

# pages_of(BYTES, KIND, ARRAY): return where the pages of a kind, and of an array, begin.
sub pages_of
{
	my ($bytes, $kind, $array) = @_;

	return grep {
		my ($its_kind, $its_array) = unpack('vv', substr($$bytes, $_ + $block_size - 8, 4));

		$its_kind == $kind && (!defined $array || $its_array == $array);
	} map { $_ * $block_size } 0 .. length($$bytes) / $block_size - 1;
}

# items_of(BYTES, ARRAY): return where the items of an array begin.
sub items_of
{
	my ($bytes, $array) = @_;
	my $size = unpack('V', substr($$bytes, $contents + 36 + 4 * $array, 4));

	return map { my $page = $_; map { $page + $contents + $_ * $size } 0 .. ($block_size - $contents - 8) / $size - 1 } pages_of($bytes, $array_page, $array);
}

# segments_of(BYTES): return a reference [block, offset number, position] per posting segment.
sub segments_of
{
	my ($bytes) = @_;
	my @segments;

	for my $page (pages_of($bytes, $posting_page))
	{
		my $lower = unpack('v', substr($$bytes, $page + 12, 2));

		for my $number (1 .. ($lower - 24) / 4)
		{
			my $item = unpack('V', substr($$bytes, $page + 24 + 4 * ($number - 1), 4));

			push @segments, [ $page / $block_size, $number, $page + ($item & 0x7FFF) ] if ($item >> 15 & 3) == 1;
		}
	}
	return @segments;
}

# raises(SQL, MESSAGE): check that statements end with an error of a damaged index.
sub raises
{
	my ($sql, $message, $name) = @_;
	my (undef, undef, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\nSET statement_timeout = '60s';\n$ColbertTest::by_index;\n$sql");

	like($err, qr/ERROR:  XX002: index "\w+" $message.*HINT:  REINDEX it/s, $name);
	return;
}

sub search
{
	my ($table, $queries) = @_;

	# with fewer documents than these, a search would go through all of them
	return "SET colbert.probes = 4; SET colbert.candidates = 50;\nSELECT id FROM $table ORDER BY doc <#> (SELECT doc FROM " . ($queries // 'docs') . ' WHERE id = 77) LIMIT 10;';
}

sub merge
{
	my ($table, $ids) = @_;

	return "INSERT INTO $table SELECT * FROM docs WHERE id " . ($ids // '<= 100') . "; SELECT colbert_merge('${table}_index');";
}

my $graph = 'colbert_hnsw (doc) WITH (tokens_per_node = 8, m = 4, ef_construction = 4)';
my $lists = 'colbert_ivf (doc) WITH (lists = 60)';
my %file = (
	(map { ($_ => index_of($_, 'SELECT * FROM docs', $graph)) } qw(neighbours entry small_m ef_wraps ef_large per_node_0 per_node_large hnsw_lists)),
	(map { ($_ => index_of($_, 'SELECT * FROM docs', $lists)) } qw(itself many_lists parameters)),
	cycle => index_of('cycle', 'SELECT i AS id, tokens(i, 2, 16)::multivector(16) AS doc FROM generate_series(1, 1500) i', 'colbert_ivf (doc) WITH (lists = 1)'),
	map => index_of('map', 'SELECT i AS id, tokens(i, 6, 128)::multivector(128) AS doc FROM generate_series(1, 500) i', 'colbert_ivf (doc) WITH (quantizer = flat)'),
	last => index_of('last', 'SELECT i AS id, tokens(i, 6, 128)::multivector(128) AS doc FROM generate_series(1, 2000) i', 'colbert_ivf (doc) WITH (lists = 60, quantizer = flat)'),
	nulls => index_of('nulls', 'SELECT 1 AS id, NULL::multivector(16) AS doc', 'colbert_hnsw (doc)'));

$node->stop;

# Fields of the meta page, at 8 (shape) and 584 (nodes) of MetaPageData.
patch_meta($file{small_m}, 8 + 4, 'v', 4, 1);
patch_meta($file{ef_wraps}, 8 + 12, 'V', 4, 0xFFFFFFFF);
patch_meta($file{ef_large}, 8 + 12, 'V', 4, 4 | 1 << 24);
patch_meta($file{per_node_0}, 8 + 16, 'V', 8, 0);
patch_meta($file{per_node_large}, 8 + 16, 'V', 8, 8 | 1 << 31);
patch_meta($file{hnsw_lists}, 8 + 20, 'V', 0, 1 << 30);
patch_meta($file{many_lists}, 8 + 20, 'V', 60, 60 | 1 << 30);
patch_meta($file{parameters}, 584 + 60, 'V', 16, 0xFFFFFFFF);

# A list of neighbours fills its 16 lanes: 2 m = 8 are allowed, and writers have memory for them.
patch($file{neighbours}, sub {
	my ($bytes) = @_;
	my $count = 8 + 2 * 16;    # after half_norm, shrink and 16 values

	for my $item (items_of($bytes, $arrays{neighbours}))
	{
		substr($$bytes, $item + $count, 4) = pack('V', 16) if unpack('V', substr($$bytes, $item + $count, 4)) > 0;
	}
});

# The vertices of upper levels have half_norm NaN.
patch($file{entry}, sub {
	my ($bytes) = @_;

	substr($$bytes, $_ + 8, 4) = pack('V', 0x7FC00000) for items_of($bytes, $arrays{upper});
});

# Each segment names itself as the next one of its list.
patch($file{itself}, sub {
	my ($bytes) = @_;

	substr($$bytes, $_->[2] + 8, 6) = pack('Vv', $_->[0], $_->[1]) for segments_of($bytes);
});

# The last segment of a list names one before it.
patch($file{cycle}, sub {
	my ($bytes) = @_;
	my @segments = segments_of($bytes);
	my ($last) = grep { unpack('V', substr($$bytes, $_->[2] + 8, 4)) == 0xFFFFFFFF } @segments;
	my ($other) = grep { $_->[2] != $last->[2] } @segments;

	die 'the list has one segment' unless $other;
	substr($$bytes, $last->[2] + 8, 6) = pack('Vv', $other->[0], $other->[1]);
});
# Pages without an owner make the file large, but not its list.
truncate($file{cycle}, 130_000 * $block_size) or die "truncate: $!";

# The extents of the code rows are as many as the meta page lists, and the map page of older ones is none.
patch($file{map}, sub {
	my ($bytes) = @_;
	my $pages = $contents + 680 + $arrays{rows} * (16 + 44 * 8);
	my ($npages, $nolder, $map, $nextents, $first, $start) = unpack('V6', substr($$bytes, $pages, 24));

	die "the rows have $npages pages in $nextents extents" unless $npages > 24 + 44 && $nextents == 1;
	substr($$bytes, $pages, 16 + 44 * 8) = pack('V*', $npages, 24, 0xFFFFFFFF, 44, map { ($_, $start + $_) } 24 .. 24 + 43);
});

# Every list begins far beyond the end, where a session that sees the file grow has room for hints (hints.c).
patch($file{last}, sub {
	my ($bytes) = @_;
	my $blocks = length($$bytes) / $block_size;

	substr($$bytes, $_, 4) = pack('V', $blocks + int($blocks / 8) - 1) for items_of($bytes, $arrays{nodes});
});
my $size = -s $file{last};

$node->start;
raises(search('neighbours'), 'has a damaged graph', 'a search meets a vertex with too many neighbours');
raises(merge('neighbours'), 'has a damaged graph', 'so does a merge');
raises(search('entry'), 'has a damaged graph', 'a search finds no vertex');
raises(merge('entry', '= 7'), 'has a damaged graph', 'nor does a merge');
raises(merge($_), 'has a damaged meta page', "$_: a meta page with impossible options") for qw(small_m ef_wraps ef_large per_node_0 per_node_large hnsw_lists many_lists);
raises(search('parameters'), 'has a damaged meta page', 'there are fewer parameters');
raises('DELETE FROM itself WHERE id % 4 = 0; VACUUM itself;', 'has a damaged posting list', 'a segment that follows itself');
raises("SET statement_timeout = '10s'; DELETE FROM cycle WHERE id % 7 = 0; VACUUM cycle;", 'has a damaged posting list', 'a list that is a cycle is left soon');
raises('INSERT INTO map SELECT id + 500, doc FROM map;', 'refers to block 4294967295', 'a map page that does not exist');
raises("INSERT INTO last SELECT id + 2000, doc FROM map WHERE id <= 80;\n" . search('last', 'map'), 'refers to block', 'a list beyond the end of a file that has grown');
cmp_ok(-s $file{last}, '>', $size, 'it has grown');
is($node->safe_psql('postgres', 'SELECT count(*) FROM docs'), 400, 'the server lives');

# The record of a change is replayed on a page with another, sound header: a hole of no bytes. full_page_writes is off.
$node->safe_psql('postgres', 'CHECKPOINT; INSERT INTO nulls VALUES (2, NULL)');
$node->stop('immediate');
patch($file{nulls}, sub {
	my ($bytes) = @_;
	my @pages = pages_of($bytes, $array_page, $arrays{nulls});

	die 'there is another number of null pages' unless @pages == 1;
	substr($$bytes, $pages[0] + 14, 2) = substr($$bytes, $pages[0] + 12, 2);
});
ok($node->start(fail_ok => 1), 'recovery ends');
is($node->safe_psql('postgres', "SELECT coalesce(string_agg(message, '; '), '') FROM colbert_index_check('nulls_index', heapallindexed => true)"), '', 'the record has made the header sound');

unlike(slurp_file($node->logfile), qr/terminated by signal|PANIC|TRAP/, 'no process died');
$node->stop;
done_testing();
