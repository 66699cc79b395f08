// Package fence lets a client write to the Kubernetes API only while it has
// the permission to. It knows nothing of leases: who gives the permission, and
// for how long, is decided elsewhere.
//
// [Config] puts the fence into a rest.Config. Every client made from that
// config is behind it, whether typed, dynamic or untyped, for objects, statuses
// and other subresources, because they all send through the config's transport.
// There is no way around the fence but another config.
//
// A permission is looked at twice. When a request is sent, it joins the
// permission: it is refused with a [RefusedError] if there is none, and ends
// when the permission does. And each time bytes of a write are handed to the
// operating system, the connection asks again, so that a process that was
// frozen between the two sends nothing when it wakes up. For this, writes have
// connections of their own. They are cut when the permission ends, and what is
// still waiting in them is thrown away, or the end of a network outage could
// deliver a write long after its time.
//
// What passes without a permission, because it changes nothing that anybody
// else could be working on: reads, dry runs (of a deletion, those that its body
// asks for, which the API server heeds before the query), the reviews of the API groups
// authentication.k8s.io and authorization.k8s.io, and events. Events say what
// this process did or saw. They contend with nobody, belong to what was done
// while there was permission although they are sent later, and are missed most
// when a permission was just lost.
//
// What counts as a write although its method is GET: exec, attach, portforward
// and proxy, and whatever else asks for an upgraded connection, as nobody can tell
// what they do. Only watches and the logs of pods are reads when upgraded, too:
// there the API server does not listen. A watch is one that says so in its query
// and is of no subresource.
//
// An upgraded connection is a use of the permission until it is closed, and is cut
// when the permission or its context ends. Where something dials by itself, as
// client-go's executors do, there is nothing to cut. Such a stream is only opened
// under a context that has joined the permission, and ends with it.
package fence
