/* The Mandelbrot set by a pool of processes, as a PNG: rows are items, which the workers take one after the other, since some are much
 * longer than others. Prints how long one process took, how long the pool took, and the speed-up.
 *
 *     cc -std=c11 -O2 -I../include mandelbrot.c ../target/release/libforq.a -lpng -lm -pthread -o mandelbrot && ./mandelbrot mandelbrot.png
 */
#define _POSIX_C_SOURCE 200809L
#include <forq.h>
#include <math.h>
#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { WIDTH = 900, HEIGHT = 600, DEPTH = 1000 };

/* What all rows need: a task sees this, its row, and nothing else of its caller. */
typedef struct {
    double left, top, step;
} view;

typedef struct {
    unsigned char pixels[WIDTH][3];
} row;

static void must(int status, const char *what) {
    if (status >= 0) return;
    fprintf(stderr, "mandelbrot: %s: %s\n", what, forq_strerror(status));
    exit(1);
}

static int draw(const void *input, void *output, const void *context) {
    const view *v = context;
    row *into = output;
    const double imaginary = v->top - *(const int *)input * v->step;
    for (int x = 0; x < WIDTH; x++) {
        const double real = v->left + x * v->step;
        double a = 0, b = 0;
        int n = 0;
        while (n < DEPTH && a * a + b * b < 256) {
            const double next = a * a - b * b + real;
            b = 2 * a * b + imaginary;
            a = next;
            n++;
        }
        double shade = n == DEPTH ? 0 : sqrt((n + 1 - log2(log2(a * a + b * b) / 2)) / 60);
        if (!(shade > 0)) shade = 0;
        for (int colour = 0; colour < 3; colour++)
            into->pixels[x][colour] = (unsigned char)(255 * fmin(1, pow(shade, colour + 0.5)));
    }
    return 0;
}

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void write_png(const char *path, row *rows) {
    png_image image = {.version = PNG_IMAGE_VERSION, .width = WIDTH, .height = HEIGHT, .format = PNG_FORMAT_RGB};
    if (!png_image_write_to_file(&image, path, 0, rows, 0, NULL)) {
        fprintf(stderr, "mandelbrot: %s: %s\n", path, image.message);
        exit(1);
    }
}

/* Whether the file holds this picture. */
static bool holds(const char *path, const row *rows) {
    png_image image = {.version = PNG_IMAGE_VERSION};
    row *read = malloc(HEIGHT * sizeof(row));
    if (read == NULL || !png_image_begin_read_from_file(&image, path)) exit(1);
    image.format = PNG_FORMAT_RGB;
    const bool same = image.width == WIDTH && image.height == HEIGHT && png_image_finish_read(&image, NULL, read, 0, NULL) &&
                      memcmp(read, rows, HEIGHT * sizeof(row)) == 0;
    free(read);
    return same;
}

int main(int argc, char **argv) {
    const char *path = argc > 1 ? argv[1] : "mandelbrot.png";
    const view whole = {.left = -2.25, .top = 1.0, .step = 2.0 / HEIGHT};
    forq_pool *pool;
    must(forq_pool_new(NULL, &pool), "pool");
    row *alone = malloc(HEIGHT * sizeof(row)), *together = malloc(HEIGHT * sizeof(row));
    if (alone == NULL || together == NULL) return 1;

    double start = seconds();
    int numbers[HEIGHT];
    for (int y = 0; y < HEIGHT; y++) {
        numbers[y] = y;
        draw(&numbers[y], &alone[y], &whole);
    }
    const double one = seconds() - start;

    start = seconds();
    const forq_job job = {.fn = draw, .context = &whole, .context_size = sizeof whole, .inputs = numbers, .input_size = sizeof(int),
                          .count = HEIGHT, .outputs = together, .output_size = sizeof(row), .chunk_size = 4};
    must(forq_pool_map(pool, &job, FORQ_FOREVER), "map");
    const double many = seconds() - start;
    forq_pool_free(pool);

    write_png(path, together);
    const bool good = memcmp(alone, together, HEIGHT * sizeof(row)) == 0 && holds(path, alone);
    const unsigned workers = forq_cpu_count();
    printf("%s: %d x %d; one process %.3f s, %u workers %.3f s, speed-up %.2f, efficiency %.2f\n", path, WIDTH, HEIGHT, one, workers, many,
           one / many, one / many / workers);
    free(alone);
    free(together);
    return !good;
}
