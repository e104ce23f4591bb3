# What the heap costs beside others. Results go to build/bench/; no number is ever asserted.

# The heap, over traces of real programs, beside user-space heaps: all ordinary processes. The library
# is optimised together with its port (a frame's address, a CPU's number: an instruction each in
# a kernel too), as each of the others is one library. The replayer stays apart from all. (When all is
# compiled together, gcc no longer sees what is always initialised.)
BENCH_HEAP_LIBRARY := $(patsubst %.c,$(BENCH)/library/%.o,$(foreach f,$(FLOORS),$(SOURCES_$(f))))

$(BENCH)/library/%.o: %.c
	@mkdir -p $(@D)
	$(MAKING) gcc $(CFLAGS_COMMON) -O2 -flto -DLH_DEBUG=0 -MMD -MP -ffreestanding -Iinclude -Isrc -Iarch -c $< -o $@
$(BENCH)/heap-recorder.so: tools/heap-trace/recorder.c tools/heap-trace/trace.h
	@mkdir -p $(@D)
	$(MAKING) gcc $(CFLAGS_COMMON) -O2 -D_GNU_SOURCE -fPIC -shared -fno-builtin $< -lpthread -o $@
$(BENCH)/replay.o: bench/heap/replay.c bench/heap/subject.h tools/heap-trace/trace.h
	@mkdir -p $(@D)
	$(MAKING) gcc $(CFLAGS_COMMON) -O2 -D_GNU_SOURCE -c $< -o $@
$(BENCH)/replay-landhold $(BENCH)/replay-libc $(BENCH)/replay-libc-table: \
		$(BENCH)/replay.o bench/heap/subject.h bench/heap/table.h
	@mkdir -p $(@D)
	$(MAKING) gcc $(CFLAGS_COMMON) -O2 -flto=auto -Wno-uninitialized -Wno-maybe-uninitialized -D_GNU_SOURCE \
		$(if $(findstring -table,$@),-DPAYS_TABLE) -DLH_DEBUG=0 -fno-builtin-malloc -Iinclude -Isrc \
		$(filter %.c %.o,$^) -lpthread -o $@
$(BENCH)/replay-landhold: bench/heap/subject_landhold.c $(BENCH_HEAP_LIBRARY)
$(BENCH)/replay-libc $(BENCH)/replay-libc-table: bench/heap/subject_libc.c

.PHONY: bench-heap
bench-heap: $(BENCH)/replay-landhold $(BENCH)/replay-libc $(BENCH)/replay-libc-table $(BENCH)/heap-recorder.so ## the heap beside glibc, mimalloc, jemalloc
	@bench/heap/run $(BENCH)

-include $(shell find $(BENCH)/library -name '*.d' 2>/dev/null)
