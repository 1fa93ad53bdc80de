# old_snapshot_threshold (up to PostgreSQL 16): VACUUM and pruning may remove rows that an old
# snapshot sees. A search with such a snapshot either raises "snapshot too old" or returns all its
# rows; it never returns fewer.
#
# With a threshold of 0 nothing is removed early, and a snapshot of more than five seconds is too
# old for any page changed since. The long form (COLBERT_EXTRA) has a threshold of one minute, after
# which half of the rows are removed under the scans.

use strict;
use warnings;
use ColbertTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

my $node = new_node('old_snapshot');

if ($node->safe_psql('postgres', q{SELECT count(*) FROM pg_settings WHERE name = 'old_snapshot_threshold'}) == 0)
{
	$node->stop;
	plan skip_all => 'this server has no old_snapshot_threshold';
}

# Kinds of scans: by order, by threshold, all documents, NULL documents.
my %scans = (
	order => 'SELECT id FROM TABLE ORDER BY doc <#> QUERY',
	best => 'SELECT id FROM TABLE WHERE doc IS NOT NULL ORDER BY doc <#> QUERY LIMIT 100',
	tested => 'SELECT id FROM TABLE WHERE id % 2 = 0 ORDER BY doc <#> QUERY',
	threshold => 'SELECT id FROM TABLE WHERE maxsim(doc, QUERY) > 2',
	documents => 'SELECT id FROM TABLE WHERE doc IS NOT NULL',
	nulls => 'SELECT id FROM TABLE WHERE doc IS NULL',
);

sub make_table
{
	my ($table, $method) = @_;

	$node->safe_psql('postgres', <<"SQL");
CREATE TABLE $table (id int, doc multivector(16));
INSERT INTO $table
	SELECT i, CASE WHEN i % 10 > 0 THEN (SELECT multivector_agg(ARRAY(SELECT sin(i * 31 + t * 7 + d * d) FROM generate_series(1, 16) d)::real[])
	                                     FROM generate_series(1, 1 + i % 3) t) END
	FROM generate_series(1, 2000) i;
CREATE INDEX ON $table USING colbert_$method (doc) WITH (@{[ $method eq 'ivf' ? 'lists = 20' : 'tokens_per_node = 8' ]});
VACUUM ANALYZE $table;
SQL
	return;
}

# statement(TABLE, SCAN): a query that returns the ids of a scan.
sub statement
{
	my ($table, $scan) = @_;

	return $scans{$scan} =~ s/TABLE/$table/gr =~ s/QUERY/'[[1,0,1,0,1,0,1,0,1,0,1,0,1,0,1,0],[0,1,0,1,0,1,0,1,0,1,0,1,0,1,0,1]]'/gr;
}

# start_reader(TABLE): start a transaction with a single snapshot. It opens a cursor for each scan,
# fetches one row of each, waits until nobody holds lock 1, and continues with the cursors and with
# statements of its own.
sub start_reader
{
	my ($table) = @_;
	my $script = "\\set ON_ERROR_STOP off\nSET enable_seqscan = off; SET enable_sort = off; SET enable_bitmapscan = off; SET application_name = 'reader';\n"
	  . "BEGIN ISOLATION LEVEL REPEATABLE READ;\n";

	$script .= "DECLARE open_$_ CURSOR FOR " . statement($table, $_) . ";\nMOVE 1 FROM open_$_;\n" for sort keys %scans;
	$script .= "SELECT pg_advisory_lock_shared(1);\n";
	$script .= "SAVEPOINT s;\n\\echo $_:\nSELECT string_agg(id::text, ' ' ORDER BY id) FROM (" . statement($table, $_) . ") AS r;\nROLLBACK TO s;\n" for sort keys %scans;
	$script .= "SAVEPOINT s;\n\\echo open_$_:\nFETCH ALL FROM open_$_;\nROLLBACK TO s;\n" for sort keys %scans;
	return start_sql($node, "$script COMMIT;\n");
}

