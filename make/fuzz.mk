# Tapes: generated, exhausted, shrunk, and by fuzzers; docs/TESTING.md says what they are.

FUZZ_SECONDS ?= 600
FUZZ_OBJECTS := $(patsubst %.c,$(HOSTED)/%.o,$(wildcard tests/fuzz/*.c) $(wildcard tests/world/*.c))

$(HOSTED)/fuzz: $(FUZZ_OBJECTS) $(HOSTED)/libhosted.a $(foreach f,$(FLOORS),$(HOSTED)/lib$(f).a)
	$(MAKING) $(CC) $(CFLAGS_SANITIZE) $(filter %.o,$^) -Wl,--start-group $(filter %.a,$^) -Wl,--end-group -lpthread -o $@
