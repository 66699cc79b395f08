package freshness

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/fence"
)

// Client notes in a [Keep] what is written by the client it embeds.
type Client struct {
	client.Client
	keep   *Keep
	reader client.Reader // nil where Client reads what is fresh
}

// NewClient returns c as a client whose writes k knows of. Its reads are those of c.
func NewClient(c client.Client, k *Keep) *Client { return &Client{Client: c, keep: k} }

// Of returns c if it is a Client already, and else makes one that also reads what is
// not older than its own writes: c itself may read from a cache, live does not.
func Of(c client.Client, live client.Reader) *Client {
	if fresh, ok := c.(*Client); ok {
		return fresh
	}
	k := &Keep{all: true}
	return &Client{Client: c, keep: k, reader: &Reader{Keep: k, Cached: c, Live: live, Kinds: c}}
}

// Get implements client.Reader.
func (c *Client) Get(ctx context.Context, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
	from := c.reader
	if from == nil {
		from = c.Client
	}
	err := from.Get(ctx, key, obj, opts...)
	if err == nil {
		tell(ctx, obj)
	}
	return err
}

// List implements client.Reader.
func (c *Client) List(ctx context.Context, list client.ObjectList, opts ...client.ListOption) error {
	if c.reader == nil {
		return c.Client.List(ctx, list, opts...)
	}
	return c.reader.List(ctx, list, opts...)
}

// Keep is where the writes are noted.
func (c *Client) Keep() *Keep { return c.keep }

// Create implements client.Writer.
func (c *Client) Create(ctx context.Context, obj client.Object, opts ...client.CreateOption) error {
	o := (&client.CreateOptions{}).ApplyOptions(opts)
	return c.write(ctx, obj, o.DryRun, false, func() error { return c.Client.Create(ctx, obj, opts...) })
}

// Update implements client.Writer.
func (c *Client) Update(ctx context.Context, obj client.Object, opts ...client.UpdateOption) error {
	o := (&client.UpdateOptions{}).ApplyOptions(opts)
	return c.write(ctx, obj, o.DryRun, false, func() error { return c.Client.Update(ctx, obj, opts...) })
}

// Patch implements client.Writer.
func (c *Client) Patch(ctx context.Context, obj client.Object, patch client.Patch, opts ...client.PatchOption) error {
	o := (&client.PatchOptions{}).ApplyOptions(opts)
	return c.write(ctx, obj, o.DryRun, false, func() error { return c.Client.Patch(ctx, obj, patch, opts...) })
}

// Apply implements client.Writer.
func (c *Client) Apply(ctx context.Context, obj runtime.ApplyConfiguration, opts ...client.ApplyOption) error {
	o := (&client.ApplyOptions{}).ApplyOptions(opts)
	return c.apply(ctx, obj, o.DryRun, func() error { return c.Client.Apply(ctx, obj, opts...) })
}

// Delete implements client.Writer.
func (c *Client) Delete(ctx context.Context, obj client.Object, opts ...client.DeleteOption) error {
	err := c.Client.Delete(ctx, obj, opts...)
	o := (&client.DeleteOptions{}).ApplyOptions(opts)
	if len(o.DryRun) > 0 {
		return err
	}
	kind, known := c.kindOf(obj)
	switch {
	case !known:
	case err == nil:
		uid := obj.GetUID()
		if o.Preconditions != nil && o.Preconditions.UID != nil {
			uid = *o.Preconditions.UID
		}
		c.keep.deletes(kind, client.ObjectKeyFromObject(obj), uid)
	case outdated(err, kind, obj) && o.Preconditions != nil && o.Preconditions.ResourceVersion != nil:
		c.keep.outdated(kind, client.ObjectKeyFromObject(obj), *o.Preconditions.ResourceVersion)
	case apierrors.IsNotFound(err), outdated(err, kind, obj), open(err):
		c.keep.doubtful(kind, client.ObjectKeyFromObject(obj))
	}
	return err
}

// Status implements client.StatusClient.
func (c *Client) Status() client.SubResourceWriter {
	return &subresourceWriter{c.Client.Status(), c, false}
}

