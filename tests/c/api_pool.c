/* forq_pool: what the header promises, row by row. */
#define _GNU_SOURCE
#include "check.h"

#include <dirent.h>
#include <dlfcn.h>
#include <sched.h>

_Static_assert(sizeof(forq_task_status) == 8, "frozen");
_Static_assert(FORQ_TASK_OK == 0, "a zeroed status is good");

enum { MANY = 1000 };

/* Shared with all workers: allocated before any pool. */
static struct {
    _Atomic int stage, started, supervisor, initialized, pids[64];
    _Atomic long runs[MANY];
} *shared;

static void fresh(void) {
    memset((void *)shared, 0, sizeof *shared);
}

static forq_pool *pool_of(uint32_t workers) {
    const forq_pool_options options = {.workers = workers};
    forq_pool *pool = NULL;
    RETURNS(forq_pool_new(&options, &pool), 0);
    CHECK(pool != NULL);
    return pool;
}

static forq_pool_statistics stats_of(const forq_pool *pool) {
    forq_pool_statistics stats;
    memset(&stats, 0xff, sizeof stats);
    RETURNS(forq_pool_stats(pool, &stats), 0);
    for (int i = 0; i < 8; i++) CHECK(stats.reserved[i] == 0);
    return stats;
}

/* --- tasks --- */

static int square(const void *input, void *output, const void *context) {
    (void)context;
    *(long *)output = *(const long *)input * *(const long *)input;
    return 0;
}

/* Input n: runs[n] is counted; then as the context says of n. */
enum { FINE, FAIL, FAIL_NEGATIVE, SEGFAULT, EXIT, EXIT_ZERO, KILL, ABORT, TERM, STUCK };

static int misbehave(const void *input, void *output, const void *context) {
    long n = *(const long *)input;
    shared->runs[n]++;
    *(long *)output = -1;
    switch (((const unsigned char *)context)[n]) {
    case FAIL: return 7;
    case FAIL_NEGATIVE: return -7;
    case SEGFAULT: signal(SIGSEGV, SIG_DFL); raise(SIGSEGV); break;
    case EXIT: _exit(3);
    case EXIT_ZERO: _exit(0);
    case KILL: raise(SIGKILL); break;
    case ABORT: abort();
    case TERM: signal(SIGTERM, SIG_DFL); raise(SIGTERM); break;
    case STUCK:
        shared->started++;
        while (pause() == -1) {
        }
        break;
    default: break;
    }
    *(long *)output = n + 1;
    return 0;
}

static int return_input(const void *input, void *output, const void *context) {
    (void)output, (void)context;
    return *(const int *)input;
}

/* Returns the rest. */
static int halve(const void *input, void *output, const void *context) {
    (void)context;
    *(long *)output = *(const long *)input / 2;
    return (int)(*(const long *)input % 2);
}

static int sleep_for_ever(const void *input, void *output, const void *context) {
    (void)input, (void)output, (void)context;
    shared->started++;
    while (pause() == -1) {
    }
    return 0;
}

static int sleep_a_little(const void *input, void *output, const void *context) {
    (void)context;
    pause_ns(10 * MILLISECOND);
    *(long *)output = *(const long *)input;
    return 0;
}

static int count_runs(const void *input, void *output, const void *context) {
    (void)input, (void)output, (void)context;
    shared->runs[0]++;
    return 0;
}

static int tell_parent(const void *input, void *output, const void *context) {
    (void)input, (void)context;
    *(int *)output = getppid();
    return 0;
}

static int tell_myself(const void *input, void *output, const void *context) {
    (void)input, (void)context;
    *(int *)output = getpid();
    pause_ns(MILLISECOND);
    return 0;
}

/* --- helpers --- */

static void check_works(forq_pool *pool) {
    long inputs[50], outputs[50];
    for (long i = 0; i < 50; i++) inputs[i] = i;
    memset(outputs, 0, sizeof outputs);
    const forq_job job = {.fn = square, .inputs = inputs, .input_size = sizeof(long), .count = 50,
                          .outputs = outputs, .output_size = sizeof(long)};
    RETURNS(forq_pool_map(pool, &job, FORQ_FOREVER), 0);
    for (long i = 0; i < 50; i++) CHECK(outputs[i] == i * i);
}

static int counted(const char *directory) {
    DIR *opened = opendir(directory);
    CHECK(opened != NULL);
    int count = 0;
    while (readdir(opened) != NULL) count++;
    closedir(opened);
    return count;
}

static int mappings(void) {
    static char text[1 << 16];
    int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC), lines = 0;
    CHECK(fd >= 0);
    for (ssize_t length; (length = read(fd, text, sizeof text)) > 0;)
        for (ssize_t i = 0; i < length; i++) lines += text[i] == '\n';
    close(fd);
    return lines;
}

/* --- arguments --- */

static void bad_options_are_refused(void) {
    forq_pool *const untouched = (forq_pool *)&shared;
    forq_pool *pool = untouched;
    RETURNS(forq_pool_new(NULL, NULL), -EINVAL);
    for (int i = 0; i < 8; i++) {
        forq_pool_options options;
        memset(&options, 0, sizeof options);
        options.reserved[i] = 1;
        RETURNS(forq_pool_new(&options, &pool), -EINVAL);
    }
    const forq_pool_options too_many = {.workers = UINT32_MAX};
    RETURNS(forq_pool_new(&too_many, &pool), -EINVAL);
    CHECK(pool == untouched);
    CHECK(has_no_child());
}

static void no_pool_is_refused(void) {
    long input = 1, output = 0;
    forq_job job = {.fn = square, .inputs = &input, .input_size = sizeof input, .count = 1,
                    .outputs = &output, .output_size = sizeof output};
    forq_pool_statistics stats;
    forq_worker_statistics worker;
    RETURNS(forq_pool_map(NULL, &job, FORQ_FOREVER), -EINVAL);
    RETURNS(forq_pool_apply(NULL, square, &input, sizeof input, &output, sizeof output, FORQ_FOREVER), -EINVAL);
    RETURNS(forq_pool_close(NULL), -EINVAL);
    RETURNS(forq_pool_terminate(NULL), -EINVAL);
    RETURNS(forq_pool_join(NULL, FORQ_FOREVER), -EINVAL);
    RETURNS(forq_pool_stats(NULL, &stats), -EINVAL);
    RETURNS(forq_pool_worker_stats(NULL, 0, &worker), -EINVAL);
    forq_pool_free(NULL);
}

