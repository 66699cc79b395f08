package main

// etcdURL is a Unix socket in the folder of the control plane, so that etcd,
// which asks nobody for a password, is reachable for its user alone and needs
// no port. The path is relative, because that of a socket must be short: all
// components run in that folder.
const etcdURL = "unix://etcd.sock"

// etcdArgs returns the flags of a single member that forgets everything.
func etcdArgs() []string {
	const peer = "http://localhost:0" // an address for the books: there are no peers
	return []string{
		"--data-dir=etcd",
		"--listen-client-urls=" + etcdURL,
		"--advertise-client-urls=" + etcdURL,
		"--listen-peer-urls=unix://peer.sock",
		"--initial-advertise-peer-urls=" + peer,
		"--initial-cluster=default=" + peer,
		"--unsafe-no-fsync",
		// Nobody else stands for election. No shorter heartbeat goes with it:
		// that would cost more in idle work than it saves.
		"--election-timeout=500",
	}
}
