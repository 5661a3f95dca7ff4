// Boost.Interprocess's message queue: many producers, many consumers, sleeps.
#include <boost/interprocess/ipc/message_queue.hpp>
#include <cstdint>

using queue = boost::interprocess::message_queue;

extern "C" {

// Its name is gone at once: processes forked later have the mapping.
void *peer_boost_new(const char *name, std::size_t capacity, std::size_t message_size) {
    try {
        queue::remove(name);
        auto *made = new queue(boost::interprocess::create_only, name, capacity, message_size);
        queue::remove(name);
        return made;
    } catch (...) {
        return nullptr;
    }
}

void peer_boost_free(void *made) { delete static_cast<queue *>(made); }

bool peer_boost_put(void *made, const void *message, std::size_t size) {
    try {
        static_cast<queue *>(made)->send(message, size, 0);
        return true;
    } catch (...) {
        return false;
    }
}

bool peer_boost_get(void *made, void *buffer, std::size_t size) {
    try {
        queue::size_type got = 0;
        unsigned priority = 0;
        static_cast<queue *>(made)->receive(buffer, size, got, priority);
        return got == size;
    } catch (...) {
        return false;
    }
}
}
