/* forq_result: work that nobody waits for at once, and limits on items and workers. */
#define _GNU_SOURCE
#include "check.h"

#include <poll.h>

enum { MANY = 1000 };

static struct {
    _Atomic int started, open;
    _Atomic long runs[MANY];
    _Atomic int pids[MANY];
} *shared;

static void fresh(void) {
    memset((void *)shared, 0, sizeof *shared);
}

static forq_pool *pool_with(const forq_pool_options *options) {
    forq_pool *pool = NULL;
    RETURNS(forq_pool_new(options, &pool), 0);
    CHECK(pool != NULL);
    return pool;
}

static forq_pool *pool_of(uint32_t workers) {
    const forq_pool_options options = {.workers = workers};
    return pool_with(&options);
}

/* --- tasks --- */

static int square(const void *input, void *output, const void *context) {
    (void)context;
    *(long *)output = *(const long *)input * *(const long *)input;
    return 0;
}

static int return_input(const void *input, void *output, const void *context) {
    (void)context;
    *(long *)output = 5;
    return *(const int *)input;
}

static int sleep_for_ever(const void *input, void *output, const void *context) {
    (void)input, (void)output, (void)context;
    shared->started++;
    while (pause() == -1) {
    }
    return 0;
}

static int wait_for_gate(const void *input, void *output, const void *context) {
    (void)context;
    shared->started++;
    while (!shared->open) pause_ns(MILLISECOND);
    *(long *)output = *(const long *)input;
    return 0;
}

static int crash(const void *input, void *output, const void *context) {
    (void)input, (void)output, (void)context;
    abort();
}

/* Input n: runs[n] is counted, pids[n] noted. Odd ones never end if the context says so. */
static int note(const void *input, void *output, const void *context) {
    long n = *(const long *)input;
    shared->runs[n]++;
    shared->pids[n] = getpid();
    if (context != NULL && *(const bool *)context && n % 2 == 1) {
        shared->started++;
        for (;;) pause();
    }
    *(long *)output = n + 1;
    return 0;
}

/* --- */

static void bad_calls_are_refused(void) {
    forq_pool *pool = pool_of(1);
    long input = 3, output = -5;
    forq_result *const untouched = (forq_result *)&shared;
    forq_result *result = untouched;
    forq_task_status status = {77, 77};
    const forq_job good = {.fn = square, .inputs = &input, .input_size = sizeof input, .count = 1,
                           .output_size = sizeof output};
    RETURNS(forq_pool_apply_async(NULL, square, &input, sizeof input, sizeof output, &result), -EINVAL);
    RETURNS(forq_pool_apply_async(pool, NULL, &input, sizeof input, sizeof output, &result), -EINVAL);
    RETURNS(forq_pool_apply_async(pool, square, NULL, sizeof input, sizeof output, &result), -EINVAL);
    RETURNS(forq_pool_apply_async(pool, square, &input, SIZE_MAX, sizeof output, &result), -EINVAL);
    RETURNS(forq_pool_apply_async(pool, square, &input, sizeof input, SIZE_MAX, &result), -EINVAL);
    RETURNS(forq_pool_apply_async(pool, square, &input, sizeof input, sizeof output, NULL), -EINVAL);
    RETURNS(forq_pool_map_async(NULL, &good, &result), -EINVAL);
    RETURNS(forq_pool_map_async(pool, NULL, &result), -EINVAL);
    RETURNS(forq_pool_map_async(pool, &good, NULL), -EINVAL);
    forq_job job = good;
    job.outputs = &output;
    RETURNS(forq_pool_map_async(pool, &job, &result), -EINVAL);
    job = good, job.statuses = &status;
    RETURNS(forq_pool_map_async(pool, &job, &result), -EINVAL);
    job = good, job.inputs = NULL;
    RETURNS(forq_pool_map_async(pool, &job, &result), -EINVAL);
    job = good, job.count = SIZE_MAX;
    RETURNS(forq_pool_map_async(pool, &job, &result), -EINVAL);
    job = good, job.output_size = SIZE_MAX / 2;
    RETURNS(forq_pool_map_async(pool, &job, &result), -EINVAL);
    job = good, job.reserved[3] = 1;
    RETURNS(forq_pool_map_async(pool, &job, &result), -EINVAL);
    RETURNS(forq_result_wait(NULL, FORQ_FOREVER), -EINVAL);
    RETURNS(forq_result_ready(NULL), -EINVAL);
    RETURNS(forq_result_get(NULL, &output, &status, FORQ_FOREVER), -EINVAL);
    RETURNS(forq_result_cancel(NULL), -EINVAL);
    RETURNS(forq_result_fd(NULL), -EINVAL);
    forq_result_free(NULL);
    CHECK(result == untouched);
    RETURNS(forq_pool_apply_async(pool, square, &input, sizeof input, sizeof output, &result), 0);
    RETURNS(forq_result_get(result, NULL, &status, FORQ_FOREVER), -EINVAL);
    RETURNS(forq_result_get(result, &output, &status, -2), -EINVAL);
    RETURNS(forq_result_wait(result, INT64_MIN), -EINVAL);
    CHECK(output == -5 && status.kind == 77);
    RETURNS(forq_result_get(result, &output, NULL, FORQ_FOREVER), 0);
    CHECK(output == 9);
    forq_result_free(result);
    RETURNS(forq_pool_close(pool), 0);
    RETURNS(forq_pool_apply_async(pool, square, &input, sizeof input, sizeof output, &result), -ESHUTDOWN);
    RETURNS(forq_pool_map_async(pool, &good, &result), -ESHUTDOWN);
    forq_pool_free(pool);
    const forq_pool_options wrong = {.task_timeout_ns = -1};
    RETURNS(forq_pool_new(&wrong, &pool), -EINVAL);
}

