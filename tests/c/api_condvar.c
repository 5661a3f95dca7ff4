/* forq_condvar: what the header promises, row by row. */
#define _GNU_SOURCE
#include "check.h"

/* Sleepers look by themselves after 250 ms; the fastest of those that must be woken must be faster. */
static int64_t fastest_wake = INT64_MAX;

_Static_assert(sizeof(forq_condvar) == 64, "frozen");
_Static_assert(_Alignof(forq_condvar) == 64, "frozen");

/* Shared memory that every test uses anew. Numbers without `_Atomic` belong to who holds the mutex. */
static struct {
    forq_mutex m, other;
    forq_condvar c, second;
    _Atomic int came, returned, told, stage;
    int value;
    int64_t put, taken, put_sum, taken_sum, ring[4];
} *shared;

static void fresh(void) {
    if (shared != NULL) RETURNS(forq_shared_free(shared, sizeof *shared), 0);
    shared = shared_memory(sizeof *shared);
}

/* Waits once, with a time limit; its exit code is the errno. */
static int wait_once(void *timeout_ns) {
    RETURNS(forq_mutex_lock(&shared->m), 0);
    shared->came++;
    int status = forq_condvar_wait(&shared->c, &shared->m, timeout_ns ? *(int64_t *)timeout_ns : FORQ_FOREVER);
    CHECK(forq_mutex_owner(&shared->m) == thread_id());
    shared->returned++;
    if (status == -EOWNERDEAD) RETURNS(forq_mutex_consistent(&shared->m), 0);
    RETURNS(forq_mutex_unlock(&shared->m), 0);
    return -status;
}

static pid_t waiter(void) {
    int before = shared->came;
    pid_t pid = in_child(wait_once, NULL);
    WAIT_UNTIL(shared->came > before);
    /* Whoever has the mutex after it finds it waiting. */
    RETURNS(forq_mutex_lock(&shared->m), 0);
    RETURNS(forq_mutex_unlock(&shared->m), 0);
    return pid;
}

/* --- arguments --- */

static void check_bad_place(forq_condvar *bad) {
    RETURNS(forq_condvar_init(bad), -EINVAL);
    RETURNS(forq_condvar_wait(bad, &shared->m, 0), -EINVAL);
    RETURNS(forq_condvar_wait(bad, &shared->m, FORQ_FOREVER), -EINVAL);
    RETURNS(forq_condvar_notify_one(bad), -EINVAL);
    RETURNS(forq_condvar_notify(bad, 1), -EINVAL);
    RETURNS(forq_condvar_notify_all(bad), -EINVAL);
    RETURNS(forq_condvar_waiters(bad), -EINVAL);
}

static void bad_arguments_are_refused_and_change_nothing(void) {
    fresh();
    RETURNS(forq_mutex_lock(&shared->m), 0);
    check_bad_place(NULL);
    char *place = (char *)&shared->c;
    check_bad_place((void *)(place + 1));
    check_bad_place((void *)(place + 8));
    check_bad_place((void *)(place + 32));
    RETURNS(forq_condvar_wait(&shared->c, NULL, 0), -EINVAL);
    RETURNS(forq_condvar_wait(&shared->c, (void *)(place + 8), 0), -EINVAL);
    static const int64_t limits[] = {-2, -SECOND, INT64_MIN};
    for (size_t i = 0; i < 3; i++) RETURNS(forq_condvar_wait(&shared->c, &shared->m, limits[i]), -EINVAL);
    RETURNS(forq_mutex_owner(&shared->m), thread_id());
    static const forq_condvar zero;
    CHECK(memcmp(&shared->c, &zero, sizeof zero) == 0);
    RETURNS(forq_mutex_unlock(&shared->m), 0);
}

static int hold_until_told(void *unused) {
    (void)unused;
    RETURNS(forq_mutex_lock(&shared->m), 0);
    shared->stage = 1;
    WAIT_UNTIL(shared->stage == 2);
    RETURNS(forq_mutex_unlock(&shared->m), 0);
    return 0;
}