static void bad_jobs_are_refused_and_touch_nothing(void) {
    forq_pool *pool = pool_of(1);
    long inputs[2] = {3, 4}, outputs[2] = {-5, -5};
    forq_task_status statuses[2] = {{77, 77}, {77, 77}};
    const forq_job good = {.fn = square, .inputs = inputs, .input_size = sizeof(long), .count = 2,
                           .outputs = outputs, .output_size = sizeof(long), .statuses = statuses};
    forq_job job;
#define REFUSED(change, error)                                                                                         \
    do {                                                                                                               \
        job = good;                                                                                                    \
        change;                                                                                                        \
        RETURNS(forq_pool_map(pool, &job, FORQ_FOREVER), error);                                                       \
    } while (0)
    RETURNS(forq_pool_map(pool, NULL, FORQ_FOREVER), -EINVAL);
    REFUSED(job.fn = NULL, -EINVAL);
    REFUSED(job.inputs = NULL, -EINVAL);
    REFUSED(job.outputs = NULL, -EINVAL);
    REFUSED(job.context_size = 8, -EINVAL);
    REFUSED(job.count = SIZE_MAX, -EINVAL);
    REFUSED(job.count = SIZE_MAX / sizeof(long) + 2, -EINVAL);
    REFUSED(job.input_size = SIZE_MAX, -EINVAL);
    REFUSED(job.output_size = SIZE_MAX, -EINVAL);
    REFUSED(job.output_size = SIZE_MAX / 2 + 1, -EINVAL);
    REFUSED((job.count = SIZE_MAX, job.input_size = 0, job.output_size = 0), -EINVAL);
    REFUSED((job.count = SIZE_MAX / 4, job.input_size = 0, job.output_size = 0), -EINVAL);
    for (int i = 0; i < 8; i++) REFUSED(job.reserved[i] = 1, -EINVAL);
    job = good;
    RETURNS(forq_pool_map(pool, &job, -2), -EINVAL);
    RETURNS(forq_pool_map(pool, &job, INT64_MIN), -EINVAL);
    RETURNS(forq_pool_apply(pool, NULL, inputs, sizeof(long), outputs, sizeof(long), FORQ_FOREVER), -EINVAL);
    RETURNS(forq_pool_apply(pool, square, NULL, sizeof(long), outputs, sizeof(long), FORQ_FOREVER), -EINVAL);
    RETURNS(forq_pool_apply(pool, square, inputs, sizeof(long), NULL, sizeof(long), FORQ_FOREVER), -EINVAL);
    RETURNS(forq_pool_apply(pool, square, inputs, sizeof(long), outputs, sizeof(long), -2), -EINVAL);
    RETURNS(forq_pool_apply(pool, square, inputs, SIZE_MAX, outputs, sizeof(long), FORQ_FOREVER), -EINVAL);
    RETURNS(forq_pool_stats(pool, NULL), -EINVAL);
    RETURNS(forq_pool_worker_stats(pool, 0, NULL), -EINVAL);
    RETURNS(forq_pool_join(pool, FORQ_FOREVER), -EINVAL);
    RETURNS(forq_pool_join(pool, 0), -EINVAL);
    CHECK(outputs[0] == -5 && outputs[1] == -5);
    CHECK(statuses[0].kind == 77 && statuses[1].code == 77);
    check_works(pool);
    forq_pool_free(pool);
#undef REFUSED
}

static void a_job_larger_than_the_arena_does_not_fit(void) {
    const forq_pool_options options = {.workers = 2, .arena_size = 1 << 20};
    forq_pool *pool;
    RETURNS(forq_pool_new(&options, &pool), 0);
    static char inputs[4 << 20];
    forq_job job = {.fn = count_runs, .inputs = inputs, .input_size = 1 << 20, .count = 4};
    RETURNS(forq_pool_map(pool, &job, FORQ_FOREVER), -ENOMEM);
    RETURNS(forq_pool_apply(pool, count_runs, inputs, sizeof inputs, NULL, 0, FORQ_FOREVER), -ENOMEM);
    job.input_size = 1 << 16;
    fresh();
    RETURNS(forq_pool_map(pool, &job, FORQ_FOREVER), 0);
    CHECK(shared->runs[0] == 4);
    /* What was used is free again. */
    for (int i = 0; i < 50; i++) RETURNS(forq_pool_map(pool, &job, FORQ_FOREVER), 0);
    check_works(pool);
    forq_pool_free(pool);
}

static void a_function_loaded_later_is_refused(void) {
    static const char *const libraries[][2] = {
        {"libm.so.6", "cos"}, {"libresolv.so.2", "ns_get16"}, {"libm.so", "cos"}, {"libthread_db.so.1", "td_init"}};
    for (int i = 0; i < 4; i++) {
        if (dlopen(libraries[i][0], RTLD_NOW | RTLD_NOLOAD) != NULL) continue;
        forq_pool *pool = pool_of(1);
        void *library = dlopen(libraries[i][0], RTLD_NOW);
        void *symbol = library == NULL ? NULL : dlsym(library, libraries[i][1]);
        if (symbol == NULL) {
            forq_pool_free(pool);
            continue;
        }
        forq_task_fn fn;
        memcpy(&fn, &symbol, sizeof fn);
        const forq_job job = {.fn = fn, .count = 3};
        RETURNS(forq_pool_map(pool, &job, FORQ_FOREVER), -EINVAL);
        RETURNS(forq_pool_apply(pool, fn, NULL, 0, NULL, 0, FORQ_FOREVER), -EINVAL);
        check_works(pool);
        forq_pool_free(pool);
        dlclose(library);
        return;
    }
    printf("api_pool: no library found that could be loaded late\n");
}

/* --- maps that go well --- */

static void the_default_pool_has_a_worker_for_each_cpu(void) {
    forq_pool *pool;
    RETURNS(forq_pool_new(NULL, &pool), 0);
    CHECK(stats_of(pool).workers == forq_cpu_count());
    check_works(pool);
    forq_pool_free(pool);
    pool = pool_of(0);
    CHECK(stats_of(pool).workers == forq_cpu_count());
    forq_pool_free(pool);
}

static void every_chunk_size_gives_the_same(void) {
    const size_t sizes[] = {0, 1, 2, 7, MANY - 1, MANY, MANY + 1, 100 * MANY, SIZE_MAX};
    for (uint32_t workers = 1; workers <= 3; workers += 2) {
        forq_pool *pool = pool_of(workers);
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            static const unsigned char all_fine[MANY];
            long inputs[MANY], outputs[MANY];
            forq_task_status statuses[MANY];
            memset(outputs, 0xff, sizeof outputs);
            memset(statuses, 0xff, sizeof statuses);
            for (long j = 0; j < MANY; j++) inputs[j] = j;
            fresh();
            const forq_job job = {.fn = misbehave, .context = all_fine, .context_size = MANY, .inputs = inputs,
                                  .input_size = sizeof(long), .count = MANY, .outputs = outputs,
                                  .output_size = sizeof(long), .chunk_size = sizes[i], .statuses = statuses};
            RETURNS(forq_pool_map(pool, &job, FORQ_FOREVER), 0);
            for (long j = 0; j < MANY; j++) {
                CHECK(outputs[j] == j + 1 && shared->runs[j] == 1);
                CHECK(statuses[j].kind == FORQ_TASK_OK && statuses[j].code == 0);
            }
        }
        forq_pool_free(pool);
    }
}

