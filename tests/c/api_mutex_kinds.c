/* forq_mutex, the kinds: recursive, released by anyone; and circles of waiters. */
#define _GNU_SOURCE
#include "check.h"

static struct {
    forq_mutex m, other, plain;
    _Atomic int stage, told;
    long count;
} *shared;

static void fresh(unsigned flags) {
    if (shared != NULL) RETURNS(forq_shared_free(shared, sizeof *shared), 0);
    shared = shared_memory(sizeof *shared);
    RETURNS(forq_mutex_init(&shared->m, flags), 0);
    RETURNS(forq_mutex_init(&shared->other, flags), 0);
}

static uint64_t acquisitions(void) {
    forq_mutex_statistics stats;
    RETURNS(forq_mutex_stats(&shared->m, &stats), 0);
    return stats.acquisitions;
}

/* What another process gets. */
static int try_it(void *unused) {
    (void)unused;
    int status = forq_mutex_trylock(&shared->m);
    if (status == 0 || status == -EOWNERDEAD) forq_mutex_unlock(&shared->m);
    return -status;
}

static int unlock_it(void *unused) {
    (void)unused;
    return -forq_mutex_unlock(&shared->m);
}

static void flags_are_checked(void) {
    fresh(0);
    RETURNS(forq_mutex_init(&shared->m, FORQ_MUTEX_RECURSIVE | FORQ_MUTEX_ANY_RELEASE), -EINVAL);
    RETURNS(forq_mutex_init(&shared->m, 4), -EINVAL);
    RETURNS(forq_mutex_init(&shared->m, UINT32_MAX), -EINVAL);
    RETURNS(forq_mutex_lock(&shared->m), 0);
    RETURNS(forq_mutex_unlock(&shared->m), 0);
}

static void a_recursive_one_counts(void) {
    fresh(FORQ_MUTEX_RECURSIVE);
    RETURNS(forq_mutex_unlock(&shared->m), -EPERM);
    RETURNS(forq_mutex_lock(&shared->m), 0);
    RETURNS(forq_mutex_trylock(&shared->m), 0);
    RETURNS(forq_mutex_timedlock(&shared->m, 0), 0);
    RETURNS(forq_mutex_timedlock(&shared->m, INT64_MAX), 0);
    RETURNS(forq_mutex_owner(&shared->m), thread_id());
    RETURNS(forq_mutex_consistent(&shared->m), -EINVAL);
    for (int left = 4; left > 0; left--) {
        IS(ended_with(in_child(try_it, NULL)), EBUSY);
        IS(ended_with(in_child(unlock_it, NULL)), EPERM);
        RETURNS(forq_mutex_destroy(&shared->m), -EBUSY);
        RETURNS(forq_mutex_unlock(&shared->m), 0);
    }
    RETURNS(forq_mutex_unlock(&shared->m), -EPERM);
    RETURNS(forq_mutex_owner(&shared->m), 0);
    IS(ended_with(in_child(try_it, NULL)), 0);
    IS(acquisitions(), 2);
    RETURNS(forq_mutex_destroy(&shared->m), 0);
}

static int die_holding_thrice(void *unused) {
    (void)unused;
    for (int i = 0; i < 3; i++) RETURNS(forq_mutex_lock(&shared->m), 0);
    raise(SIGKILL);
    return 0;
}

static void a_death_releases_a_recursive_one_whole(void) {
    fresh(FORQ_MUTEX_RECURSIVE);
    IS(ended_with(in_child(die_holding_thrice, NULL)), -SIGKILL);
    RETURNS(forq_mutex_lock(&shared->m), -EOWNERDEAD);
    RETURNS(forq_mutex_lock(&shared->m), 0);
    RETURNS(forq_mutex_unlock(&shared->m), 0);
    RETURNS(forq_mutex_consistent(&shared->m), 0);
    RETURNS(forq_mutex_unlock(&shared->m), 0);
    IS(ended_with(in_child(try_it, NULL)), 0);
}

static int hold_so_often(void *times) {
    for (int i = 0; i < *(int *)times; i++) RETURNS(forq_mutex_lock(&shared->m), 0);
    shared->stage = 1;
    WAIT_UNTIL(shared->stage == 2);
    for (int i = 0; i < *(int *)times; i++) RETURNS(forq_mutex_unlock(&shared->m), 0);
    return 0;
}

static pid_t holder(int times) {
    pid_t pid = in_child(hold_so_often, &times);
    WAIT_UNTIL(shared->stage == 1);
    return pid;
}

