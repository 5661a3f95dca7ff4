/* What these tests share: checks, a watchdog, and the proof that no process is left behind.
 * A program calls `begin()` first and returns `finish()`. */
#ifndef CHECK_H
#define CHECK_H

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <forq.h>

#define MILLISECOND INT64_C(1000000)
#define SECOND INT64_C(1000000000)

#define UNUSED __attribute__((unused))

/* Where sizes have 64 bits: other machines cannot say those that are refused. */
#define WIDE (sizeof(size_t) == 8)
#define POWER(exponent) ((size_t)(UINT64_C(1) << (exponent)))

/* By qemu-user 7.2, which is slow, and has no subreapers, no robust lists, no process_vm_readv and no exec of
 * its own kind of program; and by whose own thread every program looks like one of several threads. */
#ifndef EMULATED
#define EMULATED 0
#endif
/* Of what makes processes by the thousand: one costs qemu-user some 10 ms. */
#define FEWER(count) (EMULATED ? (count) / 20 : (count))

/* Which promise is being checked: part of every message. */
static const char *running = "begin";

/* Each has some minutes, far above what it takes. */
#define RUN(test) (running = #test, alarm(200), test())
/* What an emulator cannot do. */
#define RUN_NATIVELY(test) (EMULATED ? (void)printf("left out: %s\n", #test) : RUN(test))

/* In the program itself and in children, tasks included: they end with 1. By `_exit`, so that nothing is flushed
 * twice; and by plain system calls, since some tests forbid more. */
static _Noreturn UNUSED void fail(const char *file, int line, const char *text, long got, bool tell) {
    char message[512];
    int length = tell ? snprintf(message, sizeof message, "%s:%d: %s: %s gave %ld (%s)\n", file, line, running, text,
                                 got, got < 0 ? forq_strerror((int)got) : "")
                      : snprintf(message, sizeof message, "%s:%d: %s: not so: %s\n", file, line, running, text);
    ssize_t ignored = write(STDERR_FILENO, message, (size_t)length);
    (void)ignored;
    _exit(1);
}

#define CHECK(condition) ((condition) ? (void)0 : fail(__FILE__, __LINE__, #condition, 0, false))

/* The call returns that, and leaves errno alone. */
#define RETURNS(call, expected)                                                                                        \
    do {                                                                                                               \
        errno = 1234;                                                                                                  \
        long got_ = (call);                                                                                            \
        int errno_ = errno;                                                                                            \
        if (got_ != (long)(expected)) fail(__FILE__, __LINE__, #call " == " #expected, got_, true);                    \
        if (errno_ != 1234) fail(__FILE__, __LINE__, "errno after " #call, errno_, true);                              \
    } while (0)

/* The value is that. */
#define IS(value, expected)                                                                                            \
    do {                                                                                                               \
        long got_ = (value);                                                                                           \
        if (got_ != (long)(expected)) fail(__FILE__, __LINE__, #value " == " #expected, got_, true);                   \
    } while (0)

/* An int that nobody asks for. */
#define IGNORED (&(int){0})

/* Waits for what another thread or process does; the watchdog is the only bound. */
#define WAIT_UNTIL(condition)                                                                                          \
    do {                                                                                                               \
        while (!(condition)) pause_ns(MILLISECOND);                                                                    \
    } while (0)

static UNUSED void pause_ns(int64_t nanos) {
    struct timespec rest = {.tv_sec = nanos / SECOND, .tv_nsec = nanos % SECOND};
    while (nanosleep(&rest, &rest) != 0 && errno == EINTR) {
    }
}

static UNUSED int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * SECOND + now.tv_nsec;
}

static UNUSED pid_t thread_id(void) {
    return (pid_t)syscall(SYS_gettid);
}

static UNUSED void *shared_memory(size_t size) {
    void *memory = NULL;
    RETURNS(forq_shared_alloc(size, &memory), 0);
    return memory;
}

/* Runs the function in a child of a plain fork. It ends with what the function returns. */
static UNUSED pid_t in_child(int (*function)(void *), void *argument) {
    fflush(NULL);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) _exit(function(argument));
    return pid;
}

/* The exit code of a child of a plain fork, or -signal. */
static UNUSED int ended_with(pid_t pid) {
    int status = 0;
    pid_t got;
    do got = waitpid(pid, &status, __WALL);
    while (got < 0 && errno == EINTR);
    CHECK(got == pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static UNUSED int killed(pid_t pid) {
    CHECK(kill(pid, SIGKILL) == 0);
    return ended_with(pid);
}

/* Whether a process sleeps in the kernel; a running or ended one does not. */
static UNUSED bool is_asleep(pid_t pid) {
    char path[64], text[256];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    CHECK(fd >= 0);
    ssize_t length = read(fd, text, sizeof text - 1);
    CHECK(length > 0 && close(fd) == 0);
    text[length] = 0;
    const char *name_end = strrchr(text, ')');
    CHECK(name_end != NULL);
    return name_end[2] == 'S';
}

/* No child of any kind, orphans of our descendants included. */
static UNUSED bool has_no_child(void) {
    return waitpid(-1, NULL, __WALL | WNOHANG) == -1 && errno == ECHILD;
}

static void watchdog_bites(int signal) {
    (void)signal;
    static const char message[] = ": its time is over\n";
    ssize_t ignored = write(STDERR_FILENO, running, strlen(running));
    ignored = write(STDERR_FILENO, message, sizeof message - 1);
    (void)ignored;
    kill(0, SIGKILL);
}

static UNUSED void begin(void) {
    setpgid(0, 0);
    CHECK(getpgrp() == getpid());
    CHECK(prctl(PR_SET_CHILD_SUBREAPER, 1L, 0L, 0L, 0L) == 0 || EMULATED);
    struct sigaction action = {.sa_handler = watchdog_bites, .sa_flags = SA_RESTART};
    CHECK(sigaction(SIGALRM, &action, NULL) == 0);
}

static UNUSED int finish(void) {
    CHECK(has_no_child());
    fflush(stdout);
    return 0;
}

#endif