static void empty_inputs_outputs_and_jobs_are_allowed(void) {
    forq_pool *pool = pool_of(2);
    fresh();
    forq_job job = {.fn = count_runs, .count = MANY};
    RETURNS(forq_pool_map(pool, &job, FORQ_FOREVER), 0);
    CHECK(shared->runs[0] == MANY);
    forq_task_status statuses[10];
    memset(statuses, 0xff, sizeof statuses);
    job = (forq_job){.fn = count_runs, .count = 10, .statuses = statuses};
    RETURNS(forq_pool_map(pool, &job, INT64_MAX), 0);
    for (int i = 0; i < 10; i++) CHECK(statuses[i].kind == FORQ_TASK_OK && statuses[i].code == 0);
    int output = 0;
    job = (forq_job){.fn = tell_parent, .count = 1, .outputs = &output, .output_size = sizeof output};
    RETURNS(forq_pool_map(pool, &job, FORQ_FOREVER), 0);
    CHECK(output > 0);
    long input = 0;
    job = (forq_job){.fn = count_runs, .count = 1, .inputs = &input, .input_size = sizeof input};
    RETURNS(forq_pool_map(pool, &job, FORQ_FOREVER), 0);
    CHECK(shared->runs[0] == MANY + 11);
    const int64_t limits[] = {FORQ_FOREVER, 0, 1, SECOND};
    for (int i = 0; i < 4; i++) {
        job = (forq_job){.fn = count_runs, .input_size = 8, .output_size = 8};
        RETURNS(forq_pool_map(pool, &job, limits[i]), 0);
        job.input_size = SIZE_MAX;
        job.context = &input;
        RETURNS(forq_pool_map(pool, &job, limits[i]), 0);
    }
    CHECK(shared->runs[0] == MANY + 11);
    forq_pool_free(pool);
}

struct sums {
    int factors[100];
    char text[8];
};

static int multiply(const void *input, void *output, const void *context) {
    const struct sums *sums = context;
    if (strcmp(sums->text, "context") != 0) return 1;
    long sum = 0;
    for (int i = 0; i < 100; i++) sum += sums->factors[i] * *(const short *)input;
    *(long *)output = sum;
    return 0;
}

static void the_context_is_seen_by_every_item(void) {
    forq_pool *pool = pool_of(3);
    struct sums sums = {.text = "context"};
    for (int round = 1; round < 20; round++) {
        short inputs[200];
        long outputs[200];
        for (int i = 0; i < 100; i++) sums.factors[i] = round;
        for (short i = 0; i < 200; i++) inputs[i] = i;
        const forq_job job = {.fn = multiply, .context = &sums, .context_size = sizeof sums, .inputs = inputs,
                              .input_size = sizeof(short), .count = 200, .outputs = outputs,
                              .output_size = sizeof(long)};
        RETURNS(forq_pool_map(pool, &job, FORQ_FOREVER), 0);
        for (short i = 0; i < 200; i++) CHECK(outputs[i] == 100L * round * i);
    }
    forq_pool_free(pool);
}

struct aligned {
    _Alignas(max_align_t) long value;
};

static int copy_aligned(const void *input, void *output, const void *context) {
    const size_t align = _Alignof(max_align_t);
    if ((uintptr_t)input % align != 0 || (uintptr_t)output % align != 0 || (uintptr_t)context % align != 0) return 1;
    *(struct aligned *)output = *(const struct aligned *)input;
    return 0;
}

static int reverse_three(const void *input, void *output, const void *context) {
    (void)context;
    const char *from = input;
    char *to = output;
    for (int i = 0; i < 3; i++) to[i] = from[2 - i];
    return 0;
}

static void items_may_have_any_size_and_are_aligned_as_in_an_array(void) {
    forq_pool *pool = pool_of(2);
    static struct aligned inputs[333], outputs[333], context;
    for (int i = 0; i < 333; i++) inputs[i].value = i;
    forq_job job = {.fn = copy_aligned, .context = &context, .context_size = sizeof context, .inputs = inputs,
                    .input_size = sizeof inputs[0], .count = 333, .outputs = outputs,
                    .output_size = sizeof outputs[0]};
    RETURNS(forq_pool_map(pool, &job, FORQ_FOREVER), 0);
    job.context_size = 1;
    RETURNS(forq_pool_map(pool, &job, FORQ_FOREVER), 0);
    for (int i = 0; i < 333; i++) CHECK(outputs[i].value == i);
    char text[301], reversed[301] = {0};
    for (int i = 0; i < 300; i++) text[i] = (char)('a' + i % 26);
    job = (forq_job){.fn = reverse_three, .inputs = text, .input_size = 3, .count = 100, .outputs = reversed,
                     .output_size = 3};
    RETURNS(forq_pool_map(pool, &job, FORQ_FOREVER), 0);
    for (int i = 0; i < 300; i++) CHECK(reversed[i] == text[i / 3 * 3 + 2 - i % 3]);
    CHECK(reversed[300] == 0);
    forq_pool_free(pool);
}

enum { LARGE = 8 << 20 };

static int invert(const void *input, void *output, const void *context) {
    (void)context;
    for (size_t i = 0; i < LARGE; i++) ((unsigned char *)output)[i] = (unsigned char)~((const unsigned char *)input)[i];
    return 0;
}

static void large_items_and_many_items(void) {
    forq_pool *pool = pool_of(2);
    static unsigned char inputs[2 * LARGE], outputs[2 * LARGE];
    for (size_t i = 0; i < sizeof inputs; i++) inputs[i] = (unsigned char)(i * 7 >> 3);
    forq_job job = {.fn = invert, .inputs = inputs, .input_size = LARGE, .count = 2, .outputs = outputs,
                    .output_size = LARGE};
    for (int round = 0; round < 3; round++) {
        memset(outputs, 0, sizeof outputs);
        RETURNS(forq_pool_map(pool, &job, FORQ_FOREVER), 0);
        for (size_t i = 0; i < sizeof inputs; i++) CHECK(outputs[i] == (unsigned char)~inputs[i]);
    }
    static long numbers[200000], squares[200000];
    for (long i = 0; i < 200000; i++) numbers[i] = i;
    job = (forq_job){.fn = square, .inputs = numbers, .input_size = sizeof(long), .count = 200000,
                     .outputs = squares, .output_size = sizeof(long)};
    for (job.chunk_size = 0; job.chunk_size < 2; job.chunk_size++) {
        memset(squares, 0, sizeof squares);
        RETURNS(forq_pool_map(pool, &job, FORQ_FOREVER), 0);
        for (long i = 0; i < 200000; i++) CHECK(squares[i] == i * i);
    }
    forq_pool_free(pool);
}

/* --- tasks that fail and crash --- */

