# Interleavings: the library under the scheduler in hosted/interleave, and its cases.
#
# The library, the toys, and the CPUs of the hosted machine are compiled with the race
# detector's instrumentation, which hosted/interleave receives in place of the race detector. The
# rest of the machine and the tests are not: what they do is one step with what is around it.

INTERLEAVE_DEBUG ?= 2
INTERLEAVE := $(BUILD)/interleave-$(notdir $(CC))$(if $(filter-out 2,$(INTERLEAVE_DEBUG)),-debug-$(INTERLEAVE_DEBUG))
CFLAGS_INTERLEAVE := $(CFLAGS_COMMON) -O1 -fno-pie -DLH_DEBUG=$(INTERLEAVE_DEBUG) -DLH_MAX_CPUS=4 -MMD -MP
# clang would leave out reads that a write of the same place follows.
CFLAGS_INSTRUMENTED := $(CFLAGS_INTERLEAVE) -fsanitize=thread \
	$(if $(findstring clang,$(CC)),-mllvm -tsan-instrument-read-before-write=1)
INTERLEAVE_WRAPPED := malloc calloc aligned_alloc free mmap munmap mprotect memcpy memmove memset memcmp \
	machine_watch machine_note_hardware

$(INTERLEAVE)/src/%.o: src/%.c
	@mkdir -p $(@D)
	$(MAKING) $(CC) $(CFLAGS_INSTRUMENTED) -ffreestanding -Iinclude -Isrc -Iarch -c $< -o $@
$(INTERLEAVE)/arch/%.o: arch/%.c
	@mkdir -p $(@D)
	$(MAKING) $(CC) $(CFLAGS_INSTRUMENTED) -ffreestanding -Iinclude -Isrc -Iarch -c $< -o $@
$(INTERLEAVE)/hosted/cpu.o: hosted/cpu.c
	@mkdir -p $(@D)
	$(MAKING) $(CC) $(CFLAGS_INSTRUMENTED) -D_GNU_SOURCE -Iinclude -Ihosted -c $< -o $@
$(INTERLEAVE)/hosted/interleave/%.o: hosted/interleave/%.c
	@mkdir -p $(@D)
	$(MAKING) $(CC) $(CFLAGS_INTERLEAVE) -O2 -fno-builtin -D_GNU_SOURCE -Iinclude -Ihosted -c $< -o $@
$(INTERLEAVE)/hosted/%.o: hosted/%.c
	@mkdir -p $(@D)
	$(MAKING) $(CC) $(CFLAGS_INTERLEAVE) -D_GNU_SOURCE -Iinclude -Ihosted -c $< -o $@
$(INTERLEAVE)/tests/interleave/subject%.o: tests/interleave/subject%.c
	@mkdir -p $(@D)
	$(MAKING) $(CC) $(CFLAGS_INSTRUMENTED) -Iinclude -Isrc -Itests -c $< -o $@
$(INTERLEAVE)/tests/%.o: tests/%.c
	@mkdir -p $(@D)
	$(MAKING) $(CC) $(CFLAGS_INTERLEAVE) -fno-builtin -D_GNU_SOURCE -ffunction-sections -Iinclude -Isrc -Iarch \
		-Ihosted -Ihosted/interleave -Itests -c $< -o $@

INTERLEAVE_SOURCES := $(foreach f,$(FLOORS),$(SOURCES_$(f))) \
	$(filter-out hosted/threads.c,$(SOURCES_hosted)) $(sort $(wildcard hosted/interleave/*.c)) \
	tests/world/world.c tests/world/walkers.c tests/world/file.c \
	tests/threads/crowd.c $(sort $(wildcard tests/interleave/*.c))
INTERLEAVE_PROGRAM := $(INTERLEAVE)/interleave

$(INTERLEAVE_PROGRAM): $(patsubst %.c,$(INTERLEAVE)/%.o,$(INTERLEAVE_SOURCES))
	$(MAKING) $(CC) -no-pie -Wl,--gc-sections $(foreach f,$(INTERLEAVE_WRAPPED),-Wl,--wrap=$(f)) $^ -o $@

# Cases of the library, which assumes the memory model of x86 or a stronger one.
INTERLEAVE_BUFFERED := lock mutex_three mutex_two_buffered heap fault frame pool surplus unmap fork map b18 b22 b24 write_back pin_fork
# Cases that end in seconds without pruning, of each kind some: each must be compared to its end.
INTERLEAVE_COMPARED := toy_ b20_flags b30_ failing_fault_fork failing_fault_map failing_fault_write_back \
	fault_three_writes fault_truncate_private fault_truncate_shared fault_write_read_copy \
	fault_write_read_zero fork_truncate heap_allocate_free heap_at_hand_trim huge_promote_read \
	huge_unmap kernel_map_unmap lookup_regions_go parent_child pool_take_give pool_take_take_one \
	spin_lock_two unmap_unmap_two_spaces

.PHONY: interleave interleave-lines test-interleave
interleave: $(INTERLEAVE_PROGRAM) ## all interleavings of operations, within bounds; long
	$(INTERLEAVE_PROGRAM) -s 600 -r 10 +b 1 --csv $(BUILD)/interleave.csv
	$(INTERLEAVE_PROGRAM) -s 60 --store-buffers $(INTERLEAVE_BUFFERED)
	$(INTERLEAVE_PROGRAM) --compare -s 60
	@$(MAKE) --no-print-directory interleave-lines

# The figures are of a build without debugging aids; that no line is common where none should be is tested with them, too.
interleave-lines: ## cache lines that two CPUs both write, an operation
	@$(MAKE) --no-print-directory INTERLEAVE_DEBUG=0 run-interleave-lines
.PHONY: run-interleave-lines
run-interleave-lines: $(INTERLEAVE_PROGRAM)
	@mkdir -p $(BUILD)/bench
	@$(INTERLEAVE_PROGRAM) --lines --csv $(BUILD)/bench/lines.csv

test-interleave: $(INTERLEAVE_PROGRAM) ## the same, with less time for each
	@tests/total '$(INTERLEAVE_PROGRAM) -s 2 -r 0.1 --csv $(BUILD)/interleave.csv' \
		'$(INTERLEAVE_PROGRAM) -s 1 --store-buffers $(INTERLEAVE_BUFFERED)' \
		'$(INTERLEAVE_PROGRAM) --compare -s 60 $(INTERLEAVE_COMPARED)' \
		'$(INTERLEAVE_PROGRAM) --lines'

-include $(shell find $(INTERLEAVE) -name '*.d' 2>/dev/null)
