/* forq_semaphore: what the header promises, row by row. */
#define _GNU_SOURCE
#include "check.h"

/* Sleepers look by themselves after 250 ms; the fastest of those that must be woken must be faster. */
static int64_t fastest_wake = INT64_MAX;

static void note_wake(int64_t start) {
    int64_t taken = now_ns() - start;
    if (taken < fastest_wake) fastest_wake = taken;
}

_Static_assert(sizeof(forq_semaphore) == 64, "frozen");
_Static_assert(_Alignof(forq_semaphore) == 64, "frozen");

static struct {
    forq_semaphore s, other;
    _Atomic int came, went;
    _Atomic long released, acquired;
} *shared;

static void fresh(void) {
    if (shared != NULL) RETURNS(forq_shared_free(shared, sizeof *shared), 0);
    shared = shared_memory(sizeof *shared);
}

static int take_one(void *unused) {
    (void)unused;
    shared->came++;
    RETURNS(forq_semaphore_acquire(&shared->s, FORQ_FOREVER), 0);
    shared->went++;
    return 0;
}

static pid_t sleeper(void) {
    pid_t pid = in_child(take_one, NULL);
    WAIT_UNTIL(is_asleep(pid));
    return pid;
}

static void check_bad_place(forq_semaphore *bad) {
    RETURNS(forq_semaphore_init(bad, 1, 1), -EINVAL);
    RETURNS(forq_semaphore_acquire(bad, 0), -EINVAL);
    RETURNS(forq_semaphore_acquire(bad, 1), -EINVAL);
    RETURNS(forq_semaphore_acquire(bad, FORQ_FOREVER), -EINVAL);
    RETURNS(forq_semaphore_release(bad, 1), -EINVAL);
    RETURNS(forq_semaphore_value(bad), -EINVAL);
}

static void bad_arguments_are_refused_and_change_nothing(void) {
    fresh();
    check_bad_place(NULL);
    char *place = (char *)&shared->s;
    check_bad_place((void *)(place + 1));
    check_bad_place((void *)(place + 8));
    check_bad_place((void *)(place + 32));
    RETURNS(forq_semaphore_init(&shared->s, 2, 1), -EINVAL);
    RETURNS(forq_semaphore_init(&shared->s, UINT32_C(1) << 31, 0), -EINVAL);
    RETURNS(forq_semaphore_init(&shared->s, 0, UINT32_C(1) << 31), -EINVAL);
    RETURNS(forq_semaphore_init(&shared->s, UINT32_MAX, UINT32_MAX), -EINVAL);
    RETURNS(forq_semaphore_acquire(&shared->s, -2), -EINVAL);
    RETURNS(forq_semaphore_acquire(&shared->s, -SECOND), -EINVAL);
    RETURNS(forq_semaphore_acquire(&shared->s, INT64_MIN), -EINVAL);
    static const forq_semaphore zero;
    CHECK(memcmp(&shared->s, &zero, sizeof zero) == 0);
    /* Also where nobody would have to wait. */
    RETURNS(forq_semaphore_release(&shared->s, 1), 0);
    RETURNS(forq_semaphore_acquire(&shared->s, -2), -EINVAL);
    RETURNS(forq_semaphore_acquire(&shared->s, INT64_MIN), -EINVAL);
    RETURNS(forq_semaphore_value(&shared->s), 1);
}

static void zeroed_memory_has_no_permits_and_no_bound(void) {
    fresh();
    RETURNS(forq_semaphore_value(&shared->s), 0);
    RETURNS(forq_semaphore_acquire(&shared->s, 0), -EAGAIN);
    RETURNS(forq_semaphore_release(&shared->s, INT32_MAX), 0);
    RETURNS(forq_semaphore_release(&shared->s, 1), -EOVERFLOW);
    RETURNS(forq_semaphore_value(&shared->s), INT32_MAX);
    static forq_semaphore in_static_memory;
    RETURNS(forq_semaphore_release(&in_static_memory, 1), 0);
    RETURNS(forq_semaphore_acquire(&in_static_memory, FORQ_FOREVER), 0);
}

