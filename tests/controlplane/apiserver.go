package main

import (
	"fmt"
	"strconv"
)

// The files of the API server in the folder of the control plane.
const (
	caFile             = "ca.crt"
	serverCertFile     = "apiserver.crt"
	serverKeyFile      = "apiserver.key"
	serviceAccountFile = "service-accounts.key"
	auditPolicyFile    = "audit-policy.yaml"
)

// writeServerFiles writes the certificates, keys and policy that the flags of
// the API server name.
func writeServerFiles(state *stateDir, ca *authority, auditLevel string) error {
	server, err := ca.server()
	if err != nil {
		return err
	}
	signer, err := newKey()
	if err != nil {
		return err
	}
	serviceAccounts, err := encodeKey(signer)
	if err != nil {
		return err
	}
	for name, content := range map[string][]byte{
		caFile:             ca.cert,
		serverCertFile:     server.cert,
		serverKeyFile:      server.key,
		serviceAccountFile: serviceAccounts,
		auditPolicyFile:    auditPolicy(auditLevel),
	} {
		if err := state.write(name, content); err != nil {
			return err
		}
	}
	return nil
}

// auditPolicy logs each request once, when it has been answered, except that a
// watch is logged when it starts and when it ends.
func auditPolicy(level string) []byte {
	return fmt.Appendf(nil, `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: %s
`, level)
}

// apiServerArgs returns the flags of an API server with the defaults of a
// cluster, except where there is a reason beside it. auditLog may be empty.
func apiServerArgs(url string, port int, auditLog string) []string {
	args := []string{
		"--etcd-servers=" + etcdURL,
		"--bind-address=127.0.0.1",
		"--secure-port=" + strconv.Itoa(port),
		"--permit-port-sharing", // with its reservation, see reservePort
		"--client-ca-file=" + caFile,
		"--tls-cert-file=" + serverCertFile,
		"--tls-private-key-file=" + serverKeyFile,
		"--service-account-issuer=" + url,
		"--service-account-key-file=" + serviceAccountFile,
		"--service-account-signing-key-file=" + serviceAccountFile,
		"--service-cluster-ip-range=10.0.0.0/24",
		"--authorization-mode=RBAC",
		"--allow-privileged",
		// No controller makes the account that it would give to each pod.
		"--disable-admission-plugins=ServiceAccount",
		// At its end, watches are told; otherwise it waits for their clients to go.
		"--shutdown-watch-termination-grace-period=1s",
		// It serves itself alone; otherwise it waits at its end for others to notice.
		"--endpoint-reconciler-type=none",
	}
	if auditLog != "" {
		args = append(args,
			"--audit-policy-file="+auditPolicyFile,
			"--audit-log-path="+auditLog,
			"--audit-log-mode=blocking", // an answered request is in the log
			"--audit-log-maxsize=0",     // in one file, however long it gets
		)
	}
	return args
}
