/* A supervisor: starts children, waits for all of them and for signals at once, restarts those that crash, later each time, and
 * gives up on what crashes without end. On SIGTERM or SIGINT it asks all to end, and after a while ends them.
 *
 * If the supervisor itself is killed, its children end too (daemon). Run without arguments it supervises four small services that show all
 * of this, sends itself a SIGTERM, and checks what it saw.
 *
 *     cc -std=c11 -O2 -I../include supervisor.c ../target/release/libforq.a -pthread -o supervisor && ./supervisor
 */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <forq.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#define MILLISECOND INT64_C(1000000)

enum { MAX_SERVICES = 16, MAX_RESTARTS = 5 };
static const int64_t first_delay = 5 * MILLISECOND, grace = 200 * MILLISECOND;

typedef struct {
    const char *name;
    forq_process_fn run;
    /* What became of it. */
    enum { STOPPED, RUNNING, WAITING, GIVEN_UP } state;
    forq_process process;
    int restarts, last_code;
    /* WAITING: when it is started again, and how long it waited for that. */
    int64_t due, delay;
} service;

/* Shared with the children: somebody was given up; the stubborn one is deaf by now. */
static struct {
    forq_event given_up, deaf;
} *shared;

static void must(int status, const char *what) {
    if (status >= 0) return;
    fprintf(stderr, "supervisor: %s: %s\n", what, forq_strerror(status));
    exit(1);
}

static int64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void start(service *s) {
    const forq_process_options options = {.name = s->name, .daemon = true};
    must(forq_process_spawn(&s->process, s->run, s, &options), "spawn");
    s->state = RUNNING;
}

/* Ended: 0 is as it should be, everything else is a crash. */
static void bury(service *s, bool stopping) {
    must(forq_process_join(&s->process, &s->last_code, 0), "join");
    must(forq_process_close(&s->process), "close");
    if (s->last_code == 0 || stopping) {
        s->state = STOPPED;
    } else if (s->restarts == MAX_RESTARTS) {
        s->state = GIVEN_UP;
        must(forq_event_set(&shared->given_up), "set");
    } else {
        s->delay = s->restarts == 0 ? first_delay : 2 * s->delay;
        s->due = now() + s->delay;
        s->restarts++;
        s->state = WAITING;
    }
    printf("%-8s ended with %d: %s\n", s->name, s->last_code,
           s->state == STOPPED ? "stays so" : s->state == GIVEN_UP ? "given up" : "is started again");
}

/* Supervises until all have stopped or were given up. Returns 0, or the signal that ended it. */
static int supervise(service *services, size_t count) {
    /* Signals come by descriptor. Children are to get them as ever, so that they are unblocked there: see ready(). */
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    const int signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (signals < 0) must(-errno, "signalfd");
    for (size_t i = 0; i < count; i++) start(&services[i]);

    int stopped_by = 0;
    int64_t killing_at = INT64_MAX;
    for (;;) {
        /* All that can happen next: a signal, the end of a child, a time. */
        int fds[MAX_SERVICES + 1] = {signals};
        service *whose[MAX_SERVICES + 1] = {NULL};
        size_t waiting = 1;
        int64_t next = killing_at;
        bool any = false;
        for (size_t i = 0; i < count; i++) {
            service *s = &services[i];
            if (s->state == WAITING && stopped_by != 0) s->state = STOPPED;
            if (s->state == WAITING && s->due <= now()) start(s);
            if (s->state == WAITING && s->due < next) next = s->due;
            if (s->state == RUNNING) {
                fds[waiting] = forq_process_fd(&s->process);
                whose[waiting++] = s;
            }
            any |= s->state == RUNNING || s->state == WAITING;
        }
        if (!any) break;

        bool ready[MAX_SERVICES + 1];
        const int64_t left = next - now();
        int status = forq_wait(fds, waiting, ready, next == INT64_MAX ? FORQ_FOREVER : left > 0 ? left : 0);
        if (status == -ETIMEDOUT || status == -EAGAIN) {
            if (now() < killing_at) continue;
            killing_at = INT64_MAX;
            for (size_t i = 1; i < waiting; i++) forq_process_kill(&whose[i]->process);
            continue;
        }
        must(status, "wait");
        struct signalfd_siginfo got;
        if (ready[0] && read(signals, &got, sizeof got) == sizeof got && stopped_by == 0) {
            stopped_by = (int)got.ssi_signo;
            killing_at = now() + grace;
            printf("signal %d: all are asked to end\n", stopped_by);
            for (size_t i = 1; i < waiting; i++) forq_process_terminate(&whose[i]->process);
        }
        for (size_t i = 1; i < waiting; i++)
            if (ready[i]) bury(whose[i], stopped_by != 0);
    }
    close(signals);
    return stopped_by;
}

/* The services: each a way to live. The supervisor's blocked signals are not theirs. */
static void ready(void) {
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static int steady(void *argument) {
    (void)argument;
    ready();
    for (;;) pause();
    return 0;
}

static int stubborn(void *argument) {
    (void)argument;
    signal(SIGTERM, SIG_IGN);
    must(forq_event_set(&shared->deaf), "set");
    return steady(NULL);
}

static int once(void *argument) {
    (void)argument;
    ready();
    return 0;
}

/* Crashes twice, then is well, and ends the show. Its memory is its own: what it knows of its past is in the supervisor's copy. */
static int shaky(void *argument) {
    const service *s = argument;
    ready();
    if (s->restarts < 2) abort();
    must(forq_event_wait(&shared->given_up, FORQ_FOREVER), "wait for the hopeless one");
    must(forq_event_wait(&shared->deaf, FORQ_FOREVER), "wait for the stubborn one");
    kill(getppid(), SIGTERM);
    return steady(NULL);
}

static int hopeless(void *argument) {
    (void)argument;
    ready();
    return 3;
}

int main(void) {
    service services[] = {{.name = "steady", .run = steady},     {.name = "stubborn", .run = stubborn}, {.name = "once", .run = once},
                          {.name = "shaky", .run = shaky}, {.name = "hopeless", .run = hopeless}};
    enum { COUNT = sizeof services / sizeof *services };
    void *memory;
    must(forq_shared_alloc(sizeof *shared, &memory), "shared memory");
    shared = memory;
    const int by = supervise(services, COUNT);

    const struct {
        int restarts, last_code, state;
    } expected[COUNT] = {{0, -SIGTERM, STOPPED}, {0, -SIGKILL, STOPPED}, {0, 0, STOPPED}, {2, -SIGTERM, STOPPED}, {MAX_RESTARTS, 3, GIVEN_UP}};
    int failures = by != SIGTERM;
    for (int i = 0; i < COUNT; i++) {
        const service *s = &services[i];
        if (s->restarts == expected[i].restarts && s->last_code == expected[i].last_code && (int)s->state == expected[i].state) continue;
        fprintf(stderr, "supervisor: %s: %d restarts, %d, state %d\n", s->name, s->restarts, s->last_code, (int)s->state);
        failures++;
    }
    return failures != 0;
}
