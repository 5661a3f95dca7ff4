/* forq_mutex: what the header promises, row by row. */
#define _GNU_SOURCE
#include "check.h"

_Static_assert(sizeof(forq_mutex) == 128, "frozen");
_Static_assert(_Alignof(forq_mutex) == 64, "frozen");
_Static_assert(sizeof(forq_mutex_statistics) == 6 * 8 + 64, "frozen");

static forq_mutex_statistics stats_of(const forq_mutex *m) {
    forq_mutex_statistics stats;
    memset(&stats, 0xff, sizeof stats);
    RETURNS(forq_mutex_stats(m, &stats), 0);
    for (int i = 0; i < 8; i++) CHECK(stats.reserved[i] == 0);
    return stats;
}

/* A page of shared memory that every test uses anew. */
static struct {
    forq_mutex m, other, many[100];
    _Atomic int stage, told, taken;
    long a, b;
    pthread_mutex_t robust;
    forq_mutex after;
} *shared;

static void fresh(void) {
    if (shared != NULL) RETURNS(forq_shared_free(shared, sizeof *shared), 0);
    shared = shared_memory(sizeof *shared);
}

/* A child that holds the mutex until it is killed, or, after `stage` became 2 and its parent waits, lets go. */
static int hold(void *unused) {
    (void)unused;
    RETURNS(forq_mutex_lock(&shared->m), 0);
    shared->stage = 1;
    WAIT_UNTIL(shared->stage == 2 && is_asleep(getppid()));
    pause_ns(50 * MILLISECOND);
    shared->taken = 1;
    RETURNS(forq_mutex_unlock(&shared->m), 0);
    return 0;
}

static pid_t holder(void) {
    shared->stage = 0;
    pid_t pid = in_child(hold, NULL);
    WAIT_UNTIL(shared->stage == 1);
    return pid;
}

/* --- arguments --- */

static void check_bad_place(forq_mutex *bad) {
    forq_mutex_statistics stats, before;
    memset(&stats, 0x5a, sizeof stats);
    before = stats;
    RETURNS(forq_mutex_init(bad, 0), -EINVAL);
    RETURNS(forq_mutex_lock(bad), -EINVAL);
    RETURNS(forq_mutex_trylock(bad), -EINVAL);
    RETURNS(forq_mutex_timedlock(bad, 0), -EINVAL);
    RETURNS(forq_mutex_timedlock(bad, 1), -EINVAL);
    RETURNS(forq_mutex_timedlock(bad, FORQ_FOREVER), -EINVAL);
    RETURNS(forq_mutex_unlock(bad), -EINVAL);
    RETURNS(forq_mutex_consistent(bad), -EINVAL);
    RETURNS(forq_mutex_owner(bad), -EINVAL);
    RETURNS(forq_mutex_stats(bad, &stats), -EINVAL);
    RETURNS(forq_mutex_destroy(bad), -EINVAL);
    CHECK(memcmp(&stats, &before, sizeof stats) == 0);
}

static void bad_arguments_are_refused_and_change_nothing(void) {
    fresh();
    check_bad_place(NULL);
    char *place = (char *)&shared->m;
    check_bad_place((void *)(place + 1));
    check_bad_place((void *)(place + 8));
    check_bad_place((void *)(place + 32));
    RETURNS(forq_mutex_init(&shared->m, ~0u), -EINVAL);
    RETURNS(forq_mutex_init(&shared->m, 1u << 31), -EINVAL);
    RETURNS(forq_mutex_stats(&shared->m, NULL), -EINVAL);
    RETURNS(forq_mutex_timedlock(&shared->m, -2), -EINVAL);
    RETURNS(forq_mutex_timedlock(&shared->m, -SECOND), -EINVAL);
    RETURNS(forq_mutex_timedlock(&shared->m, INT64_MIN), -EINVAL);
    static const forq_mutex zero;
    CHECK(memcmp(&shared->m, &zero, sizeof zero) == 0);
}

/* --- one thread --- */

