# The hosted build: the library over the simulated machine, and its tests, as
# ordinary processes. Needs a compiler and make, nothing else.
#
#   SANITIZE=1 (default)  address and undefined-behaviour sanitizers
#   SANITIZE=thread       the race detector, for CPUs as threads (make test-tsan)
#   SANITIZE=fuzzer       with libFuzzer's instrumentation, for clang (make fuzz-libfuzzer)
#   COUNTER_BITS=12       versions and sequences that wrap soon
#   PAGE_SHIFT=14 or 16   pages of 16 or 64 KiB (make test-paging-14, test-paging-16)
#   SANITIZE=coverage     counts which branches are taken (make coverage-region)
#   SANITIZE=lto          no sanitizer: -O2, linked as one (make test-lto)
#   HOSTED_DEBUG=1        without what only tests have, failure on demand and poison: as kernels are built
#   CC=clang              the other compiler; objects go to a folder of its own

SANITIZE ?= 1
HOSTED_DEBUG ?= 2
HOSTED := $(BUILD)/hosted-$(notdir $(CC))$(if $(filter 1,$(SANITIZE)),-sanitized)$(if $(filter thread fuzzer coverage lto,$(SANITIZE)),-$(SANITIZE))$(if $(COUNTER_BITS),-counters$(COUNTER_BITS))$(if $(PAGE_SHIFT),-page$(PAGE_SHIFT))$(if $(filter-out 2,$(HOSTED_DEBUG)),-debug$(HOSTED_DEBUG))

comma := ,
CFLAGS_SANITIZE := $(if $(filter 1,$(SANITIZE)),-fsanitize=address$(comma)undefined -fno-sanitize-recover=undefined)$(if $(filter thread,$(SANITIZE)),-fsanitize=thread)$(if $(filter lto,$(SANITIZE)),-O2 -flto=auto)$(if $(filter coverage,$(SANITIZE)),-O0 --coverage -fprofile-update=atomic)$(if $(filter fuzzer,$(SANITIZE)),-fsanitize=fuzzer-no-link$(comma)address$(comma)undefined)
CFLAGS_HOSTED := $(CFLAGS_COMMON) -O1 -DLH_DEBUG=$(HOSTED_DEBUG) $(if $(COUNTER_BITS),-DLH_COUNTER_BITS=$(COUNTER_BITS)) \
	$(if $(PAGE_SHIFT),-DLH_PAGE_SHIFT=$(PAGE_SHIFT)) \
	$(CFLAGS_SANITIZE) -MMD -MP
# The library sees only its own headers: freestanding, so that a libc header is an error.
CFLAGS_LIBRARY := $(CFLAGS_HOSTED) -ffreestanding -Iinclude -Isrc -Iarch
# The simulated machine sees the public headers (it is a port), and not src/ or arch/.
CFLAGS_MACHINE := $(CFLAGS_HOSTED) -D_GNU_SOURCE -Iinclude -Ihosted
# Except its MMU, which reads the table bytes by the manual alone: no header of the library.
CFLAGS_MMU := $(CFLAGS_HOSTED) -Ihosted
# Tests may look inside.
CFLAGS_TESTS := $(CFLAGS_HOSTED) -D_GNU_SOURCE -Iinclude -Isrc -Iarch -Ihosted -Itests

$(HOSTED)/src/%.o: src/%.c
	@mkdir -p $(@D)
	$(MAKING) $(CC) $(CFLAGS_LIBRARY) -c $< -o $@
$(HOSTED)/arch/%.o: arch/%.c
	@mkdir -p $(@D)
	$(MAKING) $(CC) $(CFLAGS_LIBRARY) -c $< -o $@
$(HOSTED)/hosted/mmu%.o: hosted/mmu%.c
	@mkdir -p $(@D)
	$(MAKING) $(CC) $(CFLAGS_MMU) -c $< -o $@
$(HOSTED)/hosted/%.o: hosted/%.c
	@mkdir -p $(@D)
	$(MAKING) $(CC) $(CFLAGS_MACHINE) -c $< -o $@
$(HOSTED)/tests/%.o: tests/%.c
	@mkdir -p $(@D)
	$(MAKING) $(CC) $(CFLAGS_TESTS) -c $< -o $@

