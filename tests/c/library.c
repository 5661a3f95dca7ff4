/* The library as a whole, shared memory and back-off: what the header promises, row by row. */
#define _GNU_SOURCE
#include "check.h"

#include <sched.h>

_Static_assert(sizeof(forq_backoff) == 8, "frozen");

static void the_version_is_the_header_s(void) {
    char expected[32];
    snprintf(expected, sizeof expected, "%d.%d.%d", FORQ_VERSION_MAJOR, FORQ_VERSION_MINOR, FORQ_VERSION_PATCH);
    CHECK(strcmp(forq_version(), expected) == 0);
    CHECK(forq_version() == forq_version());
}

static void every_code_has_a_text_of_its_own(void) {
    static const int codes[] = {0, EAGAIN, EBUSY, ETIMEDOUT, EOWNERDEAD, EDEADLK, EPERM, EOVERFLOW, EPIPE, ESHUTDOWN,
                                EMSGSIZE, ECHILD, ESRCH, ERANGE, ENOENT, EEXIST, EPROTO, EINVAL, ENOMEM, ENOSPC, ENOSYS,
                                EINTR};
    enum { CODES = sizeof codes / sizeof codes[0] };
    const char *texts[CODES];
    errno = 1234;
    for (int i = 0; i < CODES; i++) {
        texts[i] = forq_strerror(-codes[i]);
        CHECK(texts[i] != NULL && strlen(texts[i]) > 3);
        CHECK(forq_strerror(-codes[i]) == texts[i]);
        for (int j = 0; j < i; j++) CHECK(strcmp(texts[i], texts[j]) != 0);
    }
    const int others[] = {1, EINVAL, INT32_MAX, INT32_MIN, -9999, INT32_MIN + 1};
    for (int i = 0; i < 6; i++) {
        CHECK(forq_strerror(others[i]) != NULL && *forq_strerror(others[i]) != 0);
        for (int j = 0; j < CODES; j++) CHECK(strcmp(forq_strerror(others[i]), texts[j]) != 0);
    }
    CHECK(errno == 1234);
}

static int count_on_one(void *unused) {
    (void)unused;
    cpu_set_t set;
    CHECK(sched_getaffinity(0, sizeof set, &set) == 0);
    int kept = -1;
    for (int i = 0; i < CPU_SETSIZE; i++) {
        if (!CPU_ISSET(i, &set)) continue;
        if (kept >= 0) CPU_CLR(i, &set);
        else kept = i;
    }
    CHECK(sched_setaffinity(0, sizeof set, &set) == 0);
    RETURNS(forq_cpu_count(), 1);
    return 0;
}

static void cpus_are_those_that_this_process_may_use(void) {
    cpu_set_t set;
    CHECK(sched_getaffinity(0, sizeof set, &set) == 0);
    errno = 1234;
    unsigned count = forq_cpu_count();
    CHECK(errno == 1234);
    CHECK(count >= 1 && count <= (unsigned)CPU_COUNT(&set));
    IS(ended_with(in_child(count_on_one, NULL)), 0);
}

static void robustness_is_told(void) {
    errno = 1234;
    int robust = forq_is_robust();
    CHECK(robust == 0 || robust == 1);
    CHECK(errno == 1234);
    RETURNS(forq_is_robust(), robust);
}

/* --- interruption --- */

static _Atomic int *stage;
static _Atomic int handled;
static pthread_t target;

static void handle(int signal) {
    (void)signal;
    handled++;
}

static _Atomic bool stop_signals;

static void *signal_target(void *unused) {
    (void)unused;
    while (!stop_signals) {
        pthread_kill(target, SIGUSR1);
        pause_ns(2 * MILLISECOND);
    }
    return NULL;
}

static int wait_for_ever(void *unused) {
    (void)unused;
    while (pause() == -1) {
    }
    return 0;
}

static int hold_for_ever(void *m) {
    RETURNS(forq_mutex_lock(m), 0);
    *stage = 1;
    return wait_for_ever(NULL);
}

static int stuck_task(const void *input, void *output, const void *context) {
    (void)input, (void)output, (void)context;
    return wait_for_ever(NULL);
}

static int good_task(const void *input, void *output, const void *context) {
    (void)input, (void)output, (void)context;
    return 0;
}

static void *wait_uninterrupted(void *m) {
    RETURNS(forq_mutex_timedlock(m, 60 * MILLISECOND), -ETIMEDOUT);
    RETURNS(forq_set_interruptible(0), 0);
    return NULL;
}