static void waiting_without_the_mutex_is_refused(void) {
    fresh();
    static const int64_t limits[] = {0, 1, SECOND, INT64_MAX, FORQ_FOREVER};
    for (size_t i = 0; i < 5; i++) RETURNS(forq_condvar_wait(&shared->c, &shared->m, limits[i]), -EPERM);
    pid_t pid = in_child(hold_until_told, NULL);
    WAIT_UNTIL(shared->stage == 1);
    for (size_t i = 0; i < 5; i++) RETURNS(forq_condvar_wait(&shared->c, &shared->m, limits[i]), -EPERM);
    RETURNS(forq_mutex_owner(&shared->m), pid);
    RETURNS(forq_condvar_waiters(&shared->c), 0);
    shared->stage = 2;
    IS(ended_with(pid), 0);
}

static void a_full_count_is_refused_with_the_mutex_held(void) {
    fresh();
    /* Any bytes are a condition variable: these say that as many wait as can be counted. */
    memset(&shared->c, 0xff, sizeof shared->c);
    RETURNS(forq_mutex_lock(&shared->m), 0);
    RETURNS(forq_condvar_wait(&shared->c, &shared->m, FORQ_FOREVER), -ENOSPC);
    RETURNS(forq_mutex_owner(&shared->m), thread_id());
    CHECK(forq_condvar_waiters(&shared->c) >= 16383);
    RETURNS(forq_condvar_notify_all(&shared->c), 0);
    RETURNS(forq_condvar_waiters(&shared->c), 0);
    RETURNS(forq_condvar_wait(&shared->c, &shared->m, MILLISECOND), -ETIMEDOUT);
    RETURNS(forq_condvar_init(&shared->c), 0);
    static const forq_condvar zero;
    CHECK(memcmp(&shared->c, &zero, sizeof zero) == 0);
    RETURNS(forq_mutex_unlock(&shared->m), 0);
}

/* --- other kinds of mutexes --- */

static int wait_with_three_holds(void *unused) {
    (void)unused;
    for (int i = 0; i < 3; i++) RETURNS(forq_mutex_lock(&shared->m), 0);
    RETURNS(forq_condvar_wait(&shared->c, &shared->m, FORQ_FOREVER), 0);
    RETURNS(forq_condvar_wait(&shared->c, &shared->m, MILLISECOND), -ETIMEDOUT);
    for (int i = 0; i < 3; i++) {
        RETURNS(forq_mutex_owner(&shared->m), thread_id());
        RETURNS(forq_mutex_unlock(&shared->m), 0);
    }
    RETURNS(forq_mutex_unlock(&shared->m), -EPERM);
    return 0;
}

static void a_recursive_mutex_is_given_up_and_taken_back_whole(void) {
    fresh();
    RETURNS(forq_mutex_init(&shared->m, FORQ_MUTEX_RECURSIVE), 0);
    pid_t pid = in_child(wait_with_three_holds, NULL);
    WAIT_UNTIL(forq_condvar_waiters(&shared->c) == 1);
    RETURNS(forq_mutex_lock(&shared->m), 0);
    RETURNS(forq_condvar_notify_one(&shared->c), 0);
    RETURNS(forq_mutex_unlock(&shared->m), 0);
    IS(ended_with(pid), 0);
    RETURNS(forq_mutex_owner(&shared->m), 0);
}

static int wait_without_owner(void *unused) {
    (void)unused;
    RETURNS(forq_mutex_lock(&shared->m), 0);
    RETURNS(forq_condvar_wait(&shared->c, &shared->m, FORQ_FOREVER), 0);
    RETURNS(forq_mutex_trylock(&shared->m), -EBUSY);
    RETURNS(forq_mutex_unlock(&shared->m), 0);
    return 0;
}

