# shellcheck shell=bash
# The cluster's network: a switch in the namespace of the control plane, a cable from it to each
# node, and in each node the range of its pods, which are routed (CNI's `ptp`): so each packet of a
# Service passes the node's own rules, on its way there and back.

make_network() {
    local node other control
    control=$(pid_of control)
    inside control ip link set lo up
    inside control ip link add switch type bridge
    inside control ip address add "$CONTROL_ADDRESS/24" dev switch
    inside control ip link set switch up
    for node in "${NODES[@]}"; do
        # Made where they belong: this machine's own namespace never sees them.
        inside "$node" ip link add eth0 type veth peer name "$node" netns "$control"
        inside control ip link set "$node" master switch up
        inside "$node" ip link set lo up
        inside "$node" ip link set eth0 up
        inside "$node" ip address add "$(node_address "$node")/24" dev eth0
        # Nothing goes out by it; kube-proxy finds the node's address by it.
        inside "$node" ip route add default via "$CONTROL_ADDRESS"
        inside "$node" sysctl -qw net.ipv4.ip_forward=1
        inside control ip route add "$(node_pod_range "$node")" via "$(node_address "$node")"
        for other in "${NODES[@]}"; do
            [ "$other" = "$node" ] ||
                inside "$node" ip route add "$(node_pod_range "$other")" \
                    via "$(node_address "$other")"
        done
    done
}

is_node() {
    local node
    for node in "${NODES[@]}"; do
        [ "$node" != "$1" ] || return 0
    done
    return 1
}

# cable NODE up|down
cable() {
    is_node "$1" || fail "no node '$1'; the nodes are: ${NODES[*]}"
    inside control ip link set "$1" "$2"
}
