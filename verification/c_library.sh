#!/usr/bin/env bash
# forq as C programmers meet it: built, installed, found by pkg-config and CMake, documented, abused, uninstalled.
# Needs what .ci/run installs. Parts may be named: verification/c_library.sh install manual
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."
root=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
library=target/c/release
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
strict="-Wall -Wextra -Wpedantic -Werror -Wconversion"

step() { printf -- '-- %s\n' "$*"; }
fail() { printf 'FAIL %s\n' "$*" >&2; exit 1; }

# Exactly the header's functions can be linked with, and nothing but libc is needed.
symbols() {
    step "the shared library has the header's functions and no other symbol; it needs only libc; its SONAME"
    nm -D --defined-only "$library/libforq.so" | awk '{print $3}' | sort >"$work/has"
    python3 docs/manual.py --functions include/forq.h | sort >"$work/says"
    diff "$work/says" "$work/has" || fail "the library's symbols are not the header's functions"
    readelf -d "$library/libforq.so" | grep -q "SONAME.*\[libforq.so.${version%%.*}\]" || fail "SONAME"
    readelf -sW "$library/libforq.a" 2>/dev/null | awk '$5 == "GLOBAL" && $6 == "DEFAULT" && $7 != "UND" {print $8}' | sort >"$work/static"
    diff "$work/says" "$work/static" || fail "the static library's symbols are not the header's functions"
    if readelf -d "$library/libforq.so" | grep NEEDED | grep -v 'libc\.\|ld-linux'; then fail "it needs more than libc"; fi
}

# What README says, in a clean directory, as someone who has only what is installed.
install() {
    step "installed: found by pkg-config and by CMake, shared and static, from C and from C++"
    local prefix=$work/prefix app=$work/app kind
    make -s install PREFIX="$prefix"
    cp -r verification/c_library/newcomer "$app"
    (
        cd "$app"
        export PKG_CONFIG_PATH=$prefix/lib/pkgconfig
        [ "$(pkg-config --modversion forq)" = "$version" ] || fail "pkg-config's version"
        grep -qF 'cc app.c $(pkg-config --cflags --libs forq)' "$root/README.md" || fail "README says something else"
        cc app.c $(pkg-config --cflags --libs forq) -o app
        readelf -d app | grep -q 'NEEDED.*libforq.so.0\]' || fail "it is not linked with the shared library"
        LD_LIBRARY_PATH=$prefix/lib ./app
        gcc app.c -static $(pkg-config --static --cflags --libs forq) -o app_static
        ./app_static
        gcc app.c $(pkg-config --cflags forq) "$(pkg-config --variable=libdir forq)/libforq.a" -o app_mixed
        ./app_mixed
        g++ -std=c++17 app.cpp $(pkg-config --cflags --libs forq) -o app_cpp
        LD_LIBRARY_PATH=$prefix/lib ./app_cpp
        cmake -S . -B build -DCMAKE_PREFIX_PATH="$prefix" >cmake.log || { cat cmake.log; fail "cmake"; }
        cmake --build build >cmake.log || { cat cmake.log; fail "cmake --build"; }
        # CMake leaves the library's place in what it builds.
        for kind in app_shared app_static app_cpp; do build/$kind; done
        if readelf -d build/app_static | grep 'NEEDED.*forq'; then fail "forq::forq_static is shared"; fi
    )
    man -M "$prefix/share/man" -w forq forq_mutex_lock >/dev/null || fail "man does not find the pages"

    step "uninstalled: nothing is left; staged by DESTDIR: nothing outside it"
    make -s uninstall PREFIX="$prefix"
    [ -z "$(find "$prefix" ! -type d)" ] || { find "$prefix" ! -type d; fail "uninstall left files"; }
    [ ! -e "$prefix/lib/cmake/forq" ] || fail "uninstall left a directory"
    make -s install PREFIX=/nowhere/forq LIBDIR=/nowhere/forq/lib/$(gcc -dumpmachine) DESTDIR="$work/stage"
    [ ! -e /nowhere ] || fail "DESTDIR"
    [ -e "$work/stage/nowhere/forq/lib/$(gcc -dumpmachine)/libforq.so.$version" ] || fail "LIBDIR"
    if grep -rI "$work" "$work/stage"; then fail "the staging directory is in what was installed"; fi
    make -s uninstall PREFIX=/nowhere/forq LIBDIR=/nowhere/forq/lib/$(gcc -dumpmachine) DESTDIR="$work/stage"
    [ -z "$(find "$work/stage" ! -type d)" ] || fail "uninstall left staged files"
}

