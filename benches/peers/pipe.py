"""Python's multiprocessing.Pipe as a peer of the pipe: benches/pipe.rs runs it.

Each line on standard input asks for one sample, whose nanoseconds are printed:

    flow SIZE COUNT     messages of so many bytes from one process to another, all together
    asleep COUNT        from a send to the end of a receive that slept, the median of so many
"""
import statistics
import sys
import time
from multiprocessing import Pipe, Process


def consume(source, answer, what, count):
    answer.send_bytes(b"ready")
    taken, seen = [], 0
    for _ in range(count):
        message = source.recv_bytes()
        number = int.from_bytes(message[:8], "little")
        seen += number
        if what == "asleep":
            taken.append(time.monotonic_ns() - number)
    if what == "flow":
        assert seen == count * (count - 1) // 2, "a message was lost or doubled"
    answer.send(statistics.median(taken) if taken else 0)


def sample(what, size, count):
    (source, to), (answer, back) = Pipe(duplex=False), Pipe(duplex=False)
    consumer = Process(target=consume, args=(source, back, what, count))
    consumer.start()
    answer.recv_bytes()
    rest = b"\1" * (size - 8)
    begin = time.monotonic_ns()
    for number in range(count):
        if what == "asleep":
            time.sleep(0.0003)
            number = time.monotonic_ns()
        to.send_bytes(number.to_bytes(8, "little") + rest)
    median = answer.recv()
    taken = time.monotonic_ns() - begin
    consumer.join()
    assert consumer.exitcode == 0
    for end in source, to, answer, back:
        end.close()
    return median if what == "asleep" else taken


for line in sys.stdin:
    what, *sizes = line.split()
    size, count = [8, *map(int, sizes)][-2:]
    print(sample(what, size, count), flush=True)