static void check_life(forq_mutex *m) {
    int (*const take[])(forq_mutex *) = {forq_mutex_lock, forq_mutex_trylock};
    const int64_t limits[] = {FORQ_FOREVER, 0, 1, SECOND, INT64_MAX};
    RETURNS(forq_mutex_owner(m), 0);
    RETURNS(forq_mutex_unlock(m), -EPERM);
    RETURNS(forq_mutex_consistent(m), -EPERM);
    uint64_t taken = stats_of(m).acquisitions;
    for (size_t i = 0; i < 7; i++) {
        if (i < 2) RETURNS(take[i](m), 0);
        else RETURNS(forq_mutex_timedlock(m, limits[i - 2]), 0);
        RETURNS(forq_mutex_owner(m), thread_id());
        RETURNS(forq_mutex_lock(m), -EDEADLK);
        for (size_t j = 0; j < 5; j++) RETURNS(forq_mutex_timedlock(m, limits[j]), -EDEADLK);
        RETURNS(forq_mutex_timedlock(m, -2), -EINVAL);
        RETURNS(forq_mutex_trylock(m), -EBUSY);
        RETURNS(forq_mutex_consistent(m), -EINVAL);
        RETURNS(forq_mutex_destroy(m), -EBUSY);
        RETURNS(forq_mutex_unlock(m), 0);
        RETURNS(forq_mutex_unlock(m), -EPERM);
        RETURNS(forq_mutex_owner(m), 0);
    }
    CHECK(stats_of(m).acquisitions == taken + 7);
    CHECK(stats_of(m).holder_deaths == 0);
    RETURNS(forq_mutex_destroy(m), 0);
}

static void a_mutex_lives_and_ends(void) {
    fresh();
    check_life(&shared->m);
    RETURNS(forq_mutex_init(&shared->m, 0), 0);
    CHECK(stats_of(&shared->m).acquisitions == 0);
    check_life(&shared->m);
    static forq_mutex in_static_memory;
    check_life(&in_static_memory);
    forq_mutex on_the_stack;
    memset(&on_the_stack, 0xaa, sizeof on_the_stack);
    RETURNS(forq_mutex_init(&on_the_stack, 0), 0);
    check_life(&on_the_stack);
}

static void many_at_once_released_in_any_order(void) {
    fresh();
    for (int i = 0; i < 100; i++) RETURNS(forq_mutex_lock(&shared->many[i]), 0);
    for (int i = 0; i < 100; i += 2) RETURNS(forq_mutex_unlock(&shared->many[i]), 0);
    for (int i = 99; i > 0; i -= 2) RETURNS(forq_mutex_unlock(&shared->many[i]), 0);
    for (int i = 0; i < 100; i++) RETURNS(forq_mutex_owner(&shared->many[i]), 0);
}

/* --- held by another --- */

static void check_held_by(int owner) {
    forq_mutex *m = &shared->m;
    RETURNS(forq_mutex_owner(m), owner);
    RETURNS(forq_mutex_trylock(m), -EBUSY);
    RETURNS(forq_mutex_timedlock(m, 0), -EAGAIN);
    const int64_t limits[] = {1, 1000, MILLISECOND, 80 * MILLISECOND, 300 * MILLISECOND};
    for (size_t i = 0; i < 5; i++) {
        int64_t start = now_ns();
        RETURNS(forq_mutex_timedlock(m, limits[i]), -ETIMEDOUT);
        CHECK(now_ns() - start >= limits[i]);
    }
    RETURNS(forq_mutex_timedlock(m, -2), -EINVAL);
    RETURNS(forq_mutex_timedlock(m, INT64_MIN), -EINVAL);
    RETURNS(forq_mutex_unlock(m), -EPERM);
    RETURNS(forq_mutex_consistent(m), -EPERM);
    RETURNS(forq_mutex_destroy(m), -EBUSY);
    RETURNS(forq_mutex_owner(m), owner);
}

