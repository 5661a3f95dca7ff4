/* forq_process: what the header promises, row by row. */
#define _GNU_SOURCE
#include "check.h"

#include <dirent.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/utsname.h>

_Static_assert(sizeof(forq_process) == 32, "frozen");
_Static_assert(sizeof(forq_process_options) == sizeof(void *) + 8 + 64, "frozen");

static struct {
    _Atomic int stage, pid, seen[8];
} *shared;

static void fresh(void) {
    memset((void *)shared, 0, sizeof *shared);
}

static int leave_with(void *code) {
    return *(int *)code;
}

static int wait_for_ever(void *unused) {
    (void)unused;
    while (pause() == -1) {
    }
    return 0;
}

static forq_process spawned(forq_process_fn fn, void *argument, const forq_process_options *options) {
    forq_process child;
    RETURNS(forq_process_spawn(&child, fn, argument, options), 0);
    return child;
}

static int joined(forq_process *child) {
    int code = 12345;
    RETURNS(forq_process_join(child, &code, FORQ_FOREVER), 0);
    CHECK(code != 12345);
    return code;
}

static bool is_none(const forq_process *child) {
    static const forq_process none;
    return memcmp(child, &none, sizeof none) == 0;
}

/* Joins, closes, and gives back how it ended. */
static int ended(forq_process *child) {
    int code = joined(child);
    RETURNS(forq_process_close(child), 0);
    CHECK(is_none(child));
    return code;
}

static int descriptors(void) {
    DIR *directory = opendir("/proc/self/fd");
    CHECK(directory != NULL);
    int count = 0;
    while (readdir(directory) != NULL) count++;
    closedir(directory);
    return count;
}

/* Linux tells the true status of a process that somebody else reaped since 6.15. */
static bool kernel_tells_of_the_reaped(void) {
    struct utsname name;
    int major = 0, minor = 0;
    CHECK(uname(&name) == 0 && sscanf(name.release, "%d.%d", &major, &minor) == 2);
    return !EMULATED && (major > 6 || (major == 6 && minor >= 15));
}

/* --- arguments --- */

static void check_no_process(forq_process *none) {
    int code = 12345;
    RETURNS(forq_process_join(none, &code, 0), -EINVAL);
    RETURNS(forq_process_join(none, &code, FORQ_FOREVER), -EINVAL);
    RETURNS(forq_process_join(none, NULL, 1), -EINVAL);
    RETURNS(forq_process_is_alive(none), -EINVAL);
    RETURNS(forq_process_signal(none, 0), -EINVAL);
    RETURNS(forq_process_signal(none, SIGKILL), -EINVAL);
    RETURNS(forq_process_terminate(none), -EINVAL);
    RETURNS(forq_process_kill(none), -EINVAL);
    RETURNS(forq_process_pid(none), -EINVAL);
    RETURNS(forq_process_fd(none), -EINVAL);
    RETURNS(forq_process_close(none), -EINVAL);
    CHECK(code == 12345);
}

static void bad_arguments_are_refused(void) {
    check_no_process(NULL);
    forq_process none;
    memset(&none, 0, sizeof none);
    check_no_process(&none);
    CHECK(is_none(&none));
    int code = 0;
    RETURNS(forq_process_spawn(NULL, leave_with, &code, NULL), -EINVAL);
    RETURNS(forq_process_spawn(&none, NULL, &code, NULL), -EINVAL);
    for (int i = 0; i < 8; i++) {
        forq_process_options options;
        memset(&options, 0, sizeof options);
        options.reserved[i] = 1;
        RETURNS(forq_process_spawn(&none, leave_with, &code, &options), -EINVAL);
    }
    const int32_t out_of_range[] = {40, -40, INT32_MAX, INT32_MIN};
    for (int i = 0; i < 4; i++) {
        forq_process_options options = {.nice = out_of_range[i]};
        RETURNS(forq_process_spawn(&none, leave_with, &code, &options), -EINVAL);
    }
    CHECK(is_none(&none));
    CHECK(has_no_child());
}