# $(call archive,name,sources)
define archive
$(HOSTED)/lib$(1).a: $(patsubst %.c,$(HOSTED)/%.o,$(2))
	@mkdir -p $$(@D)
	@rm -f $$@
	$$(MAKING) ar rcs $$@ $$^
endef
$(foreach f,$(FLOORS),$(eval $(call archive,$(f),$(SOURCES_$(f)))))
$(eval $(call archive,hosted,$(SOURCES_hosted)))

# Floors up to and including the one named, highest first, as the linker wants them.
reverse = $(if $(1),$(call reverse,$(wordlist 2,$(words $(1)),$(1))) $(firstword $(1)))
floors_upto = $(call reverse,$(wordlist 1,$(call position,$(1),$(FLOORS)),$(FLOORS)))
position = $(words $(call before,$(1),$(2)) x)
before = $(if $(filter-out $(1),$(firstword $(2))),$(firstword $(2)) $(call before,$(1),$(wordlist 2,$(words $(2)),$(2))))

# One test program a floor: tests/FLOOR/*.c with the harness, the machine, and the
# floors below. The machine's archive calls the public interface of no floor above base.
shared_tests = $(if $(filter object space manager heap threads,$(1)),$(wildcard tests/world/*.c))
define test_program
$(HOSTED)/test-$(1): $(patsubst %.c,$(HOSTED)/%.o,$(sort $(wildcard tests/$(or $(3),$(1))/*.c) $(call shared_tests,$(1)) $(wildcard tests/*.c))) \
		$(HOSTED)/libhosted.a $(foreach f,$(2),$(HOSTED)/lib$(f).a)
	$$(MAKING) $(CC) $(CFLAGS_SANITIZE) $$(filter %.o,$$^) -Wl,--start-group $$(filter %.a,$$^) -Wl,--end-group -lpthread -o $$@
HOSTED_TESTS += $(HOSTED)/test-$(1)
.PHONY: test-$(1)
test-$(1): $(HOSTED)/test-$(1)
	$(HOSTED)/test-$(1)
endef
TESTED_FLOORS := $(foreach f,$(FLOORS),$(if $(wildcard tests/$(f)/*.c),$(f)))
# Objects and spaces live in a machine that only the manager makes.
test_floor = $(if $(filter object space,$(1)),manager,$(1))
$(foreach f,$(TESTED_FLOORS),$(eval $(call test_program,$(f),$(call floors_upto,$(call test_floor,$(f))))))
# The names of the port's functions, as the header has them: PORT_FUNCTION(name), one a line. Who looks at what
# happens in each (tests/heap/nested.c) does not compile when one is new.
$(HOSTED)/tests/heap/nested.o: $(HOSTED)/generated/port_functions.h
$(HOSTED)/tests/heap/nested.o: CFLAGS_TESTS += -I$(HOSTED)/generated
$(HOSTED)/generated/port_functions.h: include/landhold/port.h
	@mkdir -p $(@D)
	@sed -nE 's/^[A-Za-z].*\b(lh_(port|architecture)_[a-z_]+)\(.*/PORT_FUNCTION(\1)/p' $< > $@

# CPUs as threads, over the whole library.
$(if $(wildcard tests/threads/*.c),$(eval $(call test_program,threads,$(FLOORS))))
# The machine's own tests; test-hosted is all of them together.
$(if $(wildcard tests/hosted/*.c),$(eval $(call test_program,machine,$(call floors_upto,paging),hosted)))

# One page size a build: what of the paging floor's tests is not about 4 KiB, with pages of 16 and 64 KiB.
PAGING_TESTS_OF_ANY_PAGE := $(addprefix tests/paging/,entries.c every_format.c formats.c reader.c room.c runs.c)
$(HOSTED)/test-paging-any-page: $(patsubst %.c,$(HOSTED)/%.o,$(PAGING_TESTS_OF_ANY_PAGE) $(wildcard tests/*.c)) \
		$(HOSTED)/libhosted.a $(foreach f,$(call floors_upto,paging),$(HOSTED)/lib$(f).a)
	$(MAKING) $(CC) $(CFLAGS_SANITIZE) $(filter %.o,$^) -Wl,--start-group $(filter %.a,$^) -Wl,--end-group -lpthread -o $@
TESTS_OF_OTHER_PAGES := $(foreach shift,14 16,$(HOSTED)-page$(shift)/test-paging-any-page)
ifeq ($(PAGE_SHIFT),)
$(HOSTED)-page%/test-paging-any-page: FORCE
	@$(MAKE) --no-print-directory PAGE_SHIFT=$* $@
HOSTED_TESTS += $(TESTS_OF_OTHER_PAGES)
endif
.PHONY: FORCE test-paging-14 test-paging-16
FORCE:
test-paging-14 test-paging-16: test-paging-%: $(HOSTED)-page%/test-paging-any-page
	$<

.PHONY: test-hosted
test-hosted: $(HOSTED_TESTS) ## hosted tests: needs only a compiler and make
	@tests/run-all $(HOSTED_TESTS)

# The same under the race detector: a race is a failure, and nothing is suppressed.
.PHONY: test-tsan
test-tsan: ## CPUs as threads, under the race detector (gcc)
	@$(MAKE) --no-print-directory CC=gcc SANITIZE=thread $(addprefix $(BUILD)/hosted-gcc-thread/,test-threads test-region)
	@export TSAN_OPTIONS="halt_on_error=0 exitcode=66 suppressions="; tests/total \
		'$(MAKE) --no-print-directory CC=gcc SANITIZE=thread test-threads' \
		'$(MAKE) --no-print-directory CC=gcc SANITIZE=thread test-readers'

# The same with the optimisation of a kernel that is linked as one.
LTO_TESTS := $(addprefix $(BUILD)/hosted-gcc-lto/test-,region physical paging object space manager heap threads)
.PHONY: test-lto test-lto-here
# Frames besides without debugging aids: those are given back by a way of their own.
LTO_TEST_OF_FRAMES := $(BUILD)/hosted-gcc-lto-debug1/test-physical
test-lto: ## hosted tests at -O2, the library linked as one with them (gcc)
	@$(MAKE) --no-print-directory CC=gcc SANITIZE=lto HOSTED_DEBUG=1 $(LTO_TEST_OF_FRAMES)
	@$(MAKE) --no-print-directory CC=gcc SANITIZE=lto test-lto-here
test-lto-here: $(LTO_TESTS)
	@tests/run-all $(LTO_TESTS) $(LTO_TEST_OF_FRAMES)

# Lookups without the lock alone: for the race detector, and with counters that wrap.
.PHONY: test-readers test-counters
test-readers: $(HOSTED)/test-region
	$(HOSTED)/test-region readers overtaken
test-counters: ## lookups without the lock, with counters of 12 bits
	@$(MAKE) --no-print-directory COUNTER_BITS=12 $(BUILD)/hosted-$(notdir $(CC))-sanitized-counters12/test-region
	$(BUILD)/hosted-$(notdir $(CC))-sanitized-counters12/test-region overtaken b10

# Every public header alone, as C and C++; a test like the others.
.PHONY: test-headers
test-headers: ## each public header alone as C11, C++11, C++17, with gcc and clang
	@tests/headers-compile include

# What the library asks of whoever links it, on each architecture.
.PHONY: test-freestanding
test-freestanding: ## the library compiled for each architecture wants nothing but its port
	@tests/freestanding

# The region tree by itself: base and region, no port.
$(HOSTED)/examples/%.o: examples/%.c
	@mkdir -p $(@D)
	$(MAKING) $(CC) $(CFLAGS_HOSTED) -D_GNU_SOURCE -Iinclude -c $< -o $@
$(HOSTED)/example-ranges: $(HOSTED)/examples/ranges.o $(HOSTED)/libregion.a $(HOSTED)/libbase.a
	$(MAKING) $(CC) $(CFLAGS_SANITIZE) $^ -o $@
.PHONY: examples
examples: $(HOSTED)/example-ranges ## builds and runs the stand-alone examples
	$(HOSTED)/example-ranges

-include $(shell find $(HOSTED) -name '*.d' 2>/dev/null)
