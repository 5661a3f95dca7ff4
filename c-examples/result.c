/* Work for later: results that nobody waits for at once, beside the program's own events.
 *
 * Hands out sums that take a while, and polls their descriptors together with a pipe, as an event loop does; cancels one that never ends.
 *
 *     cc -std=c11 -O2 -I../include result.c ../target/release/libforq.a -pthread -o result && ./result
 */
#define _GNU_SOURCE
#include <errno.h>
#include <forq.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { SUMS = 8 };

static void must(int status, const char *what) {
    if (status >= 0) return;
    fprintf(stderr, "result: %s: %s\n", what, forq_strerror(status));
    exit(1);
}

static void expect(long long got, long long wanted, const char *what) {
    if (got == wanted) return;
    fprintf(stderr, "result: %s: %lld, not %lld\n", what, got, wanted);
    exit(1);
}

/* The sum of the odd numbers below the input; of -1, never. */
static int sum_odd(const void *input, void *output, const void *context) {
    (void)context;
    long long last = *(const long long *)input, sum = 0;
    while (last < 0) pause();
    for (long long i = 1; i < last; i += 2) sum += i;
    *(long long *)output = sum;
    return 0;
}

int main(void) {
    forq_pool *pool;
    must(forq_pool_new(NULL, &pool), "new");

    forq_result *results[SUMS];
    int fds[SUMS + 1];
    bool ready[SUMS + 1], seen[SUMS + 1] = {false};
    for (long i = 0; i < SUMS; i++) {
        long long last = (i + 1) * 100000; /* copied: it may go */
        must(forq_pool_apply_async(pool, sum_odd, &last, sizeof last, sizeof last, &results[i]), "apply_async");
        fds[i] = forq_result_fd(results[i]);
        must(fds[i], "fd");
    }
    int pipe_ends[2];
    if (pipe(pipe_ends) != 0 || write(pipe_ends[1], "!", 1) != 1) return 1;
    fds[SUMS] = pipe_ends[0];

    /* The loop: whatever is ready, in whatever order. */
    for (int left = SUMS + 1; left > 0;) {
        must(forq_wait(fds, SUMS + 1, ready, FORQ_FOREVER), "wait");
        for (int i = 0; i <= SUMS; i++) {
            if (!ready[i] || seen[i]) continue;
            seen[i] = true;
            left--;
            if (i == SUMS) {
                printf("the pipe has something to say\n");
                continue;
            }
            long long sum;
            must(forq_result_get(results[i], &sum, NULL, 0), "get");
            printf("sum %d is %lld\n", i, sum);
            long long half = (i + 1) * 50000LL;
            expect(sum, half * half, "sum");
        }
    }
    for (int i = 0; i < SUMS; i++) forq_result_free(results[i]);

    /* One that never ends is stopped; its worker is replaced. */
    long long never = -1, sum;
    forq_result *stuck;
    must(forq_pool_apply_async(pool, sum_odd, &never, sizeof never, sizeof sum, &stuck), "apply_async");
    expect(forq_result_wait(stuck, 20 * 1000000), -ETIMEDOUT, "wait for what never ends");
    must(forq_result_cancel(stuck), "cancel");
    forq_task_status status;
    expect(forq_result_get(stuck, &sum, &status, FORQ_FOREVER), -ECHILD, "get of a cancelled one");
    expect(status.kind, FORQ_TASK_CANCELLED, "status");

    /* The pool may go first. */
    forq_pool_free(pool);
    forq_result_free(stuck);
    return 0;
}