static void a_mutex_without_owner_need_only_be_locked(void) {
    fresh();
    RETURNS(forq_mutex_init(&shared->m, FORQ_MUTEX_ANY_RELEASE), 0);
    RETURNS(forq_condvar_wait(&shared->c, &shared->m, FORQ_FOREVER), -EPERM);
    pid_t pid = in_child(wait_without_owner, NULL);
    WAIT_UNTIL(forq_condvar_waiters(&shared->c) == 1);
    RETURNS(forq_condvar_notify_one(&shared->c), 0);
    IS(ended_with(pid), 0);
    /* By another process, too. */
    RETURNS(forq_mutex_lock(&shared->m), 0);
    pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) _exit(-forq_condvar_wait(&shared->c, &shared->m, MILLISECOND));
    IS(ended_with(pid), ETIMEDOUT);
    RETURNS(forq_mutex_unlock(&shared->m), 0);
    RETURNS(forq_mutex_unlock(&shared->m), -EOVERFLOW);
}

/* --- circles --- */

static int hold_and_want_the_other(void *unused) {
    (void)unused;
    WAIT_UNTIL(shared->stage == 1);
    RETURNS(forq_mutex_lock(&shared->m), 0);
    RETURNS(forq_condvar_notify_one(&shared->c), 0);
    RETURNS(forq_mutex_lock(&shared->other), 0);
    RETURNS(forq_mutex_unlock(&shared->other), 0);
    RETURNS(forq_mutex_unlock(&shared->m), 0);
    return 0;
}

static int wait_in_a_circle(void *unused) {
    (void)unused;
    RETURNS(forq_mutex_lock(&shared->other), 0);
    RETURNS(forq_mutex_lock(&shared->m), 0);
    shared->stage = 1;
    RETURNS(forq_condvar_wait(&shared->c, &shared->m, FORQ_FOREVER), -EDEADLK);
    CHECK(forq_mutex_owner(&shared->m) != thread_id());
    RETURNS(forq_mutex_unlock(&shared->m), -EPERM);
    RETURNS(forq_mutex_unlock(&shared->other), 0);
    return 0;
}

static void a_wait_that_ends_in_a_circle_returns_without_the_mutex(void) {
    pid_t other, pid;
    /* Of a circle the one with the highest id is told; ids may have begun anew between the two. */
    for (;;) {
        fresh();
        other = in_child(hold_and_want_the_other, NULL);
        pid = in_child(wait_in_a_circle, NULL);
        if (pid > other) break;
        IS(killed(pid), -SIGKILL);
        IS(killed(other), -SIGKILL);
    }
    IS(ended_with(pid), 0);
    IS(ended_with(other), 0);
    RETURNS(forq_condvar_waiters(&shared->c), 0);
}

/* --- time --- */

static void a_wait_that_times_out_holds_the_mutex_and_has_used_up_nothing(void) {
    fresh();
    RETURNS(forq_mutex_lock(&shared->m), 0);
    RETURNS(forq_condvar_wait(&shared->c, &shared->m, 0), -EAGAIN);
    RETURNS(forq_mutex_owner(&shared->m), thread_id());
    static const int64_t limits[] = {1, 1000, MILLISECOND, 80 * MILLISECOND, 600 * MILLISECOND};
    for (size_t i = 0; i < 5; i++) {
        int64_t start = now_ns();
        RETURNS(forq_condvar_wait(&shared->c, &shared->m, limits[i]), -ETIMEDOUT);
        CHECK(now_ns() - start >= limits[i]);
        RETURNS(forq_mutex_owner(&shared->m), thread_id());
        RETURNS(forq_condvar_waiters(&shared->c), 0);
    }
    RETURNS(forq_mutex_unlock(&shared->m), 0);
    pid_t pid = waiter();
    RETURNS(forq_mutex_lock(&shared->m), 0);
    RETURNS(forq_condvar_wait(&shared->c, &shared->m, MILLISECOND), -ETIMEDOUT);
    RETURNS(forq_condvar_wait(&shared->c, &shared->m, 0), -EAGAIN);
    RETURNS(forq_condvar_waiters(&shared->c), 1);
    RETURNS(forq_condvar_notify_one(&shared->c), 0);
    RETURNS(forq_mutex_unlock(&shared->m), 0);
    IS(ended_with(pid), 0);
}

