# iza. `make` builds it; `make help` lists the rest.
#
# Sources are found, not listed: every engine/**/*.c is the engine, every tests/c/test_*.c a test
# program, every tests/fuzz/fuzz_*.c a fuzz target, and every file under lua/ goes into the program.
# Three builds live side by side: build/release, build/san (SAN=1: ASan and UBSan) and build/fuzz.

.DEFAULT_GOAL := build
.SUFFIXES:
.SECONDARY:
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules --no-print-directory
ifeq (0,$(MAKELEVEL)$(filter -j%,$(MAKEFLAGS)))
MAKEFLAGS += -j$(shell nproc)
endif

CC      = gcc
PREFIX  = /usr/local
SECONDS = 30

WARN   = -Wall -Wextra -Wvla -Wstrict-prototypes -Wmissing-prototypes
COMMON = -std=c11 -D_GNU_SOURCE $(WARN) -Iengine -isystem /usr/include/lua5.4 -pthread -g -MMD -MP
# Objects carry machine code beside LTO's form: the program is linked with LTO, the tests without.
# V=1 shows the whole command lines.
Q = $(if $(V),,@echo '  $(1)' &&)
ifdef SAN
B       = build/san
PROGRAM = $(B)/iza
CFLAGS  = $(COMMON) -Werror -O1 -fsanitize=address,undefined -fno-sanitize-recover=all \
          -fno-omit-frame-pointer
LTO     =
else
B       = build/release
PROGRAM = iza
CFLAGS  = $(COMMON) -Werror -O2 -flto=auto -ffat-lto-objects
LTO     = -flto=auto -Wno-maybe-uninitialized # across files it sees no longjmp: false alarms
endif
# Lua whole and exported, so that C rocks find its API; libcurl, OpenSSL and libedit are not linked:
# the engine loads them on first use, and `iza hello.lua` starts like plain Lua.
LDLIBS = -Wl,--whole-archive -l:liblua5.4.a -Wl,--no-whole-archive -Wl,-E \
         -l:liblua5.4-cjson.a -l:libevent_core.a -lm -ldl -pthread

SRC    := $(sort $(shell find engine -name '*.c'))
LIB    := $(filter-out engine/main.c,$(SRC))
CTEST  := $(sort $(wildcard tests/c/test_*.c))
FUZZ   := $(sort $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c)))
ASSETS := $(shell LC_ALL=C find lua catalog data/samples -type f 2>/dev/null | LC_ALL=C sort)

.PHONY: help run test deps deps-test deps-bench build lint bench fuzz install clean \
        programs quick-programs ctest need-build need-test FORCE

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile

run: ## install what building needs, build, and run the main job on sample data
	@.ci/deps.sh build
	@$(MAKE) build
	@./iza lua/demos/first_run.lua

test: ## install what tests need, run all (QUICK=1: with the build packages alone)
	@.ci/deps.sh $(if $(QUICK),build,test)
	@$(MAKE) $(if $(QUICK),quick-programs,programs)
	@B=$(B) IZA=$(CURDIR)/$(PROGRAM) QUICK=$(QUICK) tests/run.sh

deps: ## install the Debian packages that building and running need
	@.ci/deps.sh build
deps-test: ## install what `make test` and `make lint` need
	@.ci/deps.sh test
deps-bench: ## install the peers of `make bench` (Debian, and npm by lockfile into .deps/)
	@.ci/deps.sh bench

need-build:
	@.ci/deps.sh check build
need-test:
	@.ci/deps.sh check test

# -- the program -------------------------------------------------------------------------------

build: $(PROGRAM) ## build ./iza (SAN=1: build/san/iza, ASan, UBSan)

OBJ := $(SRC:%.c=$(B)/%.o) $(B)/embed.o
$(PROGRAM): $(OBJ) $(B)/sources
	$(call Q,link $@) $(CC) $(CFLAGS) $(LTO) $(OBJ) $(LDLIBS) -o $@

$(B)/%.o: %.c Makefile | need-build
	@mkdir -p $(@D)
	$(call Q,cc   $<) $(CC) $(CFLAGS) -c $< -o $@

list = @mkdir -p $(@D); echo '$(1)' | cmp -s - $@ || echo '$(1)' >$@
# These two lists change only when a file appears or goes, and what depends on them follows.
$(B)/sources: FORCE
	$(call list,$(SRC))
$(B)/assets: FORCE
	$(call list,$(ASSETS))

# The Debian version of what is linked in, for `iza doctor`.
LIBEVENT := $(shell dpkg-query -W -f '$${Version}' libevent-dev 2>/dev/null)
$(B)/libevent: FORCE
	$(call list,$(LIBEVENT))
$(B)/engine/host/lua_host.o: $(B)/libevent
$(B)/engine/host/lua_host.o: CFLAGS += -DIZ_LIBEVENT='"$(LIBEVENT)"'