# Man pages and web pages of the header's comments, without a warning.
manual() {
    step "man pages: one for each function, which mandoc and man find right; web pages"
    [ "$(ls target/c/man/man3 | wc -l)" = $(($(python3 docs/manual.py --functions include/forq.h | wc -l) + 1)) ] || fail "pages are missing"
    mandoc -Tlint -Wwarning target/c/man/man3/*.3 || fail "mandoc"
    local page
    for page in forq forq_pool_map; do
        man --warnings -E UTF-8 -l target/c/man/man3/$page.3 2>&1 >/dev/null | tee "$work/warnings"
        [ ! -s "$work/warnings" ] || fail "man"
    done
    make -s html || fail "doxygen"
    [ -e target/c/html/index.html ] || fail "no web pages"
}

# The headers by themselves, in every language that they are for, included twice.
headers() {
    step "the headers are clean in C99, C11, C17, C++17, C++20, by gcc and clang"
    printf '#include <forq.h>\n#include <forq.h>\nint main(void) { return forq_version() == 0; }\n' >"$work/twice.c"
    printf '#include <forq.hpp>\n#include <forq.h>\n#include <forq.hpp>\nint main() { return forq::check(0); }\n' >"$work/twice.cpp"
    local standard
    for standard in c99 c11 c17; do
        gcc -std=$standard $strict -Wstrict-prototypes -Iinclude -fsyntax-only "$work/twice.c"
        clang -std=$standard $strict -Wstrict-prototypes -Iinclude -fsyntax-only "$work/twice.c"
    done
    for standard in c++17 c++20; do
        g++ -std=$standard $strict -Wold-style-cast -Iinclude -fsyntax-only "$work/twice.cpp"
        clang++ -std=$standard $strict -Iinclude -fsyntax-only "$work/twice.cpp"
    done
    step "the examples and the C tests, converting nothing by chance"
    local source
    for source in c-examples/*.c verification/c_library/newcomer/app.c; do
        case $source in */mpi_map.c) continue ;; esac
        gcc -std=c11 $strict -Iinclude -fsyntax-only "$source"
        clang -std=c11 $strict -Iinclude -fsyntax-only "$source"
    done
    g++ -std=c++17 $strict -Iinclude -fsyntax-only c-examples/wrapper.cpp
    clang++ -std=c++17 $strict -Iinclude -fsyntax-only c-examples/wrapper.cpp
}

# Wrong arguments: tests/c/arguments.c has the table; here it is seen that no function is missing, and that each code is in the manual.
arguments() {
    step "NULL, 0, SIZE_MAX, misaligned: every function, with documented codes; the ABI"
    gcc -std=c11 $strict -O2 -Iinclude tests/c/abi.c "$library/libforq.a" -pthread -o "$work/abi"
    "$work/abi"
    gcc -std=c11 -Wall -Wextra -Wpedantic -Werror -O2 -g -Iinclude tests/c/arguments.c "$library/libforq.a" -pthread -o "$work/arguments"
    "$work/arguments" >"$work/gave"
    python3 - "$work/gave" <<'PYTHON'
import errno, subprocess, sys
documented = {}
for line in subprocess.check_output(["python3", "docs/manual.py", "--codes", "include/forq.h"], text=True).splitlines():
    name, *codes = line.split()
    documented[name] = set(codes)
gave = {}
for line in open(sys.argv[1]):
    name, code = line.split()
    gave.setdefault(name, set())
    if code != "0":
        gave[name].add(errno.errorcode[-int(code)].replace("EWOULDBLOCK", "EAGAIN"))
# Without a pointer or a size.
none = {"forq_version", "forq_strerror", "forq_cpu_count", "forq_set_interruptible", "forq_is_robust"}
wrong = [f"{name} is not in the table" for name in documented.keys() - gave.keys() - none]
wrong += [f"{name} gave {code}, which is not documented" for name, codes in gave.items() for code in codes - documented[name]]
sys.exit("\n".join(wrong) or 0)
PYTHON
}