static void the_longest_time_limit_does_not_overflow(void) {
    fresh();
    int64_t longest = INT64_MAX;
    pid_t pid = in_child(wait_once, &longest);
    WAIT_UNTIL(forq_condvar_waiters(&shared->c) == 1);
    pause_ns(300 * MILLISECOND);
    CHECK(shared->returned == 0);
    RETURNS(forq_condvar_notify_one(&shared->c), 0);
    IS(ended_with(pid), 0);
}

static void handle(int signal) {
    (void)signal;
    shared->told++;
}

static int be_interrupted(void *unused) {
    (void)unused;
    struct sigaction action = {.sa_handler = handle};
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
    RETURNS(forq_mutex_lock(&shared->m), 0);
    shared->came = 1;
    /* On a loaded machine the first may come later. */
    do RETURNS(forq_condvar_wait(&shared->c, &shared->m, 200 * MILLISECOND), -ETIMEDOUT);
    while (shared->told == 0);
    RETURNS(forq_set_interruptible(1), 0);
    RETURNS(forq_condvar_wait(&shared->c, &shared->m, FORQ_FOREVER), -EINTR);
    RETURNS(forq_mutex_owner(&shared->m), thread_id());
    RETURNS(forq_condvar_waiters(&shared->c), 0);
    RETURNS(forq_mutex_unlock(&shared->m), 0);
    shared->stage = 1;
    return 0;
}

static void signals_end_only_the_waits_of_who_asked(void) {
    fresh();
    pid_t pid = in_child(be_interrupted, NULL);
    WAIT_UNTIL(shared->came == 1);
    while (shared->stage == 0) {
        CHECK(kill(pid, SIGUSR1) == 0);
        pause_ns(5 * MILLISECOND);
    }
    IS(ended_with(pid), 0);
}

/* --- notifies --- */

static void a_notify_reaches_as_many_as_it_says_of_those_who_wait(void) {
    static const uint32_t notifies[][3] = {{1, 1, 3}, {2, 0, 2}, {5, 1, 0}, {UINT32_MAX, 1, 0}, {0, 0, 1}};
    for (size_t row = 0; row < 5; row++) {
        fresh();
        /* Before anybody waits they are not kept. */
        RETURNS(forq_condvar_notify_one(&shared->c), 0);
        RETURNS(forq_condvar_notify(&shared->c, 3), 0);
        RETURNS(forq_condvar_notify_all(&shared->c), 0);
        pid_t pids[5];
        for (int i = 0; i < 5; i++) pids[i] = waiter();
        RETURNS(forq_condvar_waiters(&shared->c), 5);
        int expected = 0;
        for (int i = 0; i < 3; i++) {
            uint32_t n = notifies[row][i], waiting = (uint32_t)(5 - expected);
            RETURNS(forq_condvar_notify(&shared->c, n), 0);
            expected += (int)(n < waiting ? n : waiting);
            RETURNS(forq_condvar_waiters(&shared->c), 5 - expected);
            WAIT_UNTIL(shared->returned >= expected);
        }
        pause_ns(400 * MILLISECOND);
        IS(shared->returned, expected);
        RETURNS(forq_condvar_notify_all(&shared->c), 0);
        for (int i = 0; i < 5; i++) IS(ended_with(pids[i]), 0);
        RETURNS(forq_condvar_waiters(&shared->c), 0);
    }
}

static void a_late_comer_takes_nobody_s_place(void) {
    for (int round = 0; round < 20; round++) {
        fresh();
        pid_t early = waiter();
        RETURNS(forq_mutex_lock(&shared->m), 0);
        RETURNS(forq_condvar_notify_one(&shared->c), 0);
        /* We come too late: it is not ours, though the early one cannot return before we wait. */
        RETURNS(forq_condvar_wait(&shared->c, &shared->m, 30 * MILLISECOND), -ETIMEDOUT);
        RETURNS(forq_mutex_unlock(&shared->m), 0);
        IS(ended_with(early), 0);
    }
}

static void *wait_in_thread(void *unused) {
    (void)unused;
    RETURNS(wait_once(NULL), 0);
    return NULL;
}

