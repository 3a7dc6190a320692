{{/* The name of all objects: RELEASE-operator, or RELEASE if it ends so already. */}}
{{- define "thalweg-operator.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if hasSuffix "operator" .Release.Name -}}
{{- .Release.Name -}}
{{- else -}}
{{- printf "%s-operator" (.Release.Name | trunc 53 | trimSuffix "-") -}}
{{- end -}}
{{- end -}}

{{/* What selects the operator's pods. The NetworkPolicies of applications rely on the first one. */}}
{{- define "thalweg-operator.selectorLabels" -}}
app.kubernetes.io/name: thalweg-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "thalweg-operator.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "thalweg-operator.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "thalweg-operator.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "thalweg-operator.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- required "serviceAccount.name: name an account that exists, or let the chart make one with serviceAccount.create=true" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "thalweg-operator.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{- printf "%s@%s" .repository .digest -}}
{{- else -}}
{{- printf "%s:%s" .repository (default $.Chart.AppVersion .tag) -}}
{{- end -}}
{{- end -}}
{{- end -}}