/* --- codes --- */

static int end_by(void *signal_number) {
    signal(*(int *)signal_number, SIG_DFL);
    raise(*(int *)signal_number);
    return 99;
}

static int call_exit(void *unused) {
    (void)unused;
    exit(9);
}

static int call__exit(void *unused) {
    (void)unused;
    _exit(10);
}

static void the_exit_code_is_the_value_s_lowest_eight_bits(void) {
    static int codes[] = {0, 1, 7, 127, 128, 255, 256, 300, -1, -256, INT32_MAX, INT32_MIN};
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        forq_process child = spawned(leave_with, &codes[i], NULL);
        IS(ended(&child), codes[i] & 255);
    }
    forq_process child = spawned(call_exit, NULL, NULL);
    IS(ended(&child), 9);
    child = spawned(call__exit, NULL, NULL);
    IS(ended(&child), 10);
}

static void a_signal_is_told_as_its_negative(void) {
    static int signals[] = {SIGKILL, SIGTERM, SIGABRT, SIGSEGV, SIGINT, SIGUSR1};
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
        forq_process child = spawned(end_by, &signals[i], NULL);
        IS(ended(&child), -signals[i]);
        child = spawned(wait_for_ever, NULL, NULL);
        RETURNS(forq_process_signal(&child, signals[i]), 0);
        IS(ended(&child), -signals[i]);
    }
    forq_process child = spawned(wait_for_ever, NULL, NULL);
    RETURNS(forq_process_terminate(&child), 0);
    IS(ended(&child), -SIGTERM);
    child = spawned(wait_for_ever, NULL, NULL);
    RETURNS(forq_process_kill(&child), 0);
    IS(ended(&child), -SIGKILL);
}

static int answer_in_shared_memory(void *value) {
    shared->seen[0] = *(int *)value;
    shared->pid = getpid();
    return getppid() == shared->seen[1] ? 0 : 1;
}

static void the_child_has_the_parent_s_memory(void) {
    fresh();
    int on_my_stack = 4711;
    shared->seen[1] = getpid();
    forq_process child = spawned(answer_in_shared_memory, &on_my_stack, NULL);
    int pid = forq_process_pid(&child);
    IS(joined(&child), 0);
    CHECK(shared->seen[0] == 4711);
    CHECK(shared->pid == pid && pid > 0);
    RETURNS(forq_process_pid(&child), pid);
    RETURNS(forq_process_close(&child), 0);
}

/* --- joining --- */

static void a_join_may_be_repeated(void) {
    int code = 42;
    forq_process child = spawned(leave_with, &code, NULL);
    RETURNS(forq_process_join(&child, NULL, FORQ_FOREVER), -EINVAL);
    RETURNS(forq_process_join(&child, IGNORED, FORQ_FOREVER), 0);
    RETURNS(forq_process_join(&child, NULL, 0), -EINVAL);
    IS(joined(&child), 42);
    for (int i = 0; i < 3; i++) {
        int again = -1;
        RETURNS(forq_process_join(&child, &again, 0), 0);
        CHECK(again == 42);
    }
    CHECK(has_no_child());
    forq_process moved = child;
    memset(&child, 0, sizeof child);
    IS(joined(&moved), 42);
    RETURNS(forq_process_close(&moved), 0);
    check_no_process(&moved);
    child = spawned(end_by, (int[]){SIGKILL}, NULL);
    IS(joined(&child), -SIGKILL);
    IS(joined(&child), -SIGKILL);
    RETURNS(forq_process_close(&child), 0);
}

