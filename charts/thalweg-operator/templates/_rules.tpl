{{/*
What the operator may do: what it does itself, and what it grants to JobManagers (nobody can grant
what they don't have). A test compares this with what it grants (operator/src/build/access.rs). It
watches what it makes, so that what others change or delete is put right.
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
  verbs: [get, list, watch, create, patch, delete]
# Followed for their troubles; made for checks before an upgrade; JobManagers make the others.
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch, create, patch, delete]
# Of these and the following the operator follows the metadata, to mend what others change.
- apiGroups: [""]
  resources: [services, serviceaccounts]
  verbs: [list, watch, create, patch]
# Those of checks and of forgotten revisions go before the application does.
- apiGroups: [""]
  resources: [configmaps]
  verbs: [list, watch, create, patch, delete]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [get, list, watch, create, update, patch]
- apiGroups: [rbac.authorization.k8s.io]
  resources: [roles, rolebindings]
  verbs: [list, watch, create, patch]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [list, watch, create, patch, delete]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [list, watch, create, patch, delete]
# Certificates: written and read by name, never listed or watched.
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, create, update]
- apiGroups: [""]
  resources: [events]
  verbs: [create]
# Only granted: what the admission policy asks for before a JobManager's pod may use it. No API has
# this verb.
- apiGroups: [""]
  resources: [configmaps, secrets, persistentvolumeclaims]
  verbs: [use]
- apiGroups: [storage.k8s.io]
  resources: [csidrivers]
  verbs: [use]
- apiGroups: [thalweg.dev]
  resources: [podlabels]
  verbs: [use]
{{- end -}}

{{- define "thalweg-operator.subjects" -}}
- kind: ServiceAccount
  name: {{ include "thalweg-operator.serviceAccountName" . }}
  namespace: {{ .Release.Namespace }}
{{- end -}}