static forq_task_status expected_status(int how) {
    switch (how) {
    case FAIL: return (forq_task_status){FORQ_TASK_FAILED, 7};
    case FAIL_NEGATIVE: return (forq_task_status){FORQ_TASK_FAILED, -7};
    case SEGFAULT: return (forq_task_status){FORQ_TASK_CRASHED, SIGSEGV};
    case EXIT: return (forq_task_status){FORQ_TASK_CRASHED, -3};
    case EXIT_ZERO: return (forq_task_status){FORQ_TASK_CRASHED, 0};
    case KILL: return (forq_task_status){FORQ_TASK_CRASHED, SIGKILL};
    case ABORT: return (forq_task_status){FORQ_TASK_CRASHED, SIGABRT};
    case TERM: return (forq_task_status){FORQ_TASK_CRASHED, SIGTERM};
    default: return (forq_task_status){FORQ_TASK_OK, 0};
    }
}

static void a_crash_costs_its_own_item_only(void) {
    const size_t chunk_sizes[] = {0, 1, 10, 60, SIZE_MAX};
    enum { ITEMS = 60 };
    forq_pool *pool = pool_of(2);
    uint64_t crashes = 0;
    for (int i = 0; i < 5; i++) {
        fresh();
        unsigned char how[ITEMS] = {0};
        for (int kind = FAIL; kind < STUCK; kind++) how[(kind * 17 + i) % ITEMS] = (unsigned char)kind;
        how[ITEMS - 1] = KILL;
        how[0] = EXIT;
        long inputs[ITEMS], outputs[ITEMS];
        forq_task_status statuses[ITEMS];
        memset(statuses, 0xff, sizeof statuses);
        for (long j = 0; j < ITEMS; j++) inputs[j] = j, outputs[j] = -99;
        forq_job job = {.fn = misbehave, .context = how, .context_size = sizeof how, .inputs = inputs,
                        .input_size = sizeof(long), .count = ITEMS, .outputs = outputs, .output_size = sizeof(long),
                        .chunk_size = chunk_sizes[i], .statuses = statuses};
        RETURNS(forq_pool_map(pool, &job, FORQ_FOREVER), -ECHILD);
        for (long j = 0; j < ITEMS; j++) {
            forq_task_status expected = expected_status(how[j]);
            IS(statuses[j].kind, expected.kind);
            IS(statuses[j].code, expected.code);
            /* A task that returned has written its output, whatever it returned. */
            IS(outputs[j], how[j] == FINE ? j + 1 : expected.kind == FORQ_TASK_FAILED ? -1 : -99);
            CHECK(shared->runs[j] == 1);
            crashes += expected.kind == FORQ_TASK_CRASHED;
        }
        job.statuses = NULL;
        job.outputs = outputs;
        memset(how, FINE, sizeof how);
        RETURNS(forq_pool_map(pool, &job, FORQ_FOREVER), 0);
        how[5] = FAIL;
        RETURNS(forq_pool_map(pool, &job, FORQ_FOREVER), -ECHILD);
        check_works(pool);
    }
    CHECK(stats_of(pool).crashes == crashes);
    CHECK(stats_of(pool).replaced == crashes);
    forq_pool_free(pool);
}

static int crash_at_first(const void *input, void *output, const void *context) {
    long n = *(const long *)input, crashes = *(const long *)context;
    if (++shared->runs[n] <= crashes) raise(SIGKILL);
    *(long *)output = n;
    return 0;
}

static int crash(const void *input, void *output, const void *context) {
    (void)input, (void)output, (void)context;
    return raise(SIGKILL);
}

static void items_are_tried_as_often_as_wished(void) {
    for (uint32_t attempts = 0; attempts <= 4; attempts++) {
        const forq_pool_options options = {.workers = 2, .max_attempts = attempts};
        long allowed = attempts == 0 ? 1 : attempts;
        forq_pool *pool;
        RETURNS(forq_pool_new(&options, &pool), 0);
        for (long crashes = 0; crashes <= 4; crashes++) {
            fresh();
            long inputs[5] = {0, 1, 2, 3, 4}, outputs[5] = {-1, -1, -1, -1, -1};
            forq_task_status statuses[5];
            const forq_job job = {.fn = crash_at_first, .context = &crashes, .context_size = sizeof crashes,
                                  .inputs = inputs, .input_size = sizeof(long), .count = 5, .outputs = outputs,
                                  .output_size = sizeof(long), .statuses = statuses};
            bool succeeds = crashes < allowed;
            RETURNS(forq_pool_map(pool, &job, FORQ_FOREVER), succeeds ? 0 : -ECHILD);
            for (long i = 0; i < 5; i++) {
                IS(shared->runs[i], succeeds ? crashes + 1 : allowed);
                IS(statuses[i].kind, succeeds ? FORQ_TASK_OK : FORQ_TASK_CRASHED);
                IS(statuses[i].code, succeeds ? 0 : SIGKILL);
                CHECK(outputs[i] == (succeeds ? i : -1));
            }
        }
        /* A task's own code is an answer: never tried again. */
        fresh();
        unsigned char how[1] = {FAIL};
        long input = 0, output;
        const forq_job job = {.fn = misbehave, .context = how, .context_size = 1, .inputs = &input,
                              .input_size = sizeof input, .count = 1, .outputs = &output, .output_size = sizeof output};
        RETURNS(forq_pool_map(pool, &job, FORQ_FOREVER), -ECHILD);
        IS(shared->runs[0], 1);
        forq_pool_free(pool);
    }
}

static void apply_gives_what_the_task_returned(void) {
    forq_pool *pool = pool_of(2);
    const int codes[] = {0, 1, 2, 255, 256, 4711, INT32_MAX};
    for (size_t i = 0; i < 7; i++)
        RETURNS(forq_pool_apply(pool, return_input, &codes[i], sizeof(int), NULL, 0, FORQ_FOREVER), codes[i]);
    const int negatives[] = {-1, -ETIMEDOUT, INT32_MIN};
    for (size_t i = 0; i < 3; i++)
        RETURNS(forq_pool_apply(pool, return_input, &negatives[i], sizeof(int), NULL, 0, FORQ_FOREVER), -ECHILD);
    long input = 12, output = 0;
    RETURNS(forq_pool_apply(pool, square, &input, sizeof input, &output, sizeof output, INT64_MAX), 0);
    CHECK(output == 144);
    RETURNS(forq_pool_apply(pool, halve, &input, sizeof input, &output, sizeof output, FORQ_FOREVER), 0);
    CHECK(output == 6);
    input = 13;
    RETURNS(forq_pool_apply(pool, halve, &input, sizeof input, &output, sizeof output, FORQ_FOREVER), 1);
    CHECK(output == 6);
    input = 15;
    RETURNS(forq_pool_apply(pool, halve, &input, sizeof input, &output, sizeof output, FORQ_FOREVER), 1);
    CHECK(output == 7);
    input = 12;
    fresh();
    RETURNS(forq_pool_apply(pool, count_runs, NULL, 0, NULL, 0, SECOND * 50), 0);
    CHECK(shared->runs[0] == 1);
    output = -99;
    RETURNS(forq_pool_apply(pool, crash, &input, sizeof input, &output, sizeof output, FORQ_FOREVER), -ECHILD);
    CHECK(output == -99);
    check_works(pool);
    forq_pool_free(pool);
}

