/* A crash-proof work queue: whatever kills a worker, at whatever instruction, no job is lost and none is counted twice.
 *
 * The queue holds the numbers of jobs; a table in shared memory says which are done. The queue says what is next, the table is the
 * truth. A worker that dies takes at most the job in its hands along, and that is still undone in the table: the next round puts it
 * again, until it was tried often enough. Here some jobs kill their worker each time, and the parent kills workers at random besides.
 *
 *     cc -std=c11 -O2 -I../include work_queue.c ../target/release/libforq.a -pthread -o work_queue && ./work_queue
 */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <forq.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { JOBS = 2000, WORKERS = 4, ROUNDS = 4, KILLS = 10, MILLISECOND = 1000000 };

typedef struct {
    uint64_t result;
    /* Set after the result was written, so that who sees it sees the result. */
    atomic_bool done;
    /* How often a worker began it. */
    atomic_uint attempts;
} job;

typedef struct {
    job jobs[JOBS];
} table;

typedef struct {
    forq_queue *queue;
    table *table;
} work;

static void must(int status, const char *what) {
    if (status >= 0) return;
    fprintf(stderr, "work_queue: %s: %s\n", what, forq_strerror(status));
    exit(1);
}

/* The sum of the primes below a number: some work. */
static uint64_t solve(uint64_t limit) {
    uint64_t sum = 0;
    for (uint64_t n = 2; n < limit; n++) {
        uint64_t d = 2;
        while (d * d <= n && n % d != 0) d++;
        if (d * d > n) sum += n;
    }
    return sum;
}

static bool is_poisoned(uint32_t number) {
    return number % 500 == 499;
}

/* A worker: jobs until the queue is closed and empty. */
static int run(void *argument) {
    const work *w = argument;
    for (;;) {
        uint32_t number;
        int status = forq_queue_get(w->queue, &number, sizeof number, NULL, FORQ_FOREVER);
        if (status == -ESHUTDOWN) return 0;
        must(status, "get");
        job *j = &w->table->jobs[number];
        atomic_fetch_add(&j->attempts, 1);
        if (is_poisoned(number)) raise(SIGKILL);
        /* Whoever dies between these two has not done it; done again, it comes out the same. */
        j->result = solve(number);
        atomic_store(&j->done, true);
    }
}

/* One round: the undone jobs, a queue of their own, and workers that are replaced when they die. Returns how many died. */
static int round_of(table *t, int kills, unsigned *random) {
    work w = {.table = t};
    must(forq_queue_new(JOBS, sizeof(uint32_t), &w.queue), "queue");
    for (uint32_t i = 0; i < JOBS; i++)
        if (!atomic_load(&t->jobs[i].done)) must(forq_queue_put(w.queue, &i, sizeof i, 0), "put");
    must(forq_queue_close(w.queue), "close");

    forq_process workers[WORKERS];
    int fds[WORKERS], running = WORKERS, deaths = 0;
    for (int i = 0; i < WORKERS; i++) {
        must(forq_process_spawn(&workers[i], run, &w, NULL), "spawn");
        fds[i] = forq_process_fd(&workers[i]);
    }
    while (running > 0) {
        bool ended[WORKERS];
        int status = forq_wait(fds, (size_t)running, ended, kills > 0 ? 3 * MILLISECOND : FORQ_FOREVER);
        if (status == -ETIMEDOUT) {
            /* The bad luck of the outside world. A worker that has just ended is not hit: -ESRCH. */
            kills--;
            *random = *random * 1103515245u + 12345u;
            forq_process_kill(&workers[(*random >> 16) % (unsigned)running]);
            continue;
        }
        must(status, "wait");
        for (int i = running - 1; i >= 0; i--) {
            if (!ended[i]) continue;
            int code;
            must(forq_process_join(&workers[i], &code, FORQ_FOREVER), "join");
            must(forq_process_close(&workers[i]), "close of a process");
            if (code == 0) {
                running--;
                workers[i] = workers[running];
                fds[i] = fds[running];
            } else {
                deaths++;
                must(forq_process_spawn(&workers[i], run, &w, NULL), "spawn again");
                fds[i] = forq_process_fd(&workers[i]);
            }
        }
    }
    forq_queue_free(w.queue);
    return deaths;
}

int main(void) {
    void *memory;
    must(forq_shared_alloc(sizeof(table), &memory), "shared memory");
    table *t = memory;
    unsigned random = 42;
    int deaths = 0, undone = JOBS;
    for (int round = 1; round <= ROUNDS && undone > 0; round++) {
        /* None in the last: what is lost there is not done again. */
        deaths += round_of(t, round < ROUNDS ? KILLS : 0, &random);
        undone = 0;
        for (int i = 0; i < JOBS; i++) undone += !atomic_load(&t->jobs[i].done);
        printf("round %d: %d jobs done, %d left, %d workers died so far\n", round, JOBS - undone, undone, deaths);
    }

    /* Each result is right; what was given up killed its worker in every round. */
    int failures = 0;
    for (uint32_t i = 0; i < JOBS; i++) {
        const job *j = &t->jobs[i];
        if (atomic_load(&j->done) ? j->result != solve(i) || is_poisoned(i) : !is_poisoned(i)) failures++;
        if (!atomic_load(&j->done)) printf("job %u was given up after %u attempts\n", (unsigned)i, atomic_load(&j->attempts));
    }
    must(forq_shared_free(memory, sizeof(table)), "free");
    if (failures > 0 || undone != JOBS / 500 || deaths < JOBS / 500 * ROUNDS) {
        fprintf(stderr, "work_queue: %d jobs are not as they should be, %d undone, %d deaths\n", failures, undone, deaths);
        return 1;
    }
    printf("all others are done, each once\n");
    return 0;
}
