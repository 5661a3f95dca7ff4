/* A named segment that two programs share which know only its name.
 *
 * The program runs itself again, as another program would be run: each counts its visits in the segment, under a mutex
 * there. Whoever comes first makes the mutex and the counter; both are good as they are made, zeroed.
 *
 *     cc -std=c11 -O2 -I../include segment.c ../target/release/libforq.a -pthread -o segment && ./segment
 */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <forq.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { VISITS = 1000 };

struct board {
    forq_mutex mutex;
    long visits;
};

static void must(int status, const char *what) {
    if (status >= 0) return;
    fprintf(stderr, "segment: %s: %s\n", what, forq_strerror(status));
    exit(1);
}

/* Finds the segment, or makes it: whoever loses the race to make it finds it. */
static forq_segment *find_or_make(const char *name) {
    forq_segment *segment;
    int status = forq_segment_open(name, &segment);
    if (status == -ENOENT) status = forq_segment_create(name, sizeof(struct board) + 4096, &segment);
    if (status == -EEXIST) status = forq_segment_open(name, &segment);
    must(status, "segment");
    return segment;
}

static long visit(const char *name) {
    forq_segment *segment = find_or_make(name);
    void *object;
    must(forq_segment_object(segment, "board", sizeof(struct board), &object), "object");
    struct board *board = object;
    for (int i = 0; i < VISITS; i++) {
        must(forq_mutex_lock(&board->mutex), "lock");
        board->visits++;
        must(forq_mutex_unlock(&board->mutex), "unlock");
    }
    long visits = board->visits;
    forq_segment_free(segment);
    return visits;
}

int main(int argc, char **argv) {
    if (argc > 1) return visit(argv[1]) < VISITS;
    char name[64];
    snprintf(name, sizeof name, "example-%ld", (long)getpid());
    pid_t other = fork();
    if (other == 0) {
        execl("/proc/self/exe", argv[0], name, (char *)NULL);
        _exit(127);
    }
    visit(name);
    int status;
    if (waitpid(other, &status, 0) != other || status != 0) return 1;
    long visits = visit(name) - VISITS;
    must(forq_segment_unlink(name), "unlink");
    printf("two programs visited %ld times\n", visits);
    return visits != 2 * VISITS;
}
