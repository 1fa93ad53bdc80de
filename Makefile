# colbert_pg: late-interaction search for PostgreSQL. `make help` lists the targets.

EXTENSION = colbert_pg
EXTVERSION = 0.1.0
MODULE_big = colbert_pg

OBJS = $(patsubst %.c,%.o,$(sort $(wildcard src/*.c src/*/*.c)))

# The install script is the concatenation of its parts, in the order of their names.
SQL_PARTS = $(sort $(wildcard sql/parts/*.sql))
DATA_built = sql/$(EXTENSION)--$(EXTVERSION).sql
EXTRA_CLEAN = sql/$(EXTENSION)--$(EXTVERSION).sql

REGRESS = $(patsubst test/sql/%.sql,%,$(sort $(wildcard test/sql/*.sql)))
REGRESS_OPTS = --inputdir=test --expecteddir=. --outputdir=test/out

# Scores are defined by one chain of fused multiply-adds: the compiler must not contract on its own.
PG_CPPFLAGS = -Isrc
PG_CFLAGS = -std=gnu11 -Wextra -Wno-unused-parameter -Wno-sign-compare -Wno-missing-field-initializers -Wno-declaration-after-statement -ffp-contract=off -fno-math-errno

PG_CONFIG ?= pg_config
# Kernels are compiled file by file for their instruction set, which bitcode would not repeat.
override with_llvm = no
PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

src/kernels/%_avx2.o: CFLAGS += -mavx2 -mfma -mf16c -O3
src/kernels/%_avx512.o: CFLAGS += -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni -mavx512vbmi -mfma -mf16c -O3

sql/$(EXTENSION)--$(EXTVERSION).sql: $(SQL_PARTS)
	cat $^ >$@
