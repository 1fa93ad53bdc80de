# Point-in-time recovery from a base backup and archived WAL, to random moments of a load of
# inserts, updates, deletes, merges, VACUUM and CREATE INDEX CONCURRENTLY. Everything committed
# before the moment exists and is found, nothing from after it exists, and the server keeps working.

use strict;
use warnings;
use ColbertTest;
use PostgreSQL::Test::Cluster;
use Test::More;
use Time::HiRes qw(usleep);

# Number of moments that are recovered to from each base backup.
use constant MOMENTS => 3;

my $rounds = rounds(3);
my $primary = new_node('primary', has_archiving => 1, allows_streaming => 1);
my ($there, $absent, $builds, $half_built) = (0, 0, 0, 0);

load_questions($primary);
load_passages($primary, 'pool', 1000);
create_tables($primary, 'id <= 500');
add_churn($primary);
add_marks($primary);
for my $first (map { 1 + MOMENTS * $_ } 0 .. ($rounds - 1) / MOMENTS)
{
	my $load = archived_load($first);

	for my $round ($first .. $first + MOMENTS - 1)
	{
		recover_to($round, $load, random_moment($round, $load)) if $round <= $rounds;
	}
}
stop_node($primary);
note("$rounds recoveries: $there rows had to be there, $absent had not; $builds CREATE INDEX CONCURRENTLY went on, $half_built were recovered to before their end");
done_testing();

# Create rows that come and go, each in a separate transaction, in all tables at once. The table
# marks records the WAL locations and the times between which each was committed. The ids are higher
# than those that churn() changes.
sub add_marks
{
	my ($node) = @_;
	my $inserts = join ' ', map { "INSERT INTO passages_$_ SELECT i, source, body, doc FROM pool WHERE id = 1 + i % 1000;" } @methods;
	my $deletes = join ' ', map { "DELETE FROM passages_$_ WHERE id = i - 50;" } @methods;

	$node->safe_psql('postgres', <<"SQL");
CREATE TABLE marks (id int, born bool, after_lsn pg_lsn, before_lsn pg_lsn, after_time timestamptz, before_time timestamptz);
CREATE TABLE builds (method text);
CREATE SEQUENCE mark_ids START 1000000;
CREATE PROCEDURE mark() LANGUAGE plpgsql AS \$\$
DECLARE
	lsn pg_lsn;
	moment timestamptz;
	i int;
BEGIN
	LOOP
		i := nextval('mark_ids');
		FOR born IN 0 .. 1 LOOP
			lsn := pg_current_wal_insert_lsn();
			moment := clock_timestamp();
			IF born = 1 THEN $inserts ELSE $deletes END IF;
			COMMIT;
			INSERT INTO marks VALUES (CASE born WHEN 1 THEN i ELSE i - 50 END, born = 1, lsn, pg_current_wal_insert_lsn(), moment, clock_timestamp());
			COMMIT;
		END LOOP;
	END LOOP;
END \$\$;
SQL
	return;
}

