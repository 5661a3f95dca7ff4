/* A bounded buffer between processes: who finds it full or empty waits on a condition variable.
 *
 * Two producers and two consumers share eight places. A third consumer is killed while it waits: what it would have
 * been woken for reaches another, and all that was put is taken.
 *
 *     cc -std=c11 -O2 -I../include condvar.c ../target/release/libforq.a -pthread -o condvar && ./condvar
 */
#include <errno.h>
#include <forq.h>
#include <stdio.h>
#include <stdlib.h>

enum { PLACES = 8, ITEMS = 50000 };

struct buffer {
    forq_mutex mutex;
    forq_condvar not_empty, not_full;
    long put, taken;
    long long sum;
    long places[PLACES];
};

static void must(int status, const char *what) {
    if (status >= 0) return;
    fprintf(stderr, "condvar: %s: %s\n", what, forq_strerror(status));
    exit(1);
}

static int produce(void *argument) {
    struct buffer *buffer = argument;
    must(forq_mutex_lock(&buffer->mutex), "lock");
    while (buffer->put < ITEMS) {
        if (buffer->put - buffer->taken == PLACES) {
            must(forq_condvar_wait(&buffer->not_full, &buffer->mutex, FORQ_FOREVER), "wait");
            continue; /* and look again */
        }
        buffer->places[buffer->put % PLACES] = buffer->put;
        buffer->put++;
        /* Under the mutex: should we be killed before it, those who wait are told of our death. */
        must(forq_condvar_notify_one(&buffer->not_empty), "notify");
    }
    must(forq_condvar_notify_all(&buffer->not_full), "notify");
    return -forq_mutex_unlock(&buffer->mutex);
}

static int consume(void *argument) {
    struct buffer *buffer = argument;
    must(forq_mutex_lock(&buffer->mutex), "lock");
    while (buffer->taken < ITEMS) {
        if (buffer->taken == buffer->put) {
            must(forq_condvar_wait(&buffer->not_empty, &buffer->mutex, FORQ_FOREVER), "wait");
            continue;
        }
        buffer->sum += buffer->places[buffer->taken % PLACES];
        buffer->taken++;
        must(forq_condvar_notify_one(&buffer->not_full), "notify");
    }
    must(forq_condvar_notify_all(&buffer->not_empty), "notify");
    return -forq_mutex_unlock(&buffer->mutex);
}

int main(void) {
    void *memory;
    must(forq_shared_alloc(sizeof(struct buffer), &memory), "shared memory");
    struct buffer *buffer = memory; /* zeroed: the mutex is free, nobody waits */

    forq_process victim, workers[4];
    must(forq_process_spawn(&victim, consume, buffer, NULL), "spawn");
    /* There is nothing to take yet. It counts as waiting before it gives the mutex up. */
    while (forq_condvar_waiters(&buffer->not_empty) == 0 || forq_mutex_owner(&buffer->mutex) != 0) continue;
    must(forq_process_kill(&victim), "kill");
    must(forq_process_join(&victim, &(int){0}, FORQ_FOREVER), "join");
    must(forq_process_close(&victim), "close");

    for (int i = 0; i < 4; i++)
        must(forq_process_spawn(&workers[i], i % 2 == 0 ? consume : produce, buffer, NULL), "spawn");
    for (int i = 0; i < 4; i++) {
        int code;
        must(forq_process_join(&workers[i], &code, FORQ_FOREVER), "join");
        if (code != 0) return fprintf(stderr, "condvar: a worker ended with %d\n", code), 1;
        must(forq_process_close(&workers[i]), "close");
    }

    printf("put %ld, taken %ld, sum %lld\n", buffer->put, buffer->taken, buffer->sum);
    if (buffer->taken != ITEMS || buffer->sum != (long long)ITEMS * (ITEMS - 1) / 2) return 1;
    must(forq_shared_free(buffer, sizeof *buffer), "free");
    return 0;
}