static void another_process_is_kept_out_and_waits(void) {
    for (int i = 0; i < 3; i++) {
        fresh();
        pid_t pid = holder();
        check_held_by(pid);
        shared->stage = 2;
        if (i == 0) RETURNS(forq_mutex_lock(&shared->m), 0);
        else RETURNS(forq_mutex_timedlock(&shared->m, i == 1 ? INT64_MAX : FORQ_FOREVER), 0);
        CHECK(shared->taken == 1);
        RETURNS(forq_mutex_unlock(&shared->m), 0);
        IS(ended_with(pid), 0);
        forq_mutex_statistics stats = stats_of(&shared->m);
        CHECK(stats.acquisitions == 2);
        CHECK(stats.contended >= 1 && stats.slept >= 1);
        CHECK(stats.waited_ns >= (uint64_t)stats.waited_max_ns);
        CHECK(stats.waited_max_ns >= (uint64_t)(40 * MILLISECOND));
        CHECK(stats.holder_deaths == 0);
        RETURNS(forq_mutex_destroy(&shared->m), 0);
    }
}

static int see_the_same_statistics(void *expected) {
    forq_mutex_statistics stats = stats_of(&shared->m);
    return memcmp(&stats, expected, sizeof stats) != 0;
}

static void statistics_are_every_process_s(void) {
    forq_mutex_statistics stats = stats_of(&shared->m);
    CHECK(stats.acquisitions > 0);
    IS(ended_with(in_child(see_the_same_statistics, &stats)), 0);
}

static int take_until_told(void *unused) {
    (void)unused;
    while (shared->stage == 0) {
        RETURNS(forq_mutex_lock(&shared->m), 0);
        shared->a++;
        RETURNS(forq_mutex_unlock(&shared->m), 0);
    }
    return 0;
}

/* Read without the mutex while it is in use: no number ever goes back, nor is ahead of what happened. */
static void statistics_can_be_read_while_the_mutex_is_in_use(void) {
    fresh();
    pid_t pids[3];
    for (int i = 0; i < 3; i++) pids[i] = in_child(take_until_told, NULL);
    uint64_t before[6] = {0}, now[6];
    for (int64_t end = now_ns() + 300 * MILLISECOND; now_ns() < end || before[0] == 0;) {
        forq_mutex_statistics stats = stats_of(&shared->m);
        memcpy(now, &stats, sizeof now);
        for (int i = 0; i < 6; i++) CHECK(now[i] >= before[i]);
        memcpy(before, now, sizeof now);
    }
    shared->stage = 1;
    for (int i = 0; i < 3; i++) IS(ended_with(pids[i]), 0);
    CHECK(before[0] > 0 && before[0] <= (uint64_t)shared->a);
    CHECK(stats_of(&shared->m).acquisitions == (uint64_t)shared->a);
}

static void *hold_in_thread(void *tid_out) {
    RETURNS(forq_mutex_lock(&shared->m), 0);
    *(_Atomic int *)tid_out = thread_id();
    WAIT_UNTIL(shared->stage == 2);
    RETURNS(forq_mutex_unlock(&shared->m), 0);
    return NULL;
}

static void another_thread_is_kept_out(void) {
    fresh();
    _Atomic int tid = 0;
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, hold_in_thread, &tid) == 0);
    WAIT_UNTIL(tid != 0);
    CHECK(tid != thread_id());
    check_held_by(tid);
    shared->stage = 2;
    RETURNS(forq_mutex_timedlock(&shared->m, INT64_MAX), 0);
    RETURNS(forq_mutex_unlock(&shared->m), 0);
    CHECK(pthread_join(thread, NULL) == 0);
}

static _Atomic int handled;

static void handle(int signal) {
    (void)signal;
    handled++;
}

static int send_signals(void *unused) {
    (void)unused;
    while (shared->told == 0) {
        kill(getppid(), SIGUSR1);
        pause_ns(5 * MILLISECOND);
    }
    return 0;
}

