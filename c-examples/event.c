/* An event that starts four processes at the same moment, and one that ends them.
 *
 *     cc -std=c11 -O2 -I../include event.c ../target/release/libforq.a -pthread -o event && ./event
 */
#include <errno.h>
#include <forq.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { RUNNERS = 4 };

struct race {
    forq_event start, stop;
    _Atomic long steps;
    _Atomic int ready;
};

static void must(int status, const char *what) {
    if (status >= 0) return;
    fprintf(stderr, "event: %s: %s\n", what, forq_strerror(status));
    exit(1);
}

static int run(void *argument) {
    struct race *race = argument;
    atomic_fetch_add(&race->ready, 1);
    must(forq_event_wait(&race->start, FORQ_FOREVER), "wait");
    while (!forq_event_is_set(&race->stop)) atomic_fetch_add(&race->steps, 1);
    return 0;
}

int main(void) {
    void *memory;
    must(forq_shared_alloc(sizeof(struct race), &memory), "shared memory");
    struct race *race = memory; /* zeroed: neither event is set */

    forq_process runners[RUNNERS];
    for (int i = 0; i < RUNNERS; i++) must(forq_process_spawn(&runners[i], run, race, NULL), "spawn");
    while (race->ready < RUNNERS) {
        /* 10 ms: nobody sets `stop` yet, so the time runs out. */
        if (forq_event_wait(&race->stop, 10000000) != -ETIMEDOUT) return 1;
    }
    if (race->steps != 0) return fprintf(stderr, "event: a false start\n"), 1;

    must(forq_event_set(&race->start), "set");
    do {
        if (forq_event_wait(&race->stop, 20000000) != -ETIMEDOUT) return 1;
    } while (race->steps == 0);
    must(forq_event_set(&race->stop), "set");
    for (int i = 0; i < RUNNERS; i++) {
        int code;
        must(forq_process_join(&runners[i], &code, FORQ_FOREVER), "join");
        if (code != 0) return 1;
        must(forq_process_close(&runners[i]), "close");
    }
    printf("%d runners made %ld steps\n", RUNNERS, race->steps);
    must(forq_shared_free(race, sizeof *race), "free");
    return 0;
}
