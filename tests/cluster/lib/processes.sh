# shellcheck shell=bash
# The cluster's processes and the namespaces that they are in.
#
# A place (`control`, `node1`, `node2`) is a network and a mount namespace without a name, which
# live as long as processes in them do: when these are gone, so are interfaces, addresses and
# mounts. A process is known by its id and the time it started at, so that a recorded id is never
# mistaken for that of another process.

# pid_of NAME: the recorded process, if it's still that one and not dead.
pid_of() {
    local pid started
    [ -e "$state/pids/$1" ] || return 1
    read -r pid started <"$state/pids/$1"
    [ "$(start_time "$pid")" = "$started" ] && echo "$pid"
}

# When a process started, in clock ticks since boot; nothing if it is gone or a zombie.
start_time() {
    local stat
    { read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 0
    # The name, in parentheses, may hold anything.
    awk '$1 != "Z" && $1 != "X" { print $20 }' <<<"${stat##*) }"
}

is_running() {
    pid_of "$1" >/dev/null
}

# start PLACE NAME COMMAND...: in the background; its output is in $state/log/NAME.
start() {
    local place=$1 name=$2 holder
    shift 2
    ! is_running "$name" || return 0
    holder=$(pid_of "$place") || fail "the namespaces of $place are gone: tests/cluster/up"
    start_process "$name" nsenter --target "$holder" --net --mount -- "$@"
}

start_process() {
    local name=$1
    shift
    mkdir -p "$state/log" "$state/pids"
    (
        [ -z "${cluster_lock:-}" ] || exec {cluster_lock}>&-
        join_cgroup
        # What a machine sets for its own cluster isn't meant for this one.
        unset KUBECONFIG NOTIFY_SOCKET
        exec setsid "$@"
    ) </dev/null >>"$state/log/$name" 2>&1 &
    echo "$! $(start_time "$!")" >"$state/pids/$name"
    disown "$!"
}

# inside PLACE COMMAND...: runs a command in the namespaces of a place.
inside() {
    local holder
    holder=$(pid_of "$1") || fail "the namespaces of $1 are gone: tests/cluster/up"
    shift
    nsenter --target "$holder" --net --mount -- "$@"
}

# stop NAME SIGNAL: waits until it is gone.
stop() {
    local pid until=$((SECONDS + 20))
    pid=$(pid_of "$1") || return 0
    kill -s "$2" "$pid"
    while is_running "$1"; do
        if [ "$SECONDS" -ge "$until" ]; then
            kill -s KILL "$pid" 2>/dev/null || true
            until=$((SECONDS + 20))
        fi
        sleep 0.02
    done
    rm -f "$state/pids/$1"
}

# make_place PLACE: new namespaces and a process that holds them. With a folder of its own for each
# path that programs write to wherever they are told to, a node is like a machine, and leaves
# nothing on this one.
make_place() {
    local place=$1 pid own folder until=$((SECONDS + 10))
    start_process "$place" unshare --net --mount --propagation private -- sleep infinity
    pid=$(pid_of "$place") || fail_with_log "$place" "no namespaces could be made for $place"
    own=$(readlink /proc/self/ns/mnt)
    until [ "$(cat "/proc/$pid/comm")" = sleep ] &&
        [ "$(readlink "/proc/$pid/ns/mnt")" != "$own" ]; do
        is_running "$place" || fail_with_log "$place" "no namespaces could be made for $place"
        [ "$SECONDS" -lt "$until" ] || fail_with_log "$place" "no namespaces for $place in 10 s"
        sleep 0.02
    done
    [ "$place" != control ] || return 0
    for folder in run var/lib var/log; do
        [[ $state != /$folder/* ]] || fail "caches can't be in /$folder: set XDG_CACHE_HOME"
        mkdir -p "$state/$place/$folder"
        inside "$place" mount --bind "$state/$place/$folder" "/$folder"
    done
}
