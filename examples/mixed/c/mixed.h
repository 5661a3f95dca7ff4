/* What the two sides of the example call of each other. */
#ifndef MIXED_H
#define MIXED_H

#include <stddef.h>
#include <stdint.h>

/* In C: finds the queue in this memory, puts the numbers below count into it, and closes it. 0, or a negative errno. */
int mixed_produce(void *memory, size_t size, uint64_t count);

/* In Rust: finds the queue, adds up what comes until it is closed. The sum; UINT64_MAX if anything goes wrong. */
uint64_t mixed_consume(void *memory, size_t size);

#endif
