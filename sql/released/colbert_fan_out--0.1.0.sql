-- colbert_fan_out: ask several servers the same question at once, and merge their best rows.
--
-- Shards are foreign servers with user mappings, which dblink connects to. The connections have
-- names that begin with "colbert_fan_out " and stay open until the session ends.
-- SET search_path FROM CURRENT fixes the schemas of this extension and of dblink for each function.

\echo Use "CREATE EXTENSION colbert_fan_out CASCADE" to load this file. \quit

-- Return the version of the user mapping by which a role connects to a server, its own before that of PUBLIC;
-- NULL if there is none. Ordinary roles cannot read pg_user_mapping; they learn nothing else of the mapping.
CREATE FUNCTION colbert_fan_out_mapping(role oid, server oid) RETURNS text
	LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT pg_catalog.format('%s-%s', m.oid, m.xmin) FROM pg_catalog.pg_user_mapping AS m
	WHERE m.umserver OPERATOR(pg_catalog.=) server AND (m.umuser OPERATOR(pg_catalog.=) role OR m.umuser OPERATOR(pg_catalog.=) 0)
	ORDER BY m.umuser DESC LIMIT 1
$$;
COMMENT ON FUNCTION colbert_fan_out_mapping(oid, oid) IS 'internal: the version of a role''s user mapping';

-- Return the name of the connection to a server. It contains the role and the versions of the server's
-- definition and of the user mapping: a role does not use the connection of another one, and a changed
-- server or mapping is connected anew. OIDs, because dblink cuts names after 63 bytes.
CREATE FUNCTION colbert_fan_out_connection(server text) RETURNS text
	LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path FROM CURRENT AS $$
DECLARE
	connection text;
BEGIN
	SELECT format('colbert_fan_out %s %s %s %s', r.oid, s.oid, s.xmin, colbert_fan_out_mapping(r.oid, s.oid)) INTO connection
		FROM pg_foreign_server AS s, pg_roles AS r WHERE s.srvname = server AND r.rolname = current_user;
	IF NOT FOUND THEN
		RAISE undefined_object USING MESSAGE = format('server "%s" does not exist', server);
	END IF;
	RETURN connection;
END $$;
COMMENT ON FUNCTION colbert_fan_out_connection(text) IS 'internal: the name of the current role''s connection to a foreign server';

-- Connect to a server, whose backend then tests ten times per second whether the connection still exists.
CREATE FUNCTION colbert_fan_out_connect(connection text, server text) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path FROM CURRENT SET client_min_messages = warning AS $$
BEGIN
	-- Close the open connection of the role to the server, which may be by an older definition of either.
	PERFORM dblink_disconnect(c) FROM unnest(dblink_get_connections()) AS c
		WHERE starts_with(c, substring(connection, '^colbert_fan_out \d+ \d+ '));
	PERFORM dblink_connect(connection, server);
	-- A few platforms lack the setting; a notice is enough.
	PERFORM dblink_exec(connection, 'SET client_connection_check_interval = ''100 ms''', false);
END $$;
COMMENT ON FUNCTION colbert_fan_out_connect(text, text) IS 'internal: connect to a foreign server';

-- Send a statement to a server, on its open connection or a new one. Returns NULL, or why the role cannot connect.
CREATE FUNCTION colbert_fan_out_send(connection text, server text, statement text) RETURNS text
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path FROM CURRENT AS $$
BEGIN
	-- The role may have lost its right to the server: then connecting fails.
	IF connection = ANY (dblink_get_connections()) AND has_server_privilege(server, 'USAGE') THEN
		-- This fails if an earlier search left a result unread.
		IF dblink_send_query(connection, statement) = 1 THEN
			RETURN NULL;
		END IF;
	END IF;
	PERFORM colbert_fan_out_connect(connection, server);
	IF dblink_send_query(connection, statement) = 1 THEN
		RETURN NULL;
	END IF;
	RETURN dblink_error_message(connection);
EXCEPTION WHEN connection_exception OR undefined_object OR insufficient_privilege OR sql_routine_exception THEN
	-- The last three: there is no user mapping, no right to the server, or no password in the mapping.
	RETURN sqlerrm;
