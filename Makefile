# Each target is one command that works without make too: python3 make.py lab
# ARGS goes to the command:  make lab ARGS="--no-browser --port 8899"   make test ARGS="tests/fs -k dcache"
PYTHON ?= python3

.PHONY: help lab test book lite pdf lint fuzz bench
help:
	@$(PYTHON) make.py --help

lab test book lite pdf lint fuzz bench:
	@$(PYTHON) make.py $@ $(ARGS)
