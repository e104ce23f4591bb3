# Which branches of the library its tests take. Slow builds in a folder of their own; gcc and gcov.

.PHONY: coverage-region
coverage-region: ## branches of src/region that its own tests take, a line a file
	@$(MAKE) --no-print-directory CC=gcc SANITIZE=coverage $(BUILD)/hosted-gcc-coverage/test-region
	@find $(BUILD)/hosted-gcc-coverage -name '*.gcda' -delete
	@$(BUILD)/hosted-gcc-coverage/test-region | tail -1
	@tools/coverage $(BUILD)/hosted-gcc-coverage src/region
