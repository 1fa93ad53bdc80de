# colbert_pg: late-interaction search for PostgreSQL. `make help` lists the targets.

EXTENSION = colbert_pg colbert_fan_out
EXTVERSION = 0.1.0
MODULE_big = colbert_pg

OBJS := $(patsubst %.c,%.o,$(sort $(wildcard src/*.c src/*/*.c)))

# The install script is the concatenation of its parts, in the order of their names.
SQL_PARTS := $(sort $(wildcard sql/parts/*.sql))
# sql/upgrades/colbert_pg--OLD--NEW.sql; sql/released keeps the install script of each release, for the tests.
DATA = $(wildcard sql/upgrades/*.sql sql/fan_out/*.sql)
DATA_built = sql/colbert_pg--$(EXTVERSION).sql

# Tests of test/shared run once per access method, as hnsw_NAME and ivf_NAME (test/README.md).
names = $(patsubst $(1)/%,%,$(basename $(sort $(wildcard $(1)/*))))
SHARED := $(call names,test/shared/sql)
REGRESS := $(call names,test/sql) $(SHARED:%=hnsw_%) $(SHARED:%=ivf_%)
ISOLATION := $(call names,test/isolation/specs)
NO_INSTALLCHECK = 1		# the rule is below

# Scores are defined by one chain of fused multiply-adds: the compiler must not contract on its own.
PG_CPPFLAGS = -Isrc -MMD -MP
PG_CFLAGS = -std=gnu11 -Wextra -Wno-unused-parameter -Wno-sign-compare -Wno-missing-field-initializers -Wno-declaration-after-statement -ffp-contract=off -fno-math-errno

EXTRA_CLEAN = $(DATA_built) $(OBJS:.o=.d) build test/out test/isolation/out

# Kernels are compiled file by file for their instruction set, which bitcode would not repeat.
override with_llvm = no

# The symbols that PostgreSQL looks up. All others are hidden, also on 15, where they are visible by default.
SHLIB_PREREQS = build/exports.map

.DEFAULT_GOAL := all
PG_CONFIG ?= $(or $(shell command -v pg_config),/usr/lib/postgresql/15/bin/pg_config)
PGXS := $(wildcard $(shell $(PG_CONFIG) --pgxs 2>/dev/null))

ifneq ($(PGXS),)
include $(PGXS)
include src/kernels/flags.mk
ifneq ($(PORTNAME),darwin)
SHLIB_LINK += -Wl,--version-script=build/exports.map
endif

build/exports.map: $(wildcard src/*.c src/*/*.c)
	@mkdir -p $(@D)
	@{ echo '{ global: Pg_magic_func; pg_finfo_*;'; \
	   sed -n 's/^PG_FUNCTION_INFO_V1(\([a-z0-9_]*\)).*/\1;/p; s/^PGDLLEXPORT void \([a-zA-Z0-9_]*\)(.*/\1;/p' $^; \
	   echo 'local: *; };'; } >$@

# Objects are rebuilt when a header, the server's version, the compiler or its flags change.
$(OBJS): build/flags
build/flags: FORCE
	@mkdir -p $(@D)
	@echo '$(VERSION) $(CC) $(CPPFLAGS) $(CFLAGS)' | cmp -s - $@ || echo '$(VERSION) $(CC) $(CPPFLAGS) $(CFLAGS)' >$@
-include $(OBJS:.o=.d)

# Run pg_regress on tests. $(1): the input folder; $(2): the output folder; $(3): a prefix for the names in its output; $(4): the tests.
run_regress = mkdir -p $(2); { $(pg_regress_installcheck) --inputdir=$(1) --outputdir=$(2) --load-extension=colbert_pg $(REGRESS_OPTS) $(4) \
	|| touch test/out/failed; } | sed -uE 's/^(test |(not )?ok [0-9]+ +- )/&$(3)/'
own_tests = $(filter-out $(SHARED:%=hnsw_%) $(SHARED:%=ivf_%),$(REGRESS))
shared_tests = $(patsubst $(1)_%,%,$(filter $(SHARED:%=$(1)_%),$(REGRESS)))

# All tests run, even if some fail. With only REGRESS or only ISOLATION, the files of the other are left alone.
outputs = $(if $(strip $(REGRESS)),test/out) $(if $(strip $(ISOLATION)),test/isolation/out)
installcheck:
	@rm -rf $(outputs) && mkdir -p $(outputs)
	@$(if $(own_tests),$(call run_regress,test,test/out,,$(own_tests)))
	@$(foreach method,hnsw ivf,$(if $(call shared_tests,$(method)),export COLBERT_METHOD=colbert_$(method); \
		$(call run_regress,test/shared,test/out/$(method),$(method)_,$(call shared_tests,$(method)));))
	@$(if $(strip $(ISOLATION)),$(pg_isolation_regress_installcheck) --inputdir=test/isolation --outputdir=test/isolation/out \
		--load-extension=colbert_pg $(ISOLATION_OPTS) $(ISOLATION) || touch test/isolation/out/failed)
	@for folder in $(outputs); do if [ -e $$folder/failed ]; then exit 1; fi; done

# The test library, in which calls of the server can fail and points can pause (test/faults). Kernels call no server.
FAULTS_OBJS := $(patsubst src/%.o,build/faults/%.o,$(filter-out src/kernels/%,$(OBJS))) build/faults/faults.o
faults: build/faults/colbert_pg.so
build/faults/colbert_pg.so: $(FAULTS_OBJS) $(filter src/kernels/%,$(OBJS)) | $(SHLIB_PREREQS)
	$(CC) $(CFLAGS) -shared -o $@ $^ $(LDFLAGS) $(SHLIB_LINK)
build/faults/%.o: src/%.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -DCOLBERT_FAULTS -Itest/faults $(CPPFLAGS) -c -o $@ $<
build/faults/faults.o: test/faults/faults.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -DCOLBERT_FAULTS -Itest/faults $(CPPFLAGS) -c -o $@ $<
$(FAULTS_OBJS): build/flags
-include $(FAULTS_OBJS:.o=.d)
else
all install uninstall installcheck clean faults:
	@echo "$(PG_CONFIG): no build files of a PostgreSQL server. 'make deps' installs them on Debian; or set PG_CONFIG=/path/to/pg_config." >&2; exit 1
endif


$(DATA_built): $(SQL_PARTS)
	@mkdir -p $(@D)
	cat $^ >$@

# These install missing packages, find a pg_config (or use PG_CONFIG) and run make again, so that they work on a bare machine.
deps:
	@tools/install-deps build demo test
demo demo-psql:
	@tools/demo $@
# make demo-web PORT=8080: until Ctrl-C
PORT = 8080
demo-web demo-pages:
	@tools/demo $@ $(PORT)
# The documentation as a site in build/site. make docs-serve PORT=8080: until Ctrl-C.
docs:
	@tools/docs
docs-serve:
	@tools/docs serve $(PORT)
test:
	@tools/test
# The long forms of the suites that have one: hours of randomness, whole collections. Tests read COLBERT_EXTRA. And examples/, frameworks,
# the search page and the documentation in a browser, the queries for Prometheus in its exporter, and packages in bare chroots.
test-extra:
	-@tools/install-deps examples browser matrix failover
	@COLBERT_EXTRA=1 tools/test tap faults fuzz differential clients frameworks browser docs examples packages
test-%:
	@tools/test $*
# An argument of the shell: names may have an apostrophe.
quoted = '$(subst ','\'',$(1))'
# Archives of the source in build/dist. make release VERSION=0.2.0 DEST=/tmp/release: RELEASING.md
dist:
	@tools/dist
