# Page tables judged by CPUs that others wrote: an image for each kind of CPU, of the library's lower
# floors and tests/cpus, run in QEMU. Cross compilers come from Debian.

CPUS := $(BUILD)/cpus
CPU_IMAGES := x86_64-4 x86_64-5 aarch64-4k aarch64-16k aarch64-64k riscv64

COMPILER_x86_64 := gcc
COMPILER_aarch64 := aarch64-linux-gnu-gcc
COMPILER_riscv64 := riscv64-linux-gnu-gcc

# Where a physical address is seen, and where the image lies.
WINDOW_x86_64 := 0xffffffff80000000
WINDOW_aarch64 := 0xffffffff00000000
WINDOW_riscv64 := 0xffffffff00000000
LOAD_x86_64 := 0x100000
LOAD_aarch64 := 0x40200000
LOAD_riscv64 := 0x80200000

CFLAGS_CPU := $(CFLAGS_COMMON) -O2 -ffreestanding -nostdlib -static -fno-pic -fno-stack-protector \
	-fno-tree-loop-distribute-patterns -Iinclude -Isrc -Itests/cpus
CFLAGS_CPU_x86_64 = -mgeneral-regs-only -mno-red-zone -mcmodel=kernel -fcf-protection=none -DLEVELS=$(2)
PAGE_SHIFT_4k := 12
PAGE_SHIFT_16k := 14
PAGE_SHIFT_64k := 16
CFLAGS_CPU_aarch64 = -mgeneral-regs-only -mno-outline-atomics -DLH_PAGE_SHIFT=$(PAGE_SHIFT_$(2))
CFLAGS_CPU_riscv64 := -mcmodel=medany -msmall-data-limit=0

SOURCES_judge := $(SOURCES_base) $(SOURCES_physical) $(SOURCES_paging) $(addprefix tests/cpus/,judge.c cases.c probe.c port.c)

# $(call cpu_image,architecture,which): where an image serves one number of levels, or one granule.
define cpu_image
$(CPUS)/$(1)$(if $(2),-$(2)): $(SOURCES_judge) $(filter-out %/format.c,$(wildcard arch/$(1)/*.c)) \
		tests/cpus/$(1).c tests/cpus/$(1).S tests/cpus/image.ld \
		$(wildcard tests/cpus/*.h arch/$(1)/*.h include/landhold/*.h src/base/*.h src/physical/*.h src/paging/*.h)
	@mkdir -p $$(@D)
	$$(MAKING) $(COMPILER_$(1)) $(CFLAGS_CPU) $$(call CFLAGS_CPU_$(1),$(1),$(2)) -DCPU_WINDOW=$(WINDOW_$(1)) \
		$$(filter %.c %.S,$$^) -Wl,-T,tests/cpus/image.ld,--defsym=CPU_WINDOW=$(WINDOW_$(1)) \
		-Wl,--defsym=LOAD_ADDRESS=$(LOAD_$(1)),--build-id=none,-z,noexecstack,--no-warn-rwx-segments -o $$@
endef
$(eval $(call cpu_image,x86_64,4))
$(eval $(call cpu_image,x86_64,5))
$(eval $(call cpu_image,aarch64,4k))
$(eval $(call cpu_image,aarch64,16k))
$(eval $(call cpu_image,aarch64,64k))
$(eval $(call cpu_image,riscv64,))

.PHONY: test-cpus
test-cpus: setup $(addprefix $(CPUS)/,$(CPU_IMAGES)) ## page tables used by CPUs of three architectures in QEMU
	@tests/cpus/run $(addprefix $(CPUS)/,$(CPU_IMAGES))
