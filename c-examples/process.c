/* Child processes: started, waited for, signalled; never mistaken for one another.
 *
 * A child runs a function of this program in a copy of its memory. It is known by a descriptor, not by its number, so that a
 * signal reaches it or nobody.
 *
 *     cc -std=c11 -O2 -I../include process.c ../target/release/libforq.a -pthread -o process && ./process
 */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <forq.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void must(int status, const char *what) {
    if (status >= 0) return;
    fprintf(stderr, "process: %s: %s\n", what, forq_strerror(status));
    exit(1);
}

static void expect(int got, int wanted, const char *what) {
    if (got == wanted) return;
    fprintf(stderr, "process: %s: %d, not %d\n", what, got, wanted);
    exit(1);
}

/* What it returns is its exit code. What it prints comes out once, flushed or not. */
static int add(void *argument) {
    const int *numbers = argument;
    printf("child %d adds %d and %d\n", (int)getpid(), numbers[0], numbers[1]);
    return numbers[0] + numbers[1];
}

static int never_end(void *argument) {
    (void)argument;
    for (;;) pause();
    return 0;
}

int main(void) {
    int code;

    /* Spawn and join. Joined again, it answers the same. */
    forq_process child;
    int numbers[] = {30, 12};
    must(forq_process_spawn(&child, add, numbers, NULL), "spawn");
    must(forq_process_join(&child, &code, FORQ_FOREVER), "join");
    expect(code, 42, "exit code");
    must(forq_process_join(&child, &code, 0), "join again");
    expect(code, 42, "exit code, asked again");
    must(forq_process_close(&child), "close");

    /* Options: a name for ps, a group of its own, and an end at the latest when this process ends, killed or not. */
    const forq_process_options options = {.name = "sleeper", .daemon = true, .own_group = true, .nice = 1};
    must(forq_process_spawn(&child, never_end, NULL, &options), "spawn with options");
    printf("parent %d started %d\n", (int)getpid(), forq_process_pid(&child));
    expect(forq_process_is_alive(&child), 1, "is_alive");
    expect(getpgid(forq_process_pid(&child)), forq_process_pid(&child), "own_group");

    /* It does not end by itself: 0 only asks, a positive time waits so long. */
    expect(forq_process_join(&child, &code, 0), -EAGAIN, "join without waiting");
    expect(forq_process_join(&child, &code, 10 * 1000000), -ETIMEDOUT, "join for 10 ms");
    expect(forq_process_close(&child), -EBUSY, "close while it runs");

    /* Killed: told as -signal. The descriptor becomes readable, for who waits for many things at once. */
    must(forq_process_kill(&child), "kill");
    struct pollfd end = {.fd = forq_process_fd(&child), .events = POLLIN};
    expect(poll(&end, 1, -1), 1, "poll");
    expect(forq_process_is_alive(&child), 0, "is_alive at the end");
    must(forq_process_join(&child, &code, FORQ_FOREVER), "join");
    expect(code, -SIGKILL, "exit code of a killed child");
    expect(forq_process_signal(&child, SIGTERM), -ESRCH, "signal to an ended child");
    must(forq_process_close(&child), "close");

    /* A closed handle is zero again, and zero is no process. */
    expect(forq_process_join(&child, &code, FORQ_FOREVER), -EINVAL, "join of no process");
    printf("all ended as they should\n");
    return 0;
}