static void a_thread_may_ask_to_be_interrupted(void) {
    RETURNS(forq_set_interruptible(0), 0);
    RETURNS(forq_set_interruptible(1), 0);
    RETURNS(forq_set_interruptible(-5), 1);
    RETURNS(forq_set_interruptible(1), 1);
    RETURNS(forq_set_interruptible(0), 1);
    RETURNS(forq_set_interruptible(0), 0);

    stage = shared_memory(sizeof *stage);
    forq_mutex *m = shared_memory(sizeof *m);
    const forq_pool_options options = {.workers = 1};
    forq_pool *pool;
    RETURNS(forq_pool_new(&options, &pool), 0);
    forq_process child;
    RETURNS(forq_process_spawn(&child, hold_for_ever, m, NULL), 0);
    WAIT_UNTIL(*stage == 1);
    /* With SA_RESTART, as most handlers have. */
    struct sigaction action = {.sa_handler = handle, .sa_flags = SA_RESTART};
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
    target = pthread_self();
    pthread_t signaller, other;
    CHECK(pthread_create(&signaller, NULL, signal_target, NULL) == 0);

    /* Not asked for: never told. */
    const forq_job stuck = {.fn = stuck_task, .count = 1};
    WAIT_UNTIL(handled > 0);
    handled = 0;
    RETURNS(forq_mutex_timedlock(m, 40 * MILLISECOND), -ETIMEDOUT);
    RETURNS(forq_process_join(&child, IGNORED, 40 * MILLISECOND), -ETIMEDOUT);
    do RETURNS(forq_pool_map(pool, &stuck, 40 * MILLISECOND), -ETIMEDOUT);
    while (handled == 0);

    RETURNS(forq_set_interruptible(1), 0);
    for (int i = 0; i < 5; i++) {
        RETURNS(forq_mutex_lock(m), -EINTR);
        RETURNS(forq_mutex_timedlock(m, INT64_MAX), -EINTR);
        RETURNS(forq_process_join(&child, IGNORED, FORQ_FOREVER), -EINTR);
        RETURNS(forq_pool_map(pool, &stuck, FORQ_FOREVER), -EINTR);
        RETURNS(forq_pool_apply(pool, stuck_task, NULL, 0, NULL, 0, INT64_MAX), -EINTR);
    }
    /* What does not wait is not interrupted. */
    RETURNS(forq_mutex_trylock(m), -EBUSY);
    RETURNS(forq_mutex_timedlock(m, 0), -EAGAIN);
    RETURNS(forq_process_join(&child, IGNORED, 0), -EAGAIN);
    /* It is this thread's wish, not the others'. */
    CHECK(pthread_create(&other, NULL, wait_uninterrupted, m) == 0);
    CHECK(pthread_join(other, NULL) == 0);
    RETURNS(forq_set_interruptible(0), 1);
    RETURNS(forq_mutex_timedlock(m, 40 * MILLISECOND), -ETIMEDOUT);
    stop_signals = true;
    CHECK(pthread_join(signaller, NULL) == 0);

    const forq_job good = {.fn = good_task, .count = 10};
    RETURNS(forq_pool_map(pool, &good, FORQ_FOREVER), 0);
    forq_pool_free(pool);
    RETURNS(forq_process_kill(&child), 0);
    RETURNS(forq_mutex_lock(m), -EOWNERDEAD);
    RETURNS(forq_mutex_unlock(m), 0);
    RETURNS(forq_process_join(&child, IGNORED, FORQ_FOREVER), 0);
    RETURNS(forq_process_close(&child), 0);
    RETURNS(forq_shared_free(m, sizeof *m), 0);
    RETURNS(forq_shared_free((void *)stage, sizeof *stage), 0);
}

/* --- shared memory --- */

static int write_all(void *memory) {
    size_t size = *(size_t *)memory;
    memset(memory, 0x77, size);
    return 0;
}

static bool is_mapped(void *memory) {
    unsigned char vector;
    return mincore(memory, 1, &vector) == 0;
}

