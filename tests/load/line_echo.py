"""A child for tests: gives every line back; `fail` ends it with a word on stderr and exit code 7."""

import sys

for line in sys.stdin:
    if line == "fail\n":
        sys.stderr.write("I was told to fail\n")
        raise SystemExit(7)
    sys.stdout.write(line)
    sys.stdout.flush()
