package main

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestControllerManager(t *testing.T) {
	t.Parallel()
	client := startRun(t, "--controller-manager").client(t)
	core := client.CoreV1()

	t.Run("a role has the rules of those that it is made of", func(t *testing.T) {
		roles := client.RbacV1().ClusterRoles()
		rule := rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"get"}}
		chosen := map[string]string{"part-of": "whole"}
		for _, role := range []*rbacv1.ClusterRole{
			{ObjectMeta: metav1.ObjectMeta{Name: "part", Labels: chosen}, Rules: []rbacv1.PolicyRule{rule}},
			{ObjectMeta: metav1.ObjectMeta{Name: "whole"}, AggregationRule: &rbacv1.AggregationRule{
				ClusterRoleSelectors: []metav1.LabelSelector{{MatchLabels: chosen}},
			}},
		} {
			if _, err := roles.Create(t.Context(), role, metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		eventually(t, "the role has the rule", func() (bool, error) {
			found, err := roles.Get(t.Context(), "whole", metav1.GetOptions{})
			return err == nil && len(found.Rules) == 1 && found.Rules[0].String() == rule.String(), err
		})
	})

	t.Run("a quota has its status and refuses what is over it", func(t *testing.T) {
		const counted = corev1.ResourceName("count/secrets")
		quota := &corev1.ResourceQuota{
			ObjectMeta: metav1.ObjectMeta{Name: "two"},
			Spec:       corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{counted: resource.MustParse("2")}},
		}
		if _, err := core.ResourceQuotas("default").Create(t.Context(), quota, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		create := func(name string, options metav1.CreateOptions) error {
			secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name}}
			_, err := core.Secrets("default").Create(t.Context(), secret, options)
			return err
		}
		for _, name := range []string{"first", "second"} {
			if err := create(name, metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		eventually(t, "quota used up", func() (bool, error) {
			found, err := core.ResourceQuotas("default").Get(t.Context(), "two", metav1.GetOptions{})
			return err == nil && found.Status.Used.Name(counted, resource.DecimalSI).Value() == 2, err
		})
		// Admission watches the quota and may see its status a little later.
		eventually(t, "third secret refused", func() (bool, error) {
			err := create("third", metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
			return apierrors.IsForbidden(err), err
		})
		if err := create("third", metav1.CreateOptions{}); !apierrors.IsForbidden(err) {
			t.Errorf("third secret: %v, want it refused", err)
		}
	})

	t.Run("a deleted namespace goes, with what is in it", func(t *testing.T) {
		namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "short-lived"}}
		if _, err := core.Namespaces().Create(t.Context(), namespace, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		inside := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "inside"}}
		if _, err := core.ConfigMaps("short-lived").Create(t.Context(), inside, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		if err := core.Namespaces().Delete(t.Context(), "short-lived", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		eventually(t, "namespace gone", func() (bool, error) {
			_, err := core.Namespaces().Get(t.Context(), "short-lived", metav1.GetOptions{})
			return apierrors.IsNotFound(err), err
		})
		left, err := core.ConfigMaps("short-lived").List(t.Context(), metav1.ListOptions{})
		if err != nil || len(left.Items) > 0 {
			t.Errorf("left in the namespace: %v (%v)", left.Items, err)
		}
	})

	t.Run("what a deleted object owns is collected, other objects are not", func(t *testing.T) {
		create := func(name string, owners ...metav1.OwnerReference) *corev1.ConfigMap {
			object := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name, OwnerReferences: owners}}
			created, err := core.ConfigMaps("default").Create(t.Context(), object, metav1.CreateOptions{})
			if err != nil {
				t.Fatal(err)
			}
			return created
		}
		owner := create("owner")
		create("owned", metav1.OwnerReference{APIVersion: "v1", Kind: "ConfigMap", Name: "owner", UID: owner.UID})
		create("free")
		if err := core.ConfigMaps("default").Delete(t.Context(), "owner", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		eventually(t, "owned object gone", func() (bool, error) {
			_, err := core.ConfigMaps("default").Get(t.Context(), "owned", metav1.GetOptions{})
			return apierrors.IsNotFound(err), err
		})
		if _, err := core.ConfigMaps("default").Get(t.Context(), "free", metav1.GetOptions{}); err != nil {
			t.Errorf("the free object: %v", err)
		}
	})
}

// gadgets is a kind that no controller knows when it starts.
const gadgets = `{
	"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
	"metadata": {"name": "gadgets.example.com"},
	"spec": {
		"group": "example.com", "scope": "Namespaced", "names": {"kind": "Gadget", "plural": "gadgets"},
		"versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object"}}}]
	}
}`

func TestQuotaOnAKindInstalledLater(t *testing.T) {
	t.Parallel()
	client := startRun(t, "--controller-manager").client(t)
	const counted = corev1.ResourceName("count/gadgets.example.com")
	quotas := client.CoreV1().ResourceQuotas("default")
	isCounted := func(name string, resource corev1.ResourceName) func() (bool, error) {
		return func() (bool, error) {
			found, err := quotas.Get(t.Context(), name, metav1.GetOptions{})
			if err != nil {
				return false, err
			}
			_, counts := found.Status.Used[resource]
			return counts, nil
		}
	}
	createQuota := func(name string, limited corev1.ResourceName) {
		quota := &corev1.ResourceQuota{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			Spec:       corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{limited: resource.MustParse("1")}},
		}
		if _, err := quotas.Create(t.Context(), quota, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	createQuota("earlier", "count/secrets")
	eventually(t, "the controller at work", isCounted("earlier", "count/secrets"))

	definitions := client.RESTClient().Post().AbsPath("/apis/apiextensions.k8s.io/v1/customresourcedefinitions")
	if err := definitions.Body([]byte(gadgets)).SetHeader("Content-Type", "application/json").Do(t.Context()).Error(); err != nil {
		t.Fatal(err)
	}
	createQuota("later", counted)
	eventually(t, "quota counts the new kind", isCounted("later", counted))
}
