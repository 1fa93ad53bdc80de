# Damaged files: flipped bits, zeroed or torn pages and truncated files, for pages of every kind,
# without checksums. Any damage that a statement meets must raise an error that reports it, do no
# harm, or be found by colbert_index_check. It must never cause a crash, a hang or an unreported
# wrong answer. REINDEX repairs it.

use strict;
use warnings;
use ColbertTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $rounds = rounds(13);
my $block_size = 8192;
my @array_names = qw(documents sketches rows pending_rows queue nulls versions hashes params means nodes neighbours upper parents children centroids edges);
my @damages = qw(flip flip flip flip flip flip flip flip zero torn noise truncate);

# Each table has an index of another kind, with documents that are merged, pending, dead, free,
# NULL, or shared by two versions of a row.
my @indexes = (
	'colbert_hnsw (doc) WITH (tokens_per_node = 8, m = 4)',
	'colbert_ivf (doc) WITH (lists = 60)',
	'colbert_hnsw (doc multivector_l2_ops) WITH (tokens_per_node = 8, m = 4, quantizer = bit)',
	'colbert_ivf (doc multivector_cosine_ops) WITH (lists = 60, quantizer = flat)',
	'colbert_hnsw (doc multivector_cosine_ops) WITH (tokens_per_node = 1000000)',
	'colbert_ivf (doc multivector_l2_ops) WITH (lists = 60, quantizer = bit)',
	'colbert_hnsw (doc) WITH (tokens_per_node = 8, m = 4, quantizer = sq4)',
	'colbert_ivf (doc multivector_l2_ops) WITH (lists = 60, quantizer = pq)');
my @operators = ('<#>', '<#>', '<->', '<=>', '<=>', '<->', '<#>', '<->');
my $copies = 2;

my $node = new_node('damage', no_data_checksums => 1, extra => ['--wal-segsize=1']);

# the copy of stop_prepared(), and what it consists of
my $prepared = PostgreSQL::Test::Utils::tempdir() . '/data';
my @changing = ('global', 'pg_wal', 'pg_xact', 'pg_multixact', 'pg_subtrans', 'base/' . $node->safe_psql('postgres', 'SELECT oid FROM pg_database WHERE datname = current_database()'));

$node->safe_psql('postgres', <<'SQL');
CREATE TABLE docs (id int PRIMARY KEY, doc multivector(16));
INSERT INTO docs
	SELECT i, CASE WHEN i % 20 > 0 THEN (SELECT multivector_agg(ARRAY(SELECT sin(i * 31 + t * 7 + d * d) FROM generate_series(1, 16) d)::real[])
	                                     FROM generate_series(1, 1 + i % 20) t) END
	FROM generate_series(1, 400) i;
CREATE TABLE seen (round int, index text, step text, state text, message text);

-- Run a statement and record its error.
CREATE PROCEDURE try(round int, index text, step text, statement text) LANGUAGE plpgsql AS $$
DECLARE
	state text := '';
	message text;
BEGIN
	BEGIN
		EXECUTE statement;
	EXCEPTION WHEN OTHERS THEN
		GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT;
	END;
	INSERT INTO seen VALUES (round, index, step, state, message);
	COMMIT;
END $$;

-- All rows of a table, as returned by its index, must be those of the table.
CREATE FUNCTION whole_scan(target text, operator text) RETURNS void LANGUAGE plpgsql SET enable_seqscan = off SET enable_sort = off AS $$
DECLARE
	found int[];
	wanted int[];
BEGIN
	EXECUTE format('SELECT array_agg(id) FROM (SELECT id FROM %s ORDER BY doc %s %L) AS scan', target, operator,
		(SELECT doc FROM docs WHERE id = 39)) INTO found;
	SET LOCAL enable_indexscan = off;
	EXECUTE format('SELECT array_agg(id) FROM %s', target) INTO wanted;
	IF (SELECT array_agg(i ORDER BY i) FROM unnest(found) i) IS DISTINCT FROM (SELECT array_agg(i ORDER BY i) FROM unnest(wanted) i) THEN
		RAISE EXCEPTION 'expected % rows, not %', cardinality(wanted), cardinality(found);
	END IF;
