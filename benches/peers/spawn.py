"""Python's multiprocessing.Process as a peer of Process: benches/spawn.rs runs it, with how many MiB are to be resident.

Each line on standard input asks for so many processes, one after the other, forked and joined, whose nanoseconds are printed.
"""
import sys
import time
from multiprocessing import get_context


def nothing():
    pass


resident = bytearray(b"\1") * (int(sys.argv[1]) << 20)
context = get_context("fork")
for line in sys.stdin:
    begin = time.perf_counter_ns()
    for _ in range(int(line)):
        process = context.Process(target=nothing)
        process.start()
        process.join()
        assert process.exitcode == 0
    print(time.perf_counter_ns() - begin, flush=True)