static void signals_do_not_end_a_wait(void) {
    fresh();
    struct sigaction action = {.sa_handler = handle};
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
    pid_t pid = holder();
    pid_t sender = in_child(send_signals, NULL);
    /* On a loaded machine the first may come later. */
    do {
        int64_t start = now_ns();
        RETURNS(forq_mutex_timedlock(&shared->m, 200 * MILLISECOND), -ETIMEDOUT);
        CHECK(now_ns() - start >= 200 * MILLISECOND);
    } while (handled == 0);
    shared->stage = 2;
    RETURNS(forq_mutex_lock(&shared->m), 0);
    shared->told = 1;
    RETURNS(forq_mutex_unlock(&shared->m), 0);
    IS(ended_with(pid), 0);
    IS(ended_with(sender), 0);
    signal(SIGUSR1, SIG_DFL);
}

/* --- many at once --- */

enum { ROUNDS = 20000 };

static void *count(void *unused) {
    (void)unused;
    for (int i = 0; i < ROUNDS; i++) {
        if (i % 3 == 0) RETURNS(forq_mutex_lock(&shared->m), 0);
        else RETURNS(forq_mutex_timedlock(&shared->m, INT64_MAX), 0);
        shared->a++;
        RETURNS(forq_mutex_unlock(&shared->m), 0);
    }
    return NULL;
}

static int count_in_two_threads(void *unused) {
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, count, unused) == 0);
    count(unused);
    CHECK(pthread_join(thread, NULL) == 0);
    return 0;
}

static void no_count_is_lost_among_processes_and_threads(void) {
    fresh();
    pid_t pids[4];
    for (int i = 0; i < 4; i++) pids[i] = in_child(count_in_two_threads, NULL);
    for (int i = 0; i < 4; i++) IS(ended_with(pids[i]), 0);
    CHECK(shared->a == 4 * 2 * ROUNDS);
    forq_mutex_statistics stats = stats_of(&shared->m);
    CHECK(stats.acquisitions == 4 * 2 * ROUNDS);
    CHECK(stats.contended <= stats.acquisitions);
    CHECK(stats.waited_max_ns <= stats.waited_ns);
}

/* --- deaths --- */

static int die(void *how) {
    RETURNS(forq_mutex_lock(&shared->m), 0);
    shared->stage = 1;
    if (*(const int *)how < 0) _exit(3);
    signal(*(const int *)how, SIG_DFL);
    raise(*(const int *)how);
    return 99;
}

static void *end_holding(void *unused) {
    RETURNS(forq_mutex_lock(&shared->m), 0);
    if (unused != NULL) pthread_exit(NULL);
    return NULL;
}

static int exec_holding(void *unused) {
    (void)unused;
    RETURNS(forq_mutex_lock(&shared->m), 0);
    shared->stage = 1;
    execl("/proc/self/exe", "api_mutex", "linger", (char *)NULL);
    return 99;
}

/* In one of four ways. Without the kernel's help deaths are found by looking, which only those do who wait. */
static void take_from_the_dead(forq_mutex *m, int way) {
    if (forq_is_robust() == 0) {
        RETURNS(forq_mutex_trylock(m), -EBUSY);
        RETURNS(forq_mutex_timedlock(m, 0), -EAGAIN);
        way = way % 2 == 0 ? 0 : 3;
    }
    switch (way) {
    case 0: RETURNS(forq_mutex_lock(m), -EOWNERDEAD); break;
    case 1: RETURNS(forq_mutex_trylock(m), -EOWNERDEAD); break;
    case 2: RETURNS(forq_mutex_timedlock(m, 0), -EOWNERDEAD); break;
    default: RETURNS(forq_mutex_timedlock(m, INT64_MAX), -EOWNERDEAD); break;
    }
}

/* Takes the mutex of a dead holder, and repairs. */
static void check_death_is_told(int way, uint64_t deaths) {
    forq_mutex *m = &shared->m;
    take_from_the_dead(m, way);
    RETURNS(forq_mutex_owner(m), thread_id());
    RETURNS(forq_mutex_lock(m), -EDEADLK);
    RETURNS(forq_mutex_trylock(m), -EBUSY);
    RETURNS(forq_mutex_destroy(m), -EBUSY);
    CHECK(stats_of(m).holder_deaths == deaths);
    RETURNS(forq_mutex_consistent(m), 0);
    RETURNS(forq_mutex_consistent(m), -EINVAL);
    RETURNS(forq_mutex_unlock(m), 0);
    RETURNS(forq_mutex_lock(m), 0);
    RETURNS(forq_mutex_consistent(m), -EINVAL);
    RETURNS(forq_mutex_unlock(m), 0);
    CHECK(stats_of(m).holder_deaths == deaths);
}