END $$;
SQL

my @tables;
for my $copy (1 .. $copies)
{
	for my $kind (0 .. $#indexes)
	{
		my $table = "d${kind}_$copy";

		push @tables, { name => $table, operator => $operators[$kind] };
		$node->safe_psql('postgres', <<"SQL");
CREATE TABLE $table (id int PRIMARY KEY, doc multivector(16), views int DEFAULT 0);
INSERT INTO $table SELECT * FROM docs WHERE id <= 300;
CREATE INDEX ${table}_index ON $table USING $indexes[$kind];
CREATE INDEX ON $table (views);
SQL
	}
}

# Create documents in every state, in a new index.
sub prepare
{
	my $sql = '';

	for my $table (@tables)
	{
		my $name = $table->{name};

		$sql .= <<"SQL";
TRUNCATE $name; INSERT INTO $name SELECT * FROM docs WHERE id <= 300; REINDEX INDEX ${name}_index;
DELETE FROM $name WHERE id <= 60; VACUUM $name; INSERT INTO $name SELECT * FROM docs WHERE id <= 20;
DELETE FROM $name WHERE id BETWEEN 100 AND 110; VACUUM (INDEX_CLEANUP on) $name; INSERT INTO $name SELECT * FROM docs WHERE id > 350;
UPDATE $name SET views = views + 1 WHERE id < 20 OR id > 150;
SQL
	}
	$node->safe_psql('postgres', $sql);
	$_->{file} = $node->data_dir . '/' . $node->safe_psql('postgres', "SELECT pg_relation_filepath('$_->{name}_index')") for @tables;
	return;
}

# Copy the files of a stopped server that statements change.
sub copy_files
{
	my ($from, $to) = @_;

	system_or_bail('sh', '-c', "mkdir -p '$to' && cd '$to' && rm -rf @changing && cd '$from' && cp -a --parents @changing '$to'");
	return;
}

# Stop the server in the state that prepare() makes: every tenth round makes it, the others copy it.
# It is nearly always the same, because the seeds of indexes are fixed; merges depend on time.
sub stop_prepared
{
	my ($round) = @_;

	if ($round % 10 == 1)
	{
		prepare();
		$node->stop;
		# of the WAL, nothing remains to be copied
		system_or_bail('pg_resetwal', '-D', $node->data_dir);
		copy_files($node->data_dir, $prepared);
	}
	else
	{
		$node->stop('immediate');
		copy_files($prepared, $node->data_dir);
	}
	return;
}

sub kind_of
{
	my ($page) = @_;
	my ($kind, $array, $magic) = unpack('vvV', substr($page, -8));

	return 'empty' if $page !~ /[^\0]/;
	return 'meta' if $kind == 1;
	return 'postings' if $kind == 3;
	return $array_names[$array];
}

# Damage one page of a file, with equal probability for each kind of page. Return a description.
sub damage
{
	my ($file) = @_;
	my $bytes = slurp_file($file);
	my %pages;

	for my $block (0 .. length($bytes) / $block_size - 1)
	{
		push @{ $pages{ kind_of(substr($bytes, $block * $block_size, $block_size)) } }, $block;
	}
	delete $pages{empty};
	my @kinds = sort keys %pages;
	my $kind = $kinds[ rand @kinds ];
	my $block = $pages{$kind}[ rand @{ $pages{$kind} } ];
	my $what = $damages[ rand @damages ];
	my $page = substr($bytes, $block * $block_size, $block_size);
	my $place = '';

	if ($what eq 'truncate')
	{
		$block = 1 + int rand(length($bytes) / $block_size - 1);
		truncate($file, $block * $block_size) or die "truncate: $!";
		return "truncated to $block blocks";
	}
	if ($what eq 'flip')
	{
		# mostly where the page holds data: its first part and its trailer
		my @used = grep { substr($page, $_, 1) ne "\0" } 0 .. $block_size - 1;

		$place = rand() < .7 ? $used[ rand @used ] : int rand $block_size;
		vec($page, $place * 8 + int rand 8, 1) ^= 1;
	}
	$page = "\0" x $block_size if $what eq 'zero';
	substr($page, 4096, 4096) = "\0" x 4096 if $what eq 'torn';
	if ($what eq 'noise')
	{
		$place = 24 + 4 * int rand 2000;
		substr($page, $place, 16) = pack('V4', map { int rand 2**32 } 1 .. 4);
	}
	open(my $fh, '+<:raw', $file) or die "$file: $!";
	seek($fh, $block * $block_size, 0);
	print $fh $page;
	close($fh);
	return "$what of $kind, block $block" . ($place ne '' ? ", byte $place" : '');
}

# damage_rows(FILE): make the heap TIDs of a page of documents, and of a page of NULL rows, point
# far beyond the table.
sub damage_rows
{
	my ($file) = @_;
	my $bytes = slurp_file($file);

	open(my $fh, '+<:raw', $file) or die "$file: $!";
	for my $block (0 .. length($bytes) / $block_size - 1)
	{
		my $kind = kind_of(substr($bytes, $block * $block_size, $block_size));
		my ($first, $size) = $kind eq 'documents' ? (24, 36) : $kind eq 'nulls' ? (32, 6) : next;

		for (my $at = $first; $at + $size < $block_size - 8; $at += $size)
		{
			seek($fh, $block * $block_size + $at, 0);
			print $fh pack('v', 0x2000);
		}
	}
	close($fh);
	return 'every row is named as of a block that is not there';
}

# damage_extents(FILE): make the meta page say that the queue is on the pages of the documents.
sub damage_extents
{
	my ($file) = @_;
	# of MetaPageData, after 24 bytes of page header: pages at 680, each 16 bytes and 44 extents of
	# 8; item sizes at 36
	my ($documents, $queue) = map { 24 + 680 + $_ * (16 + 44 * 8) } 0, 4;
	my $page = substr(slurp_file($file), 0, $block_size);

	die 'the meta page has another layout' unless unpack('V', substr($page, 24 + 36, 4)) == 36 && unpack('V', substr($page, 24 + 36 + 4 * 4, 4)) == 4;
	substr($page, $queue + 16, 8) = substr($page, $documents + 16, 8);
	open(my $fh, '+<:raw', $file) or die "$file: $!";
	print $fh $page;
	close($fh);
	return 'the queue is on the pages of the documents';
}

# damage_line_pointers(FILE, LOWER): add a line pointer to each posting page: not used, but with a length. With LOWER, make line pointers end
# there instead.
sub damage_line_pointers
{
	my ($file, $end) = @_;
	my $bytes = slurp_file($file);
	my $pages = 0;

	open(my $fh, '+<:raw', $file) or die "$file: $!";
	for my $block (reverse 0 .. length($bytes) / $block_size - 1)
	{
		my $page = substr($bytes, $block * $block_size, $block_size);
		my ($lower, $upper) = unpack('vv', substr($page, 12, 4));

		next if kind_of($page) ne 'postings' || $lower + 4 > $upper;
		# ItemIdData: 15 bits of offset, 2 of flags (0: not used), 15 of length
		substr($page, $lower, 4) = pack('V', $upper | 48 << 17) unless $end;
		substr($page, 12, 2) = pack('v', $end || $lower + 4);
		seek($fh, $block * $block_size, 0);
		print $fh $page;
		$pages++;
	}
	close($fh);
	return $pages > 0 ? 'every posting page has damaged line pointers' : 'the index has no posting page';
}

my %outcomes;
my @wrong;
my $runs = 0;
# A page may have code rows of deleted documents alone. Zeroed, it is as good as one that is not used yet: the checker, which compares the
# rows of all other documents with the table, finds nothing.
my ($zeroed_rows, $unseen_rows) = (0, 0);
for my $round (1 .. $rounds)
{
	stop_prepared($round);
	for my $table (@tables)
	{
		$table->{damage} =
		    $round == 1 && $table->{name} =~ /_1$/ ? damage_rows($table->{file})
		  : $round == 1 && $table->{name} =~ /_2$/ ? damage_extents($table->{file})
		  : $round == 2 && $table->{name} =~ /_1$/ ? damage_line_pointers($table->{file})
		  : $round == 2 && $table->{name} =~ /_2$/ ? damage_line_pointers($table->{file}, 20)
		  : damage($table->{file});
	}
	$node->start;
	for my $table (@tables)
	{
		my ($name, $op) = ($table->{name}, $table->{operator});
		my ($rc, $out, $err) = $node->psql('postgres', <<"SQL", timeout => 300, timed_out => \my $hangs);
SET statement_timeout = '60s';
SET enable_seqscan = off;
CALL try($round, '$name', 'search', \$\$SELECT id FROM $name ORDER BY doc $op (SELECT doc FROM docs WHERE id = 77) LIMIT 10\$\$);
CALL try($round, '$name', 'scan', \$\$SELECT whole_scan('$name', '$op')\$\$);
CALL try($round, '$name', 'info', \$\$SELECT colbert_index_info('${name}_index')\$\$);
INSERT INTO seen SELECT $round, '$name', 'check', '', coalesce(string_agg(part || ': ' || message, '; '), '')
	FROM colbert_index_check('${name}_index', heapallindexed => true, rescore => true);
CALL try($round, '$name', 'insert', \$\$INSERT INTO $name SELECT * FROM docs WHERE id BETWEEN 301 AND 320\$\$);
CALL try($round, '$name', 'update', \$\$UPDATE $name SET doc = doc || doc WHERE id BETWEEN 200 AND 210\$\$);
CALL try($round, '$name', 'keep', \$\$UPDATE $name SET views = views + 1\$\$);
CALL try($round, '$name', 'merge', \$\$SELECT colbert_merge('${name}_index')\$\$);
DELETE FROM $name WHERE id BETWEEN 120 AND 160;
\\warn VACUUM
-- in a new session, which has cached nothing
\\connect
\\set VERBOSITY verbose
SET statement_timeout = '60s';
VACUUM $name;
SQL
		if ($hangs)
		{
			kill_all($node);
			BAIL_OUT("$table->{damage}: a statement that no timeout ends");
		}
		BAIL_OUT("$table->{damage}: the server ended a session: $err") if $rc == 2;
		my ($first_err, $vacuum_err) = split /^VACUUM$/m, $err, 2;
		$table->{failed} = !defined $vacuum_err ? "psql ended with status $rc: $err" : $first_err =~ /ERROR/ ? $err : '';
		# XX001 and XX002: data and index corrupted
		$table->{failed} .= $vacuum_err if $rc != 0 && ($vacuum_err // '') !~ /ERROR:  XX00[12]/;
	}
	my %seen;
	for (split /\n/, $node->safe_psql('postgres', "SELECT index, step, state, message FROM seen WHERE round = $round"))
	{
		$seen{$1}{$2} = [ $3, $4 ] if /^(\w+)\|(\w+)\|(\w*)\|(.*)$/;
	}
	for my $table (@tables)
	{
		my ($name, $failed) = ($table->{name}, $table->{failed});
		my %step = %{ $seen{$name} // {} };
		my @errors = grep { $step{$_}[0] ne '' } sort keys %step;

		$failed .= "$_: $step{$_}[0] $step{$_}[1]\n" for grep { $step{$_}[0] !~ /^XX00[12]$/ && !($_ eq 'scan' && $step{$_}[0] eq 'P0001') } @errors;
		my $checked = $step{check} ? $step{check}[1] : '';
		my $missing = $step{scan} && $step{scan}[0] eq 'P0001';
		$failed .= "rows are missing, and the checker finds nothing\n" if $missing && $checked eq '';
		if ($table->{damage} =~ /^zero of rows/)
		{
			$zeroed_rows++;
			$unseen_rows++ if $checked eq '';
		}
		elsif ($table->{damage} =~ /^(zero|truncated|every|the queue)/)
		{
			$failed .= "the checker finds nothing of a $table->{damage}\n" if $checked eq '';
		}
		my $outcome = $failed ne '' ? 'wrong' : $checked ne '' ? (@errors ? 'errors, and found' : 'found') : @errors ? 'errors' : 'harmless';
		$outcomes{$outcome}++;
		$runs++;
		push @wrong, "$name, round $round: $table->{damage}\n$failed" if $failed ne '';
		note("$name, round $round: $table->{damage}: $outcome ($checked)");
	}
}
is(join("\n", @wrong), '', "$runs damages: " . join(', ', map { "$outcomes{$_} $_" } sort keys %outcomes));
cmp_ok($unseen_rows, '<=', 1 + $zeroed_rows / 4, "the checker finds nothing of $unseen_rows of $zeroed_rows zeroed pages of rows");
unlike(slurp_file($node->logfile), qr/terminated by signal|PANIC|TRAP/, 'no process died');

# PostgreSQL panics when it adds an item to a page whose line pointers end before they begin. Nothing is read from a posting page without segments
# before a merge adds one.
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE emptied AS SELECT * FROM docs;
CREATE INDEX emptied_index ON emptied USING colbert_ivf (doc) WITH (lists = 60);
DELETE FROM emptied;
VACUUM emptied;
SQL
my $emptied = $node->data_dir . '/' . $node->safe_psql('postgres', "SELECT pg_relation_filepath('emptied_index')");
$node->stop;
like(damage_line_pointers($emptied, 20), qr/^every/, 'posting pages without segments are damaged');
$node->start;
$node->psql('postgres', "INSERT INTO emptied SELECT * FROM docs; SELECT colbert_merge('emptied_index')");
is($node->safe_psql('postgres', "SELECT pending_documents FROM colbert_index_info('emptied_index')"), '0', 'a merge goes around them');
$node->safe_psql('postgres', 'DROP TABLE emptied');

# A damaged index can be rebuilt without loss.
for my $table (map { $_->{name} } @tables)
{
	$node->safe_psql('postgres', "REINDEX INDEX ${table}_index");
	checker_is_content($node, $table, "$table, rebuilt");
}
prepare();
checker_is_content($node, $_->{name}, "$_->{name} after REINDEX") for @tables;

# A null page whose count is 2^32 - 1: one more would be 0, and there is no room for it.
$node->safe_psql('postgres', 'CREATE TABLE wrapped (id int, doc multivector(2)); CREATE INDEX wrapped_index ON wrapped USING colbert_hnsw (doc); INSERT INTO wrapped VALUES (1, NULL)');
my $wrapped = $node->data_dir . '/' . $node->safe_psql('postgres', "SELECT pg_relation_filepath('wrapped_index')");
$node->stop;
my $pages = slurp_file($wrapped);
open(my $damaged, '+<:raw', $wrapped) or die "$wrapped: $!";
for my $block (grep { kind_of(substr($pages, $_ * $block_size, $block_size)) eq 'nulls' } 0 .. length($pages) / $block_size - 1)
{
	seek($damaged, $block * $block_size + 24, 0);
	print $damaged pack('V', 0xFFFFFFFF);
}
close($damaged);
$node->start;
my ($wrapped_rc, undef, $wrapped_err) = $node->psql('postgres', "\\set VERBOSITY verbose\nINSERT INTO wrapped VALUES (2, NULL)");
like($wrapped_err, qr/ERROR:  XX002: index "wrapped_index" has a null page of 4294967295 rows/, 'a count that would wrap is damage');

$node->stop;
done_testing();
