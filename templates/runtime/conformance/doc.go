// Package conformance proves on a real API server that a kind's generated
// wiring keeps what package reconciler promises: the status is written to where
// the CRD has it, with the generation it is about, also when time runs out or
// the operator is stopped; a deadline that user code swallows is no success; a
// finalizer is kept and released.
//
// All that an operator watches meanwhile comes 50 ms late, as from a busy API
// server. CONFORMANCE_LAG lists other delays, such as 0s,10ms,1s, to test with each.
//
// It has code only under the build tag integration. KUBEBUILDER_ASSETS names a
// folder with kube-apiserver and etcd, or USE_EXISTING_CLUSTER=true makes the
// tests use the cluster of KUBECONFIG.
package conformance
