# The reference kernel's image: build/kernel/landhold.elf, from kernel/, the library's floors
# and what of arch/ is for this machine. Freestanding; objects in a folder for each compiler.
#
# Two links: the first without names, then the names of its functions are put into a table
# that the second link adds, behind the text, so that a panic can name them.

# Asserts: 1 as configured, 2 with internal asserts, poison, and the order of the locks (beside it, in
# a folder of its own).
DEBUG ?= 1
KERNEL_OBJECTS := $(BUILD)/kernel-$(notdir $(CC))$(if $(filter-out 1,$(DEBUG)),-debug$(DEBUG))
KERNEL := $(BUILD)/kernel/landhold.elf
KERNEL_SCRIPT := kernel/arch/x86_64/kernel.ld

SOURCES_kernel := $(sort $(shell find kernel -name '*.c' -o -name '*.S'))
SOURCES_kernel_library := $(foreach f,$(FLOORS),$(SOURCES_$(f))) $(SOURCES_arch_x86_64)

CFLAGS_FREESTANDING := $(CFLAGS_COMMON) -O2 -DLH_DEBUG=$(DEBUG) -MMD -MP -ffreestanding -fno-pic -fno-stack-protector \
	-fno-omit-frame-pointer -fno-asynchronous-unwind-tables -fno-strict-aliasing -fcf-protection=none \
	-m64 -mno-red-zone -mgeneral-regs-only -mcmodel=kernel
CFLAGS_KERNEL_LIBRARY := $(CFLAGS_FREESTANDING) -Iinclude -Isrc -Iarch
CFLAGS_KERNEL := $(CFLAGS_FREESTANDING) -Iinclude -Ikernel -I.
LINK_KERNEL := ld -nostdlib -static --build-id=none -z max-page-size=4096 -z noexecstack -T $(KERNEL_SCRIPT)

kernel_object = $(patsubst %,$(KERNEL_OBJECTS)/%.o,$(1))
OBJECTS_kernel := $(call kernel_object,$(SOURCES_kernel) $(SOURCES_kernel_library))

$(KERNEL_OBJECTS)/kernel/%.c.o: kernel/%.c
	@mkdir -p $(@D)
	$(MAKING) $(CC) $(CFLAGS_KERNEL) -c $< -o $@
$(KERNEL_OBJECTS)/kernel/%.S.o: kernel/%.S
	@mkdir -p $(@D)
	$(MAKING) $(CC) $(CFLAGS_KERNEL) -D__ASSEMBLY__ -c $< -o $@
$(KERNEL_OBJECTS)/src/%.c.o: src/%.c
	@mkdir -p $(@D)
	$(MAKING) $(CC) $(CFLAGS_KERNEL_LIBRARY) -c $< -o $@
$(KERNEL_OBJECTS)/arch/%.c.o: arch/%.c
	@mkdir -p $(@D)
	$(MAKING) $(CC) $(CFLAGS_KERNEL_LIBRARY) -c $< -o $@

# The table's entries: offset of the function from the image's base, offset of its name.
define KERNEL_SYMBOLS_AWK
BEGIN { print ".section .symbols, \"a\"\n.balign 8\n.globl symbol_table\nsymbol_table:" }
$$2 ~ /^[tT]$$/ && $$3 !~ /^\./ { name[n] = $$3; address[n++] = substr($$1, 9) }
END {
	for (i = 0; i < n; i++)
		print ".long 0x" address[i] " - 0x80000000, name_" i " - symbol_names"
	print ".globl symbol_table_end\nsymbol_table_end:\n.globl symbol_names\nsymbol_names:"
	for (i = 0; i < n; i++)
		print "name_" i ": .asciz \"" name[i] "\""
	print ".section .note.GNU-stack, \"\", @progbits"
}
endef
export KERNEL_SYMBOLS_AWK

$(KERNEL_OBJECTS)/no-symbols.S:
	@mkdir -p $(@D)
	@awk "$$KERNEL_SYMBOLS_AWK" < /dev/null > $@
$(KERNEL_OBJECTS)/symbols.S: $(KERNEL_OBJECTS)/unnamed.elf
	@nm -n $< | awk "$$KERNEL_SYMBOLS_AWK" > $@
$(KERNEL_OBJECTS)/symbols.o $(KERNEL_OBJECTS)/no-symbols.o: %.o: %.S
	$(MAKING) $(CC) -c $< -o $@
$(KERNEL_OBJECTS)/unnamed.elf: $(OBJECTS_kernel) $(KERNEL_OBJECTS)/no-symbols.o $(KERNEL_SCRIPT)
	$(MAKING) $(LINK_KERNEL) $(filter %.o,$^) -o $@
$(KERNEL_OBJECTS)/landhold.elf: $(OBJECTS_kernel) $(KERNEL_OBJECTS)/symbols.o $(KERNEL_SCRIPT)
	$(MAKING) $(LINK_KERNEL) $(filter %.o,$^) -o $@

# The image of the compiler that was named last: the copy changes when another one built it.
.PHONY: kernel-image
kernel-image: $(KERNEL_OBJECTS)/landhold.elf
	@mkdir -p $(dir $(KERNEL))
	@cmp -s $< $(KERNEL) || cp $< $(KERNEL)
$(KERNEL): kernel-image ;

-include $(shell find $(KERNEL_OBJECTS) -name '*.d' 2>/dev/null)

# What of kernel/lib needs no machine is tested hosted, with the other floors.
TEST_KERNEL_LIB := $(HOSTED)/test-kernel-lib
$(HOSTED)/tests/kernel/%.o: CFLAGS_TESTS += -Ikernel
$(HOSTED)/kernel/%.o: kernel/%.c
	@mkdir -p $(@D)
	$(MAKING) $(CC) $(CFLAGS_HOSTED) -ffreestanding -Iinclude -Ikernel -c $< -o $@
$(TEST_KERNEL_LIB): $(patsubst %.c,$(HOSTED)/%.o,$(sort $(wildcard tests/kernel/*.c)) tests/harness.c tests/random.c) \
		$(HOSTED)/kernel/lib/format.o $(HOSTED)/libbase.a
	$(MAKING) $(CC) $(CFLAGS_SANITIZE) $^ -o $@
HOSTED_TESTS += $(TEST_KERNEL_LIB)
test-hosted: $(TEST_KERNEL_LIB)
.PHONY: test-kernel-lib
test-kernel-lib: $(TEST_KERNEL_LIB)
	$(TEST_KERNEL_LIB)
