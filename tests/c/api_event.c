/* forq_event: what the header promises, row by row. */
#define _GNU_SOURCE
#include "check.h"

/* Sleepers look by themselves after 250 ms; the fastest of those that must be woken must be faster. */
static int64_t fastest_wake = INT64_MAX;

static void note_wake(int64_t start) {
    int64_t taken = now_ns() - start;
    if (taken < fastest_wake) fastest_wake = taken;
}

_Static_assert(sizeof(forq_event) == 64, "frozen");
_Static_assert(_Alignof(forq_event) == 64, "frozen");

static struct {
    forq_event e, other;
    _Atomic int went;
} *shared;

static void fresh(void) {
    if (shared != NULL) RETURNS(forq_shared_free(shared, sizeof *shared), 0);
    shared = shared_memory(sizeof *shared);
}

static int wait_for_it(void *timeout_ns) {
    RETURNS(forq_event_wait(&shared->e, timeout_ns != NULL ? *(int64_t *)timeout_ns : FORQ_FOREVER), 0);
    shared->went++;
    return 0;
}

static pid_t sleeper(void) {
    pid_t pid = in_child(wait_for_it, NULL);
    WAIT_UNTIL(is_asleep(pid));
    return pid;
}

static void check_bad_place(forq_event *bad) {
    RETURNS(forq_event_init(bad), -EINVAL);
    RETURNS(forq_event_set(bad), -EINVAL);
    RETURNS(forq_event_clear(bad), -EINVAL);
    RETURNS(forq_event_is_set(bad), -EINVAL);
    RETURNS(forq_event_wait(bad, 0), -EINVAL);
    RETURNS(forq_event_wait(bad, 1), -EINVAL);
    RETURNS(forq_event_wait(bad, FORQ_FOREVER), -EINVAL);
}

static void bad_arguments_are_refused_and_change_nothing(void) {
    fresh();
    check_bad_place(NULL);
    char *place = (char *)&shared->e;
    check_bad_place((void *)(place + 1));
    check_bad_place((void *)(place + 8));
    check_bad_place((void *)(place + 32));
    RETURNS(forq_event_wait(&shared->e, -2), -EINVAL);
    RETURNS(forq_event_wait(&shared->e, INT64_MIN), -EINVAL);
    static const forq_event zero;
    CHECK(memcmp(&shared->e, &zero, sizeof zero) == 0);
    RETURNS(forq_event_set(&shared->e), 0);
    RETURNS(forq_event_wait(&shared->e, -2), -EINVAL);
}

static void an_event_is_set_until_it_is_cleared(void) {
    fresh();
    forq_event *e = &shared->e;
    for (int i = 0; i < 3; i++) {
        RETURNS(forq_event_is_set(e), 0);
        RETURNS(forq_event_clear(e), 0);
        RETURNS(forq_event_wait(e, 0), -EAGAIN);
        RETURNS(forq_event_set(e), 0);
        RETURNS(forq_event_set(e), 0);
        RETURNS(forq_event_is_set(e), 1);
        const int64_t limits[] = {0, 1, SECOND, INT64_MAX, FORQ_FOREVER};
        for (size_t j = 0; j < 5; j++) RETURNS(forq_event_wait(e, limits[j]), 0);
        if (i == 1) RETURNS(forq_event_init(e), 0);
        else RETURNS(forq_event_clear(e), 0);
    }
}

static void time_runs_out_and_not_too_early(void) {
    fresh();
    const int64_t limits[] = {1, 1000, MILLISECOND, 80 * MILLISECOND, 300 * MILLISECOND};
    for (size_t i = 0; i < 5; i++) {
        int64_t start = now_ns();
        RETURNS(forq_event_wait(&shared->e, limits[i]), -ETIMEDOUT);
        CHECK(now_ns() - start >= limits[i]);
    }
}

static void set_then_clear_reaches_all_who_waited(void) {
    fresh();
    for (int i = 0; i < 20; i++) {
        pid_t pids[3] = {sleeper(), sleeper(), sleeper()};
        int64_t start = now_ns();
        RETURNS(forq_event_set(&shared->e), 0);
        RETURNS(forq_event_clear(&shared->e), 0);
        for (int j = 0; j < 3; j++) IS(ended_with(pids[j]), 0);
        note_wake(start);
        RETURNS(forq_event_is_set(&shared->e), 0);
    }
    int64_t longest = INT64_MAX;
    pid_t pid = in_child(wait_for_it, &longest);
    WAIT_UNTIL(is_asleep(pid));
    RETURNS(forq_event_set(&shared->e), 0);
    IS(ended_with(pid), 0);
}

static void killed_waiters_hold_nobody_up(void) {
    fresh();
    for (int i = 0; i < 20; i++) {
        pid_t first = sleeper(), second = sleeper(), living = sleeper();
        IS(killed(first), -SIGKILL);
        CHECK(kill(second, SIGKILL) == 0);
        int64_t start = now_ns();
        RETURNS(forq_event_set(&shared->e), 0);
        IS(ended_with(living), 0);
        note_wake(start);
        IS(ended_with(second), -SIGKILL);
        RETURNS(forq_event_clear(&shared->e), 0);
    }
}

static void set_in_handler(int signal) {
    (void)signal;
    RETURNS(forq_event_set(&shared->e), 0);
    CHECK(forq_event_is_set(&shared->e) == 1);
}

static void a_signal_handler_may_set(void) {
    fresh();
    struct sigaction action = {.sa_handler = set_in_handler};
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
    pid_t pid = sleeper();
    CHECK(kill(pid, SIGUSR1) == 0);
    IS(ended_with(pid), 0);
    RETURNS(forq_event_is_set(&shared->e), 1);
    signal(SIGUSR1, SIG_DFL);
}

static void *wait_in_thread(void *unused) {
    (void)unused;
    RETURNS(forq_event_wait(&shared->e, FORQ_FOREVER), 0);
    return NULL;
}

static void threads_wait_too(void) {
    fresh();
    pthread_t threads[3];
    for (int i = 0; i < 3; i++) CHECK(pthread_create(&threads[i], NULL, wait_in_thread, NULL) == 0);
    pause_ns(20 * MILLISECOND);
    RETURNS(forq_event_set(&shared->e), 0);
    for (int i = 0; i < 3; i++) CHECK(pthread_join(threads[i], NULL) == 0);
}

int main(void) {
    begin();
    RUN(bad_arguments_are_refused_and_change_nothing);
    RUN(an_event_is_set_until_it_is_cleared);
    RUN(time_runs_out_and_not_too_early);
    RUN(set_then_clear_reaches_all_who_waited);
    RUN(killed_waiters_hold_nobody_up);
    RUN(a_signal_handler_may_set);
    RUN(threads_wait_too);
    CHECK(fastest_wake < 240 * MILLISECOND);
    return finish();
}
