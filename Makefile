# Landhold. `make help` lists what can be made.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

CC ?= gcc
ifeq ($(origin CC),default)
CC := gcc
endif
BUILD ?= build

include sources.mk

WARNINGS := -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror
CFLAGS_COMMON := -std=c17 -g $(WARNINGS)

# What is made is named as it is made; with V=1 by the whole command.
MAKING = $(if $(filter 1,$(V)),,@echo '  $(@:$(BUILD)/%=%)' &&)

# One file a concern; each adds its targets and its lines of help.
include make/hosted.mk
include make/interleave.mk
include make/fuzz.mk
include make/kernel.mk
include make/setup.mk
include make/examples.mk
include make/cpus.mk
include make/bench.mk
include make/bench-heap.mk
include make/coverage.mk

.PHONY: help clean
help: ## lists the targets
	@awk -F ':.*## ' '/^[a-z][a-z0-9-]*:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo '  V=1 shows whole commands; CC=clang takes the other compiler.'

clean: ## removes everything that was built
	rm -rf $(BUILD)
