# A meta page that is damaged between two looks of a statement, which has allocated memory for the shape that it read first.

use strict;
use warnings;
use ColbertTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $node = faults_node('meanwhile', no_data_checksums => 1);
my $folder = PostgreSQL::Test::Utils::tempdir();

# so few buffers that other pages soon take the place of the meta page
$node->append_conf('postgresql.conf', 'shared_buffers = 256kB');
$node->restart;
add_docs($node, 400);
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION pg_buffercache;
CREATE TABLE filler (id int PRIMARY KEY, content text);
ALTER TABLE filler ALTER content SET STORAGE PLAIN;
INSERT INTO filler SELECT i, repeat(md5(i::text), 120) FROM generate_series(1, 400) i;
CREATE TABLE t AS SELECT * FROM docs WHERE id <= 300;
CREATE INDEX t_index ON t USING colbert_hnsw (doc) WITH (tokens_per_node = 8, m = 4, ef_construction = 4);
SQL
# Read other pages until they have taken the place of the meta page.
sub evict_meta_page
{
	$node->safe_psql('postgres', 'CHECKPOINT');
	for (1 .. 50)
	{
		last if $node->safe_psql('postgres', <<'SQL') eq 't';
SET enable_seqscan = off;
DO $$ BEGIN PERFORM length(content) FROM generate_series(1, 400) i, LATERAL (SELECT content FROM filler WHERE id = i OFFSET 0) AS f; END $$;
SELECT count(*) = 0 FROM pg_buffercache WHERE relfilenode = pg_relation_filenode('t_index') AND relblocknumber = 0;
SQL
	}
	return;
}

# patch(OFFSET, BYTES, LENGTH): overwrite meta data in the file, if there are bytes. Return the LENGTH bytes from there before.
sub patch
{
	my ($offset, $bytes, $length) = @_;
	my $file = $node->data_dir . '/' . $node->safe_psql('postgres', "SELECT pg_relation_filepath('t_index')");

	evict_meta_page();
	open(my $fh, '+<:raw', $file) or die "$file: $!";
	# after the page header
	seek($fh, 24 + $offset, 0);
	read($fh, my $before, $length);
	seek($fh, 24 + $offset, 0);
	print $fh $bytes if defined $bytes;
	close($fh);
	return $before;
}

my $insert = start_sql($node, <<"SQL");
LOAD 'colbert_pg';
SET colbert_faults.folder = '$folder';
\\set VERBOSITY verbose
SET colbert_faults.pause = 'append-written';
INSERT INTO t SELECT * FROM docs WHERE id = 301;
SQL
for (1 .. 1200)
{
	last if -e "$folder/append-written.reached";
	usleep(50_000);
}
ok(-e "$folder/append-written.reached", 'an insert has written a document, and not published it');
# ef_construction, at 12 of the shape, which is at 8
is(unpack('V', patch(8 + 12, pack('V', 900), 4)), 4, 'the meta page has the layout that is expected');
append_to_file("$folder/append-written.go", '');
like(stop_sql($insert), qr/ERROR:  XX002: index "t_index" has a damaged meta page.*HINT:  REINDEX it/s, 'the insert finds another shape');

$node->safe_psql('postgres', 'REINDEX INDEX t_index');
checker_is_content($node, 't', 'rebuilt');

# A session remembers extents that it has checked (extents.c). The extents of the directory, 368 bytes at 680, get the first block of the
# sketches, and then too few pages. Each time, the session that has just inserted finds it.
my $session = $node->background_psql('postgres', on_error_stop => 0);
my $sketches = patch(680 + 368 + 16 + 4, undef, 4);
my $id = 302;

for ([ 'two arrays at one block', 680 + 16 + 4, $sketches ], [ 'an array without pages', 680, pack('V', 0) ])
{
	my ($name, $offset, $bytes) = @$_;

	$session->query("INSERT INTO t SELECT * FROM docs WHERE id = @{[$id++]};");
	is($session->{stderr}, '', "$name: before, the session inserts");
	my $before = patch($offset, $bytes, 4);
	isnt(unpack('V', $before), unpack('V', $bytes), "$name: damage");
	for my $sql ("INSERT INTO t SELECT * FROM docs WHERE id = $id;", 'SET enable_seqscan = off; SELECT id FROM t ORDER BY doc <#> (SELECT doc FROM docs WHERE id = 1) LIMIT 1;')
	{
		$session->query($sql);
		like($session->{stderr}, qr/ERROR:  index "t_index" has a damaged meta page/, "$name: an error");
		$session->{stderr} = '';
	}
	patch($offset, $before, 4);
}
$session->query("INSERT INTO t SELECT * FROM docs WHERE id = $id;");
is($session->{stderr}, '', 'the session goes on with the page that is restored');
$session->quit;
checker_is_content($node, 't', 'restored');
unlike(slurp_file($node->logfile), qr/terminated by signal|PANIC|TRAP/, 'no process died');
$node->stop;
done_testing();
