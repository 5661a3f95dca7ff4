/* Pipes: messages between processes, in both directions, and a child that is at the other end.
 *
 * A message arrives whole or not at all, whoever is killed. The end of the other process is told as -EPIPE, after all that it
 * sent; no signal is raised.
 *
 *     cc -std=c11 -O2 -I../include pipe.c ../target/release/libforq.a -pthread -o pipe && ./pipe
 */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <forq.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void must(int status, const char *what) {
    if (status >= 0) return;
    fprintf(stderr, "pipe: %s: %s\n", what, forq_strerror(status));
    exit(1);
}

static void expect(long got, long wanted, const char *what) {
    if (got == wanted) return;
    fprintf(stderr, "pipe: %s: %ld, not %ld\n", what, got, wanted);
    exit(1);
}

/* Answers each message by its letters in capitals, until the parent closes its end. */
static int capitals(forq_connection *parent, void *unused) {
    (void)unused;
    char message[100];
    size_t size;
    int status;
    while ((status = forq_connection_recv(parent, message, sizeof message, &size, FORQ_FOREVER)) == 0) {
        for (size_t i = 0; i < size; i++)
            if (message[i] >= 'a' && message[i] <= 'z') message[i] = (char)(message[i] - 'a' + 'A');
        must(forq_connection_send(parent, message, size, FORQ_FOREVER), "send from the child");
    }
    return status == -EPIPE ? 0 : 1;
}

int main(void) {
    char buffer[100];
    size_t size;

    /* Two ends in one process. An empty message is a message. */
    forq_connection ends[2];
    must(forq_pipe(ends), "pipe");
    must(forq_connection_send(&ends[0], "hello", 5, FORQ_FOREVER), "send");
    must(forq_connection_send(&ends[0], NULL, 0, FORQ_FOREVER), "send nothing");
    expect(forq_connection_recv(&ends[1], buffer, 3, &size, FORQ_FOREVER), -EMSGSIZE, "a buffer that is too small");
    expect((long)size, 5, "the size needed");
    must(forq_connection_recv(&ends[1], buffer, sizeof buffer, &size, FORQ_FOREVER), "recv");
    expect((long)size, 5, "the size");
    must(forq_connection_recv(&ends[1], buffer, sizeof buffer, &size, FORQ_FOREVER), "recv nothing");
    expect((long)size, 0, "the size of nothing");
    expect(forq_connection_recv(&ends[1], buffer, sizeof buffer, &size, 0), -EAGAIN, "no message");
    must(forq_connection_close(&ends[0]), "close");
    expect(forq_connection_recv(&ends[1], buffer, sizeof buffer, &size, FORQ_FOREVER), -EPIPE, "the end");
    must(forq_connection_close(&ends[1]), "close");

    /* A child at the other end. Wait for it, or for its answer: whichever comes first. */
    forq_process child;
    forq_connection connection;
    must(forq_process_spawn_piped(&child, capitals, NULL, NULL, &connection), "spawn_piped");
    const char *words[] = {"fork", "queue", "robust"};
    for (int i = 0; i < 3; i++) {
        must(forq_connection_send(&connection, words[i], strlen(words[i]), FORQ_FOREVER), "send");
        const int fds[] = {forq_connection_fd(&connection), forq_process_fd(&child)};
        bool ready[2];
        expect(forq_wait(fds, 2, ready, FORQ_FOREVER), 1, "wait");
        expect(ready[0], true, "an answer");
        must(forq_connection_recv(&connection, buffer, sizeof buffer, &size, FORQ_FOREVER), "recv");
        printf("%s -> %.*s\n", words[i], (int)size, buffer);
    }

    /* A descriptor may be sent too: here one into which the child could write. */
    int pipe_ends[2];
    if (pipe(pipe_ends) != 0) return 1;
    forq_connection receiver, sender;
    must(forq_pipe_one_way(&receiver, &sender), "pipe_one_way");
    must(forq_connection_send_fd(&sender, pipe_ends[1], FORQ_FOREVER), "send_fd");
    close(pipe_ends[1]);
    int copy;
    must(forq_connection_recv_fd(&receiver, &copy, FORQ_FOREVER), "recv_fd");
    expect(write(copy, "x", 1), 1, "write");
    close(copy);
    expect(read(pipe_ends[0], buffer, sizeof buffer), 1, "read");
    close(pipe_ends[0]);
    expect(forq_connection_send(&receiver, "x", 1, 0), -EPERM, "send at the receiving end");
    must(forq_connection_close(&receiver), "close");
    must(forq_connection_close(&sender), "close");

    /* Closing our end tells the child. */
    int code;
    must(forq_connection_close(&connection), "close");
    must(forq_process_join(&child, &code, FORQ_FOREVER), "join");
    expect(code, 0, "exit code");
    must(forq_process_close(&child), "close");
    printf("all messages arrived\n");
    return 0;
}
