# What things cost. Results go to build/bench/; no number is ever asserted.

BENCH := $(BUILD)/bench

# The program runs on both kernels: an ordinary static Linux program.
$(BENCH)/operations: bench/guest/operations.c tests/guest/programs/guest.h src/base/error.c include/landhold/error.h
	@mkdir -p $(@D)
	$(MAKING) gcc $(CFLAGS_GUEST) -Itests/guest/programs $< src/base/error.c -o $@

.PHONY: bench-guest
bench-guest: setup kernel $(BENCH)/operations ## instructions an operation, here and on Debian's Linux
	@bench/guest/compare $(BENCH)/operations
