# shellcheck shell=bash
# What a node and the API server need before and after they start.

# render FILE [NODE]: one of the files in configuration/, with the cluster's values.
render() {
    local node=${2:-}
    sed -e "s|@STATE@|$state|g" -e "s|@DEBIAN@|$debian|g" -e "s|@CGROUP@|$cgroup_name|g" \
        -e "s|@CONTROL_ADDRESS@|$CONTROL_ADDRESS|g" -e "s|@DNS_ADDRESS@|$DNS_ADDRESS|g" \
        -e "s|@NODE@|$node|g" -e "s|@POD_RANGE@|$(node_pod_range "$node")|g" \
        "$cluster_scripts/configuration/$1"
}

prepare_node() {
    mkdir -p "$state/$1/cni"
    render containerd.toml "$1" >"$state/$1/containerd.toml"
    render kubelet.yaml "$1" >"$state/$1/kubelet.yaml"
    render cni.conflist "$1" >"$state/$1/cni/pods.conflist"
}

containerd_answers() {
    inside "$1" "$debian/usr/bin/ctr" version
}

kubectl() {
    inside control "$kubernetes/kubectl" --kubeconfig "$state/admin.kubeconfig" "$@"
}

api_server_is_ready() {
    kubectl get --raw /readyz --request-timeout 2s
}

node_is_ready() {
    kubectl wait --for=condition=Ready "node/$1" --timeout 1s
}