$(B)/embed.S: $(B)/assets engine/vm/embed.sh
	@engine/vm/embed.sh $(ASSETS) >$@
$(B)/embed.o: $(B)/embed.S $(ASSETS) | need-build
	$(call Q,as   $<) $(CC) -c $< -o $@

# -- tests -------------------------------------------------------------------------------------

# The engine without main(), linked without LTO: that takes a moment, not seconds.
ENGINE := $(LIB:%.c=$(B)/%.o) $(B)/embed.o

$(B)/tests/c/%: $(B)/tests/c/%.o $(ENGINE) $(B)/sources | need-test
	$(call Q,link $@) $(CC) $(CFLAGS) -fno-lto $(filter %.o,$^) $(LDLIBS) -lcmocka -o $@

$(B)/tests/fuzz/%: $(B)/tests/fuzz/fuzz_%.o $(B)/tests/fuzz/replay.o $(ENGINE) $(B)/sources
	$(call Q,link $@) $(CC) $(CFLAGS) -fno-lto $(filter %.o,$^) $(LDLIBS) -o $@

# What the build packages allow, and the C tests where cmocka happens to be installed.
quick-programs: $(PROGRAM) $(FUZZ:%=$(B)/tests/fuzz/%) \
                $(if $(wildcard /usr/include/cmocka.h),$(CTEST:%.c=$(B)/%))

programs: build $(CTEST:%.c=$(B)/%) $(FUZZ:%=$(B)/tests/fuzz/%)

ctest: $(CTEST:%.c=$(B)/%) $(FUZZ:%=$(B)/tests/fuzz/%)
	@B=$(B) tests/run.sh c fuzz

# -- fuzzing -----------------------------------------------------------------------------------

FUZZ_CFLAGS = $(COMMON) -O1 -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all

fuzz: $(FUZZ:%=build/fuzz/bin/%) ## fuzz each target for SECONDS=30, small ones a quarter
	@SECONDS_EACH=$(SECONDS) tests/fuzz/run.sh $(FUZZ)

build/fuzz/%.o: %.c Makefile | need-test
	@mkdir -p $(@D)
	$(call Q,cc   $<) clang $(FUZZ_CFLAGS) -c $< -o $@
build/fuzz/bin/%: build/fuzz/tests/fuzz/fuzz_%.o $(LIB:%.c=build/fuzz/%.o) $(B)/embed.o $(B)/sources
	@mkdir -p $(@D)
	$(call Q,link $@) clang -fsanitize=fuzzer,address,undefined $(filter %.o,$^) $(LDLIBS) -o $@

# -- the rest ----------------------------------------------------------------------------------

# clang-tidy takes seconds a file: each remembers that it passed until it or a header changes.
TIDY := $(patsubst %.c,build/lint/%.tidy,$(SRC) $(CTEST) $(wildcard tests/fuzz/*.c tests/bench/*.c))
HEADERS := $(shell find engine tests -name '*.h')
build/lint/%.tidy: %.c $(HEADERS) .clang-tidy Makefile | need-test
	@mkdir -p $(@D)
	@clang-tidy --quiet $< -- $(filter-out -MMD -MP -g,$(COMMON)) 2>$@.log || \
	  { cat $@.log; exit 1; }
	@touch $@

lint: need-test $(TIDY) ## format, clang-tidy, luacheck, banned functions, layering, file sizes
	@.ci/lint.sh

# bench_NAME.c measures parts of the engine and is built like the program; peer_NAME.c is a plain
# program to be measured against.
BENCH := $(wildcard tests/bench/*.c)
bench: $(PROGRAM) $(BENCH:%.c=$(B)/%) ## measure against the peers of deps-bench (ONLY=text picks)
	@.ci/deps.sh check bench
	@tests/bench/run.sh

$(B)/tests/bench/bench_%: $(B)/tests/bench/bench_%.o $(ENGINE) $(B)/sources
	$(call Q,link $@) $(CC) $(CFLAGS) $(LTO) $(filter %.o,$^) $(LDLIBS) -o $@
$(B)/tests/bench/peer_%: $(B)/tests/bench/peer_%.o
	$(call Q,link $@) $(CC) $(CFLAGS) $^ -lcurl -levent_core -llua5.4 -lm -o $@

install: $(PROGRAM) ## install iza and its editor types under PREFIX (/usr/local)
	install -D -s -m 755 iza $(DESTDIR)$(PREFIX)/bin/iza
	cd lua && find iza -name '*.lua' ! -path 'iza/cli/*' ! -path 'iza/skeleton/*' -exec \
	  install -D -m 644 {} $(abspath $(DESTDIR)$(PREFIX))/share/iza/types/{} \;

clean: ## remove what was built
	rm -rf build iza

-include $(shell find build/release build/san build/fuzz -name '*.d' 2>/dev/null)
