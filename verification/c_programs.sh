# Sourced: C programs of tests/c and c-examples compiled against one library and run, two at a time.

# What runs by itself: word_count is told by arguments what to do, the others need more libraries.
all_programs() {
    local source
    for source in tests/c/*.c c-examples/*.c; do
        case $source in */word_count.c | */mandelbrot.c | */mpi_map.c) continue ;; esac
        basename "$source" .c
    done
}

# The programs that were named, without those to leave out.
without() {
    local name
    for name in $(all_programs); do
        case " $* " in *" $name "*) ;; *) printf '%s\n' "$name" ;; esac
    done
}

one_program() {
    local name=$1 source=tests/c/$1.c
    [ -e "$source" ] || source=c-examples/$name.c
    if ! $COMPILE -std=c11 -Wall -Wextra -Werror -Iinclude "$source" "$LIBRARY" -pthread -o "$WORK/$name" >"$WORK/$name.log" 2>&1 ||
        ! (cd "$WORK" && timeout -k 5 "$LIMIT" $RUN "./$name" </dev/null >"$name.log" 2>&1); then
        tail -n 60 "$WORK/$name.log"
        printf 'FAIL %s\n' "$name"
        return 1
    fi
    sed -n 's/^left out: /   left out: '"$name"', /p' "$WORK/$name.log"
    printf 'ok   %s\n' "$name"
}
export -f one_program

# COMPILE, LIBRARY, RUN and LIMIT (seconds for each) say how, WORK where; names on standard input. Fails if one does.
run_programs() {
    export COMPILE LIBRARY RUN LIMIT WORK
    xargs -P 2 -n 1 bash -c 'one_program "$1"' _
}
