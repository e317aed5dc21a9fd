{{- define "openoms.name" -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "openoms.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "openoms.labels" -}}
{{ include "openoms.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "openoms.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}

{{/* What the pods of servers and workers have in common: identity, database, master key, configuration. */}}
{{- define "openoms.pod" -}}
automountServiceAccountToken: false
enableServiceLinks: false
terminationGracePeriodSeconds: 30
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  seccompProfile: {type: RuntimeDefault}
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "openoms.container" -}}
image: {{ include "openoms.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end -}}

{{- define "openoms.env" -}}
- name: OMS_DATABASE
  valueFrom:
    secretKeyRef: {name: {{ .Values.database.secretName | quote }}, key: {{ .Values.database.key | quote }}}
- {name: OMS_MASTER_KEY_FILE, value: /etc/openoms/key/master.key}
- {name: OMS_LOG_FORMAT, value: json}
{{- end -}}

{{- define "openoms.mounts" -}}
- {name: master-key, mountPath: /etc/openoms/key, readOnly: true}
- {name: tmp, mountPath: /tmp}
{{- if .Values.database.caSecretName }}
- {name: database-ca, mountPath: /etc/openoms/database-ca, readOnly: true}
{{- end }}
{{- end -}}

{{- define "openoms.volumes" -}}
- name: master-key
  secret:
    secretName: {{ .Values.masterKey.secretName | quote }}
    defaultMode: 0440
    items: [{key: {{ .Values.masterKey.key | quote }}, path: master.key}]
- name: tmp
  emptyDir: {}
{{- if .Values.database.caSecretName }}
- name: database-ca
  secret: {secretName: {{ .Values.database.caSecretName | quote }}}
{{- end }}
{{- end -}}
