# shellcheck shell=bash
# The cluster's certificate authority, the certificates it gives, and the kubeconfig of each client.

readonly CERTIFICATE_DAYS=30

make_certificates() {
    local node
    mkdir -p "$state/pki"
    make_authority
    # Names by which pods and the scripts call it.
    issue apiserver kube-apiserver '' "DNS:kubernetes,DNS:kubernetes.default,\
DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local,\
IP:$CONTROL_ADDRESS,IP:$KUBERNETES_ADDRESS,IP:127.0.0.1"
    issue apiserver-kubelet-client kube-apiserver-kubelet-client system:masters
    issue admin admin system:masters
    issue kube-controller-manager system:kube-controller-manager
    issue kube-scheduler system:kube-scheduler
    issue kube-proxy system:kube-proxy
    issue coredns system:coredns
    issue prometheus test-cluster:prometheus
    for node in "${NODES[@]}"; do
        issue "$node" "system:node:$node" system:nodes "DNS:$node,IP:$(node_address "$node")"
    done
    openssl genrsa -out "$state/pki/service-account.key" 2048 2>/dev/null
    openssl rsa -in "$state/pki/service-account.key" -pubout \
        -out "$state/pki/service-account.pub" 2>/dev/null

    local client
    for client in kube-controller-manager kube-scheduler kube-proxy coredns prometheus \
        "${NODES[@]}"; do
        kubeconfig "$client" >"$state/pki/$client.kubeconfig"
    done
    (umask 077 && kubeconfig admin >"$state/admin.kubeconfig")
}

make_authority() {
    new_key ca
    openssl req -x509 -new -key "$state/pki/ca.key" -subj "/CN=thalweg-test-cluster" \
        -days "$CERTIFICATE_DAYS" -out "$state/pki/ca.crt"
}

new_key() {
    (umask 077 && openssl ecparam -name prime256v1 -genkey -noout -out "$state/pki/$1.key")
}

# issue FILE COMMON_NAME [ORGANISATION [NAMES]]: for servers and clients.
issue() {
    local subject="/CN=$2" extensions='extendedKeyUsage=serverAuth,clientAuth'
    [ -z "${3:-}" ] || subject="/O=$3$subject"
    [ -z "${4:-}" ] || extensions+=$'\n'"subjectAltName=$4"
    new_key "$1"
    openssl req -new -key "$state/pki/$1.key" -subj "$subject" |
        openssl x509 -req -CA "$state/pki/ca.crt" -CAkey "$state/pki/ca.key" -CAcreateserial \
            -days "$CERTIFICATE_DAYS" -extfile <(echo "$extensions") \
            -out "$state/pki/$1.crt" 2>/dev/null
}

kubeconfig() {
    cat <<EOF
apiVersion: v1
kind: Config
current-context: thalweg-test
contexts: [{name: thalweg-test, context: {cluster: thalweg-test, user: $1}}]
clusters:
  - name: thalweg-test
    cluster:
      server: https://$CONTROL_ADDRESS:6443
      certificate-authority-data: $(base64 -w 0 "$state/pki/ca.crt")
users:
  - name: $1
    user:
      client-certificate-data: $(base64 -w 0 "$state/pki/$1.crt")
      client-key-data: $(base64 -w 0 "$state/pki/$1.key")
EOF
}
