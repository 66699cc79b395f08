// Package integration tests the runtime on a real API server, under the build
// tag integration and with KUBEBUILDER_ASSETS naming a folder that has
// kube-apiserver and etcd:
//
//	KUBEBUILDER_ASSETS=… go test -tags integration ./integration
package integration
