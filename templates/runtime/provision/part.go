package provision

import (
	"reflect"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	applycore "k8s.io/client-go/applyconfigurations/core/v1"
	applymeta "k8s.io/client-go/applyconfigurations/meta/v1"
	applynetworking "k8s.io/client-go/applyconfigurations/networking/v1"
	applyrbac "k8s.io/client-go/applyconfigurations/rbac/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// part is one of the objects that tenants' namespaces have.
type part struct {
	kind  string
	empty client.Object
	// want returns what is applied in a namespace. It is nil where there is to be none.
	want func(namespace string) any
}

// parts are the objects that this operator makes, if not by these settings then by others
// that were in force before. Home is the operator's namespace.
func (s Settings) parts(home string) []part {
	account := part{kind: "ServiceAccount", empty: &corev1.ServiceAccount{}}
	binding := part{kind: "RoleBinding", empty: &rbacv1.RoleBinding{}}
	policy := part{kind: "NetworkPolicy", empty: &networkingv1.NetworkPolicy{}}
	if s.RBAC {
		account.want, binding.want = s.account, s.binding
	}
	if s.NetworkPolicy {
		policy.want = func(namespace string) any { return s.policy(namespace, home) }
	}
	return []part{account, binding, policy}
}

// label tells people whose an object is. Nothing is read from it.
var label = map[string]string{"app.kubernetes.io/managed-by": "ctxscaffold"}

// account is what requests are made in the name of. Nobody needs a token of it.
func (s Settings) account(namespace string) any {
	return applycore.ServiceAccount(s.Name, namespace).WithLabels(label).WithAutomountServiceAccountToken(false)
}

// binding gives the account the rights of the ClusterRole, in its namespace.
func (s Settings) binding(namespace string) any {
	return applyrbac.RoleBinding(s.Name, namespace).WithLabels(label).
		WithRoleRef(applyrbac.RoleRef().WithAPIGroup(rbacv1.GroupName).WithKind("ClusterRole").WithName(s.Name)).
		WithSubjects(applyrbac.Subject().WithKind(rbacv1.ServiceAccountKind).WithNamespace(namespace).WithName(s.Name))
}

// policy lets pods be reached from their own namespace and from the operator's.
func (s Settings) policy(namespace, home string) any {
	operator := applymeta.LabelSelector().WithMatchLabels(map[string]string{corev1.LabelMetadataName: home})
	return applynetworking.NetworkPolicy(s.Name, namespace).WithLabels(label).
		WithSpec(applynetworking.NetworkPolicySpec().
			WithPodSelector(applymeta.LabelSelector()).
			WithPolicyTypes(networkingv1.PolicyTypeIngress).
			WithIngress(applynetworking.NetworkPolicyIngressRule().WithFrom(
				applynetworking.NetworkPolicyPeer().WithPodSelector(applymeta.LabelSelector()),
				applynetworking.NetworkPolicyPeer().WithNamespaceSelector(operator),
			)))
}

// roleRef is the one field that cannot be changed.
const roleRef = "roleRef"

// covers reports whether have is want, and maybe more where that is no matter: fields that
// are not wanted are those of others. Lists, and a map that is to be empty, such as a
// selector of all, are compared whole.
func covers(have, want any) bool {
	fields, ok := want.(map[string]any)
	if !ok {
		return reflect.DeepEqual(have, want)
	}
	there, _ := have.(map[string]any)
	if len(fields) == 0 {
		return len(there) == 0
	}
	for name, value := range fields {
		if !covers(there[name], value) {
			return false
		}
	}
	return true
}
