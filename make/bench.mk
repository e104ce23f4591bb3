# What things cost. Results go to build/bench/; no number is ever asserted.

BENCH := $(BUILD)/bench

# These run on both kernels: ordinary static Linux programs.
$(BENCH)/operations $(BENCH)/programs: $(BENCH)/%: bench/guest/%.c bench/guest/counter.h tests/guest/programs/guest.h src/base/error.c include/landhold/error.h
	@mkdir -p $(@D)
	$(MAKING) gcc $(CFLAGS_GUEST) -Itests/guest/programs $< src/base/error.c -o $@

.PHONY: bench-guest
bench-guest: setup kernel $(BENCH)/operations ## instructions an operation, here and on Debian's Linux
	@bench/guest/compare guest $(BENCH)/operations

# Debian's programs, and what they work on. Without XSAVE, of which this kernel makes no use, programs choose the same instructions on
# both kernels.
BENCH_PROGRAMS_CPU := max,-erms,-fsrm,-xsave,-avx,-avx2
BENCH_PROGRAMS := $(BENCH)/programs-input
PYTHONS_LIBRARY = $(shell /usr/bin/python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')
BENCH_PROGRAMS_FILES = $(BENCH_PROGRAMS)/file.i $(BENCH_PROGRAMS)/lines /bin/bash /usr/bin/perl /usr/bin/gcc \
	$(shell gcc -print-prog-name=cc1) /usr/bin/python3 $(PYTHONS_LIBRARY)

$(BENCH_PROGRAMS)/file.i: src/region/place.c
	@mkdir -p $(@D)
	$(MAKING) gcc -E -Iinclude -Isrc $< -o $@
$(BENCH_PROGRAMS)/lines:
	@mkdir -p $(@D)
	@seq 1 200000 | rev >$@

.PHONY: bench-programs
bench-programs: setup kernel $(BENCH)/programs $(BENCH_PROGRAMS)/file.i $(BENCH_PROGRAMS)/lines ## whole programs' instructions, here and on Debian's Linux
	@bench/guest/compare programs --cpu $(BENCH_PROGRAMS_CPU) $(addprefix --add ,$(abspath $(BENCH_PROGRAMS_FILES))) $(BENCH)/programs $(abspath $(BENCH_PROGRAMS))

# Region structures side by side: the library's, and what other kernels have. All with the same
# flags; the library without its asserts, as the others have none. The maple tree is compiled from
# Debian's source package; where that cannot be had, it is left out.
BENCH_REGIONS ?= 100 1000 10000 100000 1000000
# Those of which instructions are counted as well; none: BENCH_COUNTED=
BENCH_COUNTED ?= $(filter 100 1000 10000,$(BENCH_REGIONS))
BENCH_REGION := $(BENCH)/region
CFLAGS_BENCH_REGION := $(CFLAGS_COMMON) -O2 -DLH_DEBUG=0 -MMD -MP -Iinclude
BENCH_REGION_SOURCES := $(sort $(wildcard bench/region/*.c bench/region/peers/*.c))
BENCH_REGION_OBJECTS := $(patsubst %.c,$(BENCH_REGION)/%.o,$(BENCH_REGION_SOURCES) $(SOURCES_region))
MAPLE := $(BENCH_REGION)/maple
CFLAGS_MAPLE := -std=gnu17 -O2 -w -Ibench/region/maple/include -I$(MAPLE)/own

$(BENCH_REGION)/bench/%.o: bench/%.c
	@mkdir -p $(@D)
	$(MAKING) $(CC) $(CFLAGS_BENCH_REGION) -c $< -o $@
$(BENCH_REGION)/src/%.o: src/%.c
	@mkdir -p $(@D)
	$(MAKING) $(CC) $(CFLAGS_BENCH_REGION) -ffreestanding -Isrc -c $< -o $@
$(MAPLE)/maple.o: bench/region/maple/subject.c bench/region/subject.h $(wildcard bench/region/maple/include/*/*.h)
	@mkdir -p $(MAPLE)/own/linux
	@bench/region/maple/fetch $(MAPLE)/linux
	@cp $(MAPLE)/linux/include/linux/maple_tree.h $(MAPLE)/own/linux/
	$(MAKING) $(CC) $(CFLAGS_MAPLE) -c $(MAPLE)/linux/lib/maple_tree.c -o $(MAPLE)/tree.o
	$(MAKING) $(CC) $(CFLAGS_MAPLE) -c $< -o $(MAPLE)/subject.o
	@ld -r $(MAPLE)/tree.o $(MAPLE)/subject.o -o $@
$(BENCH_REGION)/libbase.a: $(patsubst %.c,$(BENCH_REGION)/%.o,$(SOURCES_base))
	@rm -f $@
	$(MAKING) ar rcs $@ $^
$(BENCH_REGION)/bench-region: $(BENCH_REGION_OBJECTS) $(wildcard $(MAPLE)/maple.o) $(BENCH_REGION)/libbase.a
	$(MAKING) $(CC) $^ -o $@

.PHONY: bench-region
bench-region: ## region structures side by side; BENCH_REGIONS="100 1000 ..." chooses sizes
	@$(MAKE) --no-print-directory $(MAPLE)/maple.o || echo 'bench-region: without the maple tree' >&2
	@$(MAKE) --no-print-directory $(BENCH_REGION)/bench-region
	@$(BENCH_REGION)/bench-region $(BENCH_REGIONS) >$(BENCH)/region.csv
	@$(if $(strip $(BENCH_COUNTED)),bench/region/instructions $(BENCH_REGION)/bench-region $(BENCH)/region.csv $(BENCH_REGION) $(BENCH_COUNTED))
	@bench/region/report $(BENCH)/region.csv $(BENCH)/region.svg

-include $(shell find $(BENCH_REGION) -name '*.d' 2>/dev/null)

# Parts of the library side by side with others' ways, in an ordinary process, as a release
# would be compiled. bench/common has the clock, the table, the CSV and the drawing.
# The library without its asserts, as the others have none.
CFLAGS_BENCH := $(CFLAGS_COMMON) -O2 -DLH_DEBUG=0 -MMD -MP
$(BENCH)/obj/src/%.o: src/%.c
	@mkdir -p $(@D)
	$(MAKING) $(CC) $(CFLAGS_BENCH) -ffreestanding -Iinclude -Isrc -Iarch -c $< -o $@
$(BENCH)/obj/arch/%.o: arch/%.c
	@mkdir -p $(@D)
	$(MAKING) $(CC) $(CFLAGS_BENCH) -ffreestanding -Iinclude -c $< -o $@
$(BENCH)/obj/bench/%.o: bench/%.c
	@mkdir -p $(@D)
	$(MAKING) $(CC) $(CFLAGS_BENCH) -D_GNU_SOURCE -Iinclude -c $< -o $@

# $(call bench_objects,folders of bench/,floors)
bench_objects = $(patsubst %.c,$(BENCH)/obj/%.o,$(foreach d,common $(1),$(sort $(wildcard bench/$(d)/*.c))) $(foreach f,$(2),$(SOURCES_$(f))))

# Each subject is optimised as one: the library together with its port (an interrupt flag, a CPU's
# number: an instruction or two in a kernel too), each buddy with its lock. What drives them stays apart.
BENCH_PAGING_SUBJECTS := bench/paging/landhold.c $(SOURCES_base) $(SOURCES_physical) $(SOURCES_paging)
BENCH_FRAMES_SUBJECTS := bench/frames/landhold.c $(sort $(wildcard bench/frames/peers/*.c)) \
	$(SOURCES_base) $(SOURCES_physical)
$(BENCH)/subjects/%.o: %.c
	@mkdir -p $(@D)
	$(MAKING) $(CC) $(CFLAGS_BENCH) -flto=auto -D_GNU_SOURCE -Iinclude -Isrc -Iarch -c $< -o $@
$(BENCH)/frames: $(filter-out %/landhold.o,$(call bench_objects,frames,)) \
		$(patsubst %.c,$(BENCH)/subjects/%.o,$(BENCH_FRAMES_SUBJECTS))
	$(MAKING) $(CC) -O2 -flto=auto -Wno-uninitialized -Wno-maybe-uninitialized $^ -lpthread -o $@

.PHONY: bench-frames
bench-frames: $(BENCH)/frames ## frames: nanoseconds an operation, beside two buddies
	$(BENCH)/frames $(or $(ROUNDS),9) $(BENCH)/frames.csv
	@bench/common/plot $(BENCH)/frames.csv $(BENCH)/frames.svg 'Frames: ns an operation, 1 GiB'

-include $(shell find $(BENCH)/obj $(BENCH)/subjects -name '*.d' 2>/dev/null)

$(BENCH)/paging: $(filter-out %/landhold.o,$(call bench_objects,paging,)) \
		$(patsubst %.c,$(BENCH)/subjects/%.o,$(BENCH_PAGING_SUBJECTS))
	$(MAKING) $(CC) -O2 -flto=auto -Wno-uninitialized -Wno-maybe-uninitialized $^ -o $@

.PHONY: bench-paging
bench-paging: $(BENCH)/paging ## page tables: ns and instructions a leaf, beside a naive walker and a bare loop
	$(BENCH)/paging $(or $(ROUNDS),15) $(BENCH)/paging.csv
	@bench/paging/merge $(BENCH)/paging
	@bench/common/plot $(BENCH)/paging.csv $(BENCH)/paging.svg 'Page tables: ns a leaf'
