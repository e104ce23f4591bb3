# What a fresh Debian 12 machine lacks is installed before it is needed.

.PHONY: setup
setup: ## installs what is missing of the Debian packages that run and test need
	@tools/setup
