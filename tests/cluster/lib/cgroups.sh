# shellcheck shell=bash
# The cluster's cgroups: one below the top of each hierarchy, with one for its own processes and
# one per node, so that two kubelets on one machine don't delete each other's pods; and everything
# that the cluster has started can be found by them. Works with cgroup v1 and v2.

cgroup_name="thalweg-cluster-$cluster"

# The hierarchies: several with v1, one with v2, and several and one where runc uses both.
cgroup_hierarchies() {
    if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
        echo /sys/fs/cgroup
    else
        awk '$3 == "cgroup" || $3 == "cgroup2" { print $2 }' /proc/mounts
    fi
}

make_cgroups() {
    local hierarchy path file controllers
    for hierarchy in $(cgroup_hierarchies); do
        for path in "$cgroup_name" "$cgroup_name/processes" "${NODES[@]/#/$cgroup_name/}"; do
            mkdir -p "$hierarchy/$path" || fail "no cgroup could be made in $hierarchy"
            # With v1 a new one has neither, and takes no process before it has both.
            for file in cpuset.cpus cpuset.mems; do
                [ -e /sys/fs/cgroup/cgroup.controllers ] || [ ! -e "$hierarchy/$path/$file" ] ||
                    cat "$hierarchy/$path/../$file" >"$hierarchy/$path/$file"
            done
            # As a group they would get what one process gets, which starves them on a busy machine.
            if [ -e "$hierarchy/$path/cpu.shares" ]; then
                echo $((10 * 1024)) >"$hierarchy/$path/cpu.shares"
            elif [ -e "$hierarchy/$path/cpu.weight" ]; then
                echo $((10 * 100)) >"$hierarchy/$path/cpu.weight"
            fi
            # With v2 controllers are handed down one by one; not below the processes' own.
            if [ -e /sys/fs/cgroup/cgroup.controllers ] && [[ $path != */processes ]]; then
                controllers=$(sed 's/[^ ]*/+&/g' "$hierarchy/$path/../cgroup.controllers")
                echo "$controllers" >"$hierarchy/$path/../cgroup.subtree_control"
            fi
        done
    done
}

join_cgroup() {
    local hierarchy
    for hierarchy in $(cgroup_hierarchies); do
        echo "$BASHPID" >"$hierarchy/$cgroup_name/processes/cgroup.procs"
    done
}

# The ids of all processes that the cluster has started and that are left, its pods' too.
cgroup_processes() {
    local hierarchy
    for hierarchy in $(cgroup_hierarchies); do
        [ -d "$hierarchy/$cgroup_name" ] || continue
        find "$hierarchy/$cgroup_name" -name cgroup.procs -exec cat {} + 2>/dev/null || true
    done | sort -un
}

kill_cgroups() {
    local pids until=$((SECONDS + 30))
    while pids=$(cgroup_processes) && [ -n "$pids" ]; do
        [ "$SECONDS" -lt "$until" ] || fail "these can't be killed: $(tr '\n' ' ' <<<"$pids")"
        # shellcheck disable=SC2086 # several words
        kill -s KILL $pids 2>/dev/null || true
        sleep 0.05
    done
}

remove_cgroups() {
    local hierarchy until=$((SECONDS + 10))
    for hierarchy in $(cgroup_hierarchies); do
        while [ -d "$hierarchy/$cgroup_name" ]; do
            find "$hierarchy/$cgroup_name" -depth -type d -exec rmdir {} + 2>/dev/null || true
            [ "$SECONDS" -lt "$until" ] || fail "can't be removed: $hierarchy/$cgroup_name"
        done
    done
}
