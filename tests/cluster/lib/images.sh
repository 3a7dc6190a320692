# shellcheck shell=bash
# Images without a registry: made here, kept as archives, handed to the nodes.

images="$cache/images"
readonly BASE_IMAGE=docker.io/library/debian:bookworm-slim
readonly PAUSE_IMAGE=localhost/pause:thalweg
readonly IMAGE_MINUTES_MAX=20

# buildah with a storage of its own, and in a mount namespace, so that no mount is left behind.
in_storage() {
    mkdir -p "$images"
    timeout --kill-after=10 "${IMAGE_MINUTES_MAX}m" \
        unshare --mount --propagation private -- nice -n 10 buildah \
        --root "$images/storage" --runroot "$images/run" --storage-driver overlay "$@"
}

# Two builds at once would each make the base.
lock_images() {
    mkdir -p "$images"
    exec {images_lock}>"$images/lock"
    flock --timeout $((IMAGE_MINUTES_MAX * 60)) "$images_lock" ||
        fail "another run has been building images for $IMAGE_MINUTES_MAX minutes"
}

# build_image IMAGE ARCHIVE FOLDER [ARGUMENTS of buildah build]
build_image() {
    local image=$1 archive=$2 folder=$3
    shift 3
    # The base has to be there: it can't be pulled, and isn't to be where it could.
    in_storage build --isolation chroot --layers --pull-never --format docker --tag "$image" "$@" \
        "$folder" >&2 || fail "$image couldn't be built from $folder"
    rm -f "$archive.part"
    in_storage push --quiet "$image" "docker-archive:$archive.part:$image" >&2
    mv "$archive.part" "$archive"
}

# The archive of a Debian, like the image of its name: the smallest system, less documentation.
make_base() {
    local archive=$images/debian-bookworm-slim.tar work
    if [ -e "$archive" ] && in_storage inspect --type image "$BASE_IMAGE" >/dev/null 2>&1; then
        return
    fi
    say "making $BASE_IMAGE with debootstrap, once"
    work=$(mktemp -d "$images/.base.XXXXXX")
    timeout --kill-after=10 "${IMAGE_MINUTES_MAX}m" \
        unshare --mount --propagation private -- nice -n 10 \
        debootstrap --variant=minbase bookworm "$work/root" "$(debian_archive)" \
        >"$work/log" 2>&1 || { tail -n 15 "$work/log" >&2; fail "debootstrap has failed"; }
    (cd "$work/root" && rm -rf usr/share/{doc,info,locale,man} var/cache/apt/* var/lib/apt/lists/* \
        var/log/{apt,bootstrap.log,dpkg.log} {dev,proc,sys}/*)
    tar --create --file "$work/root.tar" --numeric-owner --directory "$work/root" .
    printf 'FROM scratch\nADD root.tar /\nCMD ["bash"]\n' >"$work/Dockerfile"
    printf '*\n!root.tar\n' >"$work/.dockerignore"
    build_image "$BASE_IMAGE" "$archive" "$work"
    rm -rf "$work"
}

# Where this machine gets Debian's packages from.
debian_archive() {
    local archive=${THALWEG_DEBIAN_ARCHIVE:-}
    [ -n "$archive" ] || archive=$(
        # shellcheck disable=SC2016 # apt's variables
        apt-get indextargets --format '$(ORIGIN) $(CODENAME) $(REPO_URI)' 'Created-By: Packages' |
            awk '$1 == "Debian" && $2 ~ /^[a-z]+$/ { print $3; exit }'
    )
    [ -n "$archive" ] || fail "apt names no archive of Debian: give one by THALWEG_DEBIAN_ARCHIVE"
    echo "$archive"
}

make_pause() {
    local archive=$images/pause.tar work
    [ ! "$archive" -nt "$kubernetes/pause" ] || return 0
    work=$(mktemp -d "$images/.pause.XXXXXX")
    cp "$kubernetes/pause" "$work/pause"
    printf 'FROM scratch\nCOPY pause /pause\nUSER 65535:65535\nENTRYPOINT ["/pause"]\n' \
        >"$work/Dockerfile"
    build_image "$PAUSE_IMAGE" "$archive" "$work"
    rm -rf "$work"
}

# load NODE ARCHIVE: what pods name with imagePullPolicy Never or IfNotPresent.
load() {
    inside "$1" timeout 300 "$debian/usr/bin/ctr" --namespace k8s.io images import "$2" \
        >/dev/null ||
        fail_with_log "containerd-$1" "$2 couldn't be loaded into $1"
}
