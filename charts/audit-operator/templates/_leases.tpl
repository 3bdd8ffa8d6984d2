{{- /*
Which Leases of the operator's namespace an account may write. RBAC cannot say it, since names come with nodes; without it,
one captured node could write the Lease of the operator's leader, and end the operator again and again.

Argument: list of the context, the component, its namespace, and what the names of its Leases begin with.
*/ -}}
{{- define "audit-operator.ownLeases" -}}
{{- $ := index . 0 }}{{ $component := index . 1 }}{{ $namespace := index . 2 }}{{ $prefixes := index . 3 }}
{{- if semverCompare ">=1.30.0-0" $.Capabilities.KubeVersion.Version }}
{{- $name := printf "%s-%s" (include "audit-operator.fullname" $) $component }}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata:
  name: {{ $name }}-leases
  labels:
    {{- include "audit-operator.labels" $ | nindent 4 }}
spec:
  failurePolicy: Fail
  matchConstraints:
    namespaceSelector:
      matchLabels:
        kubernetes.io/metadata.name: {{ $.Release.Namespace }}
    resourceRules:
      - apiGroups: [coordination.k8s.io]
        apiVersions: [v1]
        resources: [leases]
        operations: [CREATE, UPDATE]
        scope: Namespaced
  matchConditions:
    - name: its-account
      expression: >-
        request.userInfo.username == "system:serviceaccount:{{ $namespace }}:{{ $name }}"
  validations:
    - expression: >-
        {{ $prefixes | toJson }}.exists(each, object.metadata.name.startsWith(each))
      message: only Leases whose names begin with {{ join " or " $prefixes }} are its own
      reason: Forbidden
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata:
  name: {{ $name }}-leases
  labels:
    {{- include "audit-operator.labels" $ | nindent 4 }}
spec:
  policyName: {{ $name }}-leases
  validationActions: [Deny]
{{- end }}
{{- end -}}
