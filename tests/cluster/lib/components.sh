# shellcheck shell=bash
# The cluster's components: `run_NAME [NODE]` starts one, unless it runs. What a flag is for is said
# where it isn't the usual one.

readonly CONTROL_PLANE=(etcd kube-apiserver kube-controller-manager kube-scheduler)
readonly SERVICES=(coredns minio pod-targets prometheus)
readonly NODE_COMPONENTS=(containerd kubelet kube-proxy)

# run COMPONENT: by the name that it has among the processes: `etcd`, `kubelet-node1`.
run() {
    case "$1" in
        *-node[0-9]*) "run_${1%-*}" "${1##*-}" ;;
        *) "run_$1" ;;
    esac
}

component_names() {
    local node component
    printf '%s\n' "${CONTROL_PLANE[@]}" "${SERVICES[@]}"
    for node in "${NODES[@]}"; do
        for component in "${NODE_COMPONENTS[@]}"; do
            echo "$component-$node"
        done
    done
}

run_etcd() {
    # Its data needn't outlive the machine.
    start control etcd "$debian/usr/bin/etcd" --unsafe-no-fsync --data-dir "$state/etcd" \
        --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 \
        --listen-peer-urls http://127.0.0.1:2380 --log-level warn
}

run_kube-apiserver() {
    # Addresses of nodes, because their names can't be resolved by it: logs and exec need them.
    start control kube-apiserver "$kubernetes/kube-apiserver" \
        --etcd-servers http://127.0.0.1:2379 --advertise-address "$CONTROL_ADDRESS" \
        --bind-address 0.0.0.0 --secure-port 6443 --service-cluster-ip-range "$SERVICE_RANGE" \
        --tls-cert-file "$state/pki/apiserver.crt" \
        --tls-private-key-file "$state/pki/apiserver.key" --client-ca-file "$state/pki/ca.crt" \
        --kubelet-certificate-authority "$state/pki/ca.crt" \
        --kubelet-client-certificate "$state/pki/apiserver-kubelet-client.crt" \
        --kubelet-client-key "$state/pki/apiserver-kubelet-client.key" \
        --kubelet-preferred-address-types InternalIP \
        --authorization-mode Node,RBAC --enable-admission-plugins NodeRestriction \
        --service-account-issuer https://kubernetes.default.svc.cluster.local \
        --service-account-key-file "$state/pki/service-account.pub" \
        --service-account-signing-key-file "$state/pki/service-account.key" --profiling=false
}

run_kube-controller-manager() {
    # 16 s instead of 50, so that tests don't wait; kubelets tell more often, too.
    start control kube-controller-manager "$kubernetes/kube-controller-manager" \
        --kubeconfig "$state/pki/kube-controller-manager.kubeconfig" --leader-elect=false \
        --node-monitor-grace-period 16s --node-monitor-period 2s \
        --use-service-account-credentials --root-ca-file "$state/pki/ca.crt" \
        --service-account-private-key-file "$state/pki/service-account.key" \
        --cluster-signing-cert-file "$state/pki/ca.crt" \
        --cluster-signing-key-file "$state/pki/ca.key" --bind-address 127.0.0.1 --profiling=false
}

run_kube-scheduler() {
    start control kube-scheduler "$kubernetes/kube-scheduler" --leader-elect=false \
        --kubeconfig "$state/pki/kube-scheduler.kubeconfig" --bind-address 127.0.0.1 \
        --profiling=false
}

run_coredns() {
    start control coredns "$kubernetes/coredns" -conf "$state/coredns.conf"
}

run_minio() {
    start control minio env MINIO_ROOT_USER="$S3_ACCESS_KEY" MINIO_ROOT_PASSWORD="$S3_SECRET_KEY" \
        MINIO_BROWSER=off MINIO_UPDATE=off MINIO_CI_CD=1 HOME="$state/minio" \
        "$minio" server --quiet --address "$CONTROL_ADDRESS:9000" "$state/minio/drive"
}

run_pod-targets() {
    start control pod-targets env KUBECONFIG="$state/pki/prometheus.kubeconfig" \
        "$cluster_scripts/lib/pod-targets" "$kubernetes/kubectl" "$state/prometheus/pods.yml"
}

run_prometheus() {
    start control prometheus "$debian/usr/bin/prometheus" \
        --config.file "$state/prometheus/prometheus.yml" \
        --storage.tsdb.path "$state/prometheus/data" --storage.tsdb.retention.time 6h \
        --web.listen-address "$CONTROL_ADDRESS:9090" --web.enable-lifecycle --log.level warn
}

run_containerd() {
    start "$1" "containerd-$1" env PATH="$debian/usr/bin:$debian/usr/sbin:$PATH" \
        "$debian/usr/bin/containerd" --config "$state/$1/containerd.toml"
}

run_kubelet() {
    start "$1" "kubelet-$1" "$kubernetes/kubelet" --config "$state/$1/kubelet.yaml" \
        --kubeconfig "$state/pki/$1.kubeconfig" --hostname-override "$1" \
        --node-ip "$(node_address "$1")"
}

run_kube-proxy() {
    # Limits of the machine's connection table aren't this cluster's to set.
    start "$1" "kube-proxy-$1" "$kubernetes/kube-proxy" --hostname-override "$1" \
        --kubeconfig "$state/pki/kube-proxy.kubeconfig" --cluster-cidr "$POD_RANGE" \
        --proxy-mode iptables --conntrack-max-per-core 0 \
        --conntrack-tcp-timeout-established 0s --conntrack-tcp-timeout-close-wait 0s
}
