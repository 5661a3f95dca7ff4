/* forq_pool: its life beside threads, descriptors and signals, within itself, and over and over again. */
#define _GNU_SOURCE
#include "check.h"

#include <dirent.h>
#include <sched.h>

static struct {
    _Atomic int open, started, pids[64];
} *shared;

static forq_pool *pool_with(const forq_pool_options *options) {
    forq_pool *pool = NULL;
    RETURNS(forq_pool_new(options, &pool), 0);
    CHECK(pool != NULL);
    return pool;
}

static forq_pool *pool_of(uint32_t workers) {
    return pool_with(&(forq_pool_options){.workers = workers});
}

static int counted(const char *directory) {
    DIR *listed = opendir(directory);
    CHECK(listed != NULL);
    int count = 0;
    while (readdir(listed) != NULL) count++;
    CHECK(closedir(listed) == 0);
    return count;
}

/* --- tasks --- */

static int square(const void *input, void *output, const void *context) {
    (void)context;
    *(long *)output = *(const long *)input * *(const long *)input;
    return 0;
}

static int wait_for_gate(const void *input, void *output, const void *context) {
    (void)input, (void)output, (void)context;
    while (!shared->open) pause_ns(MILLISECOND);
    return 0;
}

static int sleep_for(const void *input, void *output, const void *context) {
    (void)output, (void)context;
    pause_ns(*(const int64_t *)input);
    return 0;
}

static int write_to(const void *input, void *output, const void *context) {
    (void)output, (void)context;
    return (int)write(*(const int *)input, "one", 3);
}

static int count_my_cpus(const void *input, void *output, const void *context) {
    (void)input, (void)context;
    pause_ns(2 * MILLISECOND);
    *(int *)output = (int)forq_cpu_count();
    return 0;
}

/* --- over and over again --- */

static void a_thousand_cycles_of_create_submit_terminate_leave_nothing(void) {
    forq_pool_free(pool_of(1));
    int descriptors = counted("/proc/self/fd"), threads = counted("/proc/self/task");
    for (int round = 0; round < FEWER(1000); round++) {
        forq_pool *pool = pool_of(1 + (uint32_t)round % 2);
        forq_result *results[4];
        int count = round % 5 == 4 ? 4 : round % 5;
        for (int i = 0; i < count; i++) {
            int64_t nanos = i % 3 * 1000 * SECOND;
            RETURNS(forq_pool_apply_async(pool, sleep_for, &nanos, sizeof nanos, 0, &results[i]), 0);
        }
        if (round % 3 != 0) RETURNS(forq_pool_terminate(pool), 0);
        if (round % 3 == 1) {
            RETURNS(forq_pool_join(pool, FORQ_FOREVER), 0);
            for (int i = 0; i < count; i++) RETURNS(forq_result_ready(results[i]), 1);
        }
        bool pool_first = round % 2 == 0;
        if (pool_first) forq_pool_free(pool);
        for (int i = 0; i < count; i++) forq_result_free(results[i]);
        if (!pool_first) forq_pool_free(pool);
        CHECK(has_no_child());
    }
    IS(counted("/proc/self/fd"), descriptors);
    IS(counted("/proc/self/task"), threads);
}

/* --- inputs --- */

static void inputs_may_be_changed_once_an_async_call_has_returned(void) {
    enum { COUNT = 100000 };
    shared->open = 0;
    forq_pool *pool = pool_of(1);
    forq_result *first, *second;
    RETURNS(forq_pool_apply_async(pool, wait_for_gate, NULL, 0, 0, &first), 0);
    long *numbers = malloc(COUNT * sizeof *numbers);
    CHECK(numbers != NULL);
    for (long i = 0; i < COUNT; i++) numbers[i] = i;
    const forq_job job = {
        .fn = square, .inputs = numbers, .input_size = sizeof *numbers, .count = COUNT, .output_size = sizeof *numbers};
    RETURNS(forq_pool_map_async(pool, &job, &second), 0);
    memset(numbers, 0xff, COUNT * sizeof *numbers);
    RETURNS(forq_result_ready(second), 0);
    shared->open = 1;
    RETURNS(forq_result_get(second, numbers, NULL, FORQ_FOREVER), 0);
    for (long i = 0; i < COUNT; i++) CHECK(numbers[i] == i * i);
    free(numbers);
    forq_result_free(first);
    forq_result_free(second);
    forq_pool_free(pool);
}

/* --- descriptors and CPUs --- */

