/*-------------------------------------------------------------------------
 *
 * client.c
 *	  Run one prepared statement repeatedly and print the time of each
 *	  execution.
 *
 *	  shard_client STATEMENT QUERIES FIRST COUNT SECONDS
 *
 * QUERIES is a file of parameters in binary format, each preceded by its
 * length (4 bytes, native byte order). The client runs them in turn, starting
 * with number FIRST, COUNT times, or for SECONDS if COUNT is 0. First it runs
 * up to WARM of them once, untimed. Then it prints "ready" and waits for a
 * line, so that several clients can start together. The server is that of
 * PGHOST etc. The output has one line per execution, in milliseconds, and then
 * an empty line.
 *
 *-------------------------------------------------------------------------
 */
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define WARM        2000
#define MAX_QUERIES 100000

static char *queries[MAX_QUERIES];
static int   lengths[MAX_QUERIES];
static int   nqueries;

static void
fail(const char *what, const char *why)
{
	fprintf(stderr, "shard_client: %s: %s\n", what, why);
	exit(1);
}

static double
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e3 + t.tv_nsec * 1e-6;
}

static void
read_queries(const char *path)
{
	FILE *file = fopen(path, "rb");
	int   length;

	if (file == NULL)
		fail(path, "cannot be opened");
	while (nqueries < MAX_QUERIES && fread(&length, sizeof(length), 1, file) == 1)
	{
		queries[nqueries] = malloc(length);
		if (queries[nqueries] == NULL ||
			fread(queries[nqueries], 1, length, file) != (size_t) length)
			fail(path, "is cut short");
		lengths[nqueries++] = length;
	}
	fclose(file);
	if (nqueries == 0)
		fail(path, "holds no query");
}

/*
 * Run a query and return the milliseconds from sending the statement to
 * receiving the whole result.
 */
static double
ask(PGconn *conn, int number)
{
	const int binary = 1;
	double    start = now_ms();
	PGresult *result =
		PQexecPrepared(conn, "ask", 1, (const char *const *) &queries[number % nqueries],
					   &lengths[number % nqueries], &binary, 1);
	double taken = now_ms() - start;

	if (PQresultStatus(result) != PGRES_TUPLES_OK)
		fail("query", PQerrorMessage(conn));
	PQclear(result);
	return taken;
}

int
main(int argc, char **argv)
{
	PGconn   *conn = PQconnectdb("");
	PGresult *result;
	int       first;
	int       count;
	double    end;

	if (argc != 6)
		fail("arguments", "STATEMENT QUERIES FIRST COUNT SECONDS");
	first = atoi(argv[3]);
	count = atoi(argv[4]);
	if (PQstatus(conn) != CONNECTION_OK)
		fail("connection", PQerrorMessage(conn));
	read_queries(argv[2]);
	result = PQprepare(conn, "ask", argv[1], 1, NULL);
	if (PQresultStatus(result) != PGRES_COMMAND_OK)
		fail("statement", PQerrorMessage(conn));
	PQclear(result);
	for (int i = 0; i < nqueries && i < WARM; i++)
		ask(conn, first + i);

	printf("ready\n");
	fflush(stdout);
	if (getchar() == EOF)
		return 1;
	end = now_ms() + atof(argv[5]) * 1000;
	for (int i = 0; count > 0 ? i < count : now_ms() < end; i++)
		printf("%.4f\n", ask(conn, first + i));
	printf("\n");
	PQfinish(conn);
	return 0;
}
