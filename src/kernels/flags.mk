# Flags of the kernel files, one instruction set each; the rest of the build stays portable.
# Included by the build of the extension and by the unit tests. Needs CC; adds to CFLAGS.

# sanitizers make -O3 take a minute per file
KERNEL_OPTIMIZE ?= -O3
KERNEL_MACHINE := $(shell $(CC) -dumpmachine)

ifneq ($(filter x86_64-% amd64-%,$(KERNEL_MACHINE)),)
AVX512_FLAGS = -mavx2 -mfma -mf16c -mavx512f -mavx512bw -mavx512dq -mavx512vl $(KERNEL_OPTIMIZE)
%kernels/avx2.o: CFLAGS += -mavx2 -mfma -mf16c $(KERNEL_OPTIMIZE)
%kernels/avx512.o: CFLAGS += $(AVX512_FLAGS)
%kernels/avx512vnni.o: CFLAGS += $(AVX512_FLAGS) -mavx512vnni
# gcc 11, clang 12; without these the file has no kernels
AMX_FLAGS := $(shell echo 'int none;' | $(CC) -mamx-tile -mamx-int8 -x c -c -o /dev/null - 2>/dev/null && echo -mamx-tile -mamx-int8)
%kernels/amx.o: CFLAGS += $(AVX512_FLAGS) -mavx512vnni $(AMX_FLAGS)
endif

ifneq ($(filter aarch64-% arm64-%,$(KERNEL_MACHINE)),)
%kernels/neon.o: CFLAGS += $(KERNEL_OPTIMIZE)
%kernels/neondot.o: CFLAGS += -march=armv8.2-a+dotprod $(KERNEL_OPTIMIZE)
endif
