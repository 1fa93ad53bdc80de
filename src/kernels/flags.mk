# Flags of the kernel files, one instruction set each; the rest of the build stays portable.
# Included by the build of the extension and by the unit tests. Needs CC; adds to CFLAGS.

ifneq ($(filter x86_64-% amd64-%,$(shell $(CC) -dumpmachine)),)
AVX512_FLAGS = -mavx2 -mfma -mf16c -mavx512f -mavx512bw -mavx512dq -mavx512vl -O3
%_avx2.o: CFLAGS += -mavx2 -mfma -mf16c -O3
%_avx512.o: CFLAGS += $(AVX512_FLAGS)
%_avx512vnni.o: CFLAGS += $(AVX512_FLAGS) -mavx512vnni
endif
