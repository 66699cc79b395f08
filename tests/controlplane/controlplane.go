package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"time"
)

// options say how to start a control plane. Paths are absolute.
type options struct {
	dir               string // keeps the state; a temporary folder if empty
	kubeconfig        string // of the administrator; in dir if empty
	auditLog          string // no audit if empty
	auditLevel        string
	controllerManager bool
	startTimeout      time.Duration
}

// needed returns the components to start.
func (o options) needed() []component {
	components := []component{etcd, apiServer}
	if o.controllerManager {
		components = append(components, controllerManager)
	}
	return components
}

// info describes a running control plane to its user.
type info struct {
	Kubeconfig string         `json:"kubeconfig"`
	URL        string         `json:"url"`
	Assets     string         `json:"assets"`
	AuditLog   string         `json:"auditLog,omitempty"`
	PIDs       map[string]int `json:"pids"`
}

// controlPlane is a running control plane. Its user must call stop.
type controlPlane struct {
	info      info
	assets    assets
	state     *stateDir
	port      *port
	processes []*process    // in the order of their start
	ended     chan *process // those that have ended
}

// start starts a control plane and returns when it is ready. If it fails or
// ctx ends, nothing is left running.
func start(ctx context.Context, binaries assets, opts options) (*controlPlane, error) {
	if err := checkFiles(opts); err != nil {
		return nil, err
	}
	c := &controlPlane{
		assets: binaries,
		info:   info{Assets: binaries.dir, AuditLog: opts.auditLog, PIDs: map[string]int{}},
		ended:  make(chan *process, len(allComponents)),
	}
	if err := c.start(ctx, opts); err != nil {
		return nil, errors.Join(err, c.stop())
	}
	return c, nil
}

// start does the work of the function start, which cleans up if it fails.
func (c *controlPlane) start(ctx context.Context, opts options) (err error) {
	if c.state, err = openStateDir(opts.dir); err != nil {
		return err
	}
	if c.port, err = reservePort(); err != nil {
		return err
	}
	c.info.URL = fmt.Sprintf("https://127.0.0.1:%d", c.port.number)
	c.info.Kubeconfig = cmp.Or(opts.kubeconfig, c.state.file("kubeconfig"))
	ca, err := newAuthority()
	if err != nil {
		return err
	}
	admin, err := ca.client("ctxscaffold-admin", "system:masters")
	if err != nil {
		return err
	}
	if err := writeServerFiles(c.state, ca, opts.auditLevel); err != nil {
		return err
	}
	// Both at once: the API server has work to do before it needs etcd.
	if err := c.startComponent(etcd, etcdArgs()); err != nil {
		return err
	}
	if err := c.startComponent(apiServer, apiServerArgs(c.info.URL, c.port.number, opts.auditLog)); err != nil {
		return err
	}
	if err := c.waitReady(ctx, ca, admin, opts.startTimeout); err != nil {
		return err
	}
	if opts.controllerManager {
		if err := c.startControllerManager(ca); err != nil {
			return err
		}
	}
	return writeKubeconfig(c.info.Kubeconfig, kubeconfig(c.info.URL, ca.cert, admin))
}

// checkFiles refuses to write over what is not this program's.
func checkFiles(opts options) error {
	if opts.kubeconfig != "" {
		if err := checkKubeconfig(opts.kubeconfig); err != nil {
			return err
		}
	}
	if opts.auditLog != "" {
		if found, err := os.Stat(opts.auditLog); err == nil && found.Size() > 0 {
			return failure(fmt.Errorf("the audit log %s is not empty", opts.auditLog), "name another file or remove it")
		}
	}
	return nil
}

func (c *controlPlane) startComponent(which component, args []string) error {
	p, err := startProcess(which.name, c.assets.path(which), c.state.path, args, c.ended)
	if err != nil {
		return err
	}
	c.processes = append(c.processes, p)
	c.info.PIDs[which.name] = p.cmd.Process.Pid
	return nil
}

func (c *controlPlane) startControllerManager(ca *authority) error {
	client, err := ca.client(controllerManagerUser)
	if err != nil {
		return err
	}
	if err := c.state.write(controllerManagerKubeconfig, kubeconfig(c.info.URL, ca.cert, client)); err != nil {
		return err
	}
	return c.startComponent(controllerManager, controllerManagerArgs())
}

// waitReady returns when the API server says it is ready.
func (c *controlPlane) waitReady(ctx context.Context, ca *authority, admin keyPair, timeout time.Duration) error {
	settings, err := ca.clientConfig(admin)
	if err != nil {
		return err
	}
	transport := &http.Transport{TLSClientConfig: settings}
	defer transport.CloseIdleConnections()
	timedOut := fmt.Errorf("the API server is not ready after %s", timeout)
	limited, cancel := context.WithTimeoutCause(ctx, timeout, timedOut)
	defer cancel()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	client := &http.Client{Transport: transport}
	for !isReady(limited, client, c.info.URL) {
		select {
		case p := <-c.ended:
			return p.died()
		case <-limited.Done():
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return c.processes[len(c.processes)-1].withLog(timedOut)
		case <-ticker.C:
		}
	}
	return nil
}

func isReady(ctx context.Context, client *http.Client, url string) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/readyz", nil)
	if err != nil {
		return false
	}
	response, err := client.Do(request)
	if err != nil {
		return false
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return err == nil && response.StatusCode == http.StatusOK
}

// stop ends the components, the last started first, and removes the temporary
// state. It returns when none is running. It works at any stage of a start.
func (c *controlPlane) stop() error {
	end := (*process).stop
	if slices.ContainsFunc(c.processes, (*process).hasEnded) {
		// The others would wait for the one that is missing.
		end = (*process).kill
	}
	var errs []error
	for _, p := range slices.Backward(c.processes) {
		errs = append(errs, end(p))
	}
	if c.port != nil {
		c.port.release()
	}
	if c.state != nil {
		errs = append(errs, c.state.close())
	}
	return errors.Join(errs...)
}