static void a_join_ends_with_its_time_and_not_before(void) {
    forq_process child = spawned(wait_for_ever, NULL, NULL);
    int code = 12345;
    RETURNS(forq_process_join(&child, &code, 0), -EAGAIN);
    const int64_t limits[] = {1, 1000, MILLISECOND, 120 * MILLISECOND};
    for (int i = 0; i < 4; i++) {
        int64_t start = now_ns();
        RETURNS(forq_process_join(&child, &code, limits[i]), -ETIMEDOUT);
        CHECK(now_ns() - start >= limits[i]);
    }
    RETURNS(forq_process_join(&child, &code, -2), -EINVAL);
    RETURNS(forq_process_join(&child, &code, INT64_MIN), -EINVAL);
    CHECK(code == 12345);
    RETURNS(forq_process_is_alive(&child), 1);
    RETURNS(forq_process_signal(&child, 0), 0);
    RETURNS(forq_process_signal(&child, -1), -EINVAL);
    RETURNS(forq_process_signal(&child, 1000), -EINVAL);
    RETURNS(forq_process_close(&child), -EBUSY);
    CHECK(!is_none(&child));
    RETURNS(forq_process_kill(&child), 0);
    RETURNS(forq_process_join(&child, &code, INT64_MAX), 0);
    CHECK(code == -SIGKILL);
    RETURNS(forq_process_close(&child), 0);
}

static void a_stopped_process_is_alive(void) {
    forq_process child = spawned(wait_for_ever, NULL, NULL);
    RETURNS(forq_process_signal(&child, SIGSTOP), 0);
    RETURNS(forq_process_join(&child, IGNORED, 50 * MILLISECOND), -ETIMEDOUT);
    RETURNS(forq_process_is_alive(&child), 1);
    RETURNS(forq_process_signal(&child, SIGCONT), 0);
    RETURNS(forq_process_join(&child, IGNORED, 50 * MILLISECOND), -ETIMEDOUT);
    RETURNS(forq_process_terminate(&child), 0);
    IS(ended(&child), -SIGTERM);
}

static short readable(const forq_process *child, int timeout_ms) {
    struct pollfd entry = {.fd = forq_process_fd(child), .events = POLLIN};
    CHECK(entry.fd >= 0);
    int ready = poll(&entry, 1, timeout_ms);
    CHECK(ready >= 0);
    return ready == 0 ? 0 : entry.revents;
}

static void the_descriptor_tells_the_end(void) {
    forq_process child = spawned(wait_for_ever, NULL, NULL);
    RETURNS(forq_process_fd(&child), forq_process_fd(&child));
    CHECK(readable(&child, 0) == 0);
    CHECK(readable(&child, 50) == 0);
    RETURNS(forq_process_kill(&child), 0);
    CHECK(readable(&child, -1) & POLLIN);
    /* It has ended, and is not yet joined. */
    RETURNS(forq_process_is_alive(&child), 0);
    RETURNS(forq_process_signal(&child, 0), -ESRCH);
    RETURNS(forq_process_signal(&child, SIGTERM), -ESRCH);
    RETURNS(forq_process_terminate(&child), -ESRCH);
    RETURNS(forq_process_kill(&child), -ESRCH);
    IS(joined(&child), -SIGKILL);
    RETURNS(forq_process_is_alive(&child), 0);
    RETURNS(forq_process_signal(&child, SIGTERM), -ESRCH);
    RETURNS(forq_process_kill(&child), -ESRCH);
    CHECK(readable(&child, 0) & POLLIN);
    CHECK(fcntl(forq_process_fd(&child), F_GETFD) & FD_CLOEXEC);
    RETURNS(forq_process_close(&child), 0);
}

static void closing_collects_what_was_not_joined(void) {
    int code = 5;
    forq_process child = spawned(leave_with, &code, NULL);
    CHECK(readable(&child, -1) & POLLIN);
    RETURNS(forq_process_close(&child), 0);
    CHECK(is_none(&child));
    check_no_process(&child);
    CHECK(has_no_child());
}

static int live_on(void *unused) {
    (void)unused;
    WAIT_UNTIL(shared->stage == 1);
    return 6;
}