static void every_kind_of_death_is_told_to_the_next(void) {
    fresh();
    static const int kinds[] = {SIGKILL, SIGTERM, SIGSEGV, SIGABRT, -1};
    uint64_t deaths = 0;
    for (int way = 0; way < 4; way++) {
        for (size_t i = 0; i < 5; i++) {
            int kind = kinds[i];
            int code = ended_with(in_child(die, &kind));
            CHECK(code == (kind < 0 ? 3 : -kind));
            check_death_is_told(way, ++deaths);
        }
        for (int i = 0; i < 2; i++) {
            pthread_t thread;
            CHECK(pthread_create(&thread, NULL, end_holding, i == 0 ? NULL : &way) == 0);
            CHECK(pthread_join(thread, NULL) == 0);
            /* The join returns when the kernel has ended the thread's memory, the mutex follows at once. */
            if (forq_is_robust() == 1 && (way == 1 || way == 2)) WAIT_UNTIL(forq_mutex_owner(&shared->m) == 0);
            check_death_is_told(way, ++deaths);
        }
    }
}

static void a_holder_that_becomes_another_program_is_told(void) {
    fresh();
    pid_t pid = in_child(exec_holding, NULL);
    WAIT_UNTIL(shared->stage == 1);
    if (forq_is_robust() == 1) check_death_is_told(0, 1);
    /* Who looks sees a thread that lives. */
    else RETURNS(forq_mutex_timedlock(&shared->m, 600 * MILLISECOND), -ETIMEDOUT);
    CHECK(kill(pid, 0) == 0);
    IS(killed(pid), -SIGKILL);
}

static int wait_for_the_dead(void *unused) {
    (void)unused;
    shared->told++;
    RETURNS(forq_mutex_lock(&shared->m), -EOWNERDEAD);
    RETURNS(forq_mutex_consistent(&shared->m), 0);
    RETURNS(forq_mutex_unlock(&shared->m), 0);
    return 0;
}

static void a_sleeping_waiter_is_woken_by_a_death(void) {
    fresh();
    pid_t pid = holder();
    pid_t waiter = in_child(wait_for_the_dead, NULL);
    WAIT_UNTIL(shared->told == 1 && is_asleep(waiter));
    IS(killed(pid), -SIGKILL);
    IS(ended_with(waiter), 0);
    CHECK(stats_of(&shared->m).holder_deaths == 1);
}

static int take_in_turn(void *repairs) {
    int result = forq_mutex_lock(&shared->m);
    CHECK(result == 0 || result == -EOWNERDEAD);
    shared->taken++;
    if (result != 0) {
        shared->told++;
        if (*(const bool *)repairs) RETURNS(forq_mutex_consistent(&shared->m), 0);
    }
    RETURNS(forq_mutex_unlock(&shared->m), 0);
    return 0;
}

static void a_death_is_told_until_it_is_repaired(void) {
    for (int i = 0; i < 2; i++) {
        bool repairs = i == 1;
        fresh();
        pid_t pid = holder(), waiters[4];
        for (int j = 0; j < 4; j++) waiters[j] = in_child(take_in_turn, &repairs);
        pause_ns(20 * MILLISECOND);
        IS(killed(pid), -SIGKILL);
        for (int j = 0; j < 4; j++) IS(ended_with(waiters[j]), 0);
        CHECK(shared->taken == 4);
        CHECK(shared->told == (repairs ? 1 : 4));
        RETURNS(forq_mutex_trylock(&shared->m), repairs ? 0 : -EOWNERDEAD);
        RETURNS(forq_mutex_consistent(&shared->m), repairs ? -EINVAL : 0);
        RETURNS(forq_mutex_unlock(&shared->m), 0);
        CHECK(stats_of(&shared->m).holder_deaths == 1);
    }
}

