"""What calls take in Python's Manager, for benches/manager.rs: a line for each call, with nanoseconds of some samples."""
import multiprocessing
import sys
import time

SAMPLES = 5


def main(count):
    with multiprocessing.Manager() as manager:
        d, l = manager.dict(), manager.list()
        key, value = b"k" * 16, b"v" * 16
        d[key] = value
        l.append(value)
        calls = {
            "dict get": lambda: d[key],
            "dict set": lambda: d.__setitem__(key, value),
            "list get": lambda: l[0],
            "list append": lambda: l.append(value),
        }
        for name, call in calls.items():
            samples = []
            for _ in range(SAMPLES):
                begin = time.perf_counter_ns()
                for _ in range(count // SAMPLES):
                    call()
                samples.append((time.perf_counter_ns() - begin) / (count // SAMPLES))
            print(f"{name}:", *samples)


if __name__ == "__main__":
    main(int(sys.argv[1]))
