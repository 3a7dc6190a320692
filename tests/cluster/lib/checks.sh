# shellcheck shell=bash
# The checks of tests/cluster/check, each named as a sentence, and what they share.

readonly CHECKS=(
    both_nodes_are_ready
    a_pod_that_is_not_restricted_is_refused
    pods_reach_services_on_both_nodes_by_name
    a_headless_service_names_the_pods
    logs_and_exec_work
    a_memory_limit_ends_in_OOMKilled
    s3_in_pods_refuses_what_is_there_already
    a_node_that_is_cut_off_is_NotReady_and_healed_is_Ready
    pods_outlive_a_killed_api_server
    prometheus_scrapes_annotated_pods
    a_drained_node_gives_its_pods_up
)

in_namespace() {
    kubectl --namespace "$namespace" "$@"
}

# pod NAME APP NODE COMMAND
pod() {
    sed -e "s|@POD@|$1|g" -e "s|@APP@|$2|g" -e "s|@NODE@|$3|g" -e "s|@COMMAND@|$4|g" \
        -e "s|@IMAGE@|$IMAGE|g" "$cluster_scripts/configuration/check-pod.yaml" |
        in_namespace apply --filename - >&2
}

# in_pod POD COMMAND...
in_pod() {
    local name=$1
    shift
    in_namespace exec "$name" -- "$@"
}

# same WHAT FOUND EXPECTED
same() {
    [ "$2" = "$3" ] || { printf '%s: found "%s", expected "%s"\n' "$1" "$2" "$3" >&2; return 1; }
}

both_nodes_are_ready() {
    local node
    for node in "${NODES[@]}"; do
        node_is_ready "$node"
    done
}

a_pod_that_is_not_restricted_is_refused() {
    local answer
    ! answer=$(in_namespace run refused --image "$IMAGE" --image-pull-policy Never 2>&1)
    grep -q 'violates PodSecurity "restricted' <<<"$answer"
}

pods_reach_services_on_both_nodes_by_name() {
    local from to page
    for from in "${NODES[@]}"; do
        for to in "${NODES[@]}"; do
            page=$(in_pod "server-$from" curl --silent --fail --max-time 10 --retry 5 \
                --retry-connrefused "http://on-$to.$namespace.svc.cluster.local/metrics")
            same "from $from to $to" "$(tail -n 1 <<<"$page")" "cluster_check 42"
        done
    done
}

a_headless_service_names_the_pods() {
    local named real
    named=$(in_pod server-node1 getent ahostsv4 "all.$namespace.svc" | awk '{ print $1 }' | sort -u)
    real=$(in_namespace get pods --selector app=server \
        --output 'jsonpath={range .items[*]}{.status.podIP}{"\n"}{end}' | sort)
    same "addresses" "$named" "$real"
}

logs_and_exec_work() {
    local node
    for node in "${NODES[@]}"; do
        same logs "$(in_namespace logs "server-$node")" "serving on $node"
        same exec "$(in_pod "server-$node" cat /etc/hostname)" "server-$node"
    done
}

a_memory_limit_ends_in_OOMKilled() {
    # shellcheck disable=SC2016 # the pod's shell expands it
    pod greedy greedy node2 'x=$(printf %200000000s x)'
    in_namespace wait --for=jsonpath='{.status.phase}'=Failed pod/greedy --timeout 60s >&2
    local ended='{.status.containerStatuses[0].state.terminated'
    same reason "$(in_namespace get pod greedy --output "jsonpath=$ended.reason}")" OOMKilled
    same code "$(in_namespace get pod greedy --output "jsonpath=$ended.exitCode}")" 137
}

# put FROM KEY HEADER: the status of writing an object from a pod.
put() {
    # Debian's curl signs this header only if it's given.
    local digest
    digest=$(printf content | sha256sum | cut -d ' ' -f 1)
    in_pod "$1" curl --silent --output /dev/null --write-out '%{http_code}' --max-time 10 \
        --aws-sigv4 aws:amz:us-east-1:s3 --user "$S3_ACCESS_KEY:$S3_SECRET_KEY" \
        --request PUT --data-binary content --header "x-amz-content-sha256: $digest" --header "$3" \
        "http://minio.test-services.svc.cluster.local:9000/$S3_BUCKET/$2"
}

s3_in_pods_refuses_what_is_there_already() {
    local key="$namespace-object"
    same "first write" "$(put server-node1 "$key" 'If-None-Match: *')" 200
    same "second write" "$(put server-node2 "$key" 'If-None-Match: *')" 412
    same "write of another version" "$(put server-node2 "$key" 'If-Match: "0123"')" 412
    rm -r "$state/minio/drive/$S3_BUCKET/$key"
}

# sampled EXPRESSION VALUE: whether Prometheus answers that.
sampled() {
    inside control curl --silent --fail --max-time 5 --get --data-urlencode "query=$1" \
        "http://$CONTROL_ADDRESS:9090/api/v1/query" | grep -qF ",\"$2\"]"
}

prometheus_scrapes_annotated_pods() {
    local node
    for node in "${NODES[@]}"; do
        wait_for 30 pod-targets "a sample from server-$node" \
            sampled "cluster_check{namespace=\"$namespace\",pod=\"server-$node\"}" 42
    done
}

node_is_lost() {
    kubectl wait --for=condition=Ready=Unknown "node/$1" --timeout 1s
}

reaches() {
    in_pod server-node1 curl --silent --fail --max-time 2 "http://on-$1.$namespace.svc/metrics"
}

a_node_that_is_cut_off_is_NotReady_and_healed_is_Ready() {
    "$cluster_scripts/partition" node2
    wait_for 40 kube-controller-manager "node2 is NotReady" node_is_lost node2
    ! reaches node2 >/dev/null || { echo "node2 is reached though cut off" >&2; return 1; }
    node_is_ready node1
    "$cluster_scripts/heal" node2
    wait_for 40 kubelet-node2 "node2 is Ready again" node_is_ready node2
    wait_for 20 kube-proxy-node1 "node2's pod is reached again" reaches node2
    same restarts "$(in_namespace get pod server-node2 \
        --output 'jsonpath={.status.containerStatuses[0].restartCount}')" 0
}

pods_outlive_a_killed_api_server() {
    local before
    before=$(in_namespace get pods --selector app=server \
        --output jsonpath='{.items[*].metadata.uid}')
    "$cluster_scripts/stop" kube-apiserver
    ! api_server_is_ready 2>/dev/null || { echo "the API server answers" >&2; return 1; }
    "$cluster_scripts/start" kube-apiserver
    wait_for 60 kube-apiserver "the API server is ready" api_server_is_ready
    same pods "$(in_namespace get pods --selector app=server \
        --output jsonpath='{.items[*].metadata.uid}')" "$before"
    reaches node2 >/dev/null
}

a_drained_node_gives_its_pods_up() {
    kubectl drain node2 --force --ignore-daemonsets --delete-emptydir-data --timeout 60s >&2
    same "pods on node2" "$(kubectl get pods --all-namespaces --field-selector spec.nodeName=node2 \
        --output name)" ""
    kubectl uncordon node2 >&2
    # DNS and S3 don't live on nodes.
    same "write" "$(put server-node1 "$namespace-drained" 'If-None-Match: *')" 200
    rm -r "$state/minio/drive/$S3_BUCKET/$namespace-drained"
}