static void who_repairs_may_die_too(void) {
    fresh();
    int how = SIGKILL;
    IS(ended_with(in_child(die, &how)), -SIGKILL);
    RETURNS(forq_mutex_lock(&shared->m), -EOWNERDEAD);
    RETURNS(forq_mutex_unlock(&shared->m), 0);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        RETURNS(forq_mutex_lock(&shared->m), -EOWNERDEAD);
        RETURNS(forq_mutex_consistent(&shared->m), 0);
        _exit(0);
    }
    IS(ended_with(pid), 0);
    check_death_is_told(0, 2);
}

static int hold_all(void *unused) {
    (void)unused;
    for (int i = 0; i < 100; i++) RETURNS(forq_mutex_lock(&shared->many[i]), 0);
    for (int i = 1; i < 100; i += 3) RETURNS(forq_mutex_unlock(&shared->many[i]), 0);
    raise(SIGKILL);
    return 0;
}

static void every_mutex_of_the_dead_is_told(void) {
    fresh();
    IS(ended_with(in_child(hold_all, NULL)), -SIGKILL);
    /* Looking takes its time. */
    for (int i = 0; i < (forq_is_robust() == 1 ? 100 : 10); i++) {
        if (i % 3 == 1) RETURNS(forq_mutex_trylock(&shared->many[i]), 0);
        else take_from_the_dead(&shared->many[i], 1);
        RETURNS(forq_mutex_unlock(&shared->many[i]), 0);
    }
}

static int hold_both_kinds(void *unused) {
    (void)unused;
    RETURNS(forq_mutex_lock(&shared->m), 0);
    CHECK(pthread_mutex_lock(&shared->robust) == 0);
    RETURNS(forq_mutex_lock(&shared->other), 0);
    RETURNS(forq_mutex_lock(&shared->after), 0);
    RETURNS(forq_mutex_unlock(&shared->after), 0);
    raise(SIGKILL);
    return 0;
}

static void robust_mutexes_of_libc_go_on_working_beside(void) {
    fresh();
    pthread_mutexattr_t attributes;
    CHECK(pthread_mutexattr_init(&attributes) == 0);
    CHECK(pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED) == 0);
    CHECK(pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST) == 0);
    CHECK(pthread_mutex_init(&shared->robust, &attributes) == 0);
    IS(ended_with(in_child(hold_both_kinds, NULL)), -SIGKILL);
    CHECK(pthread_mutex_lock(&shared->robust) == EOWNERDEAD);
    check_death_is_told(0, 1);
    take_from_the_dead(&shared->other, 1);
    CHECK(pthread_mutex_consistent(&shared->robust) == 0);
    CHECK(pthread_mutex_unlock(&shared->robust) == 0);
    RETURNS(forq_mutex_trylock(&shared->after), 0);
    RETURNS(forq_mutex_unlock(&shared->other), 0);
    RETURNS(forq_mutex_unlock(&shared->after), 0);
}

static int work_until_killed(void *unused) {
    (void)unused;
    for (;;) {
        int result = forq_mutex_lock(&shared->m);
        if (result == -EOWNERDEAD) {
            shared->b = shared->a;
            RETURNS(forq_mutex_consistent(&shared->m), 0);
        } else {
            CHECK(result == 0);
        }
        CHECK(shared->a == shared->b);
        shared->a++;
        shared->b++;
        RETURNS(forq_mutex_unlock(&shared->m), 0);
    }
}

static void a_storm_of_kills_bricks_nothing(void) {
    fresh();
    enum { WORKERS = 4 };
    const int kills = forq_is_robust() == 1 ? 300 : 30;
    pid_t pids[WORKERS];
    for (int i = 0; i < WORKERS; i++) pids[i] = in_child(work_until_killed, NULL);
    for (int i = 0; i < kills; i++) {
        pause_ns(100000 + i * 3001 % 1000000);
        IS(killed(pids[i % WORKERS]), -SIGKILL);
        pids[i % WORKERS] = in_child(work_until_killed, NULL);
    }
    for (int i = 0; i < WORKERS; i++) IS(killed(pids[i]), -SIGKILL);
    int result = forq_mutex_lock(&shared->m);
    CHECK(result == 0 || result == -EOWNERDEAD);
    CHECK(result == -EOWNERDEAD || shared->a == shared->b);
    if (result != 0) RETURNS(forq_mutex_consistent(&shared->m), 0);
    RETURNS(forq_mutex_unlock(&shared->m), 0);
    CHECK(shared->a > 0);
    CHECK(stats_of(&shared->m).holder_deaths <= (uint64_t)(kills + WORKERS));
}

