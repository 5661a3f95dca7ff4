/* A pool of worker processes: a function on many inputs, though some of them crash it.
 *
 * Integrates pieces of a curve in parallel, with the curve's parameters as context. Then the same with one piece that
 * dereferences NULL and one that reports an error: the others' results are there, and each status says what happened.
 *
 *     cc -std=c11 -O2 -I../include pool.c ../target/release/libforq.a -pthread -o pool && ./pool
 */
#include <errno.h>
#include <forq.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

enum { PIECES = 200, STEPS = 20000 };

static void must(int status, const char *what) {
    if (status >= 0) return;
    fprintf(stderr, "pool: %s: %s\n", what, forq_strerror(status));
    exit(1);
}

static void expect(long got, long wanted, const char *what) {
    if (got == wanted) return;
    fprintf(stderr, "pool: %s: %ld, not %ld\n", what, got, wanted);
    exit(1);
}

struct curve {
    double a, b;
    int crashes_at, fails_at;
};

/* A task: reads its input and the context, writes its output, returns 0 or a code of its own. It runs in a worker,
 * so that what it breaks there is not ours. */
static int integrate(const void *input, void *output, const void *context) {
    const struct curve *curve = context;
    int piece = *(const int *)input;
    if (piece == curve->crashes_at) raise(SIGSEGV);
    if (piece == curve->fails_at) return 17;
    const double width = 1.0 / PIECES / STEPS;
    double sum = 0;
    for (int i = 0; i < STEPS; i++) {
        double x = (double)piece / PIECES + (i + 0.5) * width;
        sum += (curve->a * x * x + curve->b) * width;
    }
    *(double *)output = sum;
    return 0;
}

static int gcd(const void *input, void *output, const void *context) {
    (void)output, (void)context;
    int a = ((const int *)input)[0], b = ((const int *)input)[1];
    while (b != 0) {
        int rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

static double total(const double *areas) {
    double sum = 0;
    for (int i = 0; i < PIECES; i++) sum += areas[i];
    return sum;
}

int main(void) {
    forq_pool *pool; /* as many workers as CPUs; made first, before threads and open files */
    must(forq_pool_new(NULL, &pool), "new");

    /* The integral of 3 x^2 + 1 from 0 to 1 is 2. */
    struct curve curve = {.a = 3, .b = 1, .crashes_at = -1, .fails_at = -1};
    int pieces[PIECES];
    double areas[PIECES];
    for (int i = 0; i < PIECES; i++) pieces[i] = i;
    forq_task_status statuses[PIECES];
    const forq_job job = {
        .fn = integrate,
        .context = &curve, .context_size = sizeof curve,
        .inputs = pieces, .input_size = sizeof pieces[0], .count = PIECES,
        .outputs = areas, .output_size = sizeof areas[0],
        .statuses = statuses,
    };
    must(forq_pool_map(pool, &job, FORQ_FOREVER), "map");
    printf("the area is %.6f\n", total(areas));
    expect((long)(total(areas) * 1e6 + 0.5), 2000000, "area in millionths");

    /* One crash and one error among good ones. */
    curve.crashes_at = 50;
    curve.fails_at = 120;
    areas[50] = areas[120] = 0;
    expect(forq_pool_map(pool, &job, FORQ_FOREVER), -ECHILD, "map with a crash");
    for (int i = 0; i < PIECES; i++) {
        if (statuses[i].kind == FORQ_TASK_CRASHED) printf("piece %d crashed: signal %d\n", i, statuses[i].code);
        if (statuses[i].kind == FORQ_TASK_FAILED) printf("piece %d failed: code %d\n", i, statuses[i].code);
        expect(statuses[i].kind, i == 50 ? FORQ_TASK_CRASHED : i == 120 ? FORQ_TASK_FAILED : FORQ_TASK_OK, "kind");
        expect(statuses[i].code, i == 50 ? SIGSEGV : i == 120 ? 17 : 0, "code");
    }
    printf("without these two the area is %.6f\n", total(areas));

    /* One input: apply gives back what the task returned. */
    const int numbers[2] = {84, 36};
    expect(forq_pool_apply(pool, gcd, numbers, sizeof numbers, NULL, 0, FORQ_FOREVER), 12, "gcd of 84 and 36");

    forq_pool_statistics stats;
    must(forq_pool_stats(pool, &stats), "statistics");
    printf("%u workers, %llu crash, %.2f of them busy on average\n", stats.workers, (unsigned long long)stats.crashes,
           (double)stats.busy_ns / (double)stats.wall_ns);
    expect((long)stats.crashes, 1, "crashes");

    /* No new work, let what is there end, let go. */
    must(forq_pool_close(pool), "close");
    must(forq_pool_join(pool, FORQ_FOREVER), "join");
    expect(forq_pool_map(pool, &job, FORQ_FOREVER), -ESHUTDOWN, "map after close");
    forq_pool_free(pool);
    return 0;
}