static int initialize(void *argument) {
    if (argument != &shared->initialized) return 1;
    int n = shared->initialized++;
    CHECK(n < 64);
    shared->pids[n] = getpid();
    return 0;
}

static int refuse(void *answer) {
    shared->initialized++;
    if (*(int *)answer == 0) raise(SIGKILL);
    return *(int *)answer;
}

static void the_initializer_runs_once_in_each_worker(void) {
    fresh();
    const forq_pool_options options = {.workers = 5, .initializer = initialize,
                                       .initializer_argument = (void *)&shared->initialized};
    forq_pool *pool;
    RETURNS(forq_pool_new(&options, &pool), 0);
    IS(shared->initialized, 5);
    for (int i = 0; i < 5; i++) {
        forq_worker_statistics worker;
        RETURNS(forq_pool_worker_stats(pool, (uint32_t)i, &worker), 0);
        int found = 0;
        for (int j = 0; j < 5; j++) found += shared->pids[j] == worker.pid;
        CHECK(found == 1 && worker.pid != getpid());
    }
    check_works(pool);
    IS(shared->initialized, 5);
    long crashes = 1, input = 3, output;
    const forq_job job = {.fn = crash_at_first, .context = &crashes, .context_size = sizeof crashes, .inputs = &input,
                          .input_size = sizeof input, .count = 1, .outputs = &output, .output_size = sizeof output};
    RETURNS(forq_pool_map(pool, &job, FORQ_FOREVER), -ECHILD);
    /* The replacement comes by itself, while nobody is inside a call. */
    WAIT_UNTIL(shared->initialized == 6);
    check_works(pool);
    IS(shared->initialized, 6);
    forq_pool_free(pool);
}

static void a_failing_initializer_fails_the_pool(void) {
    int descriptors = counted("/proc/self/fd");
    static int answers[] = {1, -1, 0};
    for (int i = 0; i < 3; i++) {
        fresh();
        const forq_pool_options options = {.workers = 3, .initializer = refuse, .initializer_argument = &answers[i]};
        forq_pool *const untouched = (forq_pool *)&shared;
        forq_pool *pool = untouched;
        RETURNS(forq_pool_new(&options, &pool), -ECHILD);
        CHECK(pool == untouched && shared->initialized > 0);
        CHECK(has_no_child());
    }
    CHECK(counted("/proc/self/fd") == descriptors);
}

/* --- time --- */

static void a_map_out_of_time_gives_the_buffers_back(void) {
    forq_pool *pool = pool_of(2);
    const int64_t limits[] = {1, MILLISECOND, 150 * MILLISECOND, 0};
    for (int i = 0; i < 4; i++) {
        enum { ITEMS = 40 };
        fresh();
        unsigned char how[ITEMS] = {0};
        for (int j = 5; j < ITEMS; j += 6) how[j] = STUCK;
        long inputs[ITEMS], outputs[ITEMS], kept[ITEMS];
        forq_task_status statuses[ITEMS];
        memset(statuses, 0xff, sizeof statuses);
        for (long j = 0; j < ITEMS; j++) inputs[j] = j, outputs[j] = -99;
        const forq_job job = {.fn = misbehave, .context = how, .context_size = sizeof how, .inputs = inputs,
                              .input_size = sizeof(long), .count = ITEMS, .outputs = outputs,
                              .output_size = sizeof(long), .chunk_size = 4, .statuses = statuses};
        int64_t start = now_ns();
        RETURNS(forq_pool_map(pool, &job, limits[i]), limits[i] == 0 ? -EAGAIN : -ETIMEDOUT);
        CHECK(now_ns() - start >= limits[i]);
        for (long j = 0; j < ITEMS; j++) {
            CHECK(statuses[j].kind == FORQ_TASK_OK || statuses[j].kind == FORQ_TASK_CANCELLED);
            CHECK(statuses[j].code == 0);
            CHECK(outputs[j] == (statuses[j].kind == FORQ_TASK_OK ? j + 1 : -99));
            CHECK(how[j] == FINE || statuses[j].kind == FORQ_TASK_CANCELLED);
            CHECK(shared->runs[j] <= 1);
        }
        /* Ours again: what we write stays. */
        for (long j = 0; j < ITEMS; j++) outputs[j] = kept[j] = j * 3;
        memset(inputs, 0, sizeof inputs);
        pause_ns(20 * MILLISECOND);
        CHECK(memcmp(outputs, kept, sizeof kept) == 0);
        check_works(pool);
    }
    long input = 0;
    RETURNS(forq_pool_apply(pool, sleep_for_ever, &input, sizeof input, NULL, 0, 60 * MILLISECOND), -ETIMEDOUT);
    RETURNS(forq_pool_apply(pool, sleep_for_ever, &input, sizeof input, NULL, 0, 0), -EAGAIN);
    check_works(pool);
    forq_pool_free(pool);
}

/* --- the end --- */

static void after_close_there_is_no_new_work(void) {
    forq_pool *pool = pool_of(2);
    check_works(pool);
    RETURNS(forq_pool_join(pool, 0), -EINVAL);
    RETURNS(forq_pool_close(pool), 0);
    long input = 2, output = -99;
    const forq_job job = {.fn = square, .inputs = &input, .input_size = sizeof input, .count = 1,
                          .outputs = &output, .output_size = sizeof output};
    RETURNS(forq_pool_map(pool, &job, FORQ_FOREVER), -ESHUTDOWN);
    RETURNS(forq_pool_map(pool, &job, 0), -ESHUTDOWN);
    RETURNS(forq_pool_apply(pool, square, &input, sizeof input, &output, sizeof output, FORQ_FOREVER), -ESHUTDOWN);
    CHECK(output == -99);
    RETURNS(forq_pool_close(pool), 0);
    RETURNS(forq_pool_join(pool, -2), -EINVAL);
    RETURNS(forq_pool_join(pool, FORQ_FOREVER), 0);
    RETURNS(forq_pool_join(pool, 0), 0);
    RETURNS(forq_pool_map(pool, &job, FORQ_FOREVER), -ESHUTDOWN);
    IS(stats_of(pool).items, 50);
    RETURNS(forq_pool_terminate(pool), 0);
    RETURNS(forq_pool_join(pool, INT64_MAX), 0);
    forq_pool_free(pool);
    CHECK(has_no_child());
}

/* A map that gets stuck, in a thread of its own. */
struct stuck {
    forq_pool *pool;
    size_t count;
    int result;
    forq_task_status statuses[20];
};

static void *map_stuck(void *argument) {
    struct stuck *stuck = argument;
    const forq_job job = {.fn = sleep_for_ever, .count = stuck->count, .chunk_size = 1, .statuses = stuck->statuses};
    stuck->result = forq_pool_map(stuck->pool, &job, FORQ_FOREVER);
    return NULL;
}