static void a_forgotten_process_runs_on(void) {
    fresh();
    forq_process child = spawned(live_on, NULL, NULL);
    pid_t pid = forq_process_pid(&child);
    CHECK(close(forq_process_fd(&child)) == 0);
    memset(&child, 0, sizeof child);
    pause_ns(20 * MILLISECOND);
    CHECK(kill(pid, 0) == 0);
    shared->stage = 1;
    IS(ended_with(pid), 6);
}

/* --- options --- */

static int tell_of_me(void *name_out) {
    CHECK(prctl(PR_GET_NAME, name_out, 0L, 0L, 0L) == 0);
    shared->seen[0] = getpgrp();
    errno = 0;
    shared->seen[1] = getpriority(PRIO_PROCESS, 0);
    CHECK(errno == 0);
    shared->pid = getpid();
    shared->stage = 1;
    WAIT_UNTIL(shared->stage == 2);
    return 0;
}

static void options_are_applied(void) {
    char *name = shared_memory(16), mine[16], mine_after[16];
    CHECK(prctl(PR_GET_NAME, mine, 0L, 0L, 0L) == 0);
    int nice_before = getpriority(PRIO_PROCESS, 0);
    forq_process_options options[] = {
        {.name = NULL},
        {.name = "short"},
        {.name = "exactly15bytes_"},
        {.name = "rather more than fifteen bytes"},
        {.own_group = true},
        {.nice = 5},
        {.nice = 39},
        {.name = "all", .daemon = true, .own_group = true, .nice = 1},
    };
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        fresh();
        forq_process child = spawned(tell_of_me, name, i == 0 ? NULL : &options[i]);
        pid_t pid = forq_process_pid(&child);
        /* The group is there as soon as spawn returns. */
        CHECK(getpgid(pid) == (options[i].own_group ? pid : getpgrp()));
        WAIT_UNTIL(shared->stage == 1);
        char expected[16] = {0};
        memcpy(expected, options[i].name == NULL ? mine : options[i].name,
               strnlen(options[i].name == NULL ? mine : options[i].name, 15));
        CHECK(strcmp(name, expected) == 0);
        CHECK(shared->seen[0] == (options[i].own_group ? pid : getpgrp()));
        int nicer = nice_before + options[i].nice;
        CHECK(shared->seen[1] == (nicer > 19 ? 19 : nicer));
        shared->stage = 2;
        IS(ended(&child), 0);
    }
    CHECK(prctl(PR_GET_NAME, mine_after, 0L, 0L, 0L) == 0);
    CHECK(strcmp(mine, mine_after) == 0);
    CHECK(getpriority(PRIO_PROCESS, 0) == nice_before);
    RETURNS(forq_shared_free(name, 16), 0);
}

static void less_nice_needs_the_privilege(void) {
    fresh();
    forq_process_options options = {.nice = -3};
    int nice_before = getpriority(PRIO_PROCESS, 0);
    char *name = shared_memory(16);
    forq_process child;
    memset(&child, 0, sizeof child);
    int result = forq_process_spawn(&child, tell_of_me, name, &options);
    if (result == 0) {
        WAIT_UNTIL(shared->stage == 1);
        CHECK(shared->seen[1] == (nice_before - 3 < -20 ? -20 : nice_before - 3));
        shared->stage = 2;
        IS(ended(&child), 0);
    } else {
        CHECK(result == -EPERM);
        CHECK(is_none(&child));
    }
    CHECK(getpriority(PRIO_PROCESS, 0) == nice_before);
    RETURNS(forq_shared_free(name, 16), 0);
}

/* --- daemons --- */

static int note_and_wait(void *slot) {
    *(_Atomic int *)slot = getpid();
    return wait_for_ever(NULL);
}

static int have_children(void *end_normally) {
    const forq_process_options daemon = {.daemon = true}, named_daemon = {.name = "d", .daemon = true, .own_group = true};
    spawned(note_and_wait, (void *)&shared->seen[0], &daemon);
    spawned(note_and_wait, (void *)&shared->seen[1], &named_daemon);
    spawned(note_and_wait, (void *)&shared->seen[2], NULL);
    WAIT_UNTIL(shared->seen[0] && shared->seen[1] && shared->seen[2]);
    shared->stage = 1;
    return end_normally != NULL ? 0 : wait_for_ever(NULL);
}

