# The machine that punishes: tapes (generated, exhausted, shrunk, and by fuzzers), and seeded bugs.
# docs/TESTING.md says what they are.
#
#   FUZZ_SECONDS=600      how long make fuzz and the fuzzers run
#   FUZZ_SEED=N           the first seed of make fuzz; without it a new one each time

FUZZ_SECONDS ?= 600
FUZZ_SEED ?= $(shell date +%s)000
FUZZ_CORPUS := $(wildcard tests/fuzz/corpus/*.hex)
FUZZ_OBJECTS := $(patsubst %.c,$(HOSTED)/%.o,$(wildcard tests/fuzz/*.c tests/world/*.c))
FUZZ_LIBRARIES := $(HOSTED)/libhosted.a $(foreach f,$(FLOORS),$(HOSTED)/lib$(f).a)
# $(call link_fuzz,flags)
link_fuzz = $(CC) $(CFLAGS_SANITIZE) $(1) $(filter %.o,$^) -Wl,--start-group $(filter %.a,$^) -Wl,--end-group -lpthread -o $@

$(HOSTED)/fuzz: $(FUZZ_OBJECTS) $(FUZZ_LIBRARIES)
	$(MAKING) $(call link_fuzz)
$(HOSTED)/fuzz-%: $(HOSTED)/tests/fuzz/entry/%.o $(filter-out %/main.o,$(FUZZ_OBJECTS)) $(FUZZ_LIBRARIES)
	$(MAKING) $(call link_fuzz,$(if $(filter libfuzzer,$*),-fsanitize=fuzzer))

# The corpus under the sanitizers; then generated tapes and sequences without, which is five times
# as fast, for half a minute.
.PHONY: test-fuzz fuzz fuzz-libfuzzer fuzz-afl mutants test-mutants
test-fuzz: $(HOSTED)/fuzz ## tapes: the corpus, then generated ones and all short sequences, 30 seconds
	@$(MAKE) --no-print-directory SANITIZE=0 $(BUILD)/hosted-$(notdir $(CC))/fuzz
	@tests/total '$(HOSTED)/fuzz corpus $(FUZZ_CORPUS)' \
		'$(HOSTED)/fuzz run --seconds 10' \
		'$(BUILD)/hosted-$(notdir $(CC))/fuzz run --seconds 10 --seed 1000000' \
		'$(BUILD)/hosted-$(notdir $(CC))/fuzz exhaust --depth 5 --seconds 10'

# Worlds by the tables and the rules of the other architectures (tests/world/world.h): what is tried by x86-64's
# elsewhere, but for the two long tests of spaces; and tapes.
WORLD_ARCHITECTURES := x86-64-5 aarch64 aarch64-flags riscv64 riscv64-flags
WORLD_SPACE_TESTS := basics.c kinds.c huge.c corruption.c collapse.c failure.c named.c meanwhile.c pins.c remap.c
PLAIN := $(BUILD)/hosted-$(notdir $(CC))
.PHONY: test-architectures
test-architectures: ## spaces, objects, the manager, tapes by the rules of five other architectures
	@$(MAKE) --no-print-directory SANITIZE=0 $(addprefix $(PLAIN)/,test-object test-space test-manager fuzz)
	@tests/total $(foreach architecture,$(WORLD_ARCHITECTURES),\
		'WORLD_ARCHITECTURE=$(architecture) $(PLAIN)/test-object' \
		'WORLD_ARCHITECTURE=$(architecture) $(PLAIN)/test-space $(WORLD_SPACE_TESTS)' \
		'WORLD_ARCHITECTURE=$(architecture) $(PLAIN)/test-manager' \
		'WORLD_ARCHITECTURE=$(architecture) $(PLAIN)/fuzz run --seconds 2 --seed 3000000')

fuzz: $(HOSTED)/fuzz ## generated tapes under the sanitizers, for FUZZ_SECONDS (600)
	$(HOSTED)/fuzz run --seconds $(FUZZ_SECONDS) --seed $(FUZZ_SEED)

# Each fuzzer keeps what it finds in a folder of its own under build/, and begins there the next time.
FUZZ_UNPACK = mkdir -p $(BUILD)/fuzz/$(1) && $(HOSTED)/fuzz unpack $(BUILD)/fuzz/$(1) $(FUZZ_CORPUS)

fuzz-libfuzzer: setup ## the same by libFuzzer (clang), for FUZZ_SECONDS
	@$(MAKE) --no-print-directory CC=clang SANITIZE=fuzzer fuzz-libfuzzer-here
fuzz-libfuzzer-here: $(HOSTED)/fuzz-libfuzzer $(HOSTED)/fuzz
	@$(call FUZZ_UNPACK,libfuzzer)
	$(HOSTED)/fuzz-libfuzzer -max_total_time=$(FUZZ_SECONDS) -max_len=1024 -print_final_stats=1 \
		-artifact_prefix=$(BUILD)/fuzz/ $(BUILD)/fuzz/libfuzzer

fuzz-afl: ## the same by AFL++, which is installed if it is not there
	@tools/setup afl
	@$(MAKE) --no-print-directory CC=afl-clang-fast SANITIZE=0 fuzz-afl-here
fuzz-afl-here: $(HOSTED)/fuzz-afl $(HOSTED)/fuzz
	@$(call FUZZ_UNPACK,afl-in)
	AFL_SKIP_CPUFREQ=1 AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES=1 afl-fuzz -V $(FUZZ_SECONDS) \
		-i $(BUILD)/fuzz/afl-in -o $(BUILD)/fuzz/afl-out -- $(HOSTED)/fuzz-afl

.PHONY: fuzz-libfuzzer-here fuzz-afl-here

# The heap alone, by tapes of its own (tests/heap/tape.h).
FUZZ_HEAP_OBJECTS := $(patsubst %.c,$(HOSTED)/%.o,tests/heap/tape.c tests/heap/room.c tests/heap/fuzz/alone.c tests/random.c)
$(HOSTED)/fuzz-heap-%: $(HOSTED)/tests/heap/fuzz/entry/%.o $(FUZZ_HEAP_OBJECTS) $(FUZZ_LIBRARIES)
	$(MAKING) $(call link_fuzz,$(if $(filter libfuzzer,$*),-fsanitize=fuzzer))

.PHONY: fuzz-heap fuzz-heap-libfuzzer fuzz-heap-libfuzzer-here
fuzz-heap: $(HOSTED)/fuzz-heap-run ## generated tapes of the heap alone, for FUZZ_SECONDS
	$(HOSTED)/fuzz-heap-run $(FUZZ_SECONDS) $(FUZZ_SEED)
fuzz-heap-libfuzzer: setup ## the same by libFuzzer
	@$(MAKE) --no-print-directory CC=clang SANITIZE=fuzzer fuzz-heap-libfuzzer-here
# A machine for each tape costs more than a tape: long ones from the start.
fuzz-heap-libfuzzer-here: $(HOSTED)/fuzz-heap-libfuzzer
	@mkdir -p $(BUILD)/fuzz/heap
	$(HOSTED)/fuzz-heap-libfuzzer -max_total_time=$(FUZZ_SECONDS) -max_len=1025 -len_control=0 -print_final_stats=1 \
		-artifact_prefix=$(BUILD)/fuzz/ $(BUILD)/fuzz/heap

mutants: ## puts each seeded bug back and sees it caught; writes build/mutants.csv
	@tests/mutants/run --build $(BUILD) --seconds 30
test-mutants: ## the same, with less time for each
	@tests/mutants/run --build $(BUILD) --seconds 10