static void results_come_when_they_are_ready_and_as_often_as_wanted(void) {
    forq_pool *pool = pool_of(2);
    fresh();
    enum { RESULTS = 2000 };
    static forq_result *results[RESULTS];
    for (long i = 0; i < RESULTS; i++) {
        long input = i;
        RETURNS(forq_pool_apply_async(pool, wait_for_gate, &input, sizeof input, sizeof(long), &results[i]), 0);
        input = -1; /* it was copied */
    }
    WAIT_UNTIL(shared->started == 2);
    long output = -7;
    for (int i = 0; i < RESULTS; i++) IS(forq_result_ready(results[i]), 0);
    RETURNS(forq_result_get(results[9], &output, NULL, 0), -EAGAIN);
    int64_t start = now_ns();
    RETURNS(forq_result_get(results[9], &output, NULL, 20 * MILLISECOND), -ETIMEDOUT);
    RETURNS(forq_result_wait(results[9], 20 * MILLISECOND), -ETIMEDOUT);
    CHECK(now_ns() - start >= 40 * MILLISECOND && output == -7);
    shared->open = 1;
    for (long i = RESULTS - 1; i >= 0; i--) {
        forq_task_status status = {77, 77};
        RETURNS(forq_result_wait(results[i], FORQ_FOREVER), 0);
        RETURNS(forq_result_ready(results[i]), 1);
        for (int twice = 0; twice < 2; twice++) {
            RETURNS(forq_result_get(results[i], &output, &status, 0), 0);
            CHECK(output == i && status.kind == FORQ_TASK_OK && status.code == 0);
        }
        RETURNS(forq_result_cancel(results[i]), -EBUSY);
        forq_result_free(results[i]);
    }
    IS(shared->started, RESULTS);
    forq_pool_free(pool);
}