# The examples with AddressSanitizer and UndefinedBehaviorSanitizer in their own code, and so the wrong arguments. (Plainly: make -C c-examples check.)
examples() {
    # Signals that a task dies of are the examples' own business.
    export ASAN_OPTIONS=handle_segv=0:handle_abort=0 UBSAN_OPTIONS=print_stacktrace=1
    local sanitize="-g -fsanitize=address,undefined -fno-sanitize-recover=all" make="make -s -C c-examples FORQ_LIB=../$library/libforq.a"
    step "the examples under AddressSanitizer and UndefinedBehaviorSanitizer"
    mkdir -p "$work/sanitized"
    # What libraries of others keep is not the examples' leak.
    ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0 $make BUILD="$work/sanitized" SANITIZE="$sanitize" check-mpi_map >"$work/log" 2>&1 ||
        { cat "$work/log"; fail "mpi_map, sanitized"; }
    $make BUILD="$work/sanitized" SANITIZE="$sanitize" LEFT_OUT=mpi_map check >"$work/log" 2>&1 || { cat "$work/log"; fail "a sanitized example"; }
    gcc -std=c11 -O1 $sanitize -Iinclude tests/c/arguments.c "$library/libforq.a" -pthread -o "$work/arguments"
    "$work/arguments" >/dev/null
}

# Under valgrind, the library included. Before 3.21 it has no pidfd_open, and so no forq_process: what forks by itself runs there all the same.
memory() {
    local programs="array event manager segment" name
    step "valgrind: the C tests of $programs"
    for name in $programs; do
        gcc -std=c11 -O1 -g -Iinclude tests/c/api_$name.c "$library/libforq.a" -pthread -o "$work/api_$name"
        valgrind -q --error-exitcode=99 --log-file="$work/valgrind.%p" "$work/api_$name" || { cat "$work"/valgrind.*; fail "$name under valgrind"; }
        if grep -h '^==[0-9]*== ' "$work"/valgrind.*; then fail "$name under valgrind"; fi
    done
}

# Nothing but libc, and not even its start files.
minimal() {
    step "a program without start files"
    gcc -std=gnu11 -O2 -Wall -Wextra -Werror -nostartfiles -Iinclude verification/c_library/minimal.c "$library/libforq.a" -o "$work/minimal"
    "$work/minimal" || fail "minimal: $?"
}

# What docs/from-python.md says: each of its programs, in three languages, does what it says.
python() {
    step "docs/from-python.md: its programs in Python, Rust and C"
    mkdir -p target/docs
    python3 verification/c_library/blocks.py docs/from-python.md "$library/libforq.a" target/docs
}

# docs/c.md says so.
musl() {
    step "musl: a static program works, and is told that deaths are found by looking"
    musl-gcc -std=c11 -O2 -static -Iinclude verification/c_library/looked.c "$library/libforq.a" -o "$work/musl"
    "$work/musl"
    musl-gcc -std=c11 -O2 -static -Iinclude verification/c_library/newcomer/app.c "$library/libforq.a" -o "$work/app_musl"
    "$work/app_musl"
    local target=x86_64-unknown-linux-musl name
    if [ ! -d "$(rustc --print sysroot)/lib/rustlib/$target" ]; then
        printf '   Rust has no %s here: rustup target add\n' $target
        return
    fi
    step "musl: built for it, deaths are told at once"
    cargo clib --quiet --target $target --target-dir target/musl --no-default-features -- --cfg forq_panic_handler
    for name in api_mutex api_mutex_kinds api_process; do
        musl-gcc -std=c11 -O2 -static -Iinclude tests/c/$name.c target/musl/$target/release/libforq.a -o "$work/$name"
        "$work/$name"
    done
}

all="symbols install manual headers arguments examples memory minimal python musl"
make -s all
for part in ${*:-$all}; do "$part"; done
printf 'c_library: all as it should be\n'