END $$;
COMMENT ON FUNCTION colbert_fan_out_send(text, text, text) IS 'internal: send a statement to a foreign server without waiting for its result';

-- Return whether a connection, from which an error was read, can be used again.
CREATE FUNCTION colbert_fan_out_is_open(connection text) RETURNS boolean
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path FROM CURRENT SET client_min_messages = warning AS $$
BEGIN
	-- Read what follows the error: its end, or that of the connection, on which nothing can be sent then.
	PERFORM FROM dblink_get_result(connection, false) AS r(hits jsonb);
	PERFORM FROM dblink_get_result(connection, false) AS r(hits jsonb);
	RETURN dblink_send_query(connection, '') = 1;
END $$;
COMMENT ON FUNCTION colbert_fan_out_is_open(text) IS 'internal: whether a connection survived an error';

-- Wait until each shard has answered, no copy is left to ask, or the deadline. Returns a row per shard.
CREATE FUNCTION colbert_fan_out_ask(statement text, shards text[], patience interval, hedge_after interval,
	OUT shard integer, OUT server text, OUT hits jsonb, OUT problem text) RETURNS SETOF record
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path FROM CURRENT SET client_min_messages = warning AS $$
DECLARE
	deadline timestamptz := clock_timestamp() + patience;
	count integer := cardinality(shards);
	answers jsonb[] := array_fill(NULL::jsonb, ARRAY[count]);
	answered text[] := array_fill(NULL::text, ARRAY[count]);       -- the copy that answered
	problems text[] := array_fill('it did not answer in time'::text, ARRAY[count]);
	asked_at timestamptz[] := array_fill(NULL::timestamptz, ARRAY[count]);
	copies_left text[] := shards;           -- those still to ask, or NULL
	waiting_shards integer[] := '{}';       -- the copies that were asked and did not answer yet
	waiting_copies text[] := '{}';
	waiting_connections text[] := '{}';
	waiting_reused boolean[] := '{}';       -- whether the connection was open before the search
	copy text;
	connection text;
	is_open boolean;
	is_reused boolean;
	failure text;
	position integer;
BEGIN
	LOOP
		FOR i IN 1 .. count LOOP
			-- Ask the next copy at once if no other works on it, and later if one does.
			WHILE answered[i] IS NULL AND copies_left[i] IS NOT NULL AND
				(i <> ALL (waiting_shards) OR clock_timestamp() >= asked_at[i] + hedge_after) LOOP
				copy := trim(split_part(copies_left[i], ',', 1));
				copies_left[i] := substring(copies_left[i], ',(.*)');
				asked_at[i] := clock_timestamp();
				connection := colbert_fan_out_connection(copy);
				is_open := coalesce(connection = ANY (dblink_get_connections()), false);
				failure := colbert_fan_out_send(connection, copy, statement);
				IF failure IS NULL THEN
					waiting_reused := waiting_reused || is_open;
					waiting_shards := waiting_shards || i;
					waiting_copies := waiting_copies || copy;
					waiting_connections := waiting_connections || connection;
				ELSE
					problems[i] := failure;
				END IF;
			END LOOP;
		END LOOP;
		position := 1;
		WHILE position <= cardinality(waiting_copies) LOOP
			copy := waiting_copies[position];
			connection := waiting_connections[position];
			IF dblink_is_busy(connection) = 1 THEN
				position := position + 1;
				CONTINUE;
			END IF;
			shard := waiting_shards[position];
			is_reused := waiting_reused[position];
			waiting_shards := waiting_shards[:position - 1] || waiting_shards[position + 1:];
			waiting_copies := waiting_copies[:position - 1] || waiting_copies[position + 1:];
			waiting_connections := waiting_connections[:position - 1] || waiting_connections[position + 1:];
			waiting_reused := waiting_reused[:position - 1] || waiting_reused[position + 1:];
			SELECT r.hits INTO hits FROM dblink_get_result(connection, false) AS r(hits jsonb);
			IF NOT FOUND THEN
				problems[shard] := trim(E'\n' FROM dblink_error_message(connection));
				is_open := colbert_fan_out_is_open(connection);
				PERFORM dblink_disconnect(connection);
				-- The server had closed the connection before the search: it was restarted, or tired of an idle session.
				IF is_reused AND NOT is_open THEN
					copies_left[shard] := concat_ws(',', copy, copies_left[shard]);
				END IF;
			ELSE
				-- The connection is ready for the next statement when its result was read to the end.
				PERFORM FROM dblink_get_result(connection, false) AS r(hits jsonb);
				IF answered[shard] IS NULL THEN
					answered[shard] := copy;
					answers[shard] := hits;
				END IF;
			END IF;
		END LOOP;
		EXIT WHEN array_position(answered, NULL) IS NULL OR clock_timestamp() >= deadline OR
			NOT EXISTS (SELECT FROM unnest(answered, copies_left) WITH ORDINALITY AS s(done, copies, i)
				WHERE done IS NULL AND (i = ANY (waiting_shards) OR copies IS NOT NULL));
		PERFORM pg_sleep(.0005);
	END LOOP;
	-- Closing a connection ends its statement. A request to cancel it would wait for a server that hangs.
	PERFORM dblink_disconnect(late) FROM unnest(waiting_connections) AS late;
	waiting_connections := '{}';
	FOR i IN 1 .. count LOOP
		shard := i;
		server := answered[i];
		hits := answers[i];
		problem := CASE WHEN server IS NULL THEN problems[i] END;
		RETURN NEXT;
	END LOOP;
