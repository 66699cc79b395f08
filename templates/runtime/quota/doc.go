// Package quota bounds what tenants may have and use, as two kinds of custom
// resources say. A [TenantQuota] is about one tenant and has the name of its
// namespace. A QuotaTemplate, here [Template], is about all tenants that it selects
// by the labels of their namespaces. Both are cluster-scoped: no right in a namespace
// changes the bounds of it. For a tenant counts, whole and unmixed, its TenantQuota;
// else, of the templates that select it, the one of the highest priority, and among
// these the first by name.
//
// Numbers of objects are kept by the API server: [Setup] adds a controller that keeps a
// v1.ResourceQuota in the namespace, and so a create over the quota is refused at
// admission, however many clients race. The limits of work, and whether the tenant is
// suspended, are kept by package tenant. Every replica knows them before a namespace is
// a tenant, whether it leads or not.
//
// +kubebuilder:object:generate=true
package quota
