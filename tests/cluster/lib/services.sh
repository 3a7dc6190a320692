# shellcheck shell=bash
# DNS, S3 and Prometheus: beside the control plane, in Services of the cluster.

prepare_services() {
    # A bucket is a folder of the drive.
    mkdir -p "$state/minio/drive/$S3_BUCKET" "$state/prometheus/rules"
    render Corefile >"$state/coredns.conf"
    render prometheus.yml >"$state/prometheus/prometheus.yml"
}

make_objects() {
    render objects.yaml >"$state/objects.yaml"
    # Namespaces of the system come a moment after the API server is ready.
    wait_for 30 kube-apiserver "the cluster's own objects are made" \
        kubectl apply --filename "$state/objects.yaml"
}

# answers PORT/PATH: whether a service beside the control plane does.
answers() {
    inside control curl --silent --fail --max-time 2 "http://$CONTROL_ADDRESS:$1"
}