# archived_load(N): take a base backup under load, followed by some seconds of load, with all WAL
# archived. Return the name of the backup, and the first and last moment that can be recovered to.
sub archived_load
{
	my ($n) = @_;
	my @clients = (start_load($primary), start_sql($primary, 'CALL mark();'));
	my $now = 'SELECT pg_current_wal_insert_lsn(), clock_timestamp()';
	my %load = (backup => "backup$n");

	$primary->safe_psql('postgres', 'TRUNCATE builds');
	for my $method (@methods)
	{
		my $table = "passages_$method";

		push @clients, start_sql($primary, "SELECT colbert_merge('${table}_index'), pg_sleep(.02);\n" x 1000);
		push @clients, start_sql($primary, <<"SQL" x 1000);
CREATE INDEX CONCURRENTLY ${table}_second_index ON $table USING colbert_$method (doc);
INSERT INTO builds VALUES ('$method');
DROP INDEX CONCURRENTLY ${table}_second_index;
SQL
	}
	usleep(200_000);
	$primary->backup($load{backup});
	$load{from} = $primary->safe_psql('postgres', $now);
	usleep(rand(2_500_000));
	$load{restore_point} = $primary->safe_psql('postgres', "SELECT pg_create_restore_point('point$n')");
	usleep(rand(2_500_000));
	$primary->poll_query_until('postgres', 'SELECT count(DISTINCT method) = 2 FROM builds') or die 'CREATE INDEX takes too long';
	$load{to} = $primary->safe_psql('postgres', $now);
	# a mark after the last moment
	$primary->poll_query_until('postgres', 'SELECT max(after_lsn) > ' . "'" . ($load{to} =~ s/\|.*//r) . "' FROM marks WHERE born") or die 'the marks stand still';
	stop_load($primary, @clients);
	$primary->safe_psql('postgres', "DROP INDEX IF EXISTS passages_${_}_second_index") for @methods;
	$builds += $primary->safe_psql('postgres', 'SELECT count(*) FROM builds');
	my $segment = $primary->safe_psql('postgres', 'SELECT pg_walfile_name(pg_switch_wal())');

	$primary->poll_query_until('postgres', "SELECT last_archived_wal >= '$segment' FROM pg_stat_archiver") or die 'WAL is not archived';
	return \%load;
}

# random_moment(ROUND, LOAD): the setting that names it, and the SQL that tells which marks are
# before (<=) and after (>) it.
sub random_moment
{
	my ($round, $load) = @_;
	my ($from_lsn, $from_time) = split /\|/, $load->{from};
	my ($to_lsn, $to_time) = split /\|/, $load->{to};
	my $share = rand;

	if ($round % MOMENTS == 1)
	{
		return ("recovery_target_name = 'point$round'", 'lsn', $load->{restore_point});
	}
	if ($round % MOMENTS == 2)
	{
		my $lsn = $primary->safe_psql('postgres', "SELECT '$from_lsn'::pg_lsn + trunc(('$to_lsn'::pg_lsn - '$from_lsn'::pg_lsn) * $share)");

		return ("recovery_target_lsn = '$lsn'", 'lsn', $lsn);
	}
	my $time = $primary->safe_psql('postgres', "SELECT '$from_time'::timestamptz + ('$to_time'::timestamptz - '$from_time'::timestamptz) * $share");

	return ("recovery_target_time = '$time'", 'time', $time);
}

# recover_to(ROUND, LOAD, SETTING, KIND, MOMENT): a separate server that recovers to the moment and
# takes over.
sub recover_to
{
	my ($round, $load, $setting, $kind, $moment) = @_;
	my $node = PostgreSQL::Test::Cluster->new("recovered$round");

	$node->init_from_backup($primary, $load->{backup}, has_restoring => 1, standby => 0);
	$node->append_conf('postgresql.conf', "$setting\nrecovery_target_action = promote\nrecovery_target_timeline = current\narchive_mode = off");
	$node->start;
	$node->poll_query_until('postgres', 'SELECT NOT pg_is_in_recovery()') or die 'recovery does not end';
	$half_built += $node->safe_psql('postgres', 'SELECT count(*) FROM pg_index WHERE NOT indisvalid');
	each_method("recovery $round to $setting", sub {
		my ($method, $table) = @_;

		marks_are_right($node, $table, $kind, $moment);
		index_goes_on($node, $table);
	});
	$node->stop('immediate');
	$node->clean_node;
	return;
}

# marks_are_right(NODE, TABLE, KIND, MOMENT): check that a scan returns the marks that were
# committed before the moment and not yet deleted, and no others. A change that was being committed
# at that moment may be present or not.
sub marks_are_right
{
	my ($node, $table, $kind, $moment) = @_;
	my %rows = map { $_ => 1 } split /\n/, $node->safe_psql('postgres', <<"SQL");
$ColbertTest::by_index
SELECT id FROM (SELECT id FROM $table ORDER BY doc <#> (SELECT short FROM questions WHERE id = 1)) AS scan WHERE id >= 1000000;
SQL
	my %expected = map { split /\|/ } split /\n/, $primary->safe_psql('postgres', <<"SQL");
SELECT id, CASE
	WHEN bool_or(born AND before_$kind <= '$moment') AND NOT coalesce(bool_or(NOT born AND after_$kind <= '$moment'), false) THEN 'there'
	WHEN bool_or(born AND after_$kind > '$moment') OR bool_or(NOT born AND before_$kind <= '$moment') THEN 'absent'
	ELSE 'either' END
FROM marks WHERE id >= 1000000 GROUP BY id HAVING bool_or(born);
SQL
	my @there = grep { $expected{$_} eq 'there' } keys %expected;
	my @absent = grep { $expected{$_} eq 'absent' } keys %expected;

	cmp_ok(scalar @there, '>', 0, 'rows were committed before that moment');
	cmp_ok(scalar @absent, '>', 0, 'rows were committed after that moment');
	is(join(' ', grep { !$rows{$_} } @there), '', 'rows from before exist');
	is(join(' ', grep { $rows{$_} } @absent), '', 'rows from after do not');
	is(rows_not_found($node, $table, 'true'), '', 'each row is found by its own embedding');
	$there += @there;
	$absent += @absent;
	return;
}
