/* The producer: C, on the header alone. */
#include "mixed.h"

#include <forq.h>

int mixed_produce(void *memory, size_t size, uint64_t count) {
    forq_queue *queue;
    int status = forq_queue_attach(memory, size, &queue);
    if (status < 0) return status;
    for (uint64_t number = 0; number < count && status >= 0; number++)
        status = forq_queue_put(queue, &number, sizeof number, FORQ_FOREVER);
    if (status >= 0) status = forq_queue_close(queue);
    forq_queue_free(queue);
    return status;
}
