/* The program whose main is C's: makes the queue, starts the producer as a process, and calls the consumer, which is Rust's.
 * Built by check.sh beside this directory. */
#include "mixed.h"

#include <forq.h>
#include <stdio.h>

enum { CAPACITY = 64, COUNT = 100000 };

struct place {
    void *memory;
    size_t size;
};

static int produce(void *argument) {
    struct place *place = argument;
    return mixed_produce(place->memory, place->size, COUNT) < 0;
}

int main(void) {
    struct place place = {.size = forq_queue_required_size(CAPACITY, sizeof(uint64_t))};
    forq_queue *queue;
    forq_process producer;
    int code = 1;
    if (forq_shared_alloc(place.size, &place.memory) < 0 ||
        forq_queue_init(place.memory, place.size, CAPACITY, sizeof(uint64_t), &queue) < 0 ||
        forq_process_spawn(&producer, produce, &place, NULL) < 0)
        return 1;
    uint64_t sum = mixed_consume(place.memory, place.size);
    if (forq_process_join(&producer, &code, FORQ_FOREVER) < 0 || code != 0) return 1;
    forq_process_close(&producer);
    forq_queue_free(queue);
    forq_shared_free(place.memory, place.size);
    printf("C's main: the numbers below %d add up to %llu\n", COUNT, (unsigned long long)sum);
    return sum != (uint64_t)COUNT * (COUNT - 1) / 2;
}
