# shellcheck shell=bash
# What the scripts that build a tool from its Go module share; they source it after `set -e`.
#
#     tool_folder NAME      sets `tools` and `folder`: where NAME (with its version) is kept
#     build_folder NAME     sets `work`: where NAME is built; it outlives a build that is broken off
#     find_go               puts a Go that is new enough first in PATH, fetching one if need be
#     build_go ARGUMENTS    runs `go ARGUMENTS` for static programs, with its caches in `work`
#     put FILE...           moves what was built into `folder`, whole, and removes `work`
#
# Needs `fail`, which prints its argument for the script's user and exits.

readonly GO_MINIMUM=1.24
# What is taken where there is no such Go: its toolchain, as a Go module.
readonly GO_TOOLCHAIN=go1.26.8
readonly GO_BUILD_MINUTES_MAX=40

tool_folder() {
    tools="${XDG_CACHE_HOME:-${HOME:?is not set: say where caches go by XDG_CACHE_HOME}/.cache}"
    tools="$tools/thalweg/tools"
    folder="$tools/$1"
}

# Two runs at once would spoil each other's build: the second waits for the first.
build_folder() {
    work="$tools/.build-$1"
    mkdir -p "$work"
    exec {build_lock}>"$tools/.build-$1.lock"
    if ! flock --nonblock "$build_lock"; then
        echo "$1 is being built by another run: waiting for it" >&2
        flock --timeout $((GO_BUILD_MINUTES_MAX * 60)) "$build_lock" ||
            fail "another run has been building $1 for $GO_BUILD_MINUTES_MAX minutes"
        mkdir -p "$work"
    fi
}

go_is_new_enough() {
    command -v go >/dev/null || return 1
    local found
    found=$(go env GOVERSION)
    [ "$(printf '%s\n' "$GO_MINIMUM" "${found#go}" | sort -V | head -n 1)" = "$GO_MINIMUM" ]
}

# Debian's Go is old, but it fetches a newer one, as a module from the same proxy.
install_go() {
    if ! command -v go >/dev/null; then
        if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
            fail "no Go: install Go $GO_MINIMUM or newer, then run again"
        fi
        apt-get update -q >&2
        DEBIAN_FRONTEND=noninteractive \
            apt-get install -qy --no-install-recommends golang-go ca-certificates >&2
    fi
    local module
    module="golang.org/toolchain@v0.0.1-$GO_TOOLCHAIN.linux-$(go env GOARCH)"
    # Outside of any module; left writable, so that it can be deleted.
    (cd "$work" && GOMODCACHE="$work/modules" GOFLAGS=-modcacherw \
        timeout "${GO_BUILD_MINUTES_MAX}m" go mod download "$module") ||
        fail "Go $GO_MINIMUM or newer is needed and couldn't be fetched (go env GOPROXY)"
    # Files of a module have no execution bits.
    chmod -R +x "$work/modules/$module/bin" "$work/modules/$module/pkg/tool"
    export GOROOT="$work/modules/$module" PATH="$work/modules/$module/bin:$PATH" GOTOOLCHAIN=local
}

find_go() {
    if ! go_is_new_enough && [ -x /usr/local/go/bin/go ]; then
        export PATH="/usr/local/go/bin:$PATH"
    fi
    go_is_new_enough || install_go
}

# The compiler's cache is of no use afterwards and would stay behind as gigabytes.
build_go() {
    GOBIN="$work/bin" GOCACHE="$work/cache" CGO_ENABLED=0 \
        GOFLAGS="-buildvcs=false -trimpath ${GOFLAGS:-}" \
        timeout --kill-after=10 "${GO_BUILD_MINUTES_MAX}m" nice -n 10 go "$@" >&2
}

put() {
    rm -rf "$folder.part"
    mkdir -p "$folder.part"
    mv "$@" "$folder.part"
    # Renamed into place: another run never sees half of it.
    mv -T "$folder.part" "$folder"
    rm -rf "$work"
}
