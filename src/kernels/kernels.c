/*-------------------------------------------------------------------------
 *
 * kernels.c
 *	  Choose an implementation of the kernels at run time.
 *
 * The list below is in ascending order of speed; "auto" takes the last one
 * that the machine supports. This file is compiled without the flags of any
 * instruction set.
 *
 *-------------------------------------------------------------------------
 */
#include "kernels/internal.h"

#if defined(__x86_64__)
#include <cpuid.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif
#elif defined(__aarch64__) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

typedef struct Implementation
{
	const KernelOps *ops;
	bool (*supported)(void);
} Implementation;

static bool
always(void)
{
	return true;
}

#if defined(__x86_64__)

/*
 * __builtin_cpu_supports also checks that the operating system saves the
 * registers, but not every compiler's version knows F16C.
 */
static bool
has_f16c(void)
{
	unsigned int eax, ebx, ecx, edx;

	return __get_cpuid(1, &eax, &ebx, &ecx, &edx) && (ecx & bit_F16C) != 0;
}

static bool
has_avx2(void)
{
	return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c();
}

static bool
has_avx512(void)
{
	return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
		   __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

static bool
has_avx512vnni(void)
{
	return has_avx512() && __builtin_cpu_supports("avx512vnni");
}

/*
 * Return true if this process may use AMX tiles. Requests the permission,
 * without which Linux refuses them.
 */
static bool
amx_granted(void)
{
#if defined(COLBERT_AMX_EMULATED)
	return true;
#elif defined(__linux__)
	const unsigned int  tile_and_int8 = 3u << 24;
	const unsigned long request_permission = 0x1023; /* ARCH_REQ_XCOMP_PERM */
	const unsigned long tile_data = 18;              /* XFEATURE_XTILEDATA */
	unsigned int        eax, ebx, ecx, edx;

	if (!__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) || (edx & tile_and_int8) != tile_and_int8)
		return false;
	/* Linux saves the tiles, 8 kB of state, only for processes that request it. */
	return syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
#else
	return false;
#endif
}

static bool
has_amx(void)
{
	static int answer = -1; /* -1 until the first call */

	if (answer < 0)
		answer = kernels_amx_built && has_avx512vnni() && amx_granted();
	return answer;
}

#elif defined(__aarch64__)

static bool
has_neondot(void)
{
#if defined(__linux__)
	return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0;
#else
	return false;
#endif
}

#endif

static const Implementation implementations[] = {
	{&kernels_scalar, always},
#if defined(__x86_64__)
	{&kernels_avx2, has_avx2}, {&kernels_avx512, has_avx512}, {&kernels_avx512vnni, has_avx512vnni},
	{&kernels_amx, has_amx},
#elif defined(__aarch64__)
	{&kernels_neon, always},
	{&kernels_neondot, has_neondot},
#endif
};

#define NIMPLEMENTATIONS (sizeof(implementations) / sizeof(implementations[0]))

static const char *const names[] = {"scalar",
#if defined(__x86_64__)
									"avx2",   "avx512", "avx512vnni", "amx",
#elif defined(__aarch64__)
									"neon", "neondot",
#endif
									NULL};

/* Valid before kernels_init() too: the scalar kernels run anywhere. */
const KernelOps *kernels = &kernels_scalar;

void
kernels_init(void)
{
	kernels_select("auto");
}

bool
kernels_select(const char *name)
{
	bool any = strcmp(name, "auto") == 0;

	for (size_t i = NIMPLEMENTATIONS; i-- > 0;)
	{
		const Implementation *candidate = &implementations[i];

		if ((any || strcmp(name, candidate->ops->name) == 0) && candidate->supported())
		{
			kernels = candidate->ops;
			return true;
		}
	}
	return false;
}

bool
kernels_supported(const char *name)
{
	for (size_t i = 0; i < NIMPLEMENTATIONS; i++)
	{
		if (strcmp(name, implementations[i].ops->name) == 0)
			return implementations[i].supported();
	}
	return false;
}

const char *const *
kernels_names(void)
{
	return names;
}
