# Makes Prometheus' list of targets (file_sd) from the lines that pod-targets asks kubectl for:
#     T <tab> address <tab> port <tab> path <tab> namespace <tab> pod <tab> node
#     L <tab> label of that pod <tab> its value
BEGIN { FS = "\t" }
$1 == "T" {
    printf "- targets: [\"%s%s\"]\n  labels:\n", $2, $3 == "" ? "" : ":" $3
    if ($4 != "") printf "    __metrics_path__: \"%s\"\n", $4
    printf "    namespace: \"%s\"\n    pod: \"%s\"\n    node: \"%s\"\n", $5, $6, $7
}
# As Prometheus names the labels of pods.
$1 == "L" && $2 !~ /^(namespace|pod|node)$/ {
    gsub(/[^a-zA-Z0-9_]/, "_", $2)
    if ($2 !~ /^[0-9]/) printf "    \"%s\": \"%s\"\n", $2, $3
}