static void permits_are_counted_and_bounded(void) {
    fresh();
    forq_semaphore *s = &shared->s;
    RETURNS(forq_semaphore_init(s, 2, 3), 0);
    const int64_t limits[] = {0, 1, SECOND, INT64_MAX, FORQ_FOREVER};
    for (size_t i = 0; i < 5; i++) {
        RETURNS(forq_semaphore_acquire(s, limits[i]), 0);
        RETURNS(forq_semaphore_value(s), 1);
        RETURNS(forq_semaphore_release(s, 1), 0);
    }
    RETURNS(forq_semaphore_release(s, 2), -EOVERFLOW);
    RETURNS(forq_semaphore_release(s, UINT32_MAX), -EOVERFLOW);
    RETURNS(forq_semaphore_value(s), 2);
    RETURNS(forq_semaphore_release(s, 0), 0);
    RETURNS(forq_semaphore_release(s, 1), 0);
    RETURNS(forq_semaphore_release(s, 1), -EOVERFLOW);
    RETURNS(forq_semaphore_value(s), 3);
    RETURNS(forq_semaphore_init(s, 0, 0), 0);
    RETURNS(forq_semaphore_value(s), 0);
}

static void time_runs_out_and_not_too_early(void) {
    fresh();
    const int64_t limits[] = {1, 1000, MILLISECOND, 80 * MILLISECOND, 300 * MILLISECOND};
    RETURNS(forq_semaphore_acquire(&shared->s, 0), -EAGAIN);
    for (size_t i = 0; i < 5; i++) {
        int64_t start = now_ns();
        RETURNS(forq_semaphore_acquire(&shared->s, limits[i]), -ETIMEDOUT);
        CHECK(now_ns() - start >= limits[i]);
    }
    RETURNS(forq_semaphore_value(&shared->s), 0);
}

static int take_one_within_the_longest_time(void *unused) {
    (void)unused;
    RETURNS(forq_semaphore_acquire(&shared->s, INT64_MAX), 0);
    return 0;
}

static void a_release_wakes_as_many_as_it_gives(void) {
    fresh();
    pid_t pids[4];
    for (int i = 0; i < 4; i++) pids[i] = sleeper();
    RETURNS(forq_semaphore_release(&shared->s, 3), 0);
    WAIT_UNTIL(shared->went == 3);
    pause_ns(50 * MILLISECOND);
    CHECK(shared->went == 3);
    RETURNS(forq_semaphore_release(&shared->s, 1), 0);
    for (int i = 0; i < 4; i++) IS(ended_with(pids[i]), 0);
    RETURNS(forq_semaphore_value(&shared->s), 0);
    pid_t pid = in_child(take_one_within_the_longest_time, NULL);
    WAIT_UNTIL(is_asleep(pid));
    RETURNS(forq_semaphore_release(&shared->s, 1), 0);
    IS(ended_with(pid), 0);
}

static void killed_waiters_take_nothing_along(void) {
    for (int i = 0; i < 20; i++) {
        fresh();
        pid_t killed_one = sleeper(), living = sleeper();
        IS(killed(killed_one), -SIGKILL);
        int64_t start = now_ns();
        RETURNS(forq_semaphore_release(&shared->s, 1), 0);
        IS(ended_with(living), 0);
        note_wake(start);
        RETURNS(forq_semaphore_value(&shared->s), 0);
    }
}

static int take_and_die(void *unused) {
    (void)unused;
    RETURNS(forq_semaphore_acquire(&shared->s, 0), 0);
    raise(SIGKILL);
    return 0;
}

