# Which source files make which part. A floor uses only floors below it; each is an
# archive of its own, and each floor's tests link with that floor and those below, so
# that a call upward does not link.
FLOORS := base region physical paging object space manager heap

$(foreach f,$(FLOORS),$(eval SOURCES_$(f) := $(sort $(wildcard src/$(f)/*.c))))

# The page-table formats are data and belong to paging on every machine; what runs
# privileged instructions is linked only into kernels for that machine.
SOURCES_paging += $(sort $(wildcard arch/*/format*.c))
SOURCES_arch_x86_64 := $(filter-out arch/x86_64/format%,$(sort $(wildcard arch/x86_64/*.c)))

# The simulated machine.
SOURCES_hosted := $(sort $(wildcard hosted/*.c))
