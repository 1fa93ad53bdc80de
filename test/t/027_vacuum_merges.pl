# VACUUM merges pending documents while it sweeps the posting lists, since it holds the merge lock
# from the beginning of the sweep to its end. It is paused after the first posting page
# (COLBERT_PAUSE, in the test library), documents come, and it goes on: the lists of some of them
# begin on pages that are full of dead documents and not swept yet, so that the merge moves them to
# pages that are.

use strict;
use warnings;
use ColbertTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $node = faults_node('vacuum_merges');
my $folder = PostgreSQL::Test::Utils::tempdir();
my $limit = 8000;
my $pending = q{SELECT pending_tokens FROM colbert_index_info('t_index')};

# VACUUM looks for pending documents once per 16 documents and pages. With a multiple of 16
# documents it looks before the first and the seventeenth page.
my $documents = 4000;

$node->safe_psql('postgres', <<"SQL");
SELECT setseed(.5);
CREATE TABLE docs (id int PRIMARY KEY, doc multivector(16));
INSERT INTO docs
	SELECT i, (SELECT multivector_agg(ARRAY(SELECT random() * 2 - 1 FROM generate_series(1, 16) d WHERE i > 0 AND t > 0)::real[])
	           FROM generate_series(1, 8) t)
	FROM generate_series(1, $documents) i;
SQL

my %indexes = (
	'colbert_hnsw' => 'colbert_hnsw (doc) WITH (tokens_per_node = 16)',
	'colbert_ivf' => 'colbert_ivf (doc) WITH (lists = 2000)',
	'colbert_hnsw, pq' => 'colbert_hnsw (doc) WITH (tokens_per_node = 16, quantizer = pq)',
	'colbert_ivf, bit' => 'colbert_ivf (doc) WITH (lists = 2000, quantizer = bit)');

# reached(POINT): wait until VACUUM pauses at a point.
sub reached
{
	my ($point) = @_;
	my $looks = 1200;

	usleep(50_000) until -e "$folder/$point.reached" || $looks-- == 0;
	return ok(-e "$folder/$point.reached", "$point is reached");
}

# insert(WHICH): insert copies of documents without merging any. The negative ids are new.
sub insert
{
	my ($which) = @_;

	$node->safe_psql('postgres', "LOAD 'colbert_pg'; SET colbert.pending_limit = 100000000; INSERT INTO t SELECT -id, doc FROM docs WHERE $which");
	return;
}

# interrupt_merge(): leave postings that are not counted.
sub interrupt_merge
{
	my $merging = start_sql($node, "LOAD 'colbert_pg'; SET colbert_faults.folder = '$folder'; SET colbert_faults.pause = 'merge-posted'; SET application_name = 'merging';\nSELECT colbert_merge('t_index')");

	reached('merge-posted');
	$node->safe_psql('postgres', q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'merging'});
	like(stop_sql($merging), qr/terminating connection/, 'a merge ends after its postings');
	unlink glob "$folder/*";
	return;
}

# vacuum(NAME): run VACUUM, insert documents after its first posting page, and see that it has merged
# some when it has swept them all.
sub vacuum
{
	my ($name) = @_;
	my $vacuum = start_sql($node, "LOAD 'colbert_pg'; SET colbert_faults.folder = '$folder'; SET colbert_faults.pause = 'page-swept vacuum-swept'; SET colbert.pending_limit = $limit;\nVACUUM (INDEX_CLEANUP on) t;");

	reached('page-swept');
	insert('id % 4 = 1');
	my $before = $node->safe_psql('postgres', $pending);
	cmp_ok($before, '>=', $limit, "$name: $before tokens are pending, the limit is $limit");

	# an insert that finds that much pending gets no turn while VACUUM holds the lock, and goes on
	$node->safe_psql('postgres', "SET statement_timeout = '10s'; LOAD 'colbert_pg'; SET colbert.pending_limit = $limit; INSERT INTO t SELECT -id, doc FROM docs WHERE id = 2");
	append_to_file("$folder/page-swept.go", '');
	reached('vacuum-swept');
	cmp_ok($node->safe_psql('postgres', $pending), '<', $before, "$name: VACUUM merges while it sweeps");
	append_to_file("$folder/vacuum-swept.go", '');
	is(stop_sql($vacuum), '', "$name: it finishes");
	unlink glob "$folder/*";
	return;
}

for my $name (sort keys %indexes)
{
	$node->safe_psql('postgres', "DROP TABLE IF EXISTS t; CREATE TABLE t (id int, doc multivector(16)); INSERT INTO t SELECT * FROM docs; CREATE INDEX t_index ON t USING $indexes{$name}");
	my ($documents, $bytes) = split /\|/, $node->safe_psql('postgres', q{SELECT documents, posting_bytes FROM colbert_index_info('t_index')});
	is($documents % 16, 0, "$name: it looks before the first page");
	cmp_ok($bytes, '>', 18 * 8192, "$name: there are more than 18 posting pages");

	# The lists lose half of their documents, and get others meanwhile.
	$node->safe_psql('postgres', 'DELETE FROM t WHERE id % 2 = 0');
	vacuum("$name, the dead are swept");
	checker_is_content($node, 't', "$name, the dead are swept", q{part <> 'nodes' OR severity = 'error'});
	is($node->safe_psql('postgres', q{SELECT dead_documents FROM colbert_index_info('t_index')}), '0', "$name: the dead are free");

	# Other documents get the ordinals of the dead.
	insert('id % 2 = 0');
	$node->safe_psql('postgres', q{SELECT colbert_merge('t_index')});
	is($node->safe_psql('postgres', q{SELECT free_documents FROM colbert_index_info('t_index')}) < 1000 ? 'used' : 'free', 'used', "$name: their ordinals are used again");
	checker_is_content($node, 't', "$name, ordinals are used again", q{part <> 'nodes' OR severity = 'error'});
	is(rows_not_found($node, 't', 'p.id % 40 = 1', "$ColbertTest::by_index SET colbert.recall = 0.9999;"), '', "$name: rows are found by their own embeddings");

	# The postings were counted wrong, and are counted anew: by a sweep, and without one.
	for my $which ('id % 8 = 3', 'id = 7')
	{
		insert('id % 100 = 3');
		interrupt_merge();
		$node->safe_psql('postgres', "DELETE FROM t WHERE $which");
		vacuum("$name, inexact, without $which");
		checker_is_content($node, 't', "$name, inexact, without $which", q{part <> 'nodes' OR severity = 'error'});
	}
}

stop_node($node);
done_testing();
