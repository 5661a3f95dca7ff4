/* A channel: pictures go from one process to another without being copied.
 *
 * The producer draws each picture in the channel's own memory; the consumer adds up its points where they are. Then a producer is
 * killed in the middle of a picture: nothing of it is seen, and another one goes on.
 *
 *     cc -std=c11 -O2 -I../include channel.c ../target/release/libforq.a -pthread -o channel && ./channel
 */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <forq.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WIDTH = 320, HEIGHT = 200, POINTS = WIDTH * HEIGHT, PICTURES = 200, KILLED_AT = 100 };

struct picture {
    uint32_t number;
    unsigned char points[POINTS];
};

static void must(int status, const char *what) {
    if (status >= 0) return;
    fprintf(stderr, "channel: %s: %s\n", what, forq_strerror(status));
    exit(1);
}

static struct {
    forq_channel *channel;
    uint32_t first;
} task;

/* Draws pictures from the first on, and closes the channel after the last one. */
static int draw(void *unused) {
    (void)unused;
    for (uint32_t number = task.first; number < PICTURES; number++) {
        void *slot;
        must(forq_channel_reserve(task.channel, &slot, FORQ_FOREVER), "reserve");
        struct picture *picture = slot;
        picture->number = number;
        memset(picture->points, (int)number, POINTS / 2);
        /* Half a picture. */
        if (number == KILLED_AT && task.first == 0) kill(getpid(), SIGKILL);
        memset(picture->points + POINTS / 2, (int)number, POINTS - POINTS / 2);
        must(forq_channel_commit(task.channel, sizeof *picture), "commit");
    }
    must(forq_channel_close(task.channel), "close");
    return 0;
}

/* How many pictures have come, until there are no more: the status says why. */
static uint32_t look(uint32_t count, int *status) {
    for (;; count++) {
        const void *message;
        size_t size;
        *status = forq_channel_peek(task.channel, &message, &size, FORQ_FOREVER);
        if (*status != 0) return count;
        const struct picture *picture = message;
        long sum = 0;
        for (int i = 0; i < POINTS; i++) sum += picture->points[i];
        if (size != sizeof *picture || picture->number != count || sum != (long)(count & 255) * POINTS) {
            fprintf(stderr, "channel: picture %u is not whole\n", count);
            exit(1);
        }
        must(forq_channel_release(task.channel), "release");
    }
}

int main(void) {
    must(forq_channel_new(4, sizeof(struct picture), &task.channel), "new");
    forq_process producer;
    int status, code;
    uint32_t count = 0;
    for (int round = 0; round < 2; round++) {
        task.first = count;
        must(forq_process_spawn(&producer, draw, NULL, NULL), "spawn");
        count = look(count, &status);
        printf("%u pictures, then: %s\n", count, forq_strerror(status));
        must(forq_process_join(&producer, &code, FORQ_FOREVER), "join");
        must(forq_process_close(&producer), "close");
        if (round == 0 ? status != -EPIPE || count != KILLED_AT || code != -SIGKILL : status != -ESHUTDOWN) return 1;
    }
    forq_channel_free(task.channel);
    return count == PICTURES ? 0 : 1;
}
