// Package certs makes certificates for a server and renews them while it runs:
// for tests, for demonstrations and for work on one's own machine. In a cluster
// this is the job of cert-manager.
package certs