// SubResource implements client.SubResourceClientConstructor.
func (c *Client) SubResource(name string) client.SubResourceClient {
	of := c.Client.SubResource(name)
	return struct {
		client.SubResourceReader
		*subresourceWriter
	}{of, &subresourceWriter{of, c, name == "eviction" || name == "binding"}}
}

// subresourceWriter notes what is written to a subresource.
type subresourceWriter struct {
	client.SubResourceWriter
	client *Client
	acts   bool // Create changes the object, as that of an eviction does and that of a token does not
}

// Create implements client.SubResourceWriter.
func (s *subresourceWriter) Create(ctx context.Context, obj, body client.Object, opts ...client.SubResourceCreateOption) error {
	o := &client.SubResourceCreateOptions{}
	for _, opt := range opts {
		opt.ApplyToSubResourceCreate(o)
	}
	send := func() error { return s.SubResourceWriter.Create(ctx, obj, body, opts...) }
	if !s.acts {
		return send()
	}
	return s.client.write(ctx, obj, o.DryRun, true, send)
}

// Update implements client.SubResourceWriter.
func (s *subresourceWriter) Update(ctx context.Context, obj client.Object, opts ...client.SubResourceUpdateOption) error {
	o := (&client.SubResourceUpdateOptions{}).ApplyOptions(opts)
	return s.client.write(ctx, obj, o.DryRun, o.SubResourceBody != nil, func() error { return s.SubResourceWriter.Update(ctx, obj, opts...) })
}

// Patch implements client.SubResourceWriter.
func (s *subresourceWriter) Patch(ctx context.Context, obj client.Object, patch client.Patch, opts ...client.SubResourcePatchOption) error {
	o := (&client.SubResourcePatchOptions{}).ApplyOptions(opts)
	return s.client.write(ctx, obj, o.DryRun, o.SubResourceBody != nil, func() error { return s.SubResourceWriter.Patch(ctx, obj, patch, opts...) })
}

// Apply implements client.SubResourceWriter.
func (s *subresourceWriter) Apply(ctx context.Context, obj runtime.ApplyConfiguration, opts ...client.SubResourceApplyOption) error {
	o := (&client.SubResourceApplyOptions{}).ApplyOpts(opts)
	if o.SubResourceBody == nil {
		return s.client.apply(ctx, obj, o.DryRun, func() error { return s.SubResourceWriter.Apply(ctx, obj, opts...) })
	}
	before, known := metadataOf(obj) // the answer, which is no state of it, replaces even its kind
	err := s.SubResourceWriter.Apply(ctx, obj, opts...)
	if known && len(o.DryRun) == 0 && (err == nil || open(err)) {
		s.client.keep.doubtful(before.GroupVersionKind().GroupKind(), client.ObjectKeyFromObject(before))
	}
	return err
}

// write sends a write and notes what became of it. Where the answer is no state of
// obj, elsewhere, only the API server knows what is stored.
func (c *Client) write(ctx context.Context, obj client.Object, dryRun []string, elsewhere bool, send func() error) error {
	from := obj.GetResourceVersion()
	err := send()
	if len(dryRun) > 0 {
		return err
	}
	if kind, known := c.kindOf(obj); known {
		c.note(err, kind, obj, from, elsewhere)
	}
	if err == nil && !elsewhere {
		tell(ctx, obj)
	}
	return err
}

// note notes what became of a write of obj that was made from a version.
func (c *Client) note(err error, kind schema.GroupKind, obj client.Object, from string, elsewhere bool) {
	key := client.ObjectKeyFromObject(obj)
	switch {
	case err == nil && elsewhere, open(err):
		c.keep.doubtful(kind, key)
	case err == nil && ended(obj):
		c.keep.removed(kind, key, obj.GetUID(), obj.GetResourceVersion())
	case err == nil:
		c.keep.written(kind, key, obj.GetResourceVersion(), c.keep.scope.holds(kind, obj))
	case key.Name == "": // refused before it had one
	case outdated(err, kind, obj):
		c.keep.outdated(kind, key, from)
	case apierrors.IsNotFound(err), apierrors.IsAlreadyExists(err):
		c.keep.doubtful(kind, key) // which the cache may not know yet
	}
}