static pthread_t start_stuck(struct stuck *stuck, forq_pool *pool) {
    *stuck = (struct stuck){.pool = pool, .count = 20};
    memset(stuck->statuses, 0xff, sizeof stuck->statuses);
    fresh();
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, map_stuck, stuck) == 0);
    WAIT_UNTIL(shared->started >= 2);
    return thread;
}

static void terminate_cancels_what_is_pending(void) {
    struct stuck stuck;
    forq_pool *pool = pool_of(2);
    pthread_t thread = start_stuck(&stuck, pool);
    RETURNS(forq_pool_terminate(pool), 0);
    CHECK(pthread_join(thread, NULL) == 0);
    RETURNS(forq_pool_join(pool, FORQ_FOREVER), 0);
    CHECK(stuck.result == -ECHILD);
    for (int i = 0; i < 20; i++) {
        IS(stuck.statuses[i].kind, FORQ_TASK_CANCELLED);
        IS(stuck.statuses[i].code, 0);
    }
    const forq_job job = {.fn = count_runs, .count = 1};
    RETURNS(forq_pool_map(pool, &job, FORQ_FOREVER), -ESHUTDOWN);
    forq_pool_free(pool);
    CHECK(has_no_child());
}

static int ignore_terminate(const void *input, void *output, const void *context) {
    signal(SIGTERM, SIG_IGN);
    return sleep_for_ever(input, output, context);
}

static void a_worker_that_ignores_sigterm_is_killed(void) {
    forq_pool *pool = pool_of(1);
    fresh();
    RETURNS(forq_pool_apply(pool, ignore_terminate, NULL, 0, NULL, 0, 50 * MILLISECOND), -ETIMEDOUT);
    forq_pool_free(pool);
    CHECK(has_no_child());
}

static void close_lets_pending_work_end(void) {
    struct stuck stuck;
    forq_pool *pool = pool_of(2);
    pthread_t thread = start_stuck(&stuck, pool);
    RETURNS(forq_pool_close(pool), 0);
    RETURNS(forq_pool_join(pool, 0), -EAGAIN);
    int64_t start = now_ns();
    RETURNS(forq_pool_join(pool, 100 * MILLISECOND), -ETIMEDOUT);
    CHECK(now_ns() - start >= 100 * MILLISECOND);
    RETURNS(forq_pool_terminate(pool), 0);
    RETURNS(forq_pool_join(pool, FORQ_FOREVER), 0);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(stuck.result == -ECHILD);
    forq_pool_free(pool);
}

static void free_sends_waiters_home_first(void) {
    struct stuck stuck;
    forq_pool *pool = pool_of(2);
    pthread_t thread = start_stuck(&stuck, pool);
    forq_pool_free(pool);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(stuck.result == -ECHILD);
    CHECK(has_no_child());
}

static void a_hundred_pools_leave_nothing(void) {
    forq_pool_free(pool_of(1));
    int descriptors = counted("/proc/self/fd"), threads = counted("/proc/self/task"), maps = mappings();
    for (uint32_t i = 0; i < FEWER(100U); i++) {
        forq_pool *pool = pool_of(1 + i % 3);
        if (i % 2 == 0) check_works(pool);
        if (i % 5 == 0) RETURNS(forq_pool_close(pool), 0);
        if (i % 10 == 0) RETURNS(forq_pool_join(pool, FORQ_FOREVER), 0);
        forq_pool_free(pool);
        CHECK(has_no_child());
    }
    CHECK(counted("/proc/self/fd") == descriptors);
    CHECK(counted("/proc/self/task") == threads);
    IS(mappings(), maps);
}

static int own_a_pool(void *unused) {
    (void)unused;
    forq_pool *pool = pool_of(3);
    for (uint32_t i = 0; i < 3; i++) {
        forq_worker_statistics worker;
        RETURNS(forq_pool_worker_stats(pool, i, &worker), 0);
        shared->pids[i] = worker.pid;
    }
    const forq_job job = {.fn = sleep_for_ever, .count = 2, .chunk_size = 1};
    forq_pool_map(pool, &job, FORQ_FOREVER);
    return 1;
}

/* Orphans become ours: this program is their subreaper. */
static void workers_end_with_their_host(void) {
    fresh();
    pid_t host = in_child(own_a_pool, NULL);
    WAIT_UNTIL(shared->started == 2);
    IS(killed(host), -SIGKILL);
    for (int i = 0; i < 3; i++) WAIT_UNTIL(kill(shared->pids[i], 0) != 0 || waitpid(-1, NULL, __WALL | WNOHANG) > 0);
    while (waitpid(-1, NULL, __WALL) > 0) {
    }
    CHECK(has_no_child());
    for (int i = 0; i < 3; i++) CHECK(kill(shared->pids[i], 0) != 0);
}

static pid_t supervisor_of(forq_pool *pool) {
    int pid = 0;
    RETURNS(forq_pool_apply(pool, tell_parent, NULL, 0, &pid, sizeof pid, FORQ_FOREVER), 0);
    CHECK(pid > 1);
    return pid;
}