static void permits_of_the_dead_are_gone(void) {
    fresh();
    RETURNS(forq_semaphore_release(&shared->s, 1), 0);
    IS(ended_with(in_child(take_and_die, NULL)), -SIGKILL);
    RETURNS(forq_semaphore_acquire(&shared->s, 10 * MILLISECOND), -ETIMEDOUT);
    RETURNS(forq_semaphore_release(&shared->s, 1), 0);
    RETURNS(forq_semaphore_acquire(&shared->s, 0), 0);
}

enum { PRODUCERS = 3, CONSUMERS = 6, EACH = 40000 };

static int produce(void *unused) {
    (void)unused;
    for (uint32_t left = EACH; left > 0;) {
        uint32_t permits = left < 3 ? left : 1 + left % 3;
        RETURNS(forq_semaphore_release(&shared->s, permits), 0);
        shared->released += permits;
        left -= permits;
    }
    return 0;
}

static void *consume_in_thread(void *unused) {
    (void)unused;
    for (int i = 0; i < PRODUCERS * EACH / CONSUMERS / 2; i++) {
        RETURNS(forq_semaphore_acquire(&shared->s, i % 2 ? FORQ_FOREVER : INT64_MAX), 0);
        shared->acquired++;
    }
    return NULL;
}

static int consume(void *unused) {
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, consume_in_thread, unused) == 0);
    consume_in_thread(unused);
    CHECK(pthread_join(thread, NULL) == 0);
    return 0;
}

static void every_permit_is_taken_once(void) {
    fresh();
    pid_t pids[PRODUCERS + CONSUMERS];
    for (int i = 0; i < PRODUCERS + CONSUMERS; i++) pids[i] = in_child(i < PRODUCERS ? produce : consume, NULL);
    for (int i = 0; i < PRODUCERS + CONSUMERS; i++) IS(ended_with(pids[i]), 0);
    CHECK(shared->released == PRODUCERS * EACH && shared->acquired == PRODUCERS * EACH);
    RETURNS(forq_semaphore_value(&shared->s), 0);
}

static void release_in_handler(int signal) {
    (void)signal;
    RETURNS(forq_semaphore_release(&shared->s, 1), 0);
}

static void a_signal_handler_may_release(void) {
    fresh();
    struct sigaction action = {.sa_handler = release_in_handler};
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
    pid_t pid = sleeper();
    raise(SIGUSR1);
    IS(ended_with(pid), 0);
    /* Its own sleep, too. */
    pid = sleeper();
    CHECK(kill(pid, SIGUSR1) == 0);
    IS(ended_with(pid), 0);
    RETURNS(forq_semaphore_value(&shared->s), 0);
    signal(SIGUSR1, SIG_DFL);
}

static void one_semaphore_at_two_addresses(void) {
    int fd = memfd_create("forq", MFD_CLOEXEC);
    CHECK(fd >= 0 && ftruncate(fd, 4096) == 0);
    forq_semaphore *views[2];
    for (int i = 0; i < 2; i++) {
        views[i] = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        CHECK(views[i] != MAP_FAILED);
    }
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) _exit(forq_semaphore_acquire(views[0], FORQ_FOREVER) == 0 ? 0 : 1);
    WAIT_UNTIL(is_asleep(pid));
    RETURNS(forq_semaphore_release(views[1], 1), 0);
    IS(ended_with(pid), 0);
    CHECK(munmap(views[0], 4096) == 0 && munmap(views[1], 4096) == 0 && close(fd) == 0);
}

int main(void) {
    begin();
    RUN(bad_arguments_are_refused_and_change_nothing);
    RUN(zeroed_memory_has_no_permits_and_no_bound);
    RUN(permits_are_counted_and_bounded);
    RUN(time_runs_out_and_not_too_early);
    RUN(a_release_wakes_as_many_as_it_gives);
    RUN(killed_waiters_take_nothing_along);
    RUN(permits_of_the_dead_are_gone);
    RUN(every_permit_is_taken_once);
    RUN(a_signal_handler_may_release);
    RUN(one_semaphore_at_two_addresses);
    CHECK(fastest_wake < 240 * MILLISECOND);
    return finish();
}