static void threads_and_processes_share_it(void) {
    fresh();
    pthread_t threads[3];
    for (int i = 0; i < 3; i++) CHECK(pthread_create(&threads[i], NULL, wait_in_thread, NULL) == 0);
    WAIT_UNTIL(forq_condvar_waiters(&shared->c) == 3);
    pid_t pid = in_child(wait_once, NULL);
    WAIT_UNTIL(forq_condvar_waiters(&shared->c) == 4);
    RETURNS(forq_condvar_notify_all(&shared->c), 0);
    for (int i = 0; i < 3; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    IS(ended_with(pid), 0);
}

static int wait_with_the_other(void *unused) {
    (void)unused;
    RETURNS(forq_mutex_lock(&shared->other), 0);
    RETURNS(forq_condvar_wait(&shared->c, &shared->other, FORQ_FOREVER), 0);
    RETURNS(forq_mutex_unlock(&shared->other), 0);
    return 0;
}

static void waiters_of_two_mutexes_share_the_notifies(void) {
    fresh();
    pid_t one = waiter(), other = in_child(wait_with_the_other, NULL);
    WAIT_UNTIL(forq_condvar_waiters(&shared->c) == 2);
    RETURNS(forq_condvar_notify(&shared->c, 2), 0);
    IS(ended_with(one), 0);
    IS(ended_with(other), 0);
}

/* --- deaths and stops --- */

static void what_went_to_the_killed_reaches_the_living(void) {
    for (int way = 0; way < 3; way++) {
        fresh();
        pid_t dead[3], living[2];
        for (int i = 0; i < 3; i++) dead[i] = waiter();
        if (way == 2) {
            /* So that those who come now are of another generation. */
            RETURNS(forq_condvar_notify_one(&shared->c), 0);
            WAIT_UNTIL(shared->returned == 1);
        }
        for (int i = 0; i < 2; i++) living[i] = waiter();
        for (int i = 0; i < 3; i++) {
            kill(dead[i], SIGKILL);
            ended_with(dead[i]);
        }
        if (way == 0) RETURNS(forq_condvar_notify_all(&shared->c), 0);
        else for (int i = 0; i < 2; i++) RETURNS(forq_condvar_notify_one(&shared->c), 0);
        for (int i = 0; i < 2; i++) IS(ended_with(living[i]), 0);
        if (way == 0) RETURNS(forq_condvar_waiters(&shared->c), 0);
    }
}

static void killed_waiters_hold_up_no_notify_of_all(void) {
    for (int i = 0; i < 20; i++) {
        fresh();
        pid_t first = waiter(), second = waiter(), living = waiter();
        WAIT_UNTIL(is_asleep(first) && is_asleep(second) && is_asleep(living));
        IS(killed(first), -SIGKILL);
        CHECK(kill(second, SIGKILL) == 0);
        int64_t start = now_ns();
        RETURNS(forq_condvar_notify_all(&shared->c), 0);
        IS(ended_with(living), 0);
        int64_t taken = now_ns() - start;
        if (taken < fastest_wake) fastest_wake = taken;
        IS(ended_with(second), -SIGKILL);
        RETURNS(forq_condvar_waiters(&shared->c), 0);
    }
}

static int die_holding(void *notifies) {
    RETURNS(forq_mutex_lock(&shared->m), 0);
    if (notifies != NULL) RETURNS(forq_condvar_notify_one(&shared->c), 0);
    raise(SIGKILL);
    return 0;
}

static void a_holder_that_died_meanwhile_is_told_with_the_mutex_held(void) {
    for (int way = 0; way < 2; way++) {
        fresh();
        pid_t pid = waiter();
        /* Also if it did not come to notify. */
        IS(ended_with(in_child(die_holding, way == 0 ? &way : NULL)), -SIGKILL);
        IS(ended_with(pid), EOWNERDEAD);
        RETURNS(forq_mutex_lock(&shared->m), 0);
        RETURNS(forq_mutex_unlock(&shared->m), 0);
    }
}

static void a_stopped_waiter_holds_nobody_up(void) {
    fresh();
    pid_t stopped = waiter(), other = waiter();
    CHECK(kill(stopped, SIGSTOP) == 0);
    RETURNS(forq_condvar_notify_all(&shared->c), 0);
    IS(ended_with(other), 0);
    CHECK(kill(stopped, SIGCONT) == 0);
    IS(ended_with(stopped), 0);
}

/* --- a bounded buffer --- */

enum { ITEMS = 20000 };

static int produce(void *unused) {
    (void)unused;
    RETURNS(forq_mutex_lock(&shared->m), 0);
    while (shared->put < ITEMS) {
        if (shared->put - shared->taken == 4) {
            RETURNS(forq_condvar_wait(&shared->second, &shared->m, FORQ_FOREVER), 0);
            continue;
        }
        shared->ring[shared->put % 4] = shared->put * 7;
        shared->put_sum += shared->put++ * 7;
        RETURNS(forq_condvar_notify_one(&shared->c), 0);
        RETURNS(forq_mutex_unlock(&shared->m), 0);
        RETURNS(forq_mutex_lock(&shared->m), 0);
    }
    RETURNS(forq_condvar_notify_all(&shared->second), 0);
    RETURNS(forq_mutex_unlock(&shared->m), 0);
    return 0;
}

static int consume(void *unused) {
    (void)unused;
    RETURNS(forq_mutex_lock(&shared->m), 0);
    while (shared->taken < ITEMS) {
        if (shared->put == shared->taken) {
            RETURNS(forq_condvar_wait(&shared->c, &shared->m, FORQ_FOREVER), 0);
            continue;
        }
        shared->taken_sum += shared->ring[shared->taken++ % 4];
        RETURNS(forq_condvar_notify_one(&shared->second), 0);
        RETURNS(forq_mutex_unlock(&shared->m), 0);
        RETURNS(forq_mutex_lock(&shared->m), 0);
    }
    RETURNS(forq_condvar_notify_all(&shared->c), 0);
    RETURNS(forq_mutex_unlock(&shared->m), 0);
    return 0;
}

static void a_bounded_buffer_comes_out_even(void) {
    fresh();
    pid_t pids[8];
    for (int i = 0; i < 8; i++) pids[i] = in_child(i % 2 == 0 ? produce : consume, NULL);
    for (int i = 0; i < 8; i++) IS(ended_with(pids[i]), 0);
    CHECK(shared->put == ITEMS && shared->taken == ITEMS);
    CHECK(shared->put_sum == shared->taken_sum && shared->put_sum == INT64_C(7) * ITEMS * (ITEMS - 1) / 2);
    RETURNS(forq_condvar_waiters(&shared->c), 0);
    RETURNS(forq_condvar_waiters(&shared->second), 0);
}

int main(void) {
    begin();
    RUN(bad_arguments_are_refused_and_change_nothing);
    RUN(waiting_without_the_mutex_is_refused);
    RUN(a_full_count_is_refused_with_the_mutex_held);
    RUN(a_recursive_mutex_is_given_up_and_taken_back_whole);
    RUN(a_mutex_without_owner_need_only_be_locked);
    RUN_NATIVELY(a_wait_that_ends_in_a_circle_returns_without_the_mutex);
    RUN(a_wait_that_times_out_holds_the_mutex_and_has_used_up_nothing);
    RUN(the_longest_time_limit_does_not_overflow);
    RUN(signals_end_only_the_waits_of_who_asked);
    RUN(a_notify_reaches_as_many_as_it_says_of_those_who_wait);
    RUN(a_late_comer_takes_nobody_s_place);
    RUN(threads_and_processes_share_it);
    RUN(waiters_of_two_mutexes_share_the_notifies);
    RUN(what_went_to_the_killed_reaches_the_living);
    RUN(killed_waiters_hold_up_no_notify_of_all);
    RUN(a_holder_that_died_meanwhile_is_told_with_the_mutex_held);
    RUN(a_stopped_waiter_holds_nobody_up);
    RUN(a_bounded_buffer_comes_out_even);
    CHECK(fastest_wake < 240 * MILLISECOND);
    return finish();
}