static void shared_memory_is_zeroed_aligned_and_shared(void) {
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const size_t sizes[] = {1, 8, page - 1, page, page + 1, 3 * page, 1 << 20, (64 << 20) + 1};
    for (int i = 0; i < 8; i++) {
        void *memory = NULL;
        RETURNS(forq_shared_alloc(sizes[i], &memory), 0);
        CHECK(memory != NULL && (uintptr_t)memory % page == 0);
        unsigned char *bytes = memory;
        for (size_t j = 0; j < sizes[i]; j += sizes[i] > 4 * page ? 997 : 1) CHECK(bytes[j] == 0);
        CHECK(bytes[sizes[i] - 1] == 0);
        if (sizes[i] >= sizeof(size_t)) {
            *(size_t *)memory = sizes[i];
            IS(ended_with(in_child(write_all, memory)), 0);
            CHECK(bytes[0] == 0x77 && bytes[sizes[i] - 1] == 0x77);
        }
        RETURNS(forq_shared_free(memory, sizes[i]), 0);
        CHECK(!is_mapped(memory));
        CHECK(!is_mapped((void *)((uintptr_t)&bytes[sizes[i] - 1] / page * page)));
    }
}

static void impossible_sizes_and_places_are_refused(void) {
    void *const untouched = &(int){0};
    void *memory = untouched;
    RETURNS(forq_shared_alloc(8, NULL), -EINVAL);
    RETURNS(forq_shared_alloc(0, &memory), -EINVAL);
    /* More than there are addresses; in whole pages the first is even more than size_t counts. */
    RETURNS(forq_shared_alloc(SIZE_MAX, &memory), -EINVAL);
    RETURNS(forq_shared_alloc(SIZE_MAX / 2, &memory), -ENOMEM);
    RETURNS(forq_shared_alloc(POWER(60), &memory), WIDE ? -ENOMEM : -EINVAL);
    CHECK(memory == untouched);
    RETURNS(forq_shared_free(NULL, 0), 0);
    RETURNS(forq_shared_free(NULL, 4096), 0);
    RETURNS(forq_shared_alloc(4096, &memory), 0);
    RETURNS(forq_shared_free(memory, 0), -EINVAL);
    RETURNS(forq_shared_free((char *)memory + 1, 4096), -EINVAL);
    RETURNS(forq_shared_free(memory, SIZE_MAX), -EINVAL);
    CHECK(is_mapped(memory));
    RETURNS(forq_shared_free(memory, 4096), 0);
}

static void one_process_s_free_leaves_the_others_theirs(void) {
    int *memory = shared_memory(sizeof *memory);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        *memory = 5;
        RETURNS(forq_shared_free(memory, sizeof *memory), 0);
        _exit(0);
    }
    IS(ended_with(pid), 0);
    CHECK(*memory == 5);
    RETURNS(forq_shared_free(memory, sizeof *memory), 0);
}

/* --- back-off --- */

static int snoozes_until_the_verdict(forq_backoff *backoff) {
    for (int snoozes = 0;; snoozes++) {
        errno = 1234;
        int verdict = forq_backoff_snooze(backoff);
        CHECK(errno == 1234 && (verdict == 0 || verdict == 1));
        if (verdict == 0) return snoozes;
    }
}

static void back_off_ends_with_its_verdict(void) {
    RETURNS(forq_backoff_init(NULL), -EINVAL);
    RETURNS(forq_backoff_snooze(NULL), -EINVAL);
    RETURNS(forq_backoff_reset(NULL), -EINVAL);
    static forq_backoff zeroed;
    int snoozes = snoozes_until_the_verdict(&zeroed);
    CHECK(snoozes > 0);
    for (int i = 0; i < 10; i++) RETURNS(forq_backoff_snooze(&zeroed), 0);
    RETURNS(forq_backoff_reset(&zeroed), 0);
    CHECK(snoozes_until_the_verdict(&zeroed) == snoozes);
    forq_backoff other;
    memset(&other, 0xff, sizeof other);
    RETURNS(forq_backoff_init(&other), 0);
    CHECK(snoozes_until_the_verdict(&other) == snoozes);
}

int main(void) {
    begin();
    RUN(the_version_is_the_header_s);
    RUN(every_code_has_a_text_of_its_own);
    RUN(cpus_are_those_that_this_process_may_use);
    RUN(robustness_is_told);
    RUN(a_thread_may_ask_to_be_interrupted);
    RUN(shared_memory_is_zeroed_aligned_and_shared);
    RUN(impossible_sizes_and_places_are_refused);
    RUN(one_process_s_free_leaves_the_others_theirs);
    RUN(back_off_ends_with_its_verdict);
    return finish();
}
