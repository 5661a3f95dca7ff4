// A newcomer's first program in C++.
#include <cstdio>
#include <forq.hpp>

static long square(const long &x) { return x * x; }

int main() {
    forq::pool pool;
    const std::vector<long> squares = pool.map<square>({1, 2, 3});
    std::printf("forq %s: %ld\n", forq_version(), squares[2]);
    return squares[2] != 9;
}