static void what_a_task_returned_is_told(void) {
    forq_pool *pool = pool_of(1);
    const int answers[] = {0, 1, 17, INT32_MAX, -1};
    for (int i = 0; i < 5; i++) {
        forq_result *result;
        forq_task_status status;
        long output = 0;
        RETURNS(forq_pool_apply_async(pool, return_input, &answers[i], sizeof(int), sizeof output, &result), 0);
        RETURNS(forq_result_get(result, &output, &status, FORQ_FOREVER), answers[i] < 0 ? -ECHILD : answers[i]);
        CHECK(output == 5);
        CHECK(status.kind == (answers[i] == 0 ? FORQ_TASK_OK : FORQ_TASK_FAILED) && status.code == answers[i]);
        forq_result_free(result);
    }
    forq_result *result;
    forq_task_status status;
    RETURNS(forq_pool_apply_async(pool, crash, NULL, 0, 0, &result), 0);
    RETURNS(forq_result_get(result, NULL, &status, FORQ_FOREVER), -ECHILD);
    CHECK(status.kind == FORQ_TASK_CRASHED && status.code == SIGABRT);
    forq_result_free(result);
    forq_pool_free(pool);
}

static void a_map_can_be_cancelled_in_the_middle(void) {
    forq_pool *pool = pool_of(2);
    for (int round = 0; round < 10; round++) {
        fresh();
        const bool stuck = true;
        long inputs[100], outputs[100];
        forq_task_status statuses[100];
        for (long i = 0; i < 100; i++) inputs[i] = i, outputs[i] = -9;
        const forq_job job = {.fn = note, .context = &stuck, .context_size = sizeof stuck, .inputs = inputs,
                              .input_size = sizeof(long), .count = 100, .output_size = sizeof(long), .chunk_size = 1};
        forq_result *result;
        RETURNS(forq_pool_map_async(pool, &job, &result), 0);
        memset(inputs, 0xff, sizeof inputs);
        WAIT_UNTIL(shared->started == 2);
        RETURNS(forq_result_cancel(result), 0);
        RETURNS(forq_result_cancel(result), -EBUSY);
        RETURNS(forq_result_ready(result), 1);
        RETURNS(forq_result_get(result, outputs, statuses, 0), -ECHILD);
        int done = 0;
        for (long i = 0; i < 100; i++) {
            CHECK(statuses[i].code == 0);
            CHECK(statuses[i].kind == FORQ_TASK_OK || statuses[i].kind == FORQ_TASK_CANCELLED);
            CHECK(outputs[i] == (statuses[i].kind == FORQ_TASK_OK ? i + 1 : -9));
            CHECK(i % 2 == 0 || statuses[i].kind == FORQ_TASK_CANCELLED);
            done += statuses[i].kind == FORQ_TASK_OK;
        }
        CHECK(done >= 1 && done <= 3);
        forq_result_free(result);
    }
    forq_pool_free(pool);
}

static void a_finished_result_outlives_its_pool(void) {
    forq_pool *pool = pool_of(2);
    fresh();
    long input = 6, output = 0;
    forq_result *finished, *pending;
    RETURNS(forq_pool_apply_async(pool, square, &input, sizeof input, sizeof output, &finished), 0);
    RETURNS(forq_result_wait(finished, FORQ_FOREVER), 0);
    RETURNS(forq_pool_apply_async(pool, sleep_for_ever, NULL, 0, 0, &pending), 0);
    WAIT_UNTIL(shared->started == 1);
    forq_pool_free(pool);
    CHECK(has_no_child());
    RETURNS(forq_result_get(finished, &output, NULL, 0), 0);
    CHECK(output == 36);
    forq_task_status status;
    RETURNS(forq_result_ready(pending), 1);
    RETURNS(forq_result_wait(pending, FORQ_FOREVER), -ECHILD);
    RETURNS(forq_result_get(pending, NULL, &status, FORQ_FOREVER), -ECHILD);
    CHECK(status.kind == FORQ_TASK_CANCELLED);
    RETURNS(forq_result_cancel(pending), -EBUSY);
    forq_result_free(pending);
    RETURNS(forq_result_get(finished, &output, NULL, 0), 0);
    forq_result_free(finished);
}