EXCEPTION WHEN query_canceled OR assert_failure OR OTHERS THEN
	PERFORM dblink_disconnect(late) FROM unnest(waiting_connections) AS late;
	RAISE;
END $$;
COMMENT ON FUNCTION colbert_fan_out_ask(text, text[], interval, interval) IS 'internal: the answer of each shard, or an error message';

-- Raise an error for impossible arguments, with a hint.
CREATE FUNCTION colbert_fan_out_check(k integer, shards text[], sizes float8[], least_coverage float8) RETURNS void
	LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path FROM CURRENT AS $$
DECLARE
	server text;
	servers text[] := '{}';
BEGIN
	IF k IS NULL OR k < 1 THEN
		RAISE invalid_parameter_value USING MESSAGE = 'k must be at least 1';
	END IF;
	IF shards IS NULL OR cardinality(shards) = 0 OR array_ndims(shards) > 1 OR array_lower(shards, 1) <> 1 THEN
		RAISE invalid_parameter_value USING MESSAGE = 'shards must be a list of foreign servers',
			HINT = 'An element names a server, or the copies of one shard: ''{"one, one_copy", "two, two_copy"}''.';
	END IF;
	IF least_coverage IS NULL OR NOT least_coverage BETWEEN 0 AND 1 THEN
		RAISE invalid_parameter_value USING MESSAGE = 'least_coverage must be between 0 and 1';
	END IF;
	IF cardinality(sizes) <> cardinality(shards) OR array_ndims(sizes) > 1 OR array_lower(sizes, 1) <> 1 OR EXISTS (SELECT FROM unnest(sizes) AS size
		WHERE size IS NULL OR size <= 0 OR size >= 'infinity') THEN
		RAISE invalid_parameter_value USING MESSAGE = 'sizes must be a positive number for each shard';
	END IF;
	FOR server IN SELECT trim(copy) FROM unnest(shards) AS copies, unnest(string_to_array(copies, ',')) AS copy LOOP
		IF NOT EXISTS (SELECT FROM pg_foreign_server WHERE srvname = server) THEN
			RAISE undefined_object USING MESSAGE = format('server "%s" does not exist', server),
				HINT = 'Create it with CREATE SERVER, and a user mapping with CREATE USER MAPPING.';
		END IF;
		IF server = ANY (servers) THEN
			RAISE invalid_parameter_value USING MESSAGE = format('server "%s" is given twice', server);
		END IF;
		servers := servers || server;
	END LOOP;
	IF EXISTS (SELECT FROM unnest(shards) AS copies WHERE copies IS NULL OR copies = '') THEN
		RAISE invalid_parameter_value USING MESSAGE = 'a shard has no server';
	END IF;
END $$;
COMMENT ON FUNCTION colbert_fan_out_check(integer, text[], float8[], float8) IS 'internal: check the arguments of colbert_fan_out';

