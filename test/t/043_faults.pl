# Out-of-memory errors and cancel requests at each call of the server that allocates, reads, locks
# or can be interrupted: in builds (with and without workers), inserts, merges, VACUUM, searches and
# checks. Each must raise an error and have no other effect: the index is sound, no lock, memory or
# file is left, and repeating the statement succeeds.
#
# The library is built for this test (test/faults). A statement is run once to list its sites, and
# then once for each failing site: at its first call, and at one of its last.

use strict;
use warnings;
use ColbertTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $runs = rounds(365);
my $node = faults_node('faults');
my $folder = PostgreSQL::Test::Utils::tempdir();

$node->append_conf('postgresql.conf', "max_parallel_maintenance_workers = 2\nmin_parallel_table_scan_size = 0");
$node->reload;
add_docs($node, 400);
$node->safe_psql('postgres', <<'SQL');
-- Return faults of a table's index, of the rows found by it, or of the session's remains; nothing if all is well.
CREATE FUNCTION verify(target text, operator text) RETURNS text LANGUAGE plpgsql SET enable_seqscan = off SET enable_sort = off AS $$
DECLARE
	wrong text := '';
	n bigint;
BEGIN
	SELECT string_agg(format('%s %s: %s', part, ordinal, message), '; ') INTO wrong
	FROM colbert_index_check((target || '_index')::regclass, true, true) WHERE severity = 'error';
	EXECUTE format('SELECT count(*) FROM %1$s WHERE id %% 15 = 1 AND doc IS NOT NULL AND NOT EXISTS
		(SELECT FROM (SELECT id FROM %1$s AS o WHERE o.doc IS NOT NULL ORDER BY o.doc %2$s %1$s.doc LIMIT 3) AS found WHERE found.id = %1$s.id)', target, operator) INTO n;
	IF n > 0 THEN
		wrong := concat(wrong, n, ' rows are not found; ');
	END IF;
	EXECUTE format('SELECT count(DISTINCT id) + count(*) - 2 * (SELECT count(*) FROM (SELECT id FROM %1$s OFFSET 0) AS rows)
		FROM (SELECT id FROM %1$s ORDER BY doc %2$s (SELECT doc FROM docs WHERE id = 39)) AS scan', target, operator) INTO n;
	IF n <> 0 THEN
		wrong := concat(wrong, 'a whole scan gives other rows; ');
	END IF;
	SELECT count(*) INTO n FROM pg_backend_memory_contexts WHERE name LIKE 'colbert%';
	IF n > 0 THEN
		wrong := concat(wrong, n, ' memory contexts are left; ');
	END IF;
	SELECT count(*) INTO n FROM pg_locks WHERE pid = pg_backend_pid() AND locktype NOT IN ('relation', 'virtualxid', 'transactionid');
	IF n > 0 THEN
		wrong := concat(wrong, n, ' locks are left; ');
	END IF;
	RETURN wrong;
END $$;
SQL

# An index of each access method, with pending, dead, free and NULL documents.
my @kinds = (
	{ table => 'h', operator => '<#>', index => 'colbert_hnsw (doc) WITH (tokens_per_node = 8, m = 4)' },
	{ table => 'i', operator => '<->', index => 'colbert_ivf (doc multivector_l2_ops) WITH (lists = 60, quantizer = pq)' },
	{ table => 't', operator => '<=>', index => 'colbert_hnsw (doc multivector_cosine_ops) WITH (tokens_per_node = 1, m = 4, quantizer = bit)',
		only => [qw(build workers merge inserting_merge scan)] },
	{ table => 's', operator => '<#>', index => 'colbert_ivf (doc) WITH (lists = 60, quantizer = sq4)',
		only => [qw(build insert first_merge search check)] });
my $mixed = <<'SQL';
TRUNCATE %1$s; INSERT INTO %1$s SELECT * FROM docs WHERE id <= 300; REINDEX INDEX %1$s_index;
DELETE FROM %1$s WHERE id <= 60; VACUUM %1$s; INSERT INTO %1$s SELECT * FROM docs WHERE id <= 20;
DELETE FROM %1$s WHERE id BETWEEN 100 AND 110; VACUUM (INDEX_CLEANUP on) %1$s; INSERT INTO %1$s SELECT * FROM docs WHERE id BETWEEN 351 AND 370;
SQL
my $query = '(SELECT doc FROM docs WHERE id = 39)';
my $by_index = 'SET enable_seqscan = off; SET enable_sort = off;';

# Statements, with the setup before each of them, or before all if none affects the next one.
my $unbuilt = 'TRUNCATE %1$s; DROP INDEX IF EXISTS %1$s_index; INSERT INTO %1$s SELECT * FROM docs WHERE id <= 300;';
my %operations = (
	build => { once => "$unbuilt SET max_parallel_maintenance_workers = 0;", run => 'CREATE INDEX %1$s_index ON %1$s USING %3$s;', creates => 1 },
	workers => { once => "$unbuilt SET max_parallel_maintenance_workers = 2;", run => 'CREATE INDEX %1$s_index ON %1$s USING %3$s;', creates => 1 },
	insert => { before => $mixed, run => 'INSERT INTO %1$s SELECT * FROM docs WHERE id BETWEEN 301 AND 340;' },
	inserting_merge => { before => "$mixed SET colbert.pending_limit = 0;", run => 'INSERT INTO %1$s SELECT * FROM docs WHERE id BETWEEN 301 AND 303;' },
	first_merge => { before => 'TRUNCATE %1$s; INSERT INTO %1$s SELECT * FROM docs WHERE id <= 300;', run => q{SELECT colbert_merge('%1$s_index');} },
	merge => { before => "$mixed INSERT INTO %1\$s SELECT * FROM docs WHERE id BETWEEN 301 AND 350;", run => q{SELECT colbert_merge('%1$s_index');} },
	vacuum => { before => "$mixed DELETE FROM %1\$s WHERE id BETWEEN 80 AND 200;", run => 'VACUUM (INDEX_CLEANUP on) %1$s;' },
	vacuum_pending => { before => 'TRUNCATE %1$s; INSERT INTO %1$s SELECT * FROM docs WHERE id <= 9; DELETE FROM %1$s WHERE id <= 4;', run => 'VACUUM (INDEX_CLEANUP on) %1$s;' },
	# documents are kept and shared by two versions of a row
	update => { before => $mixed, run => 'UPDATE %1$s SET id = id + 1000 WHERE id BETWEEN 200 AND 240;' },
	vacuum_versions => { before => "$mixed UPDATE %1\$s SET id = id + 1000 WHERE id BETWEEN 120 AND 300; DELETE FROM %1\$s WHERE id BETWEEN 1150 AND 1250;",
		run => 'VACUUM (INDEX_CLEANUP on) %1$s;' },
	search => { once => $mixed, run => "$by_index SELECT id FROM %1\$s ORDER BY doc %2\$s $query LIMIT 5;" },
	scan => { once => $mixed, run => "$by_index SELECT id FROM %1\$s ORDER BY doc %2\$s $query;" },
	filter => { once => $mixed, run => "$by_index SELECT id FROM %1\$s WHERE id %% 7 = 3 ORDER BY doc %2\$s $query LIMIT 5;" },
	nulls => { once => $mixed, run => "$by_index SELECT id FROM %1\$s WHERE doc IS NULL;" },
	threshold => { once => $mixed, run => "$by_index SELECT id FROM %1\$s WHERE (doc %2\$s $query) < (SELECT doc %2\$s $query FROM %1\$s WHERE id = 3);" },
	check => { once => $mixed, run => q{SELECT * FROM colbert_index_check('%1$s_index', true, true);} },
	tune => { once => $mixed, run => q{SELECT * FROM colbert_tune('%1$s_index', ARRAY(SELECT doc FROM docs WHERE id IN (39, 59, 79)));} },
	info => { once => $mixed, run => q{SELECT * FROM colbert_index_info('%1$s_index');} });

# sql(TEXT, KIND): replace the names of table, operator and index.
sub sql
{
	my ($text, $kind) = @_;

	return sprintf($text, $kind->{table}, $kind->{operator}, $kind->{index}) . "\n";
}

# script(SQL): run SQL in one session despite errors. Return the output.
sub script
{
	my ($sql) = @_;
	my $file = PostgreSQL::Test::Utils::tempdir() . '/script.sql';
	my ($out, $err) = ('', '');

	append_to_file($file, "LOAD 'colbert_pg'; SET client_min_messages = error; SET colbert.background_merge = off;\n$sql");
	IPC::Run::run([ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-f', $file ], '<', '/dev/null', '>', \$out, '2>', \$err);
	BAIL_OUT("the server is gone:\n$err") if $err =~ /connection to server|server closed/;
	return $out;
}

# sites(KIND, OPERATION): the sites that it visits, with the number of calls within a factor of two.
# Calls in critical sections are recorded.
my %critical;
sub sites
{
	my ($kind, $operation) = @_;
	my %calls;

	unlink "$folder/trace";
	script(sql(($operation->{before} // $operation->{once}), $kind) . "SET colbert_faults.trace = '$folder/trace';\n" . sql($operation->{run}, $kind));
	for (split /\n/, slurp_file("$folder/trace"))
	{
		my ($what, $site, $calls) = split / /;

		$critical{$site} = 1 if $what eq 'critical';
		$calls{$site} = $calls if $what eq 'site' && $calls > ($calls{$site} // 0);
	}
	return \%calls;
}

# fault_sql(FAULT): the SQL to run for it: the failing statement, checks for what it has left, and
# the statement again.
sub fault_sql
{
	my ($fault) = @_;
	my $kind = $fault->{kind};
	my $operation = $operations{ $fault->{operation} };
	my $table = $kind->{table};
	my $verify = "SELECT 'sound', verify('$table', '$kind->{operator}');\n";
	my $run = "\\o /dev/null\n" . sql($operation->{run}, $kind) . "\\set state :SQLSTATE\n\\o\n";

	return "\\echo fault $fault->{number}\n"
	  . sql($operation->{before} // '', $kind)
	  . "SET colbert_faults.trace = '$folder/$fault->{number}'; SET colbert_faults.call = $fault->{call}; SET colbert_faults.cancel = $fault->{cancel};\n"
	  . "SET colbert_faults.fail = '$fault->{site}';\n"
	  . $run
	  . "SET colbert_faults.fail = ''; SET colbert_faults.trace = '';\n\\echo state|:state\n"
	  # a build that failed leaves no index; one that succeeded nevertheless leaves a normal one
	  . ($operation->{creates} ? "SELECT 'made', count(*) FROM pg_class WHERE relname = '${table}_index';\nDROP INDEX IF EXISTS ${table}_index;\n" : $verify)
	  . ($operation->{run} =~ /^INSERT/ ? "DELETE FROM $table WHERE id BETWEEN 301 AND 350;\n" : '')
	  . "$run\\echo again|:state\n"
	  . ($operation->{once} && !$operation->{creates} ? '' : $verify)
	  . ($operation->{creates} ? "DROP INDEX ${table}_index;\n" : '');
}

# judge(FAULT, SAID): describe what is wrong with the outcome.
sub judge
{
	my ($fault, $said) = @_;
	my ($state) = $said =~ /^state\|(\w+)$/m;
	my ($made) = $said =~ /^made\|(\d)$/m;
	my $file = "$folder/$fault->{number}";
	my $how = -e $file ? (split / /, slurp_file($file))[0] : 'not met';
	my %accepted = (error => '53200', null => '00000', cancel => '57014|00000', 'not met' => '00000');
	my @wrong;

	$fault->{how} = $how;
	push @wrong, "ended with $state" if $state !~ /^($accepted{$how})$/;
	push @wrong, 'an index is left' if defined $made && $made != ($state eq '00000');
	push @wrong, 'fails again' if $said !~ /^again\|00000$/m;
	push @wrong, $1 while $said =~ /^sound\|(.+)$/mg;
	return map { "$fault->{operation} of $fault->{kind}{index}, $how of call $fault->{call} at $fault->{site}: $_" } @wrong;
}

# All possible faults.
my @faults;
my %sites;
for my $kind (@kinds)
{
	$node->safe_psql('postgres', sql('CREATE TABLE %1$s (id int PRIMARY KEY, doc multivector(16));', $kind));
	for my $name ($kind->{only} ? @{ $kind->{only} } : sort keys %operations)
	{
		$node->safe_psql('postgres', sql('CREATE INDEX IF NOT EXISTS %1$s_index ON %1$s USING %3$s;', $kind));
		my $calls = sites($kind, $operations{$name});

		for my $site (sort keys %$calls)
		{
			for my $call ($calls->{$site} > 1 ? (1, $calls->{$site}) : (1))
			{
				for my $cancel ($site =~ /CHECK_FOR_INTERRUPTS|vacuum_delay_point/ ? 'on' : ('off', 'on'))
				{
					push @faults, { kind => $kind, operation => $name, site => $site, call => $call, cancel => $cancel };
				}
			}
			$sites{$site}++;
		}
	}
}

# First each site once, then as many more as there is time for.
my (%had, @first, @more);
push @{ $had{ $_->{site} }++ ? \@more : \@first }, $_ for sort { $a->{draw} <=> $b->{draw} } map { $_->{draw} = rand; $_ } @faults;
my $n = 0;
my (@wrong, %hows, %met);

# Run the chosen faults in the order of the statements.
sub run_faults
{
	my %groups;

	for my $fault (@_)
	{
		$fault->{number} = ++$n;
		push @{ $groups{"$fault->{kind}{table} $fault->{operation}"} }, $fault;
	}
	for my $group (map { $groups{$_} } sort keys %groups)
	{
		my $kind = $group->[0]{kind};
		my $operation = $operations{ $group->[0]{operation} };
		my $said = script(sql('CREATE INDEX IF NOT EXISTS %1$s_index ON %1$s USING %3$s;' . ($operation->{once} // ''), $kind) . join('', map { fault_sql($_) } @$group));
		my %said = $said =~ /^fault (\d+)\n(.*?)(?=^fault|\z)/msg;

		for my $fault (@$group)
		{
			push @wrong, judge($fault, $said{ $fault->{number} });
			$hows{ $fault->{how} }++;
			$met{ $fault->{site} } = 1 if $fault->{how} ne 'not met';
		}
	}
	return;
}

my @chosen = grep { defined } (@first, @more)[ 0 .. $runs - 1 ];
run_faults(@chosen);
# Workers share the work dynamically, and may have left none for the call that was chosen to fail;
# the first call is likely to happen.
my %chosen = map { $_->{site} => 1 } @chosen;
for (1 .. 3)
{
	my %again = map { $_->{site} => {%$_} } grep { $_->{call} == 1 && $chosen{ $_->{site} } && !$met{ $_->{site} } } @faults;

	run_faults(map { $again{$_} } sort keys %again) if %again;
}
is(join("\n", @wrong), '', sprintf('%d faults at %d of %d sites: %s', $n, scalar keys %met, scalar keys %sites, join(', ', map { "$_ $hows{$_}" } sort keys %hows)));
cmp_ok(scalar keys %met, '>', .97 * (scalar keys %sites < $runs ? scalar keys %sites : $runs), 'nearly all sites are visited');
cmp_ok(scalar keys %sites, '>', 330, 'the number of sites is as expected: ' . scalar keys %sites);
is(join(' ', sort keys %critical), '', 'no site is in a critical section');
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|terminated by signal|leak| XX\d\d\d /, 'no process died, and nothing leaked');

replay($node);

# Every file belongs to a relation.
$node->safe_psql('postgres', 'CHECKPOINT');
is($node->safe_psql('postgres', <<'SQL'), '', 'no file remains');
SELECT format('file %s', file) FROM pg_ls_dir('base/' || (SELECT oid FROM pg_database WHERE datname = current_database())) AS file
WHERE file ~ '^[0-9]' AND pg_filenode_relation(0, substring(file FROM '^[0-9]+')::oid) IS NULL
UNION ALL
SELECT format('temporary file %s', name) FROM pg_ls_tmpdir();
SQL
$node->stop;
done_testing();