static int just_take(void *unused) {
    (void)unused;
    RETURNS(forq_mutex_lock(&shared->m), 0);
    shared->taken++;
    RETURNS(forq_mutex_unlock(&shared->m), 0);
    return 0;
}

static void a_killed_waiter_takes_no_wake_up_along(void) {
    for (int i = 0; i < 20; i++) {
        fresh();
        RETURNS(forq_mutex_lock(&shared->m), 0);
        pid_t first = in_child(just_take, NULL), second = in_child(just_take, NULL);
        WAIT_UNTIL(is_asleep(first) && is_asleep(second));
        if (i % 2 == 0) CHECK(kill(first, SIGKILL) == 0);
        RETURNS(forq_mutex_unlock(&shared->m), 0);
        if (i % 2 == 1) CHECK(kill(first, SIGKILL) == 0);
        int code = ended_with(first);
        CHECK(code == -SIGKILL || code == 0);
        /* The first may have died with the mutex in its hands: then the second is told. */
        code = ended_with(second);
        CHECK(code == 0 || stats_of(&shared->m).holder_deaths == 1);
    }
}

static void a_stopped_holder_is_not_dead(void) {
    fresh();
    pid_t pid = holder();
    int status;
    CHECK(kill(pid, SIGSTOP) == 0);
    CHECK(waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status));
    RETURNS(forq_mutex_timedlock(&shared->m, 2500 * MILLISECOND), -ETIMEDOUT);
    RETURNS(forq_mutex_owner(&shared->m), pid);
    CHECK(stats_of(&shared->m).holder_deaths == 0);
    shared->stage = 2;
    CHECK(kill(pid, SIGCONT) == 0);
    RETURNS(forq_mutex_lock(&shared->m), 0);
    IS(ended_with(pid), 0);
    RETURNS(forq_mutex_unlock(&shared->m), 0);
}

/* --- forks --- */

static int be_kept_out(void *unused) {
    (void)unused;
    forq_mutex *m = &shared->m;
    CHECK(forq_mutex_owner(m) == getppid());
    RETURNS(forq_mutex_unlock(m), -EPERM);
    RETURNS(forq_mutex_consistent(m), -EPERM);
    RETURNS(forq_mutex_trylock(m), -EBUSY);
    RETURNS(forq_mutex_timedlock(m, 0), -EAGAIN);
    RETURNS(forq_mutex_timedlock(m, 10 * MILLISECOND), -ETIMEDOUT);
    /* It has a list of its own to be found by. */
    RETURNS(forq_mutex_lock(&shared->other), 0);
    return 0;
}

static void a_child_forked_while_holding_does_not_hold(void) {
    for (int i = 0; i < 3; i++) {
        fresh();
        RETURNS(forq_mutex_lock(&shared->m), 0);
        if (i == 0) {
            IS(ended_with(in_child(be_kept_out, NULL)), 0);
        } else if (i == 1) {
            forq_process child;
            int code = -1;
            RETURNS(forq_process_spawn(&child, be_kept_out, NULL, NULL), 0);
            RETURNS(forq_process_join(&child, &code, FORQ_FOREVER), 0);
            RETURNS(forq_process_close(&child), 0);
            CHECK(code == 0);
        } else {
#if defined(__GLIBC__) && (__GLIBC__ > 2 || __GLIBC_MINOR__ >= 34)
            pid_t pid = _Fork();
#else
            pid_t pid = fork();
#endif
            CHECK(pid >= 0);
            if (pid == 0) _exit(be_kept_out(NULL));
            IS(ended_with(pid), 0);
        }
        RETURNS(forq_mutex_owner(&shared->m), getpid());
        take_from_the_dead(&shared->other, 1);
        RETURNS(forq_mutex_unlock(&shared->m), 0);
        RETURNS(forq_mutex_unlock(&shared->other), 0);
        CHECK(stats_of(&shared->m).holder_deaths == 0);
    }
}

