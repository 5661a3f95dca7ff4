/* A mutex between processes that survives its holder.
 *
 * Four processes count under one mutex in shared memory. A fifth is killed while it holds the mutex, in the middle
 * of a change; whoever locks next is told (-EOWNERDEAD), repairs the data, and everything goes on.
 *
 *     cc -std=c11 -O2 -I../include mutex.c ../target/release/libforq.a -pthread -o mutex && ./mutex
 */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <forq.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { WORKERS = 4, ROUNDS = 100000 };

/* One object for all processes. `sum` and `check` are equal whenever the mutex is free. */
struct account {
    forq_mutex mutex;
    long sum, check;
    long repairs;
};

static void must(int status, const char *what) {
    if (status >= 0) return;
    fprintf(stderr, "mutex: %s: %s\n", what, forq_strerror(status));
    exit(1);
}

/* Locks the account, and repairs it if its last holder died on the way. */
static void enter(struct account *account) {
    int status = forq_mutex_lock(&account->mutex);
    if (status == -EOWNERDEAD) {
        /* We hold the mutex. `sum` is written first, so that it is the one to believe. */
        account->check = account->sum;
        account->repairs++;
        status = forq_mutex_consistent(&account->mutex);
    }
    must(status, "lock");
}

static int count(void *argument) {
    struct account *account = argument;
    for (int i = 0; i < ROUNDS; i++) {
        enter(account);
        account->sum++;
        account->check++;
        must(forq_mutex_unlock(&account->mutex), "unlock");
    }
    return 0;
}

static int die_in_the_middle(void *argument) {
    struct account *account = argument;
    enter(account);
    account->sum++;
    raise(SIGKILL);
    return 0;
}

int main(void) {
    void *memory;
    must(forq_shared_alloc(sizeof(struct account), &memory), "shared memory");
    struct account *account = memory; /* zeroed: the mutex is free */

    /* They all wait until we let go: what we hold, a child forked meanwhile does not. */
    enter(account);
    forq_process workers[WORKERS], victim;
    for (int i = 0; i < WORKERS; i++) must(forq_process_spawn(&workers[i], count, account, NULL), "spawn");
    must(forq_process_spawn(&victim, die_in_the_middle, account, NULL), "spawn");
    must(forq_mutex_unlock(&account->mutex), "unlock");

    int code;
    must(forq_process_join(&victim, &code, FORQ_FOREVER), "join");
    if (code != -SIGKILL) return fprintf(stderr, "mutex: the victim ended with %d\n", code), 1;
    must(forq_process_close(&victim), "close");
    for (int i = 0; i < WORKERS; i++) {
        must(forq_process_join(&workers[i], &code, FORQ_FOREVER), "join");
        if (code != 0) return fprintf(stderr, "mutex: a worker ended with %d\n", code), 1;
        must(forq_process_close(&workers[i]), "close");
    }

    /* If the victim came last, it is ourselves who are told. */
    enter(account);
    if (account->sum != WORKERS * ROUNDS + 1 || account->check != account->sum || account->repairs != 1) {
        fprintf(stderr, "mutex: %ld and %ld, repaired %ld times\n", account->sum, account->check, account->repairs);
        return 1;
    }
    must(forq_mutex_unlock(&account->mutex), "unlock");

    forq_mutex_statistics stats;
    must(forq_mutex_stats(&account->mutex, &stats), "statistics");
    printf("counted to %ld, repaired once\n", account->sum);
    printf("%llu times taken, %llu had to wait, at most %.1f us; slept %llu times; %llu holder died\n",
           (unsigned long long)stats.acquisitions, (unsigned long long)stats.contended,
           (double)stats.waited_max_ns / 1000, (unsigned long long)stats.slept,
           (unsigned long long)stats.holder_deaths);
    if (stats.holder_deaths != 1) return 1;
    must(forq_mutex_destroy(&account->mutex), "destroy");
    must(forq_shared_free(account, sizeof *account), "free");
    return 0;
}
