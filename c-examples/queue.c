/* A queue between processes: work for several workers, one of which is killed.
 *
 * The parent puts numbers; three workers take them and mark each as done. One worker is killed in the middle of a task: nobody hangs,
 * the others go on, and of the messages at most the one in its hands is gone, which the parent learns from a join with a
 * time limit. Then the queue is closed: the workers take what is left and end.
 *
 *     cc -std=c11 -O2 -I../include queue.c ../target/release/libforq.a -pthread -o queue && ./queue
 */
#include <errno.h>
#include <forq.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { WORKERS = 3, NUMBERS = 3000, FATAL = 1000 };

struct office {
    forq_queue *numbers;
    _Atomic long *sum;
};

static void must(int status, const char *what) {
    if (status >= 0) return;
    fprintf(stderr, "queue: %s: %s\n", what, forq_strerror(status));
    exit(1);
}

static void expect(long got, long wanted, const char *what) {
    if (got == wanted) return;
    fprintf(stderr, "queue: %s: %ld, not %ld\n", what, got, wanted);
    exit(1);
}

static int work(void *argument) {
    struct office *office = argument;
    int number, status;
    /* A message has a size of its own, up to the queue's limit; here all have the same. */
    while ((status = forq_queue_get(office->numbers, &number, sizeof number, NULL, FORQ_FOREVER)) == 0) {
        if (number == FATAL) raise(SIGKILL);
        atomic_fetch_add(office->sum, number);
        must(forq_queue_task_done(office->numbers), "task_done");
    }
    return status == -ESHUTDOWN ? 0 : 1;
}

int main(void) {
    struct office office;
    void *memory;
    must(forq_shared_alloc(sizeof *office.sum, &memory), "shared memory");
    office.sum = memory;
    /* Room for 16 messages: then a put waits. Every later fork shares the queue. */
    must(forq_queue_new(16, sizeof(int), &office.numbers), "new");
    forq_process workers[WORKERS];
    for (int i = 0; i < WORKERS; i++) must(forq_process_spawn(&workers[i], work, &office, NULL), "spawn");

    long expected = 0;
    for (int number = 1; number <= NUMBERS; number++) {
        must(forq_queue_put(office.numbers, &number, sizeof number, FORQ_FOREVER), "put");
        if (number != FATAL) expected += number;
    }
    /* A batch goes in for the price of one; what there is room for within the time. */
    const int more[4] = {1, 2, 3, 4};
    size_t done;
    must(forq_queue_put_many(office.numbers, more, sizeof more[0], 4, &done, FORQ_FOREVER), "put_many");
    expect((long)done, 4, "a batch");
    expected += 10;

    /* All is done but what the dead one had taken. */
    while (atomic_load(office.sum) != expected) {
        int status = forq_queue_join(office.numbers, 1000000);
        if (status != -ETIMEDOUT) must(status, "join");
    }
    expect(forq_queue_join(office.numbers, 50000000), -ETIMEDOUT, "a task that nobody can finish");
    must(forq_queue_task_done(office.numbers), "task_done for the dead one");
    must(forq_queue_join(office.numbers, FORQ_FOREVER), "join");
    expect(forq_queue_len(office.numbers), 0, "the length");

    must(forq_queue_close(office.numbers), "close");
    expect(forq_queue_put(office.numbers, more, sizeof more[0], FORQ_FOREVER), -ESHUTDOWN, "put after close");
    int killed = 0;
    for (int i = 0; i < WORKERS; i++) {
        int code;
        must(forq_process_join(&workers[i], &code, FORQ_FOREVER), "process join");
        killed += code == -SIGKILL;
        if (code != 0 && code != -SIGKILL) expect(code, 0, "exit code");
        must(forq_process_close(&workers[i]), "process close");
    }
    expect(killed, 1, "killed workers");
    forq_queue_statistics told;
    must(forq_queue_stats(office.numbers, &told), "stats");
    printf("%llu messages put, %llu got, by %d workers of which %d was killed; the sum is right\n",
           (unsigned long long)told.put, (unsigned long long)told.got, WORKERS, killed);
    expect((long)told.got, NUMBERS + 4, "got");
    forq_queue_free(office.numbers);
    must(forq_shared_free(memory, sizeof *office.sum), "free");
    return 0;
}
