{{/*
Whether a request is one of an application's JobManagers. system:serviceaccount:NAMESPACE:NAME.
*/}}
{{- define "thalweg-operator.ofJobManagers" -}}
- name: named-like-a-jobmanager
  expression: request.userInfo.username.matches('^system:serviceaccount:[^:]+:[^:]+-jobmanager$')
- name: reports-the-status-of-its-application
  expression: >-
    !request.userInfo.username.matches('^system:serviceaccount:[^:]+:[^:]+-jobmanager$') ||
    authorizer.group('thalweg.dev').resource('flinkapplications').subresource('status')
    .namespace(request.userInfo.username.split(':')[2])
    .name(request.userInfo.username.split(':')[3].substring(0,
    size(request.userInfo.username.split(':')[3]) - size('-jobmanager')))
    .check('patch').allowed()
{{- end -}}

{{/* Whose JobManager asks. */}}
{{- define "thalweg-operator.application" -}}
- name: ownNamespace
  expression: request.userInfo.username.split(':')[2]
- name: account
  expression: request.userInfo.username.split(':')[3]
- name: application
  expression: variables.account.substring(0, size(variables.account) - size('-jobmanager'))
{{- end -}}
