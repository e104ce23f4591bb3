# The example kernel: build/example-kernel-CC/kernel.elf, from examples/kernel and the library.
# Apart from where WARNINGS and SOURCES_ come from (Makefile, sources.mk) nothing else is needed:
# this is step 1 of docs/PORTING.md.

EXAMPLE := $(BUILD)/example-kernel-$(notdir $(CC))

# A port with one machine has no use for its port pointers: unused parameters are meant.
# No red zone (interrupts), no vector registers (nobody saves them), addresses in the top 2 GiB.
CFLAGS_EXAMPLE := $(CFLAGS_COMMON) -O2 -MMD -MP -ffreestanding -fno-pic -fno-stack-protector \
	-fno-asynchronous-unwind-tables -fcf-protection=none -m64 -mno-red-zone -mgeneral-regs-only \
	-mcmodel=kernel -Iinclude
CFLAGS_EXAMPLE_LIBRARY := $(CFLAGS_EXAMPLE) -Isrc -Iarch

$(EXAMPLE)/examples/%.o: examples/%.c
	@mkdir -p $(@D)
	$(MAKING) $(CC) $(CFLAGS_EXAMPLE) -Wno-unused-parameter -c $< -o $@
$(EXAMPLE)/examples/%.o: examples/%.S
	@mkdir -p $(@D)
	$(MAKING) $(CC) $(CFLAGS_EXAMPLE) -c $< -o $@
$(EXAMPLE)/%.o: %.c
	@mkdir -p $(@D)
	$(MAKING) $(CC) $(CFLAGS_EXAMPLE_LIBRARY) -c $< -o $@

$(EXAMPLE)/liblandhold.a: $(patsubst %.c,$(EXAMPLE)/%.o,$(foreach f,$(FLOORS),$(SOURCES_$(f))) $(SOURCES_arch_x86_64))
	@rm -f $@
	$(MAKING) ar rcs $@ $^
$(EXAMPLE)/kernel.elf: $(EXAMPLE)/examples/kernel/start.o $(EXAMPLE)/examples/kernel/kernel.o \
		$(EXAMPLE)/liblandhold.a examples/kernel/kernel.ld
	$(MAKING) ld -nostdlib -static --build-id=none -z max-page-size=4096 -z noexecstack \
		-T examples/kernel/kernel.ld $(filter %.o %.a,$^) -o $@

.PHONY: example-kernel test-examples
example-kernel: setup $(EXAMPLE)/kernel.elf ## boots the example kernel in QEMU
	examples/kernel/boot $(EXAMPLE)/kernel.elf
examples: example-kernel

test-examples: setup $(EXAMPLE)/kernel.elf ## boots the example kernel and checks what it says
	@tests/examples/run $(EXAMPLE)/kernel.elf

-include $(shell find $(EXAMPLE) -name '*.d' 2>/dev/null)
