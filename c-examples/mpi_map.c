/* One pool per MPI rank: MPI shares the work out between the ranks (one per node), forq between the processes of a node, and a crashed item costs
 * one item, not the rank and with it the whole MPI job.
 *
 * The pool is made before MPI_Init: its workers are forked from a process that is not yet one of MPI's, and never call MPI. docs/mpi.md says why, and
 * how to run this under Slurm.
 *
 *     mpicc -std=c11 -O2 -I../include mpi_map.c ../target/release/libforq.a -lm -pthread -o mpi_map && mpirun -n 4 ./mpi_map
 */
#include <forq.h>
#include <math.h>
#include <mpi.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

enum { ITEMS = 1003, WORKERS = 2, POISONED = 500 };

/* What goes back: MPI_DOUBLE and MPI_INT would be two messages; this is one of bytes, since all ranks run one program. */
typedef struct {
    double value;
    forq_task_status status;
} answer;

static void must(int status, const char *what) {
    if (status >= 0) return;
    fprintf(stderr, "mpi_map: %s: %s\n", what, forq_strerror(status));
    exit(1);
}

/* The item: the integral of a wave from 0 to x. It runs in a worker, which knows nothing of MPI. */
static int integrate(const void *input, void *output, const void *context) {
    (void)context;
    const double x = *(const double *)input;
    if (x == POISONED) raise(SIGSEGV);
    const int steps = 2000;
    double sum = 0;
    for (int i = 0; i < steps; i++) {
        const double t = (i + 0.5) * x / steps;
        sum += t * t / (1 + t);
    }
    *(double *)output = sum * x / steps;
    return 0;
}

static double exact(double x) {
    return x * x / 2 - x + log(1 + x);
}

int main(int argc, char **argv) {
    /* First the pool, then MPI: MPI_Init may start threads, pin memory and open devices that a fork must not copy. */
    forq_pool *pool;
    const forq_pool_options options = {.workers = WORKERS};
    must(forq_pool_new(&options, &pool), "pool");

    MPI_Init(&argc, &argv);
    int rank, ranks;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);

    /* Who gets how many, in bytes: all the same, but for the remainder. */
    int *input_bytes = calloc((size_t)ranks * 4, sizeof(int));
    double *inputs = calloc(ITEMS, sizeof(double));
    answer *answers = calloc(ITEMS, sizeof(answer));
    if (input_bytes == NULL || inputs == NULL || answers == NULL) MPI_Abort(MPI_COMM_WORLD, 1);
    int *input_at = input_bytes + ranks, *answer_bytes = input_at + ranks, *answer_at = answer_bytes + ranks;
    for (int i = 0, first = 0; i < ranks; i++) {
        const int items = ITEMS / ranks + (i < ITEMS % ranks);
        input_bytes[i] = items * (int)sizeof(double);
        input_at[i] = first * (int)sizeof(double);
        answer_bytes[i] = items * (int)sizeof(answer);
        answer_at[i] = first * (int)sizeof(answer);
        first += items;
    }
    const int mine = input_bytes[rank] / (int)sizeof(double);
    double *my_inputs = calloc((size_t)mine + 1, sizeof(double)), *my_values = calloc((size_t)mine + 1, sizeof(double));
    forq_task_status *my_statuses = calloc((size_t)mine + 1, sizeof(forq_task_status));
    answer *my_answers = calloc((size_t)mine + 1, sizeof(answer));
    if (my_inputs == NULL || my_values == NULL || my_statuses == NULL || my_answers == NULL) MPI_Abort(MPI_COMM_WORLD, 1);

    for (int i = 0; i < ITEMS; i++) inputs[i] = i;
    MPI_Scatterv(inputs, input_bytes, input_at, MPI_BYTE, my_inputs, input_bytes[rank], MPI_BYTE, 0, MPI_COMM_WORLD);

    const forq_job job = {.fn = integrate, .inputs = my_inputs, .input_size = sizeof(double), .count = (size_t)mine, .outputs = my_values,
                          .output_size = sizeof(double), .statuses = my_statuses};
    const int status = forq_pool_map(pool, &job, FORQ_FOREVER);
    if (status != 0) fprintf(stderr, "rank %d: %s\n", rank, forq_strerror(status));
    for (int i = 0; i < mine; i++) my_answers[i] = (answer){.value = my_values[i], .status = my_statuses[i]};

    MPI_Gatherv(my_answers, answer_bytes[rank], MPI_BYTE, answers, answer_bytes, answer_at, MPI_BYTE, 0, MPI_COMM_WORLD);

    int failures = 0;
    if (rank == 0) {
        int crashed = 0;
        for (int i = 0; i < ITEMS; i++) {
            const answer *a = &answers[i];
            if (a->status.kind == FORQ_TASK_CRASHED && a->status.code == SIGSEGV && i == POISONED)
                crashed++;
            else if (a->status.kind != FORQ_TASK_OK || fabs(a->value - exact(i)) > 1e-3 * (1 + exact(i)))
                failures++;
        }
        failures += crashed != 1;
        printf("%d ranks, %d items: %d crashed, %d wrong\n", ranks, ITEMS, crashed, failures);
    }
    MPI_Bcast(&failures, 1, MPI_INT, 0, MPI_COMM_WORLD);
    MPI_Finalize();
    forq_pool_free(pool);
    free(my_answers);
    free(my_statuses);
    free(my_values);
    free(my_inputs);
    free(answers);
    free(inputs);
    free(input_bytes);
    return failures != 0;
}
