/*-------------------------------------------------------------------------
 *
 * faults.c
 *	  Fault injection in a test build: settings and actions.
 *
 *	colbert_faults.fail		the site that fails: FILE:LINE:NAME
 *	colbert_faults.call		the number of the failing call, counted from 1
 *	colbert_faults.cancel	raise a cancel request there instead of an error
 *	colbert_faults.trace	file to which called sites are appended
 *	colbert_faults.pause	points to wait at, separated by blanks
 *	colbert_faults.folder	folder of the files that signal and release points
 *	colbert_faults.max_items	maximum number of items of a page array
 *	colbert_faults.extent_pages	maximum pages by which an array grows, unless
 *								it needs more
 *
 * Calls are counted from the last assignment to colbert_faults.fail. A trace
 * has a line for the calls 1, 2, 4, 8, ... of a site, which gives their number
 * within a factor of two. It also has a line for each call in a critical
 * section, which must not happen. If a site fails, the trace has the kind of
 * failure instead.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "miscadmin.h"
#include "utils/guc.h"

int faults_max_items = INT_MAX;
int faults_extent_pages = 8192;

static char  *fail_at = NULL;
static int    fail_call = 1;
static bool   fail_by_cancel = false;
static char  *trace = NULL;
static char  *pause_at = NULL;
static char  *folder = NULL;
static uint64 generation = 1;

static void
assign_fail(const char *newval, void *extra)
{
	generation++;
}

/* Define the settings. Runs when the library is loaded, before _PG_init. */
__attribute__((constructor)) static void
faults_init(void)
{
	DefineCustomStringVariable("colbert_faults.fail", "The site that fails.", NULL, &fail_at, "",
							   PGC_USERSET, 0, NULL, assign_fail, NULL);
	DefineCustomIntVariable("colbert_faults.call", "Which of its calls fails.", NULL, &fail_call, 1,
							1, INT_MAX, PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomBoolVariable("colbert_faults.cancel", "By a cancel.", NULL, &fail_by_cancel, false,
							 PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomStringVariable("colbert_faults.trace", "File of sites.", NULL, &trace, "",
							   PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomStringVariable("colbert_faults.pause", "Points to wait at.", NULL, &pause_at, "",
							   PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomStringVariable("colbert_faults.folder", "Files of the points.", NULL, &folder, "",
							   PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("colbert_faults.max_items", "Most items of a page array.", NULL,
							&faults_max_items, INT_MAX, 1, INT_MAX, PGC_USERSET, 0, NULL, NULL,
							NULL);
	DefineCustomIntVariable("colbert_faults.extent_pages", "Most pages that an array grows by.",
							NULL, &faults_extent_pages, 8192, 1, 8192, PGC_USERSET, 0, NULL, NULL,
							NULL);
}

/* Append a line to the trace. Short lines of several processes do not mix. */
static void
note(const char *what, const char *name, uint64 calls)
{
	char line[512];
	int  file;

	if (trace[0] == '\0')
		return;
	snprintf(line, sizeof(line), "%s %s " UINT64_FORMAT "\n", what, name, calls);
	file = open(trace, O_WRONLY | O_APPEND | O_CREAT, 0600);
	if (file < 0 || write(file, line, strlen(line)) != (ssize_t) strlen(line))
		elog(FATAL, "cannot write to \"%s\": %m", trace);
	close(file);
}

bool
faults_visit(FaultSite *site, FaultKind kind)
{
	bool failing;
	char name[256];

	if (fail_at[0] == '\0' && trace[0] == '\0')
		return false;
	failing = fail_at[0] != '\0';
	if (site->generation != generation)
		site->calls = 0;
	site->generation = generation;
	site->calls++;
	if (CritSectionCount == 0 &&
		(failing ? site->calls != fail_call : (site->calls & (site->calls - 1)) != 0))
		return false;

	snprintf(name, sizeof(name), "%s:%d:%s", site->file, site->line, site->name);
	if (!failing)
		note(CritSectionCount > 0 ? "critical" : "site", name, site->calls);
	if (!failing || site->calls != fail_call || strcmp(name, fail_at) != 0)
		return false;

	if (fail_by_cancel || kind == FAULT_INTERRUPT)
	{
		note("cancel", name, site->calls);
		QueryCancelPending = true;
		InterruptPending = true;
		return false;
	}
	note(kind == FAULT_NULL ? "null" : "error", name, site->calls);
	if (kind == FAULT_MEMORY)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory"),
						errdetail("As the test wants it, at %s.", name)));
	return true;
}

/* Return true if the list contains a name. */
static bool
is_listed(const char *list, const char *name)
{
	size_t length = strlen(name);

	for (const char *at = strstr(list, name); at != NULL; at = strstr(at + 1, name))
		if ((at == list || at[-1] == ' ') && (at[length] == ' ' || at[length] == '\0'))
			return true;
	return false;
}

/*
 * Create FOLDER/NAME.reached and wait until FOLDER/NAME.go exists. An existing
 * NAME.go lets every process pass. The caller may hold page locks, so this
 * must not wait for anything in the server.
 */
void
faults_pause(const char *name)
{
	char        path[MAXPGPATH];
	struct stat status;
	int         file;

	if (pause_at[0] == '\0' || !is_listed(pause_at, name))
		return;
	snprintf(path, sizeof(path), "%s/%s.reached", folder, name);
	file = open(path, O_WRONLY | O_CREAT, 0600);
	if (file < 0)
		elog(FATAL, "cannot write to \"%s\": %m", path);
	close(file);
	snprintf(path, sizeof(path), "%s/%s.go", folder, name);
	while (stat(path, &status) != 0 && !ProcDiePending)
		pg_usleep(1000L);
}
