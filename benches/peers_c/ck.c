/* Concurrency Kit's ring for many producers and many consumers: spins, 1000 pauses and then a yield, and holds pointers. */
#include <ck_pr.h>
#include <ck_ring.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct peer {
    ck_ring_t ring __attribute__((aligned(128)));
    ck_ring_buffer_t slots[] __attribute__((aligned(128)));
};

static void rest(unsigned *looks) {
    if (++*looks % 1000 == 0)
        sched_yield();
    else
        ck_pr_stall();
}

size_t peer_ck_size(unsigned slots) { return sizeof(struct peer) + slots * sizeof(ck_ring_buffer_t); }

void peer_ck_init(void *memory, unsigned slots) { ck_ring_init(&((struct peer *)memory)->ring, slots); }

void peer_ck_put(void *memory, uint64_t message) {
    struct peer *peer = memory;
    unsigned looks = 0;
    while (!ck_ring_enqueue_mpmc(&peer->ring, peer->slots, (void *)(uintptr_t)message)) rest(&looks);
}

uint64_t peer_ck_get(void *memory) {
    struct peer *peer = memory;
    void *message;
    unsigned looks = 0;
    while (!ck_ring_dequeue_mpmc(&peer->ring, peer->slots, &message)) rest(&looks);
    return (uintptr_t)message;
}
