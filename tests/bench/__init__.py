"""Speed and memory, measured: each script prints figures and ratios of one run, and asserts no time."""
