# shellcheck shell=bash
# Ending the cluster, also one of which only parts are left.

tear_down() {
    local file pid
    for file in "$state"/pids/*; do
        pid=$(pid_of "$(basename "$file")") || continue
        kill -s KILL "$pid" 2>/dev/null || true
    done
    # Pods and the shims that hold them, which no id was recorded of; and it waits for all.
    kill_cgroups
    remove_cgroups
    # Loaded images are many small files: on a busy disk this takes longest.
    rm -rf "$state"
}

# What tear_down has to have removed: a line for each thing that is left.
leftovers() {
    local hierarchy
    cgroup_processes | sed 's/^/process /'
    for hierarchy in $(cgroup_hierarchies); do
        [ ! -d "$hierarchy/$cgroup_name" ] || echo "cgroup $hierarchy/$cgroup_name"
    done
    awk -v state="$state/" 'index($2, state) == 1 { print "mount " $2 }' /proc/mounts
    [ ! -e "$state" ] || echo "folder $state"
}
