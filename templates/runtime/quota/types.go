package quota

import (
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Version is the version of the API. Its group is the operator's own, so that two
// operators in a cluster do not share their tenants' bounds.
const Version = "v1"

// AddToScheme returns a function that adds the types of this package, under a group, to
// a scheme.
func AddToScheme(group string) func(*runtime.Scheme) error {
	return func(s *runtime.Scheme) error {
		gv := schema.GroupVersion{Group: group, Version: Version}
		s.AddKnownTypes(gv, &TenantQuota{}, &TenantQuotaList{})
		s.AddKnownTypeWithName(gv.WithKind("QuotaTemplate"), &Template{})
		s.AddKnownTypeWithName(gv.WithKind("QuotaTemplateList"), &TemplateList{})
		metav1.AddToGroupVersion(s, gv)
		return nil
	}
}

// TenantQuota bounds the tenant whose namespace has its name.
// +kubebuilder:object:root=true
type TenantQuota struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   TenantQuotaSpec   `json:"spec"`
	Status TenantQuotaStatus `json:"status,omitzero"`
}

// TenantQuotaSpec says what the tenant may have and use.
type TenantQuotaSpec struct {
	Bounds `json:",inline"`
}

// TenantQuotaStatus says what the tenant has.
type TenantQuotaStatus struct {
	// ObservedGeneration is the generation that this is about.
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Hard is what the API server keeps, by resource. Used is what there is of it.
	Hard map[string]int64 `json:"hard,omitempty"`
	Used map[string]int64 `json:"used,omitempty"`
	// Conditions are Ready, that the bounds are in force, and WithinQuota.
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// TenantQuotaList is a list of them.
// +kubebuilder:object:root=true
type TenantQuotaList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []TenantQuota `json:"items"`
}

// Template bounds each tenant that it selects and that has no TenantQuota. Its kind is
// QuotaTemplate.
// +kubebuilder:object:root=true
type Template struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   TemplateSpec   `json:"spec"`
	Status TemplateStatus `json:"status,omitzero"`
}

// TemplateSpec says what the tenants may have and use, each of them.
type TemplateSpec struct {
	// NamespaceSelector selects by the labels of namespaces; an empty one selects all.
	NamespaceSelector metav1.LabelSelector `json:"namespaceSelector"`
	// Priority decides between templates that select the same tenant: the highest
	// counts, and of equal ones the first by name.
	Priority int32 `json:"priority,omitempty"`

	Bounds `json:",inline"`
}

// TemplateStatus says whether the template can be followed.
type TemplateStatus struct {
	// ObservedGeneration is the generation that this is about.
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Conditions are Ready.
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// TemplateList is a list of them.
// +kubebuilder:object:root=true
type TemplateList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []Template `json:"items"`
}

// Bounds are what one tenant may have and use.
type Bounds struct {
	// Suspended tells that nothing is done for the tenant.
	Suspended bool `json:"suspended,omitempty"`
	// Objects is how many objects there may be, by resource and group, such as
	// widgets.example.com. What is not named is not counted.
	Objects map[string]int64 `json:"objects,omitempty"`
	// Limits bound the work for the tenant.
	Limits Limits `json:"limits,omitzero"`
}

// Limits bound the work for one tenant: see tenant.Limits. What is 0 is not bounded.
type Limits struct {
	// Concurrency is how many objects of one kind are worked on at a time.
	Concurrency int32 `json:"concurrency,omitempty"`
	// ReconcilesPerSecond is how many reconciles of one kind begin.
	ReconcilesPerSecond resource.Quantity `json:"reconcilesPerSecond,omitzero"`
	// Budget is the time for the work of one reconcile.
	Budget metav1.Duration `json:"budget,omitzero"`
	// CallsPerSecond is how many calls to the outside begin, of all kinds together.
	CallsPerSecond resource.Quantity `json:"callsPerSecond,omitzero"`
}