static void a_stopped_holder_of_a_recursive_one_is_not_dead(void) {
    fresh(FORQ_MUTEX_RECURSIVE);
    pid_t pid = holder(2);
    int status;
    CHECK(kill(pid, SIGSTOP) == 0);
    CHECK(waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status));
    RETURNS(forq_mutex_timedlock(&shared->m, 1200 * MILLISECOND), -ETIMEDOUT);
    RETURNS(forq_mutex_owner(&shared->m), pid);
    shared->stage = 2;
    CHECK(kill(pid, SIGCONT) == 0);
    RETURNS(forq_mutex_lock(&shared->m), 0);
    IS(ended_with(pid), 0);
    RETURNS(forq_mutex_unlock(&shared->m), 0);
}

/* A child of a fork holds none of it, however often its parent has locked it. */
static void a_child_of_a_fork_holds_no_kind(void) {
    fresh(FORQ_MUTEX_RECURSIVE);
    for (int i = 0; i < 2; i++) RETURNS(forq_mutex_lock(&shared->m), 0);
    IS(ended_with(in_child(unlock_it, NULL)), EPERM);
    IS(ended_with(in_child(try_it, NULL)), EBUSY);
    for (int i = 0; i < 2; i++) RETURNS(forq_mutex_unlock(&shared->m), 0);
    /* What has no owner is the child's to release, too. */
    fresh(FORQ_MUTEX_ANY_RELEASE);
    RETURNS(forq_mutex_lock(&shared->m), 0);
    IS(ended_with(in_child(unlock_it, NULL)), 0);
    RETURNS(forq_mutex_trylock(&shared->m), 0);
    RETURNS(forq_mutex_unlock(&shared->m), 0);
}

static void time_limits_hold_for_every_kind(void) {
    static const unsigned kinds[] = {0, FORQ_MUTEX_RECURSIVE, FORQ_MUTEX_ANY_RELEASE};
    for (size_t kind = 0; kind < 3; kind++) {
        fresh(kinds[kind]);
        pid_t pid = holder(kinds[kind] == FORQ_MUTEX_RECURSIVE ? 2 : 1);
        RETURNS(forq_mutex_timedlock(&shared->m, 0), -EAGAIN);
        const int64_t limits[] = {1, MILLISECOND, 20 * MILLISECOND}, wrong[] = {-2, -SECOND, INT64_MIN};
        for (size_t i = 0; i < 3; i++) {
            int64_t start = now_ns();
            RETURNS(forq_mutex_timedlock(&shared->m, limits[i]), -ETIMEDOUT);
            CHECK(now_ns() - start >= limits[i]);
            RETURNS(forq_mutex_timedlock(&shared->m, wrong[i]), -EINVAL);
        }
        shared->stage = 2;
        RETURNS(forq_mutex_timedlock(&shared->m, INT64_MAX), 0);
        for (size_t i = 0; i < 3; i++) RETURNS(forq_mutex_timedlock(&shared->m, wrong[i]), -EINVAL);
        RETURNS(forq_mutex_unlock(&shared->m), 0);
        IS(ended_with(pid), 0);
    }
}

static void anyone_releases_one_without_owner(void) {
    fresh(FORQ_MUTEX_ANY_RELEASE);
    RETURNS(forq_mutex_unlock(&shared->m), -EOVERFLOW);
    RETURNS(forq_mutex_lock(&shared->m), 0);
    RETURNS(forq_mutex_owner(&shared->m), 0);
    RETURNS(forq_mutex_destroy(&shared->m), -EBUSY);
    RETURNS(forq_mutex_trylock(&shared->m), -EBUSY);
    RETURNS(forq_mutex_timedlock(&shared->m, 0), -EAGAIN);
    int64_t before = now_ns();
    RETURNS(forq_mutex_timedlock(&shared->m, 30 * MILLISECOND), -ETIMEDOUT);
    CHECK(now_ns() - before >= 30 * MILLISECOND);
    RETURNS(forq_mutex_consistent(&shared->m), -EPERM);
    IS(ended_with(in_child(unlock_it, NULL)), 0);
    RETURNS(forq_mutex_unlock(&shared->m), -EOVERFLOW);
    RETURNS(forq_mutex_lock(&shared->m), 0);
    RETURNS(forq_mutex_unlock(&shared->m), 0);
    IS(acquisitions(), 2);
}

static int release_soon(void *unused) {
    (void)unused;
    pause_ns(50 * MILLISECOND);
    return -forq_mutex_unlock(&shared->m);
}

/* A second lock by the same thread waits for whoever releases. */
static void a_lock_is_handed_from_process_to_process(void) {
    fresh(FORQ_MUTEX_ANY_RELEASE);
    RETURNS(forq_mutex_lock(&shared->m), 0);
    pid_t pid = in_child(release_soon, NULL);
    RETURNS(forq_mutex_lock(&shared->m), 0);
    IS(ended_with(pid), 0);
    RETURNS(forq_mutex_unlock(&shared->m), 0);
}