static void descriptors_are_readable_once_ready(void) {
    forq_pool *pool = pool_of(1);
    fresh();
    long input = 1;
    forq_result *result;
    RETURNS(forq_pool_apply_async(pool, wait_for_gate, &input, sizeof input, sizeof(long), &result), 0);
    int fd = forq_result_fd(result);
    CHECK(fd >= 0 && (fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    IS(forq_result_fd(result), fd);
    struct pollfd polled = {.fd = fd, .events = POLLIN};
    IS(poll(&polled, 1, 20), 0);
    bool ready = false;
    RETURNS(forq_wait(&fd, 1, &ready, 0), -EAGAIN);
    shared->open = 1;
    IS(poll(&polled, 1, -1), 1);
    CHECK((polled.revents & POLLIN) != 0);
    RETURNS(forq_wait(&fd, 1, &ready, FORQ_FOREVER), 1);
    CHECK(ready);
    RETURNS(forq_result_ready(result), 1);
    forq_result_free(result);
    CHECK(fcntl(fd, F_GETFD) == -1);
    /* Asked for when it is ready already. */
    RETURNS(forq_pool_apply_async(pool, square, &input, sizeof input, sizeof(long), &result), 0);
    RETURNS(forq_result_wait(result, FORQ_FOREVER), 0);
    polled.fd = forq_result_fd(result);
    IS(poll(&polled, 1, 0), 1);
    forq_result_free(result);
    forq_pool_free(pool);
}

static void letting_go_lets_the_work_go_on(void) {
    forq_pool *pool = pool_of(2);
    fresh();
    for (long i = 0; i < MANY; i++) {
        forq_result *result;
        RETURNS(forq_pool_apply_async(pool, note, &i, sizeof i, sizeof(long), &result), 0);
        forq_result_free(result);
    }
    RETURNS(forq_pool_close(pool), 0);
    RETURNS(forq_pool_join(pool, FORQ_FOREVER), 0);
    for (int i = 0; i < MANY; i++) IS(shared->runs[i], 1);
    forq_pool_free(pool);
}

static int use_result(void *argument) {
    forq_result *result = argument;
    long output;
    RETURNS(forq_result_get(result, &output, NULL, FORQ_FOREVER), -EPERM);
    RETURNS(forq_result_wait(result, FORQ_FOREVER), -EPERM);
    RETURNS(forq_result_ready(result), -EPERM);
    RETURNS(forq_result_cancel(result), -EPERM);
    RETURNS(forq_result_fd(result), -EPERM);
    forq_result_free(result);
    return 0;
}

static void a_forked_child_has_no_use_of_a_result(void) {
    forq_pool *pool = pool_of(1);
    long input = 4, output = 0;
    forq_result *result;
    RETURNS(forq_pool_apply_async(pool, square, &input, sizeof input, sizeof output, &result), 0);
    IS(ended_with(in_child(use_result, result)), 0);
    RETURNS(forq_result_get(result, &output, NULL, FORQ_FOREVER), 0);
    CHECK(output == 16);
    forq_result_free(result);
    forq_pool_free(pool);
}

/* --- limits --- */

static int by_value(const void *a, const void *b) {
    return *(const int *)a - *(const int *)b;
}

static void workers_are_replaced_after_so_many_items(void) {
    const size_t chunks[] = {0, 1, 7, 500};
    for (uint32_t most = 1; most <= 10; most += EMULATED ? 9 : 3) {
        const forq_pool_options options = {.workers = 2, .max_tasks_per_worker = most};
        forq_pool *pool = pool_with(&options);
        for (int k = 0; k < 4; k++) {
            enum { ITEMS = 60 };
            fresh();
            long inputs[ITEMS], outputs[ITEMS];
            for (long i = 0; i < ITEMS; i++) inputs[i] = i;
            const forq_job job = {.fn = note, .inputs = inputs, .input_size = sizeof(long), .count = ITEMS,
                                  .outputs = outputs, .output_size = sizeof(long), .chunk_size = chunks[k]};
            RETURNS(forq_pool_map(pool, &job, FORQ_FOREVER), 0);
            int pids[ITEMS];
            for (long i = 0; i < ITEMS; i++) {
                CHECK(outputs[i] == i + 1 && shared->runs[i] == 1);
                pids[i] = shared->pids[i];
            }
            qsort(pids, ITEMS, sizeof pids[0], by_value);
            for (int i = 0, run = 0; i < ITEMS; i++) {
                run = i > 0 && pids[i] == pids[i - 1] ? run + 1 : 1;
                CHECK(run <= (int)most);
            }
        }
        forq_pool_statistics stats;
        RETURNS(forq_pool_stats(pool, &stats), 0);
        CHECK(stats.crashes == 0 && stats.replaced >= 240 / most - 2 && stats.items <= 240);
        RETURNS(forq_pool_close(pool), 0);
        RETURNS(forq_pool_join(pool, FORQ_FOREVER), 0);
        RETURNS(forq_pool_stats(pool, &stats), 0);
        IS(stats.items, 240);
        forq_pool_free(pool);
    }
}

static int sleep_for(const void *input, void *output, const void *context) {
    (void)context;
    long n = *(const long *)input;
    *(long *)output = n;
    if (n >= 0) pause_ns(n * MILLISECOND);
    else for (;;) pause();
    return 0;
}

static void an_item_over_its_time_costs_itself(void) {
    const forq_pool_options options = {.workers = 2, .task_timeout_ns = 400 * MILLISECOND, .max_attempts = 5};
    forq_pool *pool = pool_with(&options);
    for (size_t chunk = 0; chunk <= 20; chunk += 5) {
        enum { ITEMS = 20 };
        long inputs[ITEMS], outputs[ITEMS];
        forq_task_status statuses[ITEMS];
        for (long i = 0; i < ITEMS; i++) inputs[i] = i % 7 == 3 ? -1 : i % 3, outputs[i] = -9;
        const forq_job job = {.fn = sleep_for, .inputs = inputs, .input_size = sizeof(long), .count = ITEMS,
                              .outputs = outputs, .output_size = sizeof(long), .chunk_size = chunk, .statuses = statuses};
        int64_t start = now_ns();
        RETURNS(forq_pool_map(pool, &job, FORQ_FOREVER), -ECHILD);
        CHECK(now_ns() - start >= 400 * MILLISECOND);
        for (int i = 0; i < ITEMS; i++) {
            IS(statuses[i].kind, inputs[i] < 0 ? FORQ_TASK_TIMED_OUT : FORQ_TASK_OK);
            IS(statuses[i].code, 0);
            CHECK(outputs[i] == (inputs[i] < 0 ? -9 : inputs[i]));
        }
    }
    long input = -1, output = -9;
    RETURNS(forq_pool_apply(pool, sleep_for, &input, sizeof input, &output, sizeof output, FORQ_FOREVER), -ECHILD);
    CHECK(output == -9);
    input = 1;
    /* After a rest the first item is watched again. */
    pause_ns(300 * MILLISECOND);
    RETURNS(forq_pool_apply(pool, sleep_for, &input, sizeof input, &output, sizeof output, FORQ_FOREVER), 0);
    input = -1;
    RETURNS(forq_pool_apply(pool, sleep_for, &input, sizeof input, &output, sizeof output, FORQ_FOREVER), -ECHILD);
    forq_pool_free(pool);
}

int main(void) {
    begin();
    shared = shared_memory(sizeof *shared);
    RUN(bad_calls_are_refused);
    RUN(results_come_when_they_are_ready_and_as_often_as_wanted);
    RUN(what_a_task_returned_is_told);
    RUN(a_map_can_be_cancelled_in_the_middle);
    RUN(a_finished_result_outlives_its_pool);
    RUN(descriptors_are_readable_once_ready);
    RUN(letting_go_lets_the_work_go_on);
    RUN(a_forked_child_has_no_use_of_a_result);
    RUN(workers_are_replaced_after_so_many_items);
    RUN(an_item_over_its_time_costs_itself);
    return finish();
}
