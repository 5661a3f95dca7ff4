/* What an emulated program gets that executes itself or another of its kind, linked with --wrap=execl: the emulator with that
 * program, since qemu-user passes execve on to the kernel, which knows no such programs. RUN has the emulator's words. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int __wrap_execl(const char *path, const char *argument, ...) {
    enum { MOST = 32 };
    char program[4096], words[1024], *arguments[MOST], *rest = words;
    const char *run = getenv("RUN");
    /* The emulator's own /proc/self is not what the program sees. */
    ssize_t length = readlink(path, program, sizeof program - 1);
    if (run == NULL || strlen(run) >= sizeof words || length < 0) return errno = ENOEXEC, -1;
    program[length] = 0;
    strcpy(words, run);
    size_t count = 0;
    for (char *word; count < MOST && (word = strtok_r(rest, " ", &rest)) != NULL;) arguments[count++] = word;
    if (count + 2 > MOST) return errno = E2BIG, -1;
    arguments[count++] = program;
    va_list more;
    va_start(more, argument);
    char *next = NULL;
    do next = va_arg(more, char *);
    while (count < MOST && (arguments[count++] = next) != NULL);
    va_end(more);
    return next == NULL ? execvp(arguments[0], arguments) : (errno = E2BIG, -1);
}
