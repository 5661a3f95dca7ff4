/* A semaphore that lets three of eight processes at a time use something.
 *
 * Eight processes want one of three desks. Whoever has one counts how many are taken: never more than three. One more
 * process waits for a desk with a time limit while all are taken, and is told that the time ran out.
 *
 *     cc -std=c11 -O2 -I../include semaphore.c ../target/release/libforq.a -pthread -o semaphore && ./semaphore
 */
#include <errno.h>
#include <forq.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { DESKS = 3, WORKERS = 8, ROUNDS = 2000 };

struct office {
    forq_semaphore desks;
    _Atomic int taken, most;
};

static void must(int status, const char *what) {
    if (status >= 0) return;
    fprintf(stderr, "semaphore: %s: %s\n", what, forq_strerror(status));
    exit(1);
}

static int work(void *argument) {
    struct office *office = argument;
    for (int i = 0; i < ROUNDS; i++) {
        must(forq_semaphore_acquire(&office->desks, FORQ_FOREVER), "acquire");
        int taken = atomic_fetch_add(&office->taken, 1) + 1;
        int most = atomic_load(&office->most);
        while (taken > most && !atomic_compare_exchange_weak(&office->most, &most, taken)) {
        }
        atomic_fetch_sub(&office->taken, 1);
        must(forq_semaphore_release(&office->desks, 1), "release");
    }
    return 0;
}

int main(void) {
    void *memory;
    must(forq_shared_alloc(sizeof(struct office), &memory), "shared memory");
    struct office *office = memory;
    /* Never more permits than desks: a release too many would be an error. */
    must(forq_semaphore_init(&office->desks, DESKS, DESKS), "init");

    forq_process workers[WORKERS];
    for (int i = 0; i < WORKERS; i++) must(forq_process_spawn(&workers[i], work, office, NULL), "spawn");
    for (int i = 0; i < WORKERS; i++) {
        int code;
        must(forq_process_join(&workers[i], &code, FORQ_FOREVER), "join");
        if (code != 0) return fprintf(stderr, "semaphore: a worker ended with %d\n", code), 1;
        must(forq_process_close(&workers[i]), "close");
    }
    printf("at most %d of %d desks were taken at a time\n", office->most, DESKS);
    if (office->most < 1 || office->most > DESKS) return 1;

    for (int i = 0; i < DESKS; i++) must(forq_semaphore_acquire(&office->desks, 0), "acquire");
    if (forq_semaphore_acquire(&office->desks, 1000000) != -ETIMEDOUT) return 1;
    must(forq_semaphore_release(&office->desks, DESKS), "release");
    if (forq_semaphore_release(&office->desks, 1) != -EOVERFLOW) return 1;
    must(forq_shared_free(office, sizeof *office), "free");
    return 0;
}