static int die_with_it(void *unused) {
    (void)unused;
    RETURNS(forq_mutex_lock(&shared->m), 0);
    raise(SIGKILL);
    return 0;
}

static void one_without_owner_outlives_who_locked_it(void) {
    fresh(FORQ_MUTEX_ANY_RELEASE);
    IS(ended_with(in_child(die_with_it, NULL)), -SIGKILL);
    RETURNS(forq_mutex_timedlock(&shared->m, 400 * MILLISECOND), -ETIMEDOUT);
    RETURNS(forq_mutex_unlock(&shared->m), 0);
    RETURNS(forq_mutex_lock(&shared->m), 0);
    RETURNS(forq_mutex_unlock(&shared->m), 0);
    forq_mutex_statistics stats;
    RETURNS(forq_mutex_stats(&shared->m, &stats), 0);
    IS(stats.holder_deaths, 0);
}

enum { EACH = 20000, CROWD = 4 };

static int add(void *unused) {
    (void)unused;
    for (int i = 0; i < EACH; i++) {
        RETURNS(forq_mutex_lock(&shared->m), 0);
        shared->count++;
        RETURNS(forq_mutex_unlock(&shared->m), 0);
    }
    return 0;
}

static void count_exactly(unsigned flags) {
    pid_t crowd[CROWD];
    fresh(flags);
    for (int i = 0; i < CROWD; i++) crowd[i] = in_child(add, NULL);
    for (int i = 0; i < CROWD; i++) IS(ended_with(crowd[i]), 0);
    IS(shared->count, (long)EACH * CROWD);
    IS(acquisitions(), (uint64_t)EACH * CROWD);
}

static void every_kind_excludes(void) {
    count_exactly(0);
    count_exactly(FORQ_MUTEX_RECURSIVE);
    count_exactly(FORQ_MUTEX_ANY_RELEASE);
}

/* Waiters for an ownerless lock are killed; the rest go on. */
static int wait_for_it(void *unused) {
    (void)unused;
    RETURNS(forq_mutex_lock(&shared->m), 0);
    RETURNS(forq_mutex_unlock(&shared->m), 0);
    return 0;
}

static void dead_waiters_do_not_stop_the_living(void) {
    pid_t crowd[2 * CROWD];
    fresh(FORQ_MUTEX_ANY_RELEASE);
    RETURNS(forq_mutex_lock(&shared->m), 0);
    for (int i = 0; i < 2 * CROWD; i++) crowd[i] = in_child(wait_for_it, NULL);
    for (int i = 0; i < 2 * CROWD; i++) WAIT_UNTIL(is_asleep(crowd[i]));
    for (int i = 0; i < CROWD; i++) IS(killed(crowd[2 * i]), -SIGKILL);
    RETURNS(forq_mutex_unlock(&shared->m), 0);
    for (int i = 0; i < CROWD; i++) IS(ended_with(crowd[2 * i + 1]), 0);
}

static int want_the_other(void *is_first) {
    forq_mutex *own = is_first ? &shared->m : &shared->other, *wanted = is_first ? &shared->other : &shared->m;
    RETURNS(forq_mutex_lock(own), 0);
    shared->stage++;
    WAIT_UNTIL(shared->stage == 2);
    int status = forq_mutex_lock(wanted);
    if (status == -EDEADLK) shared->told++;
    else RETURNS(forq_mutex_unlock(wanted), 0);
    RETURNS(forq_mutex_unlock(own), 0);
    return status == 0 || status == -EDEADLK ? 0 : 1;
}

static void one_of_a_circle_is_told(unsigned flags) {
    fresh(flags);
    int64_t before = now_ns();
    pid_t first = in_child(want_the_other, shared), second = in_child(want_the_other, NULL);
    IS(ended_with(first), 0);
    IS(ended_with(second), 0);
    IS(shared->told, 1);
    CHECK(now_ns() - before < 20 * SECOND);
}

static void circles_are_reported(void) {
    one_of_a_circle_is_told(0);
    one_of_a_circle_is_told(FORQ_MUTEX_RECURSIVE);
}

int main(void) {
    begin();
    RUN(flags_are_checked);
    RUN(a_recursive_one_counts);
    RUN(a_death_releases_a_recursive_one_whole);
    RUN(a_stopped_holder_of_a_recursive_one_is_not_dead);
    RUN(a_child_of_a_fork_holds_no_kind);
    RUN(time_limits_hold_for_every_kind);
    RUN(anyone_releases_one_without_owner);
    RUN(a_lock_is_handed_from_process_to_process);
    RUN(one_without_owner_outlives_who_locked_it);
    RUN(every_kind_excludes);
    RUN(dead_waiters_do_not_stop_the_living);
    RUN_NATIVELY(circles_are_reported);
    return finish();
}
