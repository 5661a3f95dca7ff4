/* forq_stream: items put one by one, results taken one by one, with a bound on what is between. */
#define _GNU_SOURCE
#include "check.h"

static struct {
    _Atomic int started;
} *shared;

static forq_pool *pool_of(uint32_t workers) {
    const forq_pool_options options = {.workers = workers};
    forq_pool *pool = NULL;
    RETURNS(forq_pool_new(&options, &pool), 0);
    return pool;
}

struct factor {
    long by;
};

/* Negative inputs misbehave. */
static int multiply(const void *input, void *output, const void *context) {
    long n = *(const long *)input;
    *(long *)output = n * ((const struct factor *)context)->by;
    if (n == -1) return 7;
    if (n == -2) abort();
    shared->started++;
    if (n == -3)
        while (pause() == -1) {
        }
    return 0;
}

static const struct factor three = {3};

static forq_stream *stream_of(forq_pool *pool, size_t window, bool ordered) {
    const forq_stream_options options = {.fn = multiply, .context = &three, .context_size = sizeof three,
                                         .input_size = sizeof(long), .output_size = sizeof(long), .window = window,
                                         .ordered = ordered};
    forq_stream *stream = NULL;
    RETURNS(forq_pool_stream(pool, &options, &stream), 0);
    return stream;
}

static void bad_calls_are_refused(void) {
    forq_pool *pool = pool_of(1);
    forq_stream *const untouched = (forq_stream *)&shared;
    forq_stream *stream = untouched;
    const forq_stream_options good = {.fn = multiply, .context = &three, .context_size = sizeof three,
                                      .input_size = sizeof(long), .output_size = sizeof(long), .window = 4};
    forq_stream_options options;
#define REFUSED(change)                                                                                                \
    do {                                                                                                               \
        options = good;                                                                                                \
        change;                                                                                                        \
        RETURNS(forq_pool_stream(pool, &options, &stream), -EINVAL);                                                   \
    } while (0)
    REFUSED(options.fn = NULL);
    REFUSED(options.context = NULL);
    REFUSED(options.window = 0);
    REFUSED(options.window = SIZE_MAX);
    REFUSED((options.window = SIZE_MAX, options.input_size = 0, options.output_size = 0));
    REFUSED(options.input_size = SIZE_MAX);
    REFUSED(options.output_size = SIZE_MAX / 4 + 1);
    for (int i = 0; i < 8; i++) REFUSED(options.reserved[i] = 1);
    RETURNS(forq_pool_stream(NULL, &good, &stream), -EINVAL);
    RETURNS(forq_pool_stream(pool, NULL, &stream), -EINVAL);
    RETURNS(forq_pool_stream(pool, &good, NULL), -EINVAL);
    CHECK(stream == untouched);
    long input = 1, output = -5;
    uint64_t index = 77;
    forq_task_status status = {77, 77};
    RETURNS(forq_stream_put(NULL, &input, 0), -EINVAL);
    RETURNS(forq_stream_next(NULL, &index, &output, &status, 0), -EINVAL);
    RETURNS(forq_stream_finish(NULL), -EINVAL);
    forq_stream_free(NULL);
    stream = stream_of(pool, 2, true);
    RETURNS(forq_stream_put(stream, NULL, 0), -EINVAL);
    RETURNS(forq_stream_put(stream, &input, -2), -EINVAL);
    RETURNS(forq_stream_put(stream, &input, 0), 0);
    RETURNS(forq_stream_next(stream, &index, NULL, &status, 0), -EINVAL);
    RETURNS(forq_stream_next(stream, &index, &output, &status, INT64_MIN), -EINVAL);
    CHECK(output == -5 && index == 77 && status.kind == 77);
    RETURNS(forq_stream_next(stream, NULL, &output, NULL, FORQ_FOREVER), 0);
    CHECK(output == 3);
    forq_stream_free(stream);
    forq_pool_free(pool);
}

static void results_come_in_order_and_the_window_is_exact(void) {
    forq_pool *pool = pool_of(2);
    forq_stream *stream = stream_of(pool, 5, true);
    for (long round = 0; round < 200; round++) {
        for (long i = 0; i < 5; i++) {
            long input = round * 5 + i;
            RETURNS(forq_stream_put(stream, &input, 0), 0);
            input = -2;
        }
        long input = 0;
        RETURNS(forq_stream_put(stream, &input, 0), -EAGAIN);
        int64_t start = now_ns();
        if (round == 0) {
            RETURNS(forq_stream_put(stream, &input, 10 * MILLISECOND), -ETIMEDOUT);
            CHECK(now_ns() - start >= 10 * MILLISECOND);
        }
        for (long i = 0; i < 5; i++) {
            uint64_t index = 0;
            long output = 0;
            forq_task_status status = {77, 77};
            RETURNS(forq_stream_next(stream, &index, &output, &status, FORQ_FOREVER), 0);
            CHECK(index == (uint64_t)(round * 5 + i) && output == 3 * (round * 5 + i));
            CHECK(status.kind == FORQ_TASK_OK && status.code == 0);
        }
    }
    long output;
    RETURNS(forq_stream_next(stream, NULL, &output, NULL, 0), -EAGAIN);
    RETURNS(forq_stream_next(stream, NULL, &output, NULL, MILLISECOND), -ETIMEDOUT);
    RETURNS(forq_stream_finish(stream), 0);
    RETURNS(forq_stream_put(stream, &output, FORQ_FOREVER), -ESHUTDOWN);
    RETURNS(forq_stream_next(stream, NULL, &output, NULL, FORQ_FOREVER), -ESHUTDOWN);
    RETURNS(forq_stream_finish(stream), 0);
    forq_stream_free(stream);
    forq_pool_free(pool);
}

