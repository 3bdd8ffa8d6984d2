{{- /* A job that reads a store and the archive of its seals, and no part of the operator: it needs memory for every record of
an hour, and nothing of the API server's. Takes .root ($ of a template), .name, .values, .args and .backoffLimit. */ -}}
{{- define "audit-operator.sealingJob" -}}
{{- $secrets := list }}
{{- range $sink := list .root.Values.sealer.sink .root.Values.sealer.seals }}
{{- range $ref := list (dig "credentials" "secretRef" dict $sink) (dig "tls" "caSecretRef" dict $sink) (dig "tls" "clientSecretRef" dict $sink) }}
{{- if $ref.name }}
{{- if ne (toString $ref.namespace) $.root.Release.Namespace }}
{{- fail (printf "sealer: Secret %s must be in namespace %s, where the sealer's pods are, and say so" $ref.name $.root.Release.Namespace) }}
{{- end }}
{{- $secrets = append $secrets $ref.name | uniq }}
{{- end }}
{{- end }}
{{- end }}
# It has no rights, and not those that somebody may have given to all pods of the namespace.
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ include "audit-operator.fullname" .root }}-{{ .name }}
  namespace: {{ $.root.Release.Namespace }}
  labels:
    {{- include "audit-operator.labels" .root | nindent 4 }}
automountServiceAccountToken: false
---
apiVersion: batch/v1
kind: CronJob
metadata:
  name: {{ include "audit-operator.fullname" .root }}-{{ .name }}
  namespace: {{ $.root.Release.Namespace }}
  labels:
    {{- include "audit-operator.labels" .root | nindent 4 }}
    app.kubernetes.io/component: {{ .name }}
spec:
  schedule: {{ .values.schedule | quote }}
  # Of two sealers at once, one would be refused. What one run has missed, the next makes good: no hour is left out.
  concurrencyPolicy: Forbid
  startingDeadlineSeconds: 600
  successfulJobsHistoryLimit: 1
  failedJobsHistoryLimit: 3
  jobTemplate:
    spec:
      backoffLimit: {{ .backoffLimit }}
      template:
        metadata:
          labels:
            {{- include "audit-operator.labels" .root | nindent 12 }}
            app.kubernetes.io/component: {{ .name }}
            {{- with .values.podLabels }}
            {{- toYaml . | nindent 12 }}
            {{- end }}
          {{- with .values.podAnnotations }}
          annotations:
            {{- toYaml . | nindent 12 }}
          {{- end }}
        spec:
          serviceAccountName: {{ include "audit-operator.fullname" .root }}-{{ .name }}
          automountServiceAccountToken: false
          enableServiceLinks: false
          restartPolicy: Never
          {{- with .root.Values.image.pullSecrets }}
          imagePullSecrets:
            {{- toYaml . | nindent 12 }}
          {{- end }}
          securityContext:
            {{- include "audit-operator.restrictedPod" .root | nindent 12 }}
            fsGroup: 65532
            fsGroupChangePolicy: OnRootMismatch
          containers:
            - name: {{ .name }}
              image: {{ include "audit-operator.image" .root }}
              imagePullPolicy: {{ $.root.Values.image.pullPolicy }}
              args:
                {{- toYaml .args | nindent 16 }}
              resources:
                {{- toYaml .values.resources | nindent 16 }}
              securityContext:
                {{- include "audit-operator.restrictedContainer" .root | nindent 16 }}
              volumeMounts:
                - name: key
                  mountPath: /etc/audit-operator-{{ .name }}/key
                  readOnly: true
                - name: sinks
                  mountPath: /etc/audit-operator-{{ .name }}/sinks
                  readOnly: true
                {{- range $secrets }}
                - name: secret-{{ . }}
                  mountPath: /etc/audit-operator-{{ $.name }}/secrets/{{ . }}
                  readOnly: true
                {{- end }}
                - name: tmp
                  mountPath: /tmp
          volumes:
            - name: key
              secret:
                secretName: {{ .values.keySecret }}
                defaultMode: 0440
            - name: sinks
              configMap:
                name: {{ include "audit-operator.fullname" .root }}-sealer
            {{- range $secrets }}
            - name: secret-{{ . }}
              secret:
                secretName: {{ . }}
                defaultMode: 0440
            {{- end }}
            - name: tmp
              emptyDir:
                medium: Memory # a client certificate lies here for a moment
                sizeLimit: 16Mi
          {{- with .values.priorityClassName }}
          priorityClassName: {{ . }}
          {{- end }}
          {{- with .values.nodeSelector }}
          nodeSelector:
            {{- toYaml . | nindent 12 }}
          {{- end }}
          {{- with .values.tolerations }}
          tolerations:
            {{- toYaml . | nindent 12 }}
          {{- end }}
{{- end }}
