{{- /*
Which Leases of the operator's namespace an account may write. RBAC cannot say it, since names come with nodes; without it,
one captured node could write the Lease of the operator's leader, and end the operator again and again, or speak for other
nodes. The token of a pod names its node (since Kubernetes 1.30, and for good since 1.32); a token that names none is older,
or was made by somebody who may make tokens for this account.

Argument: list of the context, the component, its namespace, what comes before the node's name in the names of its Leases,
and what the names of Leases begin with that all of them share, if there are any.
*/ -}}
{{- define "audit-operator.ownLeases" -}}
{{- $ := index . 0 }}{{ $component := index . 1 }}{{ $namespace := index . 2 }}{{ $own := index . 3 }}{{ $shared := index . 4 }}
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
  variables:
    - name: node
      expression: >-
        has(request.userInfo.extra) && "authentication.kubernetes.io/node-name" in request.userInfo.extra ?
        request.userInfo.extra["authentication.kubernetes.io/node-name"][0] : ""
  validations:
    - expression: >-
        {{- range $shared }}
        object.metadata.name.startsWith({{ . | quote }}) ||
        {{- end }}
        (variables.node == "" ? object.metadata.name.startsWith({{ $own | quote }}) :
        object.metadata.name == {{ $own | quote }} + variables.node)
      message: its own are {{ $own }}(name of its node){{ range $shared }} and those whose names begin with {{ . }}{{ end }} alone
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