/* Orphans become ours: this program is their subreaper. */
static void a_daemon_ends_with_its_parent(void) {
    for (int i = 0; i < 2; i++) {
        fresh();
        forq_process parent = spawned(have_children, i == 0 ? NULL : &i, NULL);
        WAIT_UNTIL(shared->stage == 1);
        if (i == 0) RETURNS(forq_process_kill(&parent), 0);
        IS(ended(&parent), i == 0 ? -SIGKILL : 0);
        CHECK(ended_with(shared->seen[0]) < 0);
        CHECK(ended_with(shared->seen[1]) < 0);
        CHECK(kill(shared->seen[2], 0) == 0);
        IS(killed(shared->seen[2]), -SIGKILL);
    }
}

static void *spawn_a_daemon(void *child_out) {
    const forq_process_options daemon = {.daemon = true};
    *(forq_process *)child_out = spawned(note_and_wait, (void *)&shared->seen[0], &daemon);
    return NULL;
}

static void a_daemon_outlives_the_thread_that_spawned_it(void) {
    fresh();
    pthread_t thread;
    forq_process child;
    CHECK(pthread_create(&thread, NULL, spawn_a_daemon, &child) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    WAIT_UNTIL(shared->seen[0] != 0);
    RETURNS(forq_process_join(&child, IGNORED, 1500 * MILLISECOND), -ETIMEDOUT);
    RETURNS(forq_process_is_alive(&child), 1);
    RETURNS(forq_process_kill(&child), 0);
    IS(ended(&child), -SIGKILL);
}

/* --- a host with habits of its own --- */

static void reap_all(int signal) {
    (void)signal;
    int saved = errno;
    while (waitpid(-1, NULL, WNOHANG) > 0) {
    }
    errno = saved;
}

static void check_status_of_reaped(void (*handler)(int)) {
    static int code = 77;
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART}, before, after;
    CHECK(sigaction(SIGCHLD, &action, &before) == 0);
    CHECK(before.sa_handler == SIG_DFL);
    for (int i = 0; i < 400; i++) {
        bool by_signal = i % 2 == 1;
        forq_process child = by_signal ? spawned(wait_for_ever, NULL, NULL) : spawned(leave_with, &code, NULL);
        if (by_signal) RETURNS(forq_process_kill(&child), 0);
        if (i % 4 < 2) {
            CHECK(readable(&child, -1) != 0);
            RETURNS(forq_process_is_alive(&child), 0);
            RETURNS(forq_process_signal(&child, SIGTERM), -ESRCH);
        }
        int told = joined(&child);
        int truth = by_signal ? -SIGKILL : 77;
        CHECK(told == truth || (told == FORQ_EXIT_UNKNOWN && !kernel_tells_of_the_reaped()));
        IS(joined(&child), told);
        RETURNS(forq_process_is_alive(&child), 0);
        RETURNS(forq_process_close(&child), 0);
    }
    /* Closed without a join. */
    forq_process child = spawned(leave_with, &code, NULL);
    CHECK(readable(&child, -1) != 0);
    RETURNS(forq_process_close(&child), 0);
    CHECK(sigaction(SIGCHLD, &before, &after) == 0);
    CHECK(after.sa_handler == handler);
}

static void a_host_that_reaps_everything_disturbs_nothing(void) {
    check_status_of_reaped(reap_all);
}

static void a_host_that_ignores_sigchld_disturbs_nothing(void) {
    check_status_of_reaped(SIG_IGN);
}

/* --- forks, threads, descriptors --- */