static void descriptors_open_at_the_start_stay_open_in_the_workers(void) {
    int ends[2];
    CHECK(pipe(ends) == 0);
    forq_pool *pool = pool_of(2);
    RETURNS(forq_pool_apply(pool, write_to, &ends[1], sizeof ends[1], NULL, 0, FORQ_FOREVER), 3);
    CHECK(close(ends[1]) == 0);
    char said[8];
    CHECK(read(ends[0], said, sizeof said) == 3 && memcmp(said, "one", 3) == 0);
    forq_pool_free(pool);
    CHECK(read(ends[0], said, sizeof said) == 0);
    CHECK(close(ends[0]) == 0);
}

static void pinned_workers_stay_on_their_cpu(void) {
    forq_pool *pool = pool_with(&(forq_pool_options){.workers = 3, .pinned = true});
    int counts[30];
    const forq_job job = {
        .fn = count_my_cpus, .count = 30, .chunk_size = 1, .outputs = counts, .output_size = sizeof counts[0]};
    RETURNS(forq_pool_map(pool, &job, FORQ_FOREVER), 0);
    for (int i = 0; i < 30; i++) IS(counts[i], 1);
    cpu_set_t mine, set;
    CHECK(sched_getaffinity(0, sizeof mine, &mine) == 0);
    for (uint32_t worker = 0; worker < 3; worker++) {
        forq_worker_statistics stats;
        RETURNS(forq_pool_worker_stats(pool, worker, &stats), 0);
        CHECK(sched_getaffinity(stats.pid, sizeof set, &set) == 0);
        CPU_AND(&set, &set, &mine);
        IS(CPU_COUNT(&set), 1);
    }
    forq_pool_free(pool);
}

/* --- within itself --- */

static int use_a_pool_inside(const void *input, void *output, const void *context) {
    (void)context;
    long count = *(const long *)input, sum = 0, numbers[100];
    for (long i = 0; i < count; i++) numbers[i] = i;
    forq_pool *inner = pool_of(2);
    const forq_job job = {.fn = square,
                          .inputs = numbers,
                          .input_size = sizeof numbers[0],
                          .count = (size_t)count,
                          .outputs = numbers,
                          .output_size = sizeof numbers[0]};
    RETURNS(forq_pool_map(inner, &job, FORQ_FOREVER), 0);
    forq_pool_free(inner);
    for (long i = 0; i < count; i++) sum += numbers[i];
    *(long *)output = sum;
    return 0;
}

static void pools_may_be_nested(void) {
    forq_pool *pool = pool_of(2);
    long counts[4] = {1, 10, 50, 100};
    const forq_job job = {.fn = use_a_pool_inside,
                          .inputs = counts,
                          .input_size = sizeof counts[0],
                          .count = 4,
                          .outputs = counts,
                          .output_size = sizeof counts[0]};
    RETURNS(forq_pool_map(pool, &job, FORQ_FOREVER), 0);
    CHECK(counts[0] == 0 && counts[1] == 285 && counts[2] == 40425 && counts[3] == 328350);
    forq_pool_free(pool);
}

/* --- beside threads --- */

static forq_pool *common;

static void *have_several_jobs_in_flight(void *number) {
    enum { COUNT = 300, JOBS = 4 };
    for (int round = 0; round < 20; round++) {
        long inputs[COUNT], outputs[COUNT];
        for (long i = 0; i < COUNT; i++) inputs[i] = i + *(int *)number;
        const forq_job job = {.fn = square,
                              .inputs = inputs,
                              .input_size = sizeof inputs[0],
                              .count = COUNT,
                              .output_size = sizeof outputs[0]};
        forq_result *results[JOBS];
        for (int i = 0; i < JOBS; i++) RETURNS(forq_pool_map_async(common, &job, &results[i]), 0);
        long one = round, squared = 0;
        RETURNS(forq_pool_apply(common, square, &one, sizeof one, &squared, sizeof squared, FORQ_FOREVER), 0);
        CHECK(squared == one * one);
        for (int i = JOBS - 1; i >= 0; i--) {
            memset(outputs, 0, sizeof outputs);
            RETURNS(forq_result_get(results[i], outputs, NULL, FORQ_FOREVER), 0);
            for (int at = 0; at < COUNT; at++) CHECK(outputs[at] == inputs[at] * inputs[at]);
            forq_result_free(results[i]);
        }
    }
    return NULL;
}