static void every_item_tells_how_it_ended(void) {
    forq_pool *pool = pool_of(2);
    for (int ordered = 0; ordered < 2; ordered++) {
        forq_stream *stream = stream_of(pool, 100, ordered);
        for (long i = 0; i < 100; i++) {
            long input = i % 10 == 1 ? -1 : i % 10 == 2 ? -2 : i;
            RETURNS(forq_stream_put(stream, &input, FORQ_FOREVER), 0);
        }
        RETURNS(forq_stream_finish(stream), 0);
        bool seen[100] = {false};
        for (int i = 0; i < 100; i++) {
            uint64_t index;
            long output = -99;
            forq_task_status status;
            RETURNS(forq_stream_next(stream, &index, &output, &status, FORQ_FOREVER), 0);
            CHECK(index < 100 && !seen[index] && (!ordered || index == (uint64_t)i));
            seen[index] = true;
            switch (index % 10) {
            case 1: CHECK(status.kind == FORQ_TASK_FAILED && status.code == 7 && output == -3); break;
            case 2: CHECK(status.kind == FORQ_TASK_CRASHED && status.code == SIGABRT && output == -99); break;
            default: CHECK(status.kind == FORQ_TASK_OK && output == 3 * (long)index);
            }
        }
        long output;
        RETURNS(forq_stream_next(stream, NULL, &output, NULL, FORQ_FOREVER), -ESHUTDOWN);
        forq_stream_free(stream);
    }
    forq_stream *stream = stream_of(pool, 1, true);
    long input = -2, output = -99;
    uint64_t index = 77;
    RETURNS(forq_stream_put(stream, &input, 0), 0);
    RETURNS(forq_stream_next(stream, &index, &output, NULL, FORQ_FOREVER), -ECHILD);
    CHECK(index == 0 && output == -99);
    forq_stream_free(stream);
    forq_pool_free(pool);
}

static void what_is_under_way_ends_with_the_pool(void) {
    forq_pool *pool = pool_of(2);
    shared->started = 0;
    forq_stream *stream = stream_of(pool, 10, false);
    for (int i = 0; i < 10; i++) {
        long input = -3;
        RETURNS(forq_stream_put(stream, &input, 0), 0);
    }
    WAIT_UNTIL(shared->started == 2);
    forq_pool_free(pool);
    CHECK(has_no_child());
    for (int i = 0; i < 10; i++) {
        forq_task_status status;
        long output;
        RETURNS(forq_stream_next(stream, NULL, &output, &status, FORQ_FOREVER), 0);
        IS(status.kind, FORQ_TASK_CANCELLED);
    }
    long output;
    RETURNS(forq_stream_next(stream, NULL, &output, NULL, FORQ_FOREVER), -ESHUTDOWN);
    RETURNS(forq_stream_put(stream, &output, FORQ_FOREVER), -ESHUTDOWN);
    forq_stream_free(stream);
}

static int use_stream(void *argument) {
    forq_stream *stream = argument;
    long value = 0;
    RETURNS(forq_stream_put(stream, &value, FORQ_FOREVER), -EPERM);
    RETURNS(forq_stream_next(stream, NULL, &value, NULL, FORQ_FOREVER), -EPERM);
    RETURNS(forq_stream_finish(stream), -EPERM);
    forq_stream_free(stream);
    return 0;
}

static void a_forked_child_has_no_use_of_a_stream(void) {
    forq_pool *pool = pool_of(1);
    forq_stream *stream = stream_of(pool, 3, true);
    IS(ended_with(in_child(use_stream, stream)), 0);
    long value = 5;
    RETURNS(forq_stream_put(stream, &value, FORQ_FOREVER), 0);
    RETURNS(forq_stream_next(stream, NULL, &value, NULL, FORQ_FOREVER), 0);
    CHECK(value == 15);
    forq_stream_free(stream);
    forq_pool_free(pool);
}

int main(void) {
    begin();
    shared = shared_memory(sizeof *shared);
    RUN(bad_calls_are_refused);
    RUN(results_come_in_order_and_the_window_is_exact);
    RUN(every_item_tells_how_it_ended);
    RUN(what_is_under_way_ends_with_the_pool);
    RUN(a_forked_child_has_no_use_of_a_stream);
    return finish();
}