static int use_the_copy(void *child_of_parent) {
    forq_process *child = child_of_parent;
    RETURNS(forq_process_join(child, IGNORED, FORQ_FOREVER), -EPERM);
    RETURNS(forq_process_join(child, IGNORED, 0), -EPERM);
    RETURNS(forq_process_join(child, IGNORED, MILLISECOND), -EPERM);
    RETURNS(forq_process_is_alive(child), 1);
    CHECK(forq_process_pid(child) > 0);
    RETURNS(forq_process_signal(child, 0), 0);
    RETURNS(forq_process_terminate(child), 0);
    CHECK(readable(child, -1) & POLLIN);
    RETURNS(forq_process_is_alive(child), 0);
    RETURNS(forq_process_join(child, IGNORED, 0), -EPERM);
    RETURNS(forq_process_close(child), 0);
    check_no_process(child);
    return 0;
}

static void a_forked_child_asks_and_signals_but_does_not_join(void) {
    forq_process child = spawned(wait_for_ever, NULL, NULL);
    IS(ended_with(in_child(use_the_copy, &child)), 0);
    RETURNS(forq_process_is_alive(&child), 0);
    IS(ended(&child), -SIGTERM);
    /* The same in a child that forq made. */
    child = spawned(wait_for_ever, NULL, NULL);
    forq_process user = spawned(use_the_copy, &child, NULL);
    IS(ended(&user), 0);
    IS(ended(&child), -SIGTERM);
}

static void *spawn_many(void *unused) {
    static int codes[3] = {1, 2, 3};
    (void)unused;
    for (int i = 0; i < 30; i++) {
        forq_process child = spawned(leave_with, &codes[i % 3], NULL);
        IS(ended(&child), codes[i % 3]);
    }
    return NULL;
}

static void threads_may_spawn_at_the_same_time(void) {
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) CHECK(pthread_create(&threads[i], NULL, spawn_many, NULL) == 0);
    for (int i = 0; i < 4; i++) CHECK(pthread_join(threads[i], NULL) == 0);
}

static void two_hundred_spawns_leak_nothing(void) {
    int before = descriptors();
    const forq_process_options daemon = {.daemon = true};
    for (int i = 0; i < 200; i++) {
        int code = i;
        forq_process child = spawned(leave_with, &code, i % 2 == 0 ? NULL : &daemon);
        if (i % 3 == 0) {
            CHECK(readable(&child, -1) != 0);
            RETURNS(forq_process_close(&child), 0);
        } else {
            IS(ended(&child), i & 255);
        }
    }
    CHECK(descriptors() == before);
    CHECK(has_no_child());
}

static int spawn_in_turn(void *depth) {
    int left = *(int *)depth;
    if (left == 0) return 0;
    left--;
    forq_process child = spawned(spawn_in_turn, &left, NULL);
    return ended(&child) + 1;
}

static void children_may_have_children(void) {
    int depth = 5;
    forq_process child = spawned(spawn_in_turn, &depth, NULL);
    IS(ended(&child), 5);
}

int main(void) {
    begin();
    shared = shared_memory(sizeof *shared);
    RUN(bad_arguments_are_refused);
    RUN(the_exit_code_is_the_value_s_lowest_eight_bits);
    RUN(a_signal_is_told_as_its_negative);
    RUN(the_child_has_the_parent_s_memory);
    RUN(a_join_may_be_repeated);
    RUN(a_join_ends_with_its_time_and_not_before);
    RUN(a_stopped_process_is_alive);
    RUN(the_descriptor_tells_the_end);
    RUN(closing_collects_what_was_not_joined);
    RUN(a_forgotten_process_runs_on);
    RUN(options_are_applied);
    RUN(less_nice_needs_the_privilege);
    RUN_NATIVELY(a_daemon_ends_with_its_parent);
    RUN(a_daemon_outlives_the_thread_that_spawned_it);
    RUN(a_host_that_reaps_everything_disturbs_nothing);
    RUN(a_host_that_ignores_sigchld_disturbs_nothing);
    RUN(a_forked_child_asks_and_signals_but_does_not_join);
    RUN(threads_may_spawn_at_the_same_time);
    RUN(two_hundred_spawns_leak_nothing);
    RUN(children_may_have_children);
    return finish();
}
