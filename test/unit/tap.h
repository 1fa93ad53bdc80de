/*-------------------------------------------------------------------------
 *
 * tap.h
 *	  Unit tests that print TAP, without a server. Include in one file a program.
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

static int tap_count;
static int tap_failures;

/* One test: what it is, as printf. Returns whether it passed. */
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

/* A test that cannot run here, and why. */
static inline void
tap_skip(const char *name, const char *why)
{
	printf("ok %d - %s # skip %s\n", ++tap_count, name, why);
}

/* A line of explanation, printed under the test that follows it. */
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

/* The plan, and main's result. */
static inline int
tap_done(void)
{
	printf("1..%d\n", tap_count);
	return tap_failures != 0;
}

#endif /* COLBERT_TAP_H */