CREATE FUNCTION colbert_fan_out(statement text, k integer, shards text[], patience interval DEFAULT '1 s', hedge_after interval DEFAULT NULL,
	least_coverage float8 DEFAULT 1, sizes float8[] DEFAULT NULL,
	OUT score float8, OUT hit jsonb, OUT shard integer, OUT server text, OUT coverage float8) RETURNS SETOF record
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE ROWS 10 SET search_path FROM CURRENT AS $$
DECLARE
	answers jsonb;
	answer record;
BEGIN
	PERFORM colbert_fan_out_check(k, shards, sizes, least_coverage);
	-- Each shard sends one value. The statement is given its own line, in case it ends with a comment.
	SELECT jsonb_agg(a), sum(size) FILTER (WHERE a.server IS NOT NULL) / sum(size) INTO answers, coverage
		FROM colbert_fan_out_ask(format(E'SELECT coalesce(jsonb_agg(h), ''[]'') FROM (SELECT * FROM (%s\n) AS s LIMIT %s) AS h', statement, k),
			shards, patience, hedge_after) AS a,
			LATERAL (SELECT coalesce(sizes[a.shard], 1) AS size) AS s;
	coverage := coalesce(coverage, 0);
	FOR answer IN SELECT a.shard, a.problem FROM jsonb_to_recordset(answers) AS a(shard integer, problem text) WHERE a.problem IS NOT NULL LOOP
		RAISE WARNING USING MESSAGE = format('shard %s (%s) did not answer', answer.shard, shards[answer.shard]), DETAIL = answer.problem;
	END LOOP;
	IF coverage < least_coverage THEN
		RAISE connection_exception USING MESSAGE = format('coverage is %s, below %s', round(coverage::numeric, 3), least_coverage),
			HINT = 'A smaller least_coverage accepts the answers of the other shards; a longer patience waits for them.';
	END IF;
	FOR answer IN SELECT a.shard FROM jsonb_to_recordset(answers) AS a(shard integer, hits jsonb) WHERE a.hits -> 0 -> 'score' = 'null' LOOP
		RAISE WARNING USING MESSAGE = format('the first row of shard %s (%s) has no score', answer.shard, shards[answer.shard]),
			DETAIL = 'NULLs come first under ORDER BY score DESC, and rows with a score may be left out.',
			HINT = 'Add WHERE doc IS NOT NULL to the statement, or NULLS LAST to its ORDER BY.';
	END LOOP;
	FOR answer IN SELECT a.shard FROM jsonb_to_recordset(answers) AS a(shard integer, hits jsonb)
		WHERE (SELECT bool_and(s >= before) AND bool_or(s > before) FROM
			(SELECT s, lag(s) OVER (ORDER BY place) AS before FROM jsonb_array_elements(a.hits) WITH ORDINALITY AS e(h, place),
				LATERAL (SELECT (h ->> 'score')::float8 AS s) AS of_row) AS pairs) LOOP
		RAISE WARNING USING MESSAGE = format('the scores of shard %s (%s) ascend', answer.shard, shards[answer.shard]),
			DETAIL = 'The largest score is the best, and rows with a larger score may be left out.',
			HINT = 'Negate the score of a distance: -maxsim_l2(doc, query) AS score.';
	END LOOP;
	FOR score, hit, shard, server IN
		SELECT (h ->> 'score')::float8 AS s, h, a.shard, a.server
		FROM jsonb_to_recordset(answers) AS a(shard integer, server text, hits jsonb),
			jsonb_array_elements(a.hits) WITH ORDINALITY AS e(h, place)
		-- Rows of equal scores are in the order of their statement, which may have further keys.
		ORDER BY s DESC NULLS LAST, a.shard, place LIMIT k LOOP
		IF NOT hit ? 'score' THEN
			RAISE undefined_column USING MESSAGE = 'the statement has no column "score"';
		END IF;
		RETURN NEXT;
	END LOOP;
END $$;
COMMENT ON FUNCTION colbert_fan_out(text, integer, text[], interval, interval, float8, float8[]) IS
	'run a statement with a column score, best rows first, on all shards at once, and return the k best rows; a shard is a foreign server, or several that are copies, by commas';
