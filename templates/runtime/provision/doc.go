// Package provision keeps, in the namespace of each tenant, what work for the tenant needs
// there: a service account that is bound to one ClusterRole, in whose name package access
// makes requests, and a network policy. All of it has one name, and none other is watched,
// so that rights on objects of that name alone are enough.
//
// What is kept is put back when it is changed or deleted, and removed when the namespace is
// no tenant any more. Who made an object is read from its managed fields. One of the name
// that somebody else made is neither taken over nor removed: it ends in a
// [NameTakenError], which is terminal, as a pass follows when the object changes.
//
// That protects from mistakes, not from those who may write such objects in the namespace:
// they can write in the operator's name too.
package provision
