/* A newcomer's first program: it knows forq only as it is installed. */
#include <forq.h>
#include <stdio.h>
#include <string.h>

static int square(const void *input, void *output, const void *context) {
    (void)context;
    *(long *)output = *(const long *)input * *(const long *)input;
    return 0;
}

int main(void) {
    long inputs[100], outputs[100], sum = 0;
    for (long i = 0; i < 100; i++) inputs[i] = i;
    forq_pool *pool;
    int status = forq_pool_new(NULL, &pool);
    if (status != 0) {
        fprintf(stderr, "app: %s\n", forq_strerror(status));
        return 1;
    }
    forq_job job = {.fn = square, .inputs = inputs, .input_size = sizeof(long), .count = 100, .outputs = outputs, .output_size = sizeof(long)};
    status = forq_pool_map(pool, &job, FORQ_FOREVER);
    forq_pool_free(pool);
    for (int i = 0; i < 100; i++) sum += outputs[i];
    char version[32];
    snprintf(version, sizeof version, "%d.%d.%d", FORQ_VERSION_MAJOR, FORQ_VERSION_MINOR, FORQ_VERSION_PATCH);
    if (status != 0 || sum != 328350 || strcmp(version, forq_version()) != 0) return 1;
    printf("forq %s: %ld\n", version, sum);
    return 0;
}