static void several_threads_may_have_several_jobs_in_flight(void) {
    enum { THREADS = 6 };
    common = pool_of(2);
    pthread_t threads[THREADS];
    int numbers[THREADS];
    for (int i = 0; i < THREADS; i++) {
        numbers[i] = i;
        CHECK(pthread_create(&threads[i], NULL, have_several_jobs_in_flight, &numbers[i]) == 0);
    }
    for (int i = 0; i < THREADS; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    forq_pool_free(common);
}

/* --- signals --- */

static void do_nothing(int signal) {
    (void)signal;
}

static int tell_and_sleep(const void *input, void *output, const void *context) {
    shared->started = 1;
    return sleep_for(input, output, context);
}

/* All that its processes print goes into a file. */
static int map_until_interrupted(void *said) {
    CHECK(setpgid(0, 0) == 0);
    CHECK(dup2(*(int *)said, STDOUT_FILENO) >= 0 && dup2(*(int *)said, STDERR_FILENO) >= 0);
    struct sigaction action = {.sa_handler = do_nothing, .sa_flags = SA_RESTART};
    if (sigaction(SIGINT, &action, NULL) != 0) return 1;
    forq_pool *pool = pool_of(3);
    for (uint32_t worker = 0; worker < 3; worker++) {
        forq_worker_statistics stats;
        RETURNS(forq_pool_worker_stats(pool, worker, &stats), 0);
        shared->pids[worker] = stats.pid;
    }
    int64_t times[20];
    for (int i = 0; i < 20; i++) times[i] = 1000 * SECOND;
    forq_task_status statuses[20];
    const forq_job job = {
        .fn = tell_and_sleep, .inputs = times, .input_size = sizeof times[0], .count = 20, .statuses = statuses};
    RETURNS(forq_pool_map(pool, &job, FORQ_FOREVER), -ECHILD);
    for (int i = 0; i < 20; i++) IS(statuses[i].kind, FORQ_TASK_CANCELLED);
    for (int worker = 0; worker < 3; worker++) CHECK(kill(shared->pids[worker], 0) != 0 && errno == ESRCH);
    forq_pool_free(pool);
    return 7;
}

static void an_interrupt_ends_a_map_and_says_nothing(void) {
    int said = memfd_create("said", 0);
    CHECK(said >= 0);
    shared->started = 0;
    pid_t host = in_child(map_until_interrupted, &said);
    WAIT_UNTIL(shared->started == 1);
    CHECK(kill(-host, SIGINT) == 0);
    int code = ended_with(host);
    char text[512] = "";
    ssize_t length = pread(said, text, sizeof text - 1, 0);
    if (length != 0) fail(__FILE__, __LINE__, text, 0, false);
    IS(code, 7);
    CHECK(close(said) == 0);
}

static int add_one(const void *input, void *output, const void *context) {
    (void)context;
    int32_t in;
    memcpy(&in, input, sizeof in);
    int64_t out = (int64_t)in + 1;
    memcpy(output, &out, sizeof out);
    return 0;
}

/* Results are copied out while inputs are still being copied in: but not over those. */
static void outputs_may_lie_over_the_inputs(void) {
    enum { COUNT = 3000000 };
    char *buffer = malloc(COUNT * sizeof(int64_t));
    CHECK(buffer != NULL);
    forq_pool *pool = pool_of(2);
    for (int round = 0; round < 4; round++) {
        for (int32_t i = 0; i < COUNT; i++) memcpy(buffer + (size_t)i * sizeof i, &i, sizeof i);
        forq_job job = {.fn = add_one, .inputs = buffer, .input_size = sizeof(int32_t), .count = COUNT,
                        .outputs = buffer, .output_size = sizeof(int64_t)};
        RETURNS(forq_pool_map(pool, &job, FORQ_FOREVER), 0);
        for (int i = 0; i < COUNT; i++) {
            int64_t out;
            memcpy(&out, buffer + (size_t)i * sizeof out, sizeof out);
            IS(out, i + 1);
        }
    }
    forq_pool_free(pool);
    free(buffer);
}

int main(void) {
    begin();
    shared = shared_memory(sizeof *shared);
    RUN(a_thousand_cycles_of_create_submit_terminate_leave_nothing);
    RUN(inputs_may_be_changed_once_an_async_call_has_returned);
    RUN(descriptors_open_at_the_start_stay_open_in_the_workers);
    RUN(pinned_workers_stay_on_their_cpu);
    RUN(pools_may_be_nested);
    RUN(several_threads_may_have_several_jobs_in_flight);
    RUN(an_interrupt_ends_a_map_and_says_nothing);
    RUN(outputs_may_lie_over_the_inputs);
    return finish();
}
