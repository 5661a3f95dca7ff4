/* A stream: endless input, results in order, and never more than a window of items between the two.
 *
 * Looks for prime numbers until a thousand have been found. The numbers have no end; the stream is let go in the middle.
 *
 *     cc -std=c11 -O2 -I../include stream.c ../target/release/libforq.a -pthread -o stream && ./stream
 */
#include <errno.h>
#include <forq.h>
#include <stdio.h>
#include <stdlib.h>

enum { WINDOW = 64, WANTED = 1000 };

static void must(int status, const char *what) {
    if (status >= 0) return;
    fprintf(stderr, "stream: %s: %s\n", what, forq_strerror(status));
    exit(1);
}

static int is_prime(const void *input, void *output, const void *context) {
    (void)context;
    unsigned n = *(const unsigned *)input;
    bool prime = n >= 2;
    for (unsigned i = 2; prime && i <= n / i; i++) prime = n % i != 0;
    *(bool *)output = prime;
    return 0;
}

int main(void) {
    forq_pool *pool;
    must(forq_pool_new(NULL, &pool), "new");
    const forq_stream_options options = {
        .fn = is_prime, .input_size = sizeof(unsigned), .output_size = sizeof(bool),
        .window = WINDOW, .ordered = true,
    };
    forq_stream *stream;
    must(forq_pool_stream(pool, &options, &stream), "stream");

    unsigned next = 0, found = 0;
    uint64_t index = 0;
    while (found < WANTED) {
        /* As many as the window takes; then one result. */
        int put;
        while ((put = forq_stream_put(stream, &next, 0)) == 0) next++;
        if (put != -EAGAIN) must(put, "put");
        bool prime;
        must(forq_stream_next(stream, &index, &prime, NULL, FORQ_FOREVER), "next");
        if (prime) found++;
    }
    printf("prime number %u is %llu\n", found, (unsigned long long)index);
    if (index != 7919 || next > index + 1 + WINDOW) {
        fprintf(stderr, "stream: that is wrong\n");
        return 1;
    }
    forq_stream_free(stream);
    forq_pool_free(pool);
    return 0;
}