# what_came(HANDLE): for each scan, its ids in order, or "too old", parsed from psql's two outputs.
# Errors do not name their scan.
sub what_came
{
	my ($handle) = @_;
	my %came;
	my $scan = '';

	my $errors = stop_sql($handle);
	for (split /\n/, $handle->{out})
	{
		if (/^(\w+):$/) { $came{ $scan = $1 } = [] }
		elsif (/^[\d ]+$/ && $scan) { push @{ $came{$scan} }, split / / }
	}
	note($errors);
	# one error for each scan without rows
	my $none = grep { !@{ $came{$_} } } keys %came;
	my $too_old = () = $errors =~ /ERROR:  snapshot too old/g;
	cmp_ok($too_old, '>=', $none, "$none scans without rows, and $too_old errors of a snapshot too old");
	unlike($errors =~ s/ERROR:  snapshot too old//gr, qr/ERROR/, 'no other errors');
	return \%came;
}

# exact_ids(TABLE, SCAN): the ids of a scan, without the index.
sub exact_ids
{
	my ($table, $scan) = @_;

	return join ' ', sort { $a <=> $b } split /\n/, $node->safe_psql('postgres', 'SET enable_indexscan = off; ' . statement($table, $scan));
}

# too_old(THRESHOLD, SECONDS): test old snapshots while other sessions delete half of the rows of
# one table and none of the other.
sub too_old
{
	my ($threshold, $seconds, $must_fail) = @_;
	my (%wanted, %readers);

	$node->append_conf('postgresql.conf', "old_snapshot_threshold = $threshold");
	$node->restart;
	for my $method (@methods)
	{
		for my $table ("changed_$method", "same_$method")
		{
			$node->safe_psql('postgres', "DROP TABLE IF EXISTS $table");
			make_table($table, $method);
			$wanted{$table}{$_} = exact_ids($table, $_) for keys %scans;
		}
	}
	my $lock = start_sql($node, "SELECT pg_advisory_lock(1); SELECT pg_sleep(3600);");
	$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND granted");
	$readers{$_} = start_reader($_) for sort keys %wanted;
	$node->poll_query_until('postgres', "SELECT count(*) = 4 FROM pg_stat_activity WHERE application_name = 'reader' AND wait_event = 'advisory'");

	my $end = time + $seconds;
	$node->safe_psql('postgres', "DELETE FROM changed_$_ WHERE id % 4 < 2 AND id > 20; INSERT INTO changed_$_ VALUES (0, NULL)") for @methods;
	$node->safe_psql('postgres', 'CREATE TABLE IF NOT EXISTS ticks (i int)');
	while (time < $end)
	{
		$node->safe_psql('postgres', 'INSERT INTO ticks VALUES (1)');
		usleep(500_000);
	}
	$node->safe_psql('postgres', "VACUUM changed_$_") for @methods;
	$node->safe_psql('postgres', "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted");
	stop_sql($lock);

	for my $table (sort keys %wanted)
	{
		my $came = what_came($readers{$table});

		is(keys %$came, 2 * keys %scans, "$table: all scans were run");
		for my $scan (sort keys %$came)
		{
			my $ids = join ' ', sort { $a <=> $b } @{ $came->{$scan} };
			my $exact = $wanted{$table}{ $scan =~ s/^open_//r };

			if ($scan =~ /^open_/ && $ids ne '')
			{
				# all but the row that was fetched before
				my %given = map { $_ => 1 } @{ $came->{$scan} };
				is(scalar(grep { !$given{$_} } split / /, $exact), 1, "$table, $scan: all rows came");
			}
			elsif ($ids ne '' || $table =~ /^same/)
			{
				is($ids, $exact, "$table, $scan: all rows came");
			}
			elsif ($must_fail->($table, $scan))
			{
				pass("$table, $scan: too old");
			}
			next unless $ids ne '' && $must_fail->($table, $scan);
			fail("$table, $scan: wrong rows");
		}
	}
	return;
}

# A scan that starts after the change reads the meta page, which has changed.
subtest 'threshold of 0' => sub { too_old('0', 6.5, sub { $_[0] =~ /^changed/ && $_[1] !~ /^open_/ }) };
SKIP:
{
	skip 'set COLBERT_EXTRA for minutes of waiting', 1 unless $ENV{COLBERT_EXTRA};
	subtest 'threshold of a minute' => sub { too_old('1min', 140, sub { $_[0] =~ /^changed/ && $_[1] !~ /^open_/ }) };
}
$node->append_conf('postgresql.conf', 'old_snapshot_threshold = -1');
$node->restart;
stop_node($node);
done_testing();
