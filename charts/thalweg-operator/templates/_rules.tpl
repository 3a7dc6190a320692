{{/*
What the operator may do: what it does itself, and what it grants to JobManagers (nobody can grant
what they don't have). A test compares this with what it grants (operator/src/build/access.rs).
*/}}
{{- define "thalweg-operator.rules" -}}
# The resource: followed, its finalizer set (patch), deleted when its time to live is over.
- apiGroups: [thalweg.dev]
  resources: [flinkapplications]
  verbs: [get, list, watch, patch, delete]
- apiGroups: [thalweg.dev]
  resources: [flinkapplications/status]
  verbs: [patch]
# JobManagers.
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch, create, patch, delete]
# Records of revisions.
- apiGroups: [apps]
  resources: [controllerrevisions]
  verbs: [get, list, create, patch, delete]
# Followed for their troubles; made for checks before an upgrade; JobManagers make the others.
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [configmaps, services, serviceaccounts]
  verbs: [create, patch]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [get, create, update, patch]
- apiGroups: [rbac.authorization.k8s.io]
  resources: [roles, rolebindings]
  verbs: [create, patch]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [create, patch, delete]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [create, patch, delete]
# Certificates: written and read by name, never listed or watched.
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, create, update, patch, delete]
- apiGroups: [""]
  resources: [events]
  verbs: [create]
{{- end -}}

{{- define "thalweg-operator.subjects" -}}
- kind: ServiceAccount
  name: {{ include "thalweg-operator.serviceAccountName" . }}
  namespace: {{ .Release.Namespace }}
{{- end -}}