/* --- other memory --- */

static forq_mutex *map(int fd) {
    void *place = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(place != MAP_FAILED);
    return place;
}

static _Atomic int twice_stage;

static void *hold_by_the_other_address(void *place) {
    RETURNS(forq_mutex_lock(place), 0);
    twice_stage = 1;
    WAIT_UNTIL(twice_stage == 2);
    RETURNS(forq_mutex_unlock(place), 0);
    return NULL;
}

static void one_mutex_at_two_addresses(void) {
    int fd = memfd_create("forq", MFD_CLOEXEC);
    CHECK(fd >= 0 && ftruncate(fd, 4096) == 0);
    forq_mutex *first = map(fd), *second = map(fd);
    CHECK(first != second);
    /* Two threads. */
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, hold_by_the_other_address, second) == 0);
    WAIT_UNTIL(twice_stage == 1);
    RETURNS(forq_mutex_trylock(first), -EBUSY);
    RETURNS(forq_mutex_timedlock(first, 10 * MILLISECOND), -ETIMEDOUT);
    twice_stage = 2;
    RETURNS(forq_mutex_lock(first), 0);
    RETURNS(forq_mutex_unlock(first), 0);
    CHECK(pthread_join(thread, NULL) == 0);
    /* One thread. */
    RETURNS(forq_mutex_lock(first), 0);
    RETURNS(forq_mutex_lock(second), -EDEADLK);
    RETURNS(forq_mutex_trylock(second), -EBUSY);
    CHECK(forq_mutex_owner(second) == thread_id());
    RETURNS(forq_mutex_unlock(second), 0);
    RETURNS(forq_mutex_trylock(first), 0);
    RETURNS(forq_mutex_unlock(first), 0);
    /* Two processes, with one address each; one dies. */
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        CHECK(munmap(first, 4096) == 0);
        RETURNS(forq_mutex_lock(second), 0);
        raise(SIGKILL);
    }
    CHECK(munmap(second, 4096) == 0);
    IS(ended_with(pid), -SIGKILL);
    RETURNS(forq_mutex_lock(first), -EOWNERDEAD);
    RETURNS(forq_mutex_consistent(first), 0);
    RETURNS(forq_mutex_unlock(first), 0);
    CHECK(stats_of(first).holder_deaths == 1);
    CHECK(munmap(first, 4096) == 0 && close(fd) == 0);
}

int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], "linger") == 0) {
        for (;;) pause();
    }
    begin();
    RUN(bad_arguments_are_refused_and_change_nothing);
    RUN(a_mutex_lives_and_ends);
    RUN(many_at_once_released_in_any_order);
    RUN(another_process_is_kept_out_and_waits);
    RUN(statistics_are_every_process_s);
    RUN(statistics_can_be_read_while_the_mutex_is_in_use);
    RUN(another_thread_is_kept_out);
    RUN(signals_do_not_end_a_wait);
    RUN(no_count_is_lost_among_processes_and_threads);
    RUN(every_kind_of_death_is_told_to_the_next);
    RUN_NATIVELY(a_holder_that_becomes_another_program_is_told);
    RUN(a_sleeping_waiter_is_woken_by_a_death);
    RUN(a_death_is_told_until_it_is_repaired);
    RUN(who_repairs_may_die_too);
    RUN(every_mutex_of_the_dead_is_told);
    RUN_NATIVELY(robust_mutexes_of_libc_go_on_working_beside);
    RUN(a_storm_of_kills_bricks_nothing);
    RUN(a_killed_waiter_takes_no_wake_up_along);
    RUN(a_stopped_holder_is_not_dead);
    RUN(a_child_forked_while_holding_does_not_hold);
    RUN(one_mutex_at_two_addresses);
    return finish();
}