static void without_its_supervisor_a_pool_is_broken(void) {
    struct stuck stuck;
    forq_pool *pool = pool_of(2);
    pid_t supervisor = supervisor_of(pool);
    CHECK(supervisor != getpid());
    pthread_t thread = start_stuck(&stuck, pool);
    CHECK(kill(supervisor, SIGKILL) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(stuck.result == -ECHILD);
    for (int i = 0; i < 20; i++) IS(stuck.statuses[i].kind, FORQ_TASK_CRASHED);
    const forq_job job = {.fn = count_runs, .count = 1};
    RETURNS(forq_pool_map(pool, &job, FORQ_FOREVER), -ECHILD);
    RETURNS(forq_pool_apply(pool, count_runs, NULL, 0, NULL, 0, FORQ_FOREVER), -ECHILD);
    forq_pool_free(pool);
    while (waitpid(-1, NULL, __WALL) > 0) {
    }
}

static void an_idle_worker_that_is_killed_is_replaced(void) {
    forq_pool *pool = pool_of(2);
    for (uint32_t i = 0; i < 6; i++) {
        forq_worker_statistics worker, next;
        RETURNS(forq_pool_worker_stats(pool, i % 2, &worker), 0);
        CHECK(kill(worker.pid, SIGKILL) == 0);
        do {
            RETURNS(forq_pool_worker_stats(pool, i % 2, &next), 0);
            pause_ns(MILLISECOND);
        } while (next.pid == 0 || next.pid == worker.pid);
        check_works(pool);
    }
    CHECK(stats_of(pool).replaced == 6);
    CHECK(stats_of(pool).crashes == 0);
    forq_pool_free(pool);
}

static _Atomic int interrupts;

static void note_interrupt(int signal) {
    (void)signal;
    interrupts++;
}

static void an_interrupt_of_the_group_is_ignored_or_ends_the_pool(void) {
    struct sigaction action = {.sa_handler = note_interrupt, .sa_flags = SA_RESTART}, before, after;
    CHECK(sigaction(SIGINT, &action, &before) == 0);
    const forq_pool_options options = {.workers = 2, .ignore_interrupt = true};
    forq_pool *pool;
    RETURNS(forq_pool_new(&options, &pool), 0);
    interrupts = 0;
    CHECK(kill(0, SIGINT) == 0);
    WAIT_UNTIL(interrupts == 1);
    pause_ns(20 * MILLISECOND);
    check_works(pool);
    CHECK(stats_of(pool).replaced == 0);
    forq_pool_free(pool);

    struct stuck stuck;
    pool = pool_of(2);
    pthread_t thread = start_stuck(&stuck, pool);
    CHECK(kill(0, SIGINT) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    WAIT_UNTIL(interrupts == 2);
    CHECK(stuck.result == -ECHILD);
    const forq_job job = {.fn = count_runs, .count = 1};
    RETURNS(forq_pool_map(pool, &job, FORQ_FOREVER), -ECHILD);
    forq_pool_free(pool);
    CHECK(sigaction(SIGINT, &before, &after) == 0);
    CHECK(after.sa_handler == note_interrupt);
    CHECK(has_no_child());
}

/* --- statistics --- */

static void statistics_add_up(void) {
    forq_pool *pool = pool_of(3);
    CHECK(stats_of(pool).items == 0);
    int64_t start = now_ns();
    enum { ITEMS = 30 };
    int pids[ITEMS];
    const forq_job job = {.fn = tell_myself, .count = ITEMS, .outputs = pids, .output_size = sizeof(int),
                          .chunk_size = 1};
    RETURNS(forq_pool_map(pool, &job, FORQ_FOREVER), 0);
    WAIT_UNTIL(stats_of(pool).items == ITEMS);
    int64_t ran = now_ns() - start;
    forq_pool_statistics stats = stats_of(pool);
    CHECK(stats.workers == 3 && stats.crashes == 0 && stats.replaced == 0);
    CHECK(stats.wall_ns >= (uint64_t)ran);
    CHECK(stats.busy_ns >= ITEMS * (uint64_t)MILLISECOND);
    CHECK(stats.busy_ns <= 3 * stats_of(pool).wall_ns);
    uint64_t items = 0, busy = 0;
    int workers[3];
    for (uint32_t i = 0; i < 3; i++) {
        forq_worker_statistics worker;
        memset(&worker, 0xff, sizeof worker);
        RETURNS(forq_pool_worker_stats(pool, i, &worker), 0);
        for (int j = 0; j < 8; j++) CHECK(worker.reserved[j] == 0);
        CHECK(worker.pid > 0 && worker.crashes == 0);
        CHECK(kill(worker.pid, 0) == 0);
        CHECK(worker.busy_ns + worker.idle_ns <= stats_of(pool).wall_ns);
        items += worker.items;
        busy += worker.busy_ns;
        workers[i] = worker.pid;
    }
    CHECK(items == ITEMS && busy == stats.busy_ns);
    CHECK(workers[0] != workers[1] && workers[1] != workers[2] && workers[0] != workers[2]);
    for (int i = 0; i < ITEMS; i++) CHECK(pids[i] == workers[0] || pids[i] == workers[1] || pids[i] == workers[2]);
    forq_worker_statistics untouched;
    memset(&untouched, 0x5a, sizeof untouched);
    forq_worker_statistics worker = untouched;
    RETURNS(forq_pool_worker_stats(pool, 3, &worker), -ERANGE);
    RETURNS(forq_pool_worker_stats(pool, UINT32_MAX, &worker), -ERANGE);
    CHECK(memcmp(&worker, &untouched, sizeof worker) == 0);
    forq_pool_free(pool);
}

/* --- other processes, threads, hosts --- */

static int try_the_parent_s(void *argument) {
    forq_pool *pool = argument;
    long input = 2, output = -99;
    const forq_job job = {.fn = square, .inputs = &input, .input_size = sizeof input, .count = 1,
                          .outputs = &output, .output_size = sizeof output};
    forq_pool_statistics stats;
    forq_worker_statistics worker;
    RETURNS(forq_pool_map(pool, &job, FORQ_FOREVER), -EPERM);
    RETURNS(forq_pool_map(pool, &job, 0), -EPERM);
    RETURNS(forq_pool_apply(pool, square, &input, sizeof input, &output, sizeof output, FORQ_FOREVER), -EPERM);
    RETURNS(forq_pool_close(pool), -EPERM);
    RETURNS(forq_pool_terminate(pool), -EPERM);
    RETURNS(forq_pool_join(pool, FORQ_FOREVER), -EPERM);
    RETURNS(forq_pool_stats(pool, &stats), -EPERM);
    RETURNS(forq_pool_worker_stats(pool, 0, &worker), -EPERM);
    CHECK(output == -99);
    int maps = mappings();
    forq_pool_free(pool);
    CHECK(mappings() < maps);
    /* A pool of its own it may have. */
    pool = pool_of(2);
    check_works(pool);
    forq_pool_free(pool);
    CHECK(has_no_child());
    return 0;
}

static void a_forked_child_has_no_use_of_the_pool(void) {
    forq_pool *pool = pool_of(2);
    IS(ended_with(in_child(try_the_parent_s, pool)), 0);
    check_works(pool);
    forq_process child;
    int code = -1;
    RETURNS(forq_process_spawn(&child, try_the_parent_s, pool, NULL), 0);
    RETURNS(forq_process_join(&child, &code, FORQ_FOREVER), 0);
    RETURNS(forq_process_close(&child), 0);
    CHECK(code == 0);
    check_works(pool);
    forq_pool_free(pool);
}

static forq_pool *common;

static void *use_the_common_pool(void *number) {
    uint64_t n = *(const uint64_t *)number;
    for (int round = 0; round < 40; round++) {
        if (n % 3 == 0) {
            unsigned char how[6] = {0};
            how[round % 6] = KILL;
            long inputs[6] = {0, 1, 2, 3, 4, 5}, outputs[6];
            forq_task_status statuses[6];
            const forq_job job = {.fn = misbehave, .context = how, .context_size = 6, .inputs = inputs,
                                  .input_size = sizeof(long), .count = 6, .outputs = outputs,
                                  .output_size = sizeof(long), .statuses = statuses};
            RETURNS(forq_pool_map(common, &job, FORQ_FOREVER), -ECHILD);
            for (long i = 0; i < 6; i++) {
                IS(statuses[i].kind, i == round % 6 ? FORQ_TASK_CRASHED : FORQ_TASK_OK);
                CHECK(i == round % 6 || outputs[i] == i + 1);
            }
        } else {
            check_works(common);
            long input = (long)n + round, output = 0;
            RETURNS(forq_pool_apply(common, square, &input, sizeof input, &output, sizeof output, INT64_MAX), 0);
            CHECK(output == input * input);
        }
    }
    return NULL;
}

static void threads_may_use_one_pool_at_the_same_time(void) {
    common = pool_of(3);
    pthread_t threads[6];
    static uint64_t numbers[6] = {0, 1, 2, 3, 4, 5};
    for (int i = 0; i < 6; i++) CHECK(pthread_create(&threads[i], NULL, use_the_common_pool, &numbers[i]) == 0);
    for (int i = 0; i < 6; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(stats_of(common).crashes == 2 * 40);
    forq_pool_free(common);
}

static void *apply_once(void *number) {
    long input = *(const long *)number, output = -1;
    RETURNS(forq_pool_apply(common, sleep_a_little, &input, sizeof input, &output, sizeof output, FORQ_FOREVER), 0);
    CHECK(output == input);
    return NULL;
}

static void a_hundred_jobs_may_be_under_way(void) {
    common = pool_of(4);
    pthread_t threads[100];
    static long numbers[100];
    for (int i = 0; i < 100; i++) {
        numbers[i] = i;
        CHECK(pthread_create(&threads[i], NULL, apply_once, &numbers[i]) == 0);
    }
    for (int i = 0; i < 100; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    forq_pool_free(common);
}

static void *make_and_use_a_pool(void *unused) {
    (void)unused;
    for (int i = 0; i < 5; i++) {
        forq_pool *pool = pool_of(2);
        check_works(pool);
        forq_pool_free(pool);
    }
    return NULL;
}

static void threads_may_have_pools_of_their_own(void) {
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) CHECK(pthread_create(&threads[i], NULL, make_and_use_a_pool, NULL) == 0);
    for (int i = 0; i < 4; i++) CHECK(pthread_join(threads[i], NULL) == 0);
}

static _Atomic int children_reported;

static void note_child(int signal) {
    (void)signal;
    children_reported++;
}

static void crash_some(forq_pool *pool) {
    fresh();
    unsigned char how[6] = {KILL, FINE, EXIT, FINE, SEGFAULT, FINE};
    long inputs[6] = {0, 1, 2, 3, 4, 5}, outputs[6];
    forq_task_status statuses[6];
    const forq_job job = {.fn = misbehave, .context = how, .context_size = 6, .inputs = inputs,
                          .input_size = sizeof(long), .count = 6, .outputs = outputs, .output_size = sizeof(long),
                          .statuses = statuses};
    RETURNS(forq_pool_map(pool, &job, FORQ_FOREVER), -ECHILD);
    for (int i = 0; i < 6; i++) {
        IS(statuses[i].kind, expected_status(how[i]).kind);
        IS(statuses[i].code, expected_status(how[i]).code);
    }
}

static int exit_with_five(void *unused) {
    (void)unused;
    return 5;
}

static void the_host_s_own_children_and_handlers_are_its_own(void) {
    struct sigaction action = {.sa_handler = note_child, .sa_flags = SA_RESTART}, before, after;
    CHECK(sigaction(SIGCHLD, &action, &before) == 0);
    sigset_t mask_before, mask_after;
    CHECK(pthread_sigmask(SIG_SETMASK, NULL, &mask_before) == 0);
    children_reported = 0;
    forq_pool *pool = pool_of(2);
    crash_some(pool);
    /* The pool is no child that the host's own waiting sees. */
    CHECK(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
    pid_t own = in_child(exit_with_five, NULL);
    WAIT_UNTIL(children_reported == 1);
    check_works(pool);
    forq_pool_free(pool);
    IS(ended_with(own), 5);
    CHECK(children_reported == 1);
    CHECK(sigaction(SIGCHLD, &before, &after) == 0);
    CHECK(after.sa_handler == note_child);
    CHECK(pthread_sigmask(SIG_SETMASK, NULL, &mask_after) == 0);
    for (int i = 1; i < 65; i++) CHECK(sigismember(&mask_before, i) == sigismember(&mask_after, i));
}

static _Atomic bool stop_reaping;

static void *reap_everything(void *unused) {
    (void)unused;
    while (!stop_reaping) {
        waitpid(-1, NULL, 0);
        sched_yield();
    }
    return NULL;
}

static void a_host_that_reaps_everything_disturbs_nothing(void) {
    pthread_t thread;
    forq_pool *early = pool_of(2);
    CHECK(pthread_create(&thread, NULL, reap_everything, NULL) == 0);
    for (int i = 0; i < 5; i++) {
        crash_some(early);
        forq_pool *pool = pool_of(2);
        crash_some(pool);
        check_works(pool);
        forq_pool_free(pool);
    }
    RETURNS(forq_pool_close(early), 0);
    RETURNS(forq_pool_join(early, FORQ_FOREVER), 0);
    forq_pool_free(early);
    stop_reaping = true;
    CHECK(pthread_join(thread, NULL) == 0);
    signal(SIGCHLD, SIG_IGN);
    forq_pool *pool = pool_of(2);
    crash_some(pool);
    check_works(pool);
    forq_pool_free(pool);
    signal(SIGCHLD, SIG_DFL);
    CHECK(has_no_child());
}

int main(void) {
    begin();
    shared = shared_memory(sizeof *shared);
    RUN(bad_options_are_refused);
    RUN(no_pool_is_refused);
    RUN(bad_jobs_are_refused_and_touch_nothing);
    RUN(a_job_larger_than_the_arena_does_not_fit);
    RUN(a_function_loaded_later_is_refused);
    RUN(the_default_pool_has_a_worker_for_each_cpu);
    RUN(every_chunk_size_gives_the_same);
    RUN(empty_inputs_outputs_and_jobs_are_allowed);
    RUN(the_context_is_seen_by_every_item);
    RUN(items_may_have_any_size_and_are_aligned_as_in_an_array);
    RUN(large_items_and_many_items);
    RUN(a_crash_costs_its_own_item_only);
    RUN(items_are_tried_as_often_as_wished);
    RUN(apply_gives_what_the_task_returned);
    RUN(the_initializer_runs_once_in_each_worker);
    RUN(a_failing_initializer_fails_the_pool);
    RUN(a_map_out_of_time_gives_the_buffers_back);
    RUN(after_close_there_is_no_new_work);
    RUN(terminate_cancels_what_is_pending);
    RUN(a_worker_that_ignores_sigterm_is_killed);
    RUN(close_lets_pending_work_end);
    RUN(free_sends_waiters_home_first);
    RUN(a_hundred_pools_leave_nothing);
    RUN(workers_end_with_their_host);
    RUN(without_its_supervisor_a_pool_is_broken);
    RUN(an_idle_worker_that_is_killed_is_replaced);
    RUN(an_interrupt_of_the_group_is_ignored_or_ends_the_pool);
    RUN(statistics_add_up);
    RUN(a_forked_child_has_no_use_of_the_pool);
    RUN(threads_may_use_one_pool_at_the_same_time);
    RUN(a_hundred_jobs_may_be_under_way);
    RUN_NATIVELY(threads_may_have_pools_of_their_own);
    RUN_NATIVELY(the_host_s_own_children_and_handlers_are_its_own);
    RUN(a_host_that_reaps_everything_disturbs_nothing);
    return finish();
}
