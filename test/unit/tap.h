/*-------------------------------------------------------------------------
 *
 * tap.h
 *	  TAP output for unit tests without a server. Include it in one file per
 *	  program.
 *
 *		tap_ok(a == b, "a equals b for dim %u", dim);
 *		return tap_done();
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_TAP_H
#define COLBERT_TAP_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

static int tap_count;
static int tap_failures;

/* Report a test, named by a printf format. Return whether it passed. */
__attribute__((format(printf, 2, 3))) static inline bool
tap_ok(bool passed, const char *format, ...)
{
	va_list args;

	printf("%sok %d - ", passed ? "" : "not ", ++tap_count);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
	fflush(stdout);
	tap_failures += !passed;
	return passed;
}

/* Report a test that cannot run, with the reason. */
static inline void
tap_skip(const char *name, const char *why)
{
	printf("ok %d - %s # skip %s\n", ++tap_count, name, why);
}

/* Print a diagnostic line. */
__attribute__((format(printf, 1, 2))) static inline void
tap_diag(const char *format, ...)
{
	va_list args;

	printf("# ");
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
}

/* Return true if emulation makes a test slow, and the long form is not asked for. */
static inline bool
tap_brief(void)
{
	return getenv("EMULATED") != NULL && getenv("COLBERT_EXTRA") == NULL;
}

/* Print the plan and return the exit status of main. */
static inline int
tap_done(void)
{
	printf("1..%d\n", tap_count);
	return tap_failures != 0;
}

#endif /* COLBERT_TAP_H */
