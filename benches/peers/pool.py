"""Python's multiprocessing.Pool as a peer of the pool: benches/pool.rs runs it.

Each line on standard input asks for one sample, whose nanoseconds are printed: see pool.c. The work of items is done by
sleeping nowhere: `work` spins by the clock, since the same steps would take Python far longer.
"""
import sys
import time
from multiprocessing import Pool


def square(x):
    return x * x & 0xFFFFFFFFFFFFFFFF


def spin(nanos):
    end = time.perf_counter_ns() + nanos
    while time.perf_counter_ns() < end:
        pass
    return 1


def main():
    numbers = list(range(1_000_000))
    pool = Pool(2)
    pool.map(square, range(1000))
    for line in sys.stdin:
        what, *sizes = line.split()
        sizes = [int(size) for size in sizes]
        begin = time.perf_counter_ns()
        if what == "tiny":
            results = pool.map(square, numbers, chunksize=sizes[0] or None)
            assert results[999_999] == 999_998_000_001
        elif what == "work":
            nanos, count, chunk = sizes
            if chunk == 1:
                done = sum(pool.imap(spin, [nanos] * count, chunksize=1))
            else:
                done = sum(pool.map(spin, [nanos] * count, chunksize=chunk or None))
            assert done == count
        elif what == "apply":
            for x in range(sizes[0]):
                assert pool.apply(square, (x,)) == x * x
        else:
            with Pool(2):
                pass
        print(time.perf_counter_ns() - begin, flush=True)
    pool.terminate()
    pool.join()


if __name__ == "__main__":
    main()