// ended reports whether a write that was answered with obj removed it, as taking off the
// last finalizer does.
func ended(obj client.Object) bool {
	grace := obj.GetDeletionGracePeriodSeconds()
	return !obj.GetDeletionTimestamp().IsZero() && len(obj.GetFinalizers()) == 0 && (grace == nil || *grace == 0)
}

func (c *Client) kindOf(obj runtime.Object) (schema.GroupKind, bool) {
	gvk, err := c.GroupVersionKindFor(obj)
	return gvk.GroupKind(), err == nil
}

// apply is write for an apply configuration, which tells by its JSON what it is.
func (c *Client) apply(ctx context.Context, obj runtime.ApplyConfiguration, dryRun []string, send func() error) error {
	err := send()
	if len(dryRun) > 0 {
		return err
	}
	applied, known := metadataOf(obj)
	if !known {
		return err // it was sent, so this is not what it cannot be
	}
	c.note(err, applied.GroupVersionKind().GroupKind(), applied, applied.ResourceVersion, false)
	if err == nil {
		tellApplied(ctx, obj)
	}
	return err
}

// metadataOf reads an apply configuration.
func metadataOf(obj runtime.ApplyConfiguration) (_ *metav1.PartialObjectMetadata, ok bool) {
	text, err := json.Marshal(obj)
	if err != nil {
		return nil, false
	}
	read := &metav1.PartialObjectMetadata{}
	return read, json.Unmarshal(text, read) == nil
}

// open reports whether err leaves open what became of a write: it may have been
// stored although its sender was not told so.
func open(err error) bool {
	if err == nil {
		return false
	}
	if _, refused := errors.AsType[*fence.RefusedError](err); refused {
		return false
	}
	status, answered := errors.AsType[*apierrors.StatusError](err)
	return !answered || status.ErrStatus.Code >= http.StatusInternalServerError
}

// outdated reports whether err is a conflict of versions, not one of field managers, and
// not about another object, as where the use of a quota could not be counted.
func outdated(err error, kind schema.GroupKind, obj client.Object) bool {
	if !apierrors.IsConflict(err) || apierrors.HasStatusCause(err, metav1.CauseTypeFieldManagerConflict) {
		return false
	}
	status, ok := errors.AsType[*apierrors.StatusError](err)
	if !ok || status.ErrStatus.Details == nil || status.ErrStatus.Details.Name == "" {
		return true
	}
	of := status.ErrStatus.Details // whose Kind is the resource's name
	return of.Name == obj.GetName() && of.Group == kind.Group && (of.Kind != "resourcequotas" || kind.Kind == "ResourceQuota")
}

// Witness is told of what is read and written.
type Witness interface {
	// Saw is told of an object that was read, one by one, or written, as the API server
	// answered: of what was applied, as an *unstructured.Unstructured. It must not change
	// or keep it.
	Saw(obj client.Object)
}

type witnessKey struct{}

// Witnessed is a context under which Witness is told of every object that a [Client]
// gets or writes, for a context that is a struct of its own to embed.
type Witnessed struct {
	context.Context
	Witness Witness
}

// Value implements context.Context.
func (w *Witnessed) Value(key any) any {
	if key == (witnessKey{}) {
		return w.Witness
	}
	return w.Context.Value(key)
}

func tell(ctx context.Context, obj client.Object) {
	if w, ok := ctx.Value(witnessKey{}).(Witness); ok {
		w.Saw(obj)
	}
}

func tellApplied(ctx context.Context, obj runtime.ApplyConfiguration) {
	w, ok := ctx.Value(witnessKey{}).(Witness)
	if !ok {
		return
	}
	text, err := json.Marshal(obj)
	answer := &unstructured.Unstructured{}
	if err == nil && answer.UnmarshalJSON(text) == nil {
		w.Saw(answer)
	}
}
