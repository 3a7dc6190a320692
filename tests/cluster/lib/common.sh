# shellcheck shell=bash
# What all scripts of tests/cluster share: names, addresses, waiting, failing.

cluster_scripts=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
script=$(basename "$0")

# Clusters of different names live side by side: each is in namespaces of its own.
cluster="${THALWEG_CLUSTER:-thalweg}"
cache="${XDG_CACHE_HOME:-${HOME:?is not set: say where caches go by XDG_CACHE_HOME}/.cache}/thalweg"
state="$cache/cluster-$cluster"
readonly NODES=(node1 node2)

# All of these exist in the cluster's own network namespaces only.
readonly CONTROL_ADDRESS=10.200.0.1
readonly SERVICE_RANGE=10.96.0.0/16
readonly KUBERNETES_ADDRESS=10.96.0.1
readonly DNS_ADDRESS=10.96.0.10
readonly POD_RANGE=10.244.0.0/16
node_address() { echo "10.200.0.1${1#node}"; }
node_pod_range() { echo "10.244.${1#node}.0/24"; }

# The same as those of the tests that start a MinIO themselves (tests/s3).
readonly S3_ACCESS_KEY=thalweg-tests
readonly S3_SECRET_KEY=thalweg-tests-secret
readonly S3_BUCKET=thalweg

started_at=$EPOCHREALTIME

# use LIBRARY...: takes in other files of this folder.
use() {
    local library
    for library in "$@"; do
        source "$cluster_scripts/lib/$library.sh"
    done
}

elapsed() {
    awk -v now="$EPOCHREALTIME" -v then="$started_at" 'BEGIN { printf "%.1f", now - then }'
}

say() {
    printf '[%6s s] %s\n' "$(elapsed)" "$1" >&2
}

fail() {
    printf 'tests/cluster/%s: %s\n' "$script" "$1" >&2
    exit 1
}

# Says why, with the end of the log of the component that is to blame.
fail_with_log() {
    local component=$1
    if [ -f "$state/log/$component" ]; then
        printf -- '---- the end of %s ----\n' "$state/log/$component" >&2
        tail -n 25 "$state/log/$component" | cut -c 1-400 >&2
    fi
    fail "$2"
}

# Whether a cluster of the user's is to be used instead of one that is made here.
is_given() {
    [ -n "${KUBECONFIG:-}" ] && [ "$KUBECONFIG" != "$state/admin.kubeconfig" ]
}

need_root() {
    [ "$(id -u)" = 0 ] || fail "needs root, for namespaces and mounts: \
sudo --preserve-env=HOME,XDG_CACHE_HOME,THALWEG_CLUSTER $0; or give a cluster by KUBECONFIG"
}

need_cluster() {
    [ -e "$state/up" ] || fail "there is no cluster: tests/cluster/up"
}

# Only what is made here can be broken here.
need_own_cluster() {
    ! is_given || fail "KUBECONFIG names a cluster that wasn't made by tests/cluster/up"
    need_root
    need_cluster
}

# One script at a time changes a cluster. Released when the script ends; what it starts lets go.
lock_cluster() {
    mkdir -p "$cache"
    exec {cluster_lock}>"$state.lock"
    flock --timeout 300 "$cluster_lock" ||
        fail "another script has been changing this cluster for five minutes"
}

# Where the binaries are. Sets kubernetes, debian, minio.
find_tools() {
    kubernetes=$("$cluster_scripts/../tools/install-kubernetes")
    debian=$("$cluster_scripts/../tools/unpack-debian")
    minio=$("$cluster_scripts/../tools/install-minio")
}

# wait_for SECONDS COMPONENT WHAT COMMAND...: until the command succeeds; fails when the time is up
# or the component has ended.
wait_for() {
    local seconds=$1 component=$2 what=$3 until=$((SECONDS + $1))
    shift 3
    while ! "$@" >/dev/null 2>&1; do
        if [ -e "$state/pids/$component" ] && ! is_running "$component"; then
            fail_with_log "$component" "$component has ended; waited for: $what"
        fi
        [ "$SECONDS" -lt "$until" ] ||
            fail_with_log "$component" "not within $seconds s: $what"
        sleep 0.1
    done
}
