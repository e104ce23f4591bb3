# The reference kernel and what is done with it: run, image, and the tests in it.

-include make/kernel-build.mk

GUEST_PROGRAMS := $(patsubst tests/guest/programs/%.c,$(BUILD)/guest/%,$(wildcard tests/guest/programs/*.c))
# Ordinary static Linux programs, made by the machine's own compiler and C library.
CFLAGS_GUEST := $(CFLAGS_COMMON) -O2 -D_GNU_SOURCE -Iinclude -static

$(BUILD)/guest/%: tests/guest/programs/%.c $(wildcard tests/guest/programs/*.h) src/base/error.c include/landhold/error.h
	@mkdir -p $(@D)
	$(MAKING) gcc $(CFLAGS_GUEST) $< src/base/error.c -o $@
# Begins before the C library does.
$(BUILD)/guest/kept: CFLAGS_GUEST += -Wl,-e,saved_entry
$(BUILD)/guest/refused: CFLAGS_GUEST += -Wl,-e,begin_executed
# The same source as a position-independent program, to see the loader place it.
$(BUILD)/guest/memory-pie: tests/guest/programs/memory.c tests/guest/programs/guest.h src/base/error.c
	@mkdir -p $(@D)
	$(MAKING) gcc $(filter-out -static,$(CFLAGS_GUEST)) -fPIE -static-pie $< src/base/error.c -o $@
$(BUILD)/tour: tools/tour/tour.c tests/guest/programs/guest.h src/base/error.c include/landhold/error.h
	@mkdir -p $(@D)
	$(MAKING) gcc $(CFLAGS_GUEST) -Itests/guest/programs $< src/base/error.c -o $@

.PHONY: run tour test test-guest test-guest-cpus test-tools soak image kernel guest-programs
kernel: kernel-image ## builds the reference kernel: build/kernel/landhold.elf

guest-programs: $(GUEST_PROGRAMS) $(BUILD)/guest/memory-pie ## builds the tests' own programs: for tests/guest/run NAME-PART

run: setup kernel $(BUILD)/tour ## boots into a shell; without a terminal: a short tour
	@if [ -t 0 ] && [ -t 1 ]; then \
		echo "Landhold: a shell; 'exit' or Ctrl-] ends it."; \
		tools/run-guest --tty --env 'PS1=landhold:\w\$$ ' -- /bin/busybox sh; \
		case $$? in 125|126) exit 1;; esac; \
	else \
		tools/run-guest --timeout 300 -- $(BUILD)/tour </dev/null; \
	fi
tour: setup kernel $(BUILD)/tour ## boots, shows a process's memory by numbers, and ends
	@tools/run-guest --timeout 300 -- $(BUILD)/tour </dev/null

image: setup kernel ## makes build/landhold.iso, a GRUB image with a shell
	@tools/run-guest --write-image $(BUILD)/landhold.iso -- /bin/busybox sh
	@echo "$(BUILD)/landhold.iso: qemu-system-x86_64 -M q35 -cdrom $(BUILD)/landhold.iso -serial mon:stdio -display none"

test-tools: ## tests of the tools; needs Python and busybox, no kernel
	@tests/total tests/tools/run tests/tools/project

test-guest: kernel guest-programs ## tests in the booted kernel
	@LANDHOLD_KERNELS="$(LANDHOLD_KERNELS)" tests/guest/run

# What depends on how many CPUs there are, on each count; CPU_CHECKS: by parts of their names.
CPU_COUNTS ?= 1 2 4 8
CPU_CHECKS ?= children pipelines killed removed exhaustion handlers stacks_handlers registers_are jumps_instructions
CPU_CHECKS_OF_TEST := children_that_are killed_and files_that stacks_handlers
test-guest-cpus: kernel guest-programs ## guest checks on 1, 2, 4 and 8 CPUs
	@tests/total $(foreach count,$(CPU_COUNTS),'LANDHOLD_CPUS=$(count) tests/guest/run $(CPU_CHECKS)')

# The kernel that looks at the order of its locks, on 4 CPUs; DEBUG_CHECKS: by parts of their names.
DEBUG_KERNEL := $(BUILD)/kernel-gcc-debug2/landhold.elf
DEBUG_CHECKS ?= wrong_order random_system_calls four_threads_that_change thirty_two_shells
.PHONY: test-guest-debug kernel-debug
kernel-debug:
	@$(MAKE) --no-print-directory CC=gcc DEBUG=2 $(DEBUG_KERNEL)
test-guest-debug: kernel-debug guest-programs ## guest checks on the debug kernel
	@LANDHOLD_KERNEL=$(abspath $(DEBUG_KERNEL)) LANDHOLD_CPUS=4 tests/guest/run $(DEBUG_CHECKS)

soak: setup kernel kernel-debug guest-programs ## hostile programs for SOAK_MINUTES (60), with seeds
	@tests/guest/soak

# The hosted tests run once with each of these, and the kernel is built and booted by each.
TEST_COMPILERS ?= gcc clang
KERNEL_IMAGES := $(foreach compiler,$(TEST_COMPILERS),$(BUILD)/kernel-$(compiler)/landhold.elf)
# Each builds on all CPUs; the tests run one after the other.
SUB_MAKE := $(MAKE) -j$(shell nproc) --no-print-directory

test: setup ## every test; the last line is the total
	@tests/total \
		$(foreach compiler,$(TEST_COMPILERS),'$(SUB_MAKE) CC=$(compiler) test-hosted') \
		'$(SUB_MAKE) test-lto' \
		'$(SUB_MAKE) test-tsan' \
		'$(SUB_MAKE) test-interleave' \
		'$(SUB_MAKE) test-fuzz' \
		'$(SUB_MAKE) test-architectures WORLD_ARCHITECTURES="aarch64-flags riscv64"' \
		'$(SUB_MAKE) test-mutants' \
		'$(SUB_MAKE) test-headers' \
		'$(SUB_MAKE) test-freestanding' \
		'$(SUB_MAKE) test-tools' \
		'$(SUB_MAKE) test-examples' \
		'$(SUB_MAKE) test-cpus' \
		$(foreach compiler,$(TEST_COMPILERS),'$(SUB_MAKE) CC=$(compiler) $(BUILD)/kernel-$(compiler)/landhold.elf') \
		'$(SUB_MAKE) test-guest LANDHOLD_KERNELS="$(KERNEL_IMAGES)"' \
		'$(SUB_MAKE) test-guest-cpus CPU_COUNTS="2 8" CPU_CHECKS="$(CPU_CHECKS_OF_TEST)"' \
		'$(SUB_MAKE) test-guest-debug'