release:
	@tools/release $(if $(MAINTAINER),--maintainer $(call quoted,$(MAINTAINER))) -- $(call quoted,$(VERSION)) $(call quoted,$(DEST))
# make packages STEPS="release deb-15 install-15": what tools/packages describes
packages:
	@tools/install-deps matrix
	@tools/packages $(STEPS)
format:
	@tools/format
format-check:
	@tools/format --check
# Other versions, compilers and builds: make test-matrix CELLS="17-gcc 18-clang" SUITES="regress isolation"
test-matrix: FORCE
	@tools/install-deps matrix
	@tools/test-matrix $(CELLS)
# Tests that cannot fail: locks, checks and stamps removed one at a time. make mutants NAMES="no-suspects partial-index"
mutants:
	@tools/install-deps build demo test
	@tools/mutants $(NAMES)
# make soak MINUTES=60 RUNS="kills damages": tests of faults and of random inputs for this long. JOBS=1 runs one part at a time, SEED=1 repeats parts.
MINUTES = 60
soak:
	@tools/soak $(MINUTES) $(RUNS)
bench-%: FORCE
	@tools/bench $*

help:
	@echo 'make                build the extension'
	@echo 'make faults         build the library for fault-injection tests (doc/reliability.md) separately'
	@echo 'make install        install it into the server of PG_CONFIG ($(PG_CONFIG))'
	@echo 'make installcheck   run the regression tests on your own running server'
	@echo '                    REGRESS="hnsw_edge io" ISOLATION= choose (test/README.md)'
	@echo
	@echo 'These install missing Debian packages and use a private temporary server:'
	@echo 'make demo           real questions, their answers and the time they take'
	@echo 'make demo-psql      the same data, in psql'
	@echo 'make demo-web       a search page on the same data, on 127.0.0.1 until Ctrl-C; PORT=8080 chooses the port'
	@echo 'make demo-pages     the same on images of pages, whose patches are the tokens'
	@echo 'make docs           the documentation as a site, in build/site; make docs-serve PORT=8080 serves it on 127.0.0.1'
	@echo 'make test           all tests; make test-SUITE for one of: $(shell tools/test --list 2>/dev/null)'
	@echo 'make test-extra     the long forms of tests: whole collections, more random statements, frameworks, the search page in chromium, the metrics of postgres_exporter, examples in other languages, packages'
	@echo 'make test-matrix    all tests on PostgreSQL 15, 17, 18 and 19, with gcc, clang, assertions and sanitizers, in chroots: hours'
	@echo '                    CELLS="17-gcc 18-clang" SUITES="regress tap" choose; cells: $(shell tools/test-matrix --list 2>/dev/null)'
	@echo 'make mutants        remove locks, checks and stamps one at a time, and see a test fail (test/mutants); NAMES="no-suspects" chooses'
	@echo 'make dist           the zip for PGXN and the source archive for Debian, in build/dist'
	@echo 'make packages       build a release candidate and its packages, and try them in bare chroots: Debian, PGXN, Dockerfile (STEPS="..." chooses)'
	@echo 'make release VERSION=0.2.0 DEST=/tmp/release  prepare a release in that folder (RELEASING.md)'
	@echo 'make soak MINUTES=60  tests of faults and random inputs, longer: crashes, damaged files, statements (doc/reliability.md); RUNS="kills" chooses'
	@echo 'make format         format the C sources with .clang-format; make format-check lists files formatted otherwise'
	@echo 'make bench-medquad  build time, size, latency and recall; make bench-filter, make bench-planner, make bench-kernels'
	@echo 'make bench-lengths  recall and latency by the number of query tokens, on five collections (a neural encoder from PyPI)'
	@echo 'tools/bench --collection medquad-neural NAME  a benchmark on MedQuAD by a neural encoder'
	@echo 'make bench-build    build time per phase with one process and two, and k-means compared with FAISS (from PyPI)'
	@echo 'make bench-trade-off  cost and recall of index types and codecs, compared with FAISS (from PyPI): tables and a picture'
	@echo 'make bench-ranking  nDCG@10 of full text, MaxSim, fusion and learned rankers on MedQuAD and Cranfield, and the time of a score'
	@echo 'make bench-centroids  recall and CPU time of centroids that are trained outside the server'
	@echo 'make bench-gpu      exhaustive MaxSim and training on a GPU, without a server'
	@echo 'make bench-users    inserts, spellings, wide tokens, growth and others, with this build and another (tools/bench users --help)'
	@echo 'make bench-instructions  instructions of a search by function, with this build and another (valgrind)'
	@echo 'make bench-order    pages and time of a search, by the order of the rows in the table'
	@echo 'make bench-cluster  CPU time of shards and coordinator by engine, and a simulation of large clusters'
	@echo 'make bench-shard    a shard of 163,730 documents (16,373 to 820,000 by tools/bench shard N), its data kept (doc/performance.md)'
	@echo 'make bench-cold     an index larger than memory: latency and pages read per stage, with a limit on memory (root)'
	@echo 'make deps           only install the packages'

.PHONY: deps demo demo-psql demo-web demo-pages dist docs docs-serve packages release test test-extra test-matrix mutants soak faults help FORCE
FORCE:
