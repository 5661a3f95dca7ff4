/* A barrier between the steps of a computation, and what it does when a party dies.
 *
 * Four processes smooth a row of numbers, each its quarter; nobody begins a step before all have finished the last one.
 * Then one of two parties never comes: the other's time runs out, and the barrier says so until it is reset.
 *
 *     cc -std=c11 -O2 -I../include barrier.c ../target/release/libforq.a -pthread -o barrier && ./barrier
 */
#include <errno.h>
#include <forq.h>
#include <stdio.h>
#include <stdlib.h>

enum { PARTIES = 4, EACH = 64, CELLS = PARTIES * EACH, STEPS = 500 };

struct row {
    forq_barrier step;
    double cells[2][CELLS + 2];
};

static void must(int status, const char *what) {
    if (status >= 0) return;
    fprintf(stderr, "barrier: %s: %s\n", what, forq_strerror(status));
    exit(1);
}

static void smooth(const double *from, double *to, int first, int last) {
    for (int i = first; i <= last; i++) to[i] = (from[i - 1] + from[i] + from[i + 1]) / 3;
}

static int compute(void *argument) {
    struct row *row = argument;
    /* The number that the first wait gives says which quarter is ours. */
    int mine = forq_barrier_wait(&row->step, FORQ_FOREVER);
    must(mine, "wait");
    int first = 1 + mine * EACH;
    for (int step = 0; step < STEPS; step++) {
        smooth(row->cells[step % 2], row->cells[1 - step % 2], first, first + EACH - 1);
        must(forq_barrier_wait(&row->step, FORQ_FOREVER), "wait");
    }
    return 0;
}

int main(void) {
    void *memory;
    must(forq_shared_alloc(sizeof(struct row), &memory), "shared memory");
    struct row *row = memory;
    must(forq_barrier_init(&row->step, PARTIES), "init");
    static double expected[2][CELLS + 2];
    row->cells[0][CELLS / 2] = expected[0][CELLS / 2] = 1000;

    forq_process parties[PARTIES];
    for (int i = 0; i < PARTIES; i++) must(forq_process_spawn(&parties[i], compute, row, NULL), "spawn");
    for (int i = 0; i < PARTIES; i++) {
        int code;
        must(forq_process_join(&parties[i], &code, FORQ_FOREVER), "join");
        if (code != 0) return 1;
        must(forq_process_close(&parties[i]), "close");
    }
    for (int step = 0; step < STEPS; step++) smooth(expected[step % 2], expected[1 - step % 2], 1, CELLS);
    for (int i = 1; i <= CELLS; i++) {
        if (row->cells[STEPS % 2][i] != expected[STEPS % 2][i]) return fprintf(stderr, "barrier: cell %d\n", i), 1;
    }
    printf("%d steps in step: the peak is now %.3f\n", STEPS, row->cells[STEPS % 2][CELLS / 2]);

    /* The others are gone: 10 ms for one that is missed. */
    if (forq_barrier_wait(&row->step, 10000000) != -ETIMEDOUT) return 1;
    if (forq_barrier_wait(&row->step, FORQ_FOREVER) != -EPIPE || !forq_barrier_is_broken(&row->step)) return 1;
    must(forq_barrier_reset(&row->step), "reset");
    if (forq_barrier_is_broken(&row->step)) return 1;
    must(forq_shared_free(row, sizeof *row), "free");
    return 0;
}
